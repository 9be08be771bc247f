package policy

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestPattern(t *testing.T) {
	for _, c := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"**", "abc", true}, {"?", "", false}, {"?", "a", true}, {"?", "é", true}, {"??", "é", false},
		{"a", "a", true}, {"a", "A", false}, {"a*", "a", true}, {"*a", "ba", true}, {"*a", "ab", false}, {"a*a", "a", false}, {"a*a", "aa", true},
		{"a*b*c", "aXbYbZc", true}, {"a*b*c", "aXc", false}, {"*ab*ab", "abab", true}, {"*ab*ab", "ab", false}, {"*ab*ab", "abXab", true},
		{"?*?", "a", false}, {"?*?", "ab", true}, {"*?", "", false}, {"a?c*", "abcd", true}, {"*a?c", "aaabc", true}, {"*日?語", "x日本語", true},
		{strings.Repeat("?", 63), strings.Repeat("a", 63), true}, {strings.Repeat("?", 64), strings.Repeat("a", 64), true},
		{strings.Repeat("?", 64), strings.Repeat("a", 65), false}, {strings.Repeat("?", 65), strings.Repeat("a", 65), true},
		{"*" + strings.Repeat("a?", 40) + "*z", strings.Repeat("ab", 50) + "z", true},
		{"$", "$", true}, {"$a}", "$a}", true}, {"a\xff?", "a\xff\xfe", true},
	} {
		p, ok := compilePattern(c.pattern, dialect{wildcards: true})
		if !ok {
			t.Errorf("%q does not compile", c.pattern)
			continue
		}
		if got, _ := p.match(nil, c.text); got != c.want {
			t.Errorf("%q on %q: got %v", c.pattern, c.text, got)
		}
	}
}

// Patterns on which a backtracking matcher needs quadratic or exponential time.
func TestHostilePatterns(t *testing.T) {
	text := strings.Repeat("a", 100_000)
	for _, pattern := range []string{
		strings.Repeat("a*", 1000) + "b",
		strings.Repeat("?*", 1000) + "b",
		strings.Repeat("*a?", 1000) + "b",
		"*" + strings.Repeat("a", 3000) + "b",
	} {
		p, _ := compilePattern(pattern, dialect{wildcards: true})
		start := time.Now()
		if got, _ := p.match(nil, text); got {
			t.Errorf("%.20q… matches", pattern)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("%.20q… took %v", pattern, d)
		}
	}
}

// Eight times the text takes about eight times as long, where quadratic time would be sixty-four times.
func TestMatchingIsLinear(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("a*", 1000) + "b", strings.Repeat("?*", 1000) + "b", strings.Repeat("*a?", 1000) + "b",
		"*" + strings.Repeat("ab", 1500) + "c", strings.Repeat("*ab", 1000) + "c*",
	} {
		p, _ := compilePattern(text, dialect{wildcards: true})
		least := func(n int) time.Duration {
			input, shortest := strings.Repeat("ab", n/2)+"d", time.Hour
			for range 5 {
				start := time.Now()
				if matched, _ := p.match(nil, input); matched {
					t.Fatalf("%.20q… matches", text)
				}
				shortest = min(shortest, time.Since(start))
			}
			return shortest
		}
		short, long := least(20_000), least(160_000)
		// Below a millisecond a busy machine says nothing.
		if long > 24*max(short, 50*time.Microsecond) && long > time.Millisecond {
			t.Errorf("%.20q…: %v for 20,000 characters, %v for 160,000", text, short, long)
		}
	}
}

