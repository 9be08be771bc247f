package codec

import (
	"testing"
	"time"

	"brume/internal/schema"
)

// https://smithy.io/2.0/spec/protocol-traits.html#timestampformat-trait
func TestTimestamps(t *testing.T) {
	at := time.Date(2014, 4, 29, 18, 30, 38, 0, time.UTC)
	for _, test := range []struct {
		t              time.Time
		unix, iso, rfc string
	}{
		{at, "1398796238", "2014-04-29T18:30:38Z", "Tue, 29 Apr 2014 18:30:38 GMT"},
		{at.Add(500 * time.Millisecond), "1398796238.5", "2014-04-29T18:30:38.5Z", ""},
		{at.Add(7 * time.Millisecond), "1398796238.007", "2014-04-29T18:30:38.007Z", ""},
		{at.In(time.FixedZone("", 3600)), "1398796238", "2014-04-29T18:30:38Z", "Tue, 29 Apr 2014 18:30:38 GMT"},
		{time.UnixMilli(-1500), "-1.5", "1969-12-31T23:59:58.5Z", ""},
		{time.UnixMilli(-500), "-0.5", "1969-12-31T23:59:59.5Z", ""},
		{time.Unix(0, 0), "0", "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"},
		{time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC), "253402300799", "9999-12-31T23:59:59Z", "Fri, 31 Dec 9999 23:59:59 GMT"},
	} {
		for format, want := range map[schema.TimestampFormat]string{
			schema.UnixTimestamp: test.unix, schema.ISO8601: test.iso, schema.RFC822: test.rfc,
		} {
			if want == "" {
				continue
			}
			if got := string(AppendTime(nil, test.t, format)); got != want {
				t.Errorf("%v in format %d: %s, want %s", test.t, format, got, want)
			}
			if got, err := ParseTime(want); err != nil || !got.Equal(test.t) {
				t.Errorf("%s: %v, %v", want, got, err)
			}
		}
	}
	if got := string(AppendTime(nil, at.Add(999999), schema.UnixTimestamp)); got != "1398796238" {
		t.Errorf("less than a millisecond: %s", got)
	}
}

func TestParseTime(t *testing.T) {
	at := time.Date(2014, 4, 29, 18, 30, 38, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"1398796238.25":                   at.Add(250 * time.Millisecond),
		"1398796238.123456789123":         at.Add(123456789),
		"1.398796238E9":                   at,
		"2014-04-29T20:30:38+02:00":       at,
		"2014-04-29T18:30:38.123456Z":     at.Add(123456 * time.Microsecond),
		"Tue, 29 Apr 2014 18:30:38.5 GMT": at.Add(500 * time.Millisecond),
		"Tue, 1 Apr 2014 18:30:38 GMT":    time.Date(2014, 4, 1, 18, 30, 38, 0, time.UTC),
		"-62135596800":                    time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC),
	} {
		if got, err := ParseTime(text); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "x", "-", ".5", "1.x", "1.5.5", "253402300800", "-62135596801", "1e30", "9e999", "0x10", "99999999999999999999",
		"2014-04-29", "2014-13-29T18:30:38Z", "10000-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "Tue, 99 Apr 2014 18:30:38 GMT", "1_0",
	} {
		if got, err := ParseTime(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"1398796238.5", "1e9", "2014-04-29T18:30:38Z", "Tue, 29 Apr 2014 18:30:38 GMT", "-1.5", "+1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseTime(s)
		if err != nil {
			return
		}
		got = got.Truncate(time.Millisecond)
		for _, format := range []schema.TimestampFormat{schema.UnixTimestamp, schema.ISO8601} {
			text := string(AppendTime(nil, got, format))
			if again, err := ParseTime(text); err != nil || !again.Equal(got) {
				t.Fatalf("%q is %v, written as %s, which is %v, %v", s, got, text, again, err)
			}
		}
	})
}
