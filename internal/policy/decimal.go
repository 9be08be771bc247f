package policy

import (
	"strconv"
	"strings"
	"time"
)

// A decimal is an exact number without an exponent. Its parts point into the text that it was read from.
type decimal struct {
	negative bool
	whole    string // without leading zeros
	fraction string // without trailing zeros
}

// maxDecimal is the longest number that is read, in characters.
const maxDecimal = 64

func parseDecimal(s string) (decimal, bool) {
	if len(s) > maxDecimal {
		return decimal{}, false
	}
	var d decimal
	digits := s
	if rest, ok := strings.CutPrefix(s, "-"); ok {
		d.negative, digits = true, rest
	} else if rest, ok := strings.CutPrefix(s, "+"); ok {
		digits = rest
	}
	whole, fraction, hasPoint := strings.Cut(digits, ".")
	if strings.Trim(whole, "0123456789") != "" || strings.Trim(fraction, "0123456789") != "" ||
		whole == "" && fraction == "" || hasPoint && fraction == "" {
		return decimal{}, false
	}
	d.whole, d.fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	if d.whole == "" && d.fraction == "" {
		d.negative = false
	}
	return d, true
}

// compare returns -1, 0 or 1.
func (d decimal) compare(o decimal) int {
	if d.negative != o.negative {
		if d.negative {
			return -1
		}
		return 1
	}
	cmp := len(d.whole) - len(o.whole)
	if cmp == 0 {
		cmp = strings.Compare(d.whole, o.whole)
	}
	if cmp == 0 {
		cmp = strings.Compare(d.fraction, o.fraction)
	}
	if d.negative {
		cmp = -cmp
	}
	return max(-1, min(1, cmp))
}

// unixTime reads d as seconds since 1970, up to the year 292277026596, and leaves out what is less than a nanosecond.
func (d decimal) unixTime() (time.Time, bool) {
	if d.negative || len(d.whole) > 18 {
		return time.Time{}, false
	}
	seconds, _ := strconv.ParseInt("0"+d.whole, 10, 64)
	nanos, _ := strconv.ParseInt((d.fraction + "000000000")[:9], 10, 64)
	return time.Unix(seconds, nanos), true
}
