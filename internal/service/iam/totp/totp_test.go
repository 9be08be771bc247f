package totp

import (
	"testing"
	"time"
)

var seed = []byte("12345678901234567890")

// The test vectors of RFC 6238, appendix B, for SHA-1; a code of six digits is the end of one of eight.
func TestCode(t *testing.T) {
	for unix, want := range map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	} {
		if got := Code(seed, Counter(time.Unix(unix, 0))); got != want {
			t.Errorf("at %d: %s, want %s", unix, got, want)
		}
	}
}

func TestFind(t *testing.T) {
	const now = 1000
	for _, c := range []struct {
		codes  []string
		window int
		want   int64
		ok     bool
	}{
		{[]string{Code(seed, now)}, 0, now, true},
		{[]string{Code(seed, now+1)}, 0, 0, false},
		{[]string{Code(seed, now-1)}, 1, now - 1, true},
		{[]string{Code(seed, now-2)}, 1, 0, false},
		{[]string{Code(seed, now+2)}, 1, 0, false},
		{[]string{Code(seed, now), Code(seed, now+1)}, 1, now, true},
		{[]string{Code(seed, now+1), Code(seed, now)}, 5, 0, false}, // in the wrong order
		{[]string{Code(seed, now), Code(seed, now)}, 5, 0, false},
		{[]string{""}, 5, 0, false},
		{[]string{"12345"}, 5, 0, false},
	} {
		if got, ok := Find(seed, now, c.window, c.codes...); got != c.want || ok != c.ok {
			t.Errorf("%v in %d: %d %v", c.codes, c.window, got, ok)
		}
	}
}
