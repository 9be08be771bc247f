package insights

import (
	"math"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"
)

// function is one of the language. period is the number of the argument that is a duration, 0 for none.
type function struct {
	min, max int
	period   int
	call     func(r *row, a []value) value
}

// maxText is the longest text that functions make.
const maxText = 1 << 20

// functions by their names in lower case.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax-operations-functions.html
var functions = map[string]function{
	"abs":      math1(math.Abs),
	"ceil":     math1(math.Ceil),
	"floor":    math1(math.Floor),
	"log":      math1(math.Log),
	"sqrt":     math1(math.Sqrt),
	"greatest": {1, 100, 0, func(_ *row, a []value) value { return extreme(a, 1) }},
	"least":    {1, 100, 0, func(_ *row, a []value) value { return extreme(a, -1) }},

	"bin":       {1, 1, 1, func(r *row, a []value) value { return floorTime(r.get("@timestamp"), a[0].f, false) }},
	"datefloor": {2, 2, 2, func(_ *row, a []value) value { return floorTime(a[0], a[1].f, false) }},
	"dateceil":  {2, 2, 2, func(_ *row, a []value) value { return floorTime(a[0], a[1].f, true) }},
	"frommillis": {1, 1, 0, func(_ *row, a []value) value {
		f, ok := a[0].number()
		if !ok || math.Abs(f) > 1e15 {
			return value{}
		}
		return value{kind: moment, f: f}
	}},
	"tomillis": {1, 1, 0, func(_ *row, a []value) value {
		if f, ok := a[0].number(); ok {
			return num(f)
		}
		return value{}
	}},
	"now": {0, 0, 0, func(r *row, _ []value) value { return num(float64(r.now / 1000)) }},

	"ispresent": {1, 1, 0, func(_ *row, a []value) value { return truth(a[0].kind != null) }},
	"isempty":   {1, 1, 0, func(_ *row, a []value) value { return truth(a[0].text() == "") }},
	"isblank":   {1, 1, 0, func(_ *row, a []value) value { return truth(strings.TrimSpace(a[0].text()) == "") }},
	"coalesce": {1, 100, 0, func(_ *row, a []value) value {
		for _, v := range a {
			if v.kind != null {
				return v
			}
		}
		return value{}
	}},

	"isvalidip":      address(func(a netip.Addr) bool { return true }),
	"isvalidipv4":    address(netip.Addr.Is4),
	"isvalidipv6":    address(netip.Addr.Is6),
	"isipinsubnet":   subnet(func(a netip.Addr) bool { return true }),
	"isipv4insubnet": subnet(netip.Addr.Is4),
	"isipv6insubnet": subnet(netip.Addr.Is6),

	"concat": {1, 100, 0, func(_ *row, a []value) value {
		var b strings.Builder
		for _, v := range a {
			if b.WriteString(v.text()); b.Len() > maxText {
				return value{}
			}
		}
		return str(b.String())
	}},
	"strlen":      text1(func(s string) value { return num(float64(utf8.RuneCountInString(s))) }),
	"toupper":     text1(func(s string) value { return str(strings.ToUpper(s)) }),
	"tolower":     text1(func(s string) value { return str(strings.ToLower(s)) }),
	"trim":        trim(strings.Trim),
	"ltrim":       trim(strings.TrimLeft),
	"rtrim":       trim(strings.TrimRight),
	"strcontains": {2, 2, 0, func(_ *row, a []value) value { return truth(strings.Contains(a[0].text(), a[1].text())) }},
	"replace": {3, 3, 0, func(_ *row, a []value) value {
		s, from, to := a[0].text(), a[1].text(), a[2].text()
		if a[0].kind == null || len(s)+strings.Count(s, from)*len(to) > maxText*2 {
			return a[0]
		}
		return str(strings.ReplaceAll(s, from, to))
	}},
	"substr": {2, 3, 0, func(_ *row, a []value) value {
		if a[0].kind == null {
			return value{}
		}
		s := []rune(a[0].text())
		from, ok := a[1].number()
		if !ok {
			return value{}
		}
		first := int(min(max(from, 0), float64(len(s))))
		last := len(s)
		if len(a) == 3 {
			n, ok := a[2].number()
			if !ok {
				return value{}
			}
			last = first + int(min(max(n, 0), float64(len(s)-first)))
		}
		return str(string(s[first:last]))
	}},
}

func math1(f func(float64) float64) function {
	return function{1, 1, 0, func(_ *row, a []value) value {
		if x, ok := a[0].number(); ok {
			return num(f(x))
		}
		return value{}
	}}
}

func text1(f func(string) value) function {
	return function{1, 1, 0, func(_ *row, a []value) value {
		if a[0].kind == null {
			return value{}
		}
		return f(a[0].text())
	}}
}

func trim(f func(s, cutset string) string) function {
	return function{1, 2, 0, func(_ *row, a []value) value {
		if a[0].kind == null {
			return value{}
		}
		cut := " \t\r\n"
		if len(a) == 2 {
			cut = a[1].text()
		}
		return str(f(a[0].text(), cut))
	}}
}

func extreme(a []value, sign int) value {
	best := value{}
	for _, v := range a {
		if v.kind != null && (best.kind == null || v.compare(best)*sign > 0) {
			best = v
		}
	}
	return best
}

func address(is func(netip.Addr) bool) function {
	return function{1, 1, 0, func(_ *row, a []value) value {
		ip, err := netip.ParseAddr(a[0].text())
		return truth(err == nil && is(ip))
	}}
}

func subnet(is func(netip.Addr) bool) function {
	return function{2, 2, 0, func(_ *row, a []value) value {
		ip, err1 := netip.ParseAddr(a[0].text())
		net, err2 := netip.ParsePrefix(a[1].text())
		return truth(err1 == nil && err2 == nil && is(ip) && net.Contains(ip))
	}}
}

// floorTime is a time rounded down, or up, to a period, as parser.period has it.
func floorTime(v value, period float64, up bool) value {
	ms, ok := v.number()
	if !ok || math.Abs(ms) > 1e15 || period == 0 {
		return value{}
	}
	if period > 0 {
		floor := math.Floor(ms/period) * period
		if up && floor < ms {
			floor += period
		}
		return value{kind: moment, f: floor}
	}
	months := int(-period)
	t := time.UnixMilli(int64(ms)).UTC()
	n := t.Year()*12 + int(t.Month()) - 1
	n -= n % months
	begin := time.Date(n/12, time.Month(n%12+1), 1, 0, 0, 0, 0, time.UTC)
	if up && begin.Before(t) {
		begin = begin.AddDate(0, months, 0)
	}
	return value{kind: moment, f: float64(begin.UnixMilli())}
}
