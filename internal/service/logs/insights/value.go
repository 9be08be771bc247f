package insights

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"time"
)

// kind is that of a value.
type kind uint8

const (
	null kind = iota
	number
	moment // a number of milliseconds since 1970 that is shown as a time
	text
)

// value is one of a field or an expression.
type value struct {
	kind kind
	f    float64
	s    string
}

func num(f float64) value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return value{}
	}
	return value{kind: number, f: f}
}

func str(s string) value { return value{kind: text, s: s} }

func truth(b bool) value {
	if b {
		return num(1)
	}
	return num(0)
}

func (v value) text() string {
	switch v.kind {
	case number:
		return strconv.FormatFloat(v.f, 'f', -1, 64)
	case moment:
		return time.UnixMilli(int64(v.f)).UTC().Format("2006-01-02 15:04:05.000")
	case text:
		return v.s
	}
	return ""
}

// number is v as a number, if it is one or reads as one.
func (v value) number() (float64, bool) {
	switch v.kind {
	case number, moment:
		return v.f, true
	case text:
		s := strings.TrimSpace(v.s)
		if s == "" || s[0] > '9' { // Inf, NaN and words
			return 0, false
		}
		f, err := strconv.ParseFloat(s, 64)
		return f, err == nil && !math.IsInf(f, 0) && !math.IsNaN(f)
	}
	return 0, false
}

func (v value) true() bool {
	if f, ok := v.number(); ok {
		return f != 0
	}
	return v.kind == text && strings.EqualFold(v.s, "true")
}

// compare orders values: numbers as such if both are some, else by text; what is missing comes first.
func (v value) compare(w value) int {
	if v.kind == null || w.kind == null {
		return cmp.Compare(min(v.kind, 1), min(w.kind, 1))
	}
	a, ok1 := v.number()
	b, ok2 := w.number()
	switch {
	case ok1 && ok2:
		return cmp.Compare(a, b)
	case ok1:
		return -1
	case ok2:
		return 1
	}
	return strings.Compare(v.s, w.s)
}
