package prices

import (
	"math"
	"testing"
	"time"
)

// https://aws.amazon.com/lambda/pricing/
func TestLambda(t *testing.T) {
	l, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := time.Parse(time.DateOnly, l.Date); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		architecture     string
		gbSeconds, price float64
	}{
		{"x86_64", 0, 0},
		{"x86_64", 1e6, 16.6667},
		{"x86_64", 6e9, 100000.2},
		{"x86_64", 7e9, 100000.2 + 15000},
		{"x86_64", 16e9, 100000.2 + 135000 + 13333.4},
		{"arm64", 1e6, 13.3334},
		{"arm64", 8.5e9, 100000.5 + 12000.1},
	} {
		if got := l.Lambda.Duration(c.architecture, c.gbSeconds); math.Abs(got-c.price) > 1e-6*max(c.price, 1) {
			t.Errorf("%v GB-s on %s: %v, want %v", c.gbSeconds, c.architecture, got, c.price)
		}
	}
}