// The largest policy, full of hostile patterns and variables, is decided in bounded time on the largest values that a
// request can bring.
func TestHostilePolicies(t *testing.T) {
	hostile := strings.Repeat("${aws:username}?*", 300)
	var conditions []string
	for i := range 40 {
		conditions = append(conditions, fmt.Sprintf(`"aws:RequestTag/%d":["%s","%s"]`, i, hostile, strings.Repeat("a*", 200)+"b"))
	}
	text := `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"dynamodb:` + strings.Repeat("d*", 200) + `x","Resource":"*"},
		{"Effect":"Allow","Action":"*","NotResource":"arn:aws:s3:::` + strings.Repeat("*a?", 1000) + `b","Condition":{"StringLike":{` + strings.Join(conditions, ",") + `}}}]}`
	document, err := Parse(text, Identity)
	if err != nil {
		t.Fatal(err)
	}
	policies := &Policies{Identity: []*Document{document}}
	check := &Check{Action: "dynamodb:" + strings.Repeat("d", 2000), Resource: "arn:aws:s3:::" + strings.Repeat("a", 2000), Context: map[string][]string{}}
	for i := range 40 {
		check.Context[fmt.Sprintf("aws:RequestTag/%d", i)] = []string{strings.Repeat("a", 2048)}
	}
	start := time.Now()
	if d := Evaluate((&scenario{Principal: "user/" + strings.Repeat("a", 64)}).info(t), policies, check); d.Allowed {
		t.Error("allowed")
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
}

// reference is the matcher that regexp gives.
func reference(pattern string) *regexp.Regexp {
	q := regexp.QuoteMeta(pattern)
	q = strings.ReplaceAll(strings.ReplaceAll(q, `\*`, `.*`), `\?`, `.`)
	return regexp.MustCompile(`(?s)\A` + q + `\z`)
}

func FuzzPattern(f *testing.F) {
	f.Add("a*b?c", "aXbYc")
	f.Add("*ab*ab*", "abXabab")
	f.Add("?*?日*", "ab日本")
	f.Add("arn:aws:s3:::*/x?", "arn:aws:s3:::b/xy")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if len(pattern) > 500 || len(text) > 2000 || !utf8.ValidString(pattern) || !utf8.ValidString(text) {
			t.Skip()
		}
		p, ok := compilePattern(pattern, dialect{wildcards: true})
		if !ok {
			t.Fatal("a pattern without variables always compiles")
		}
		got, resolved := p.match(nil, text)
		if want := reference(pattern).MatchString(text); got != want || !resolved {
			t.Fatalf("%q on %q: got %v, want %v", pattern, text, got, want)
		}
		// The automaton agrees with the search for substrings.
		elems, _ := compileElems(pattern, dialect{wildcards: true})
		if slow := matchRunes(elems, text); slow != got {
			t.Fatalf("%q on %q: matchRunes says %v", pattern, text, slow)
		}
		// An ARN pattern that matches is one whose components match.
		a, _ := compileARN(pattern, dialect{wildcards: true}, false)
		parts, isARN := splitARN(text)
		if matched, _ := a.match(nil, text, &parts, isARN); matched && !a.any && !got {
			t.Fatalf("ARN pattern %q matches %q, the string does not", pattern, text)
		}
	})
}

func FuzzVariables(f *testing.F) {
	f.Add("x/${aws:username}/*", "bob")
	f.Add("${aws:username, 'no one'}?", "*")
	f.Add("${*}${?}${$}", "")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		p, ok := compilePattern(pattern, dialect{wildcards: true, variables: true})
		if !ok {
			return
		}
		e := newEvaluation((&scenario{Principal: "user/x"}).info(t), &Policies{}, &Check{Context: map[string][]string{"aws:username": {name}}})
		// The value put in by hand, with its wildcards escaped, is the same pattern.
		escaped := strings.NewReplacer("*", "${*}", "?", "${?}", "$", "${$}").Replace(name)
		byHand := strings.ReplaceAll(pattern, "${aws:username}", escaped)
		q, ok := compilePattern(byHand, dialect{wildcards: true, variables: true})
		if !ok {
			t.Fatalf("%q compiles, %q does not", pattern, byHand)
		}
		for _, text := range []string{name, pattern, "x/" + name + "/y"} {
			got, gotResolved := p.match(e, text)
			want, wantResolved := q.match(e, text)
			if got != want || gotResolved != wantResolved {
				t.Fatalf("%q with %q on %q: got %v %v, want %v %v", pattern, name, text, got, gotResolved, want, wantResolved)
			}
		}
	})
}

func TestDecimal(t *testing.T) {
	ordered := []string{"-100", "-99.5", "-1.50", "-1.49", "-0.001", "0", "0.0009", "0.001", "1", "1.05", "1.5", "2", "10", "9007199254740992", "9007199254740993"}
	for i, a := range ordered {
		for j, b := range ordered {
			x, okX := parseDecimal(a)
			y, okY := parseDecimal(b)
			want := max(-1, min(1, i-j))
			if !okX || !okY || x.compare(y) != want {
				t.Errorf("%s with %s: got %d, want %d", a, b, x.compare(y), want)
			}
		}
	}
	for _, same := range [][2]string{{"-0", "0.0"}, {"+7", "007"}, {"1.10", "1.1"}, {".5", "0.5"}} {
		x, okX := parseDecimal(same[0])
		y, okY := parseDecimal(same[1])
		if !okX || !okY || x.compare(y) != 0 {
			t.Errorf("%v differ", same)
		}
	}
	for _, bad := range []string{"", "-", ".", "1.", "1e3", "0x1", "١", "--1", " 1", strings.Repeat("1", maxDecimal+1)} {
		if _, ok := parseDecimal(bad); ok {
			t.Errorf("%q is read", bad)
		}
	}
}

func TestParseDate(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2026-03-04T05:06:07Z": at, "2026-03-04T06:06:07+01:00": at, "1772600767": at, "2026-03-04T05:06:07": at,
		"1772600767.25": at.Add(time.Second / 4), "2026-03-04T05:06:07.25Z": at.Add(time.Second / 4),
		"2026-03-04T05:06Z": at.Add(-7 * time.Second), "2026-03-04": time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC),
		"2026-03": time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), "2026": time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), "0": time.Unix(0, 0),
	} {
		if got, ok := parseDate(text); !ok || !got.Equal(want) {
			t.Errorf("%s: got %v %v, want %v", text, got, ok, want)
		}
	}
	for _, bad := range []string{"", "x", "-1", "2026-13", "2026-02-30", "1234567890123456789", "2026-03-04T25:00Z"} {
		if got, ok := parseDate(bad); ok {
			t.Errorf("%s: got %v", bad, got)
		}
	}
}
