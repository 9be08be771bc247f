package pattern

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"
)

const (
	apache = `127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534`
	trail  = `{"eventType": "UpdateTrail", "sourceIPAddress": "111.111.111.111", "arrayKey": ["value", "another value"],
		"objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}], "SomeObject": null, "ThisFlag": true, "Off": false,
		"bandwidth": 75.5, "errorCode": 400, "rate-limit": "12", "path": "C:\\dir", "users": [{"email": "John.Doe@example.com"}]}`
)

// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, message string
		want             bool
	}{
		{"", "anything", true},
		{"ERROR", "[ERROR 400] BAD REQUEST", true},
		{"ERROR", "[Error] it broke", false},
		{"ERROR ARGUMENTS", "[ERROR 419] MISSING ARGUMENTS", true},
		{"ERROR ARGUMENTS", "[ERROR 400] BAD REQUEST", false},
		{`"INTERNAL SERVER ERROR"`, "[ERROR 500] INTERNAL SERVER ERROR", true},
		{`"SERVER INTERNAL"`, "[ERROR 500] INTERNAL SERVER ERROR", false},
		{"?ERROR ?WARN", "WARN: hot", true},
		{"?ERROR ?WARN", "INFO: cold", false},
		{"ERROR -Exiting", "ERROR: Exiting", false},
		{"ERROR -Exiting", "ERROR: going on", true},
		{`ERROR -"it broke"`, "ERROR it broke", false},
		{"?WARN ERROR", "ERROR", true}, // optional terms beside others are ignored
		{`"say \"hi\""`, `they say "hi"`, true},
		{`"a\\b*"`, `a\b*`, true},
		{"%AUTHORIZED%", "[ERROR 401] UNAUTHORIZED REQUEST", true},
		{"%^ERROR%", "an ERROR", false},
		{"-%[0-9]{3}%", "ERROR 404", false},
		{`%127\.0\.0\.[1-9]%`, "from 127.0.0.7", true},
		{"?%colou?r% ?grey", "color", true},

		{`{ $.eventType = "UpdateTrail" }`, trail, true},
		{`{$.eventType=UpdateTrail}`, trail, true},
		{`{ $.eventType = "Update*" }`, trail, true},
		{`{ $.eventType = *Tra* }`, trail, true},
		{`{ $.eventType = "Update\*" }`, trail, false},
		{`{ $.eventType = %Trail% }`, trail, true},
		{`{ $.eventType != "UpdateTrail" }`, trail, false},
		{`{ $.sourceIPAddress != 123.123.* }`, trail, true},
		{`{ $.sourceIPAddress = 111.111.* }`, trail, true},
		{`{ $.arrayKey[0] = "value" }`, trail, true},
		{`{ $.arrayKey[2] = "value" }`, trail, false},
		{`{ $.objectList[1].id = 2 }`, trail, true},
		{`{ $.SomeObject IS NULL }`, trail, true},
		{`{ $.SomeOtherObject IS NULL }`, trail, false},
		{`{ $.SomeOtherObject NOT EXISTS }`, trail, true},
		{`{ $.SomeObject NOT EXISTS }`, trail, false},
		{`{ $.ThisFlag IS TRUE }`, trail, true},
		{`{ $.ThisFlag is false }`, trail, false},
		{`{ $.Off IS FALSE }`, trail, true},
		{`{ $.bandwidth > 75 }`, trail, true},
		{`{ $.bandwidth >= 75.5 && $.bandwidth <= 7.55e1 }`, trail, true},
		{`{ $.bandwidth < 75.5 }`, trail, false},
		{`{ $.errorCode = 4* }`, trail, true},
		{`{ $.errorCode = 400.0 }`, trail, true},
		{`{ $.errorCode != 400 }`, trail, false},
		{`{ $.errorCode > -1 }`, trail, true},
		{`{ $.eventType > 1 }`, trail, false},
		{`{ $.rate-limit = 12 }`, trail, true},
		{`{ $.missing != "x" }`, trail, false},
		{`{ $.path = "C:\\dir" }`, trail, true},
		{`{ ($.user.id = 1) && ($.users[0].email = "John.Doe@example.com") }`, trail, false},
		{`{ $.user.id = 1 || ($.users[0].email = "John.Doe@example.com" && $.errorCode = 400) }`, trail, true},
		{`{ $.errorCode = 1 && $.errorCode = 2 || $.errorCode = 400 }`, trail, true},
		{`{ $.errorCode = 400 || $.errorCode = 1 && $.errorCode = 2 }`, trail, true},
		{`{ $.arrayKey = "value" }`, trail, false},
		{`{ $.a = 1 }`, "no JSON", false},
		{`{ $.a = 1 }`, `{"a":1} and more`, false},
		{`{ $.a = 1 }`, `  {"a":1}  `, true},

		{"[ip, user, username, timestamp, request, status_code, bytes]", apache, true},
		{"[ip, user, username, timestamp, request, status_code, bytes, more]", apache, false},
		{"[ip, user, username, timestamp, request, status_code = 4*, bytes]", apache, true},
		{"[ip, user, username, timestamp, request = *.html*, status_code = 4*,]", apache, true},
		{"[..., status_code = 404, bytes > 1000]", apache, true},
		{"[..., status_code = 404, bytes > 1534]", apache, false},
		{"[ip = 127.0.0.1, ..., bytes]", apache, true},
		{"[ip = %^127%, user != Prod, ...]", apache, false},
		{"[ip = %^127%, user = Prod || user = Test, ...]", apache, true},
		{"[w1=ERROR, w2]", "ERROR 401 UNAUTHORIZED REQUEST", true},
		{"[w1!=ERROR && w1!=WARN, w2]", "INFO all is well", true},
		{"[(w1=ERROR || w1=WARN) && (w1 != INFO), w2]", "WARN hot", true},
		{"[w1!=ERROR&&w1!=WARN, w2]", "WARN it is hot", false},
		{`[timestamp=*Z, request_id="*-*", event]`, "2026-01-01T00:00:00.000Z a-b-c it is {\"a\": 1}", true},
		{"[a, b]", `x "never closed`, true},
		{"[...]", "", true},
	} {
		p, err := Parse(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
		} else if got := p.Match(c.message); got != c.want {
			t.Errorf("%s on %q: %v", c.pattern, c.message, got)
		}
	}
}

func TestErrors(t *testing.T) {
	for pattern, want := range map[string]string{
		`"open`:                   "Invalid filter pattern",
		`""`:                      "Invalid filter pattern",
		"?":                       "Invalid filter pattern",
		"-":                       "Invalid filter pattern",
		"?Status: timeout":        "Invalid character(s) in term ':'",
		"a-b":                     "Invalid character(s) in term '-'",
		"*":                       "Invalid character(s) in term '*'",
		"`":                       "Invalid character(s) in term '`'",
		`"a":[`:                   "Invalid character(s) in term ':'",
		`{ $."detail-type" = 1 }`: `Invalid character(s) in term '$."'`,
		`{ $.a = foo:bar }`:       "Invalid character(s) in term ':'",
		"{ $.a = 1":               "Invalid filter pattern",
		"{ a = 1 }":               "Invalid character(s) in term 'a'",
		"{ $ = 1 }":               "Invalid filter pattern",
		"{ $.a }":                 "Invalid character(s) in term '}'",
		"{ $.a IS MAYBE }":        "Invalid filter pattern",
		"{ ($.a = 1 }":            "Invalid character(s) in term '}'",
		"{ $.a = 1 } x":           "Invalid character(s) in term 'x'",
		"{ $.a > x }":             "Invalid filter pattern",
		"{ $.a[*] = 1 }":          "Invalid character(s) in term '['",
		"{}":                      "Invalid character(s) in term '}'",
		"[a, ..., b, ...]":        "Invalid filter pattern",
		"[a, a]":                  "Invalid filter pattern",
		"[a = 1 && b = 2]":        "Invalid filter pattern",
		"[a":                      "Invalid filter pattern",
		"[]":                      "Invalid filter pattern",
		"%a(b)%":                  "Invalid character(s) in term '('",
		"%something!%":            "Invalid character(s) in term '!'",
		"%a b%":                   "Invalid character(s) in term ' '",
		"%[a%":                    "Invalid filter pattern",
		"%%":                      "Invalid filter pattern",
		`%\b%`:                    `Invalid character(s) in term '\b'`,
		"%a{600}b{600}%":          "Invalid filter pattern",
		"{ $.a = %a% || $.a = %b% || $.a = %c% }": "Invalid filter pattern: no more than 2 regular expressions are allowed",
		strings.Repeat("a", maxLength+1):          "Invalid filter pattern",
	} {
		_, err := Parse(pattern)
		var known *Error
		if !errors.As(err, &known) || known.Message != want {
			t.Errorf("%s: %v, want %s", pattern, err, want)
		}
	}
	if _, err := Parse(strings.Repeat("a", maxLength)); err != nil {
		t.Error(err)
	}
}

// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_TestMetricFilter.html
func TestValues(t *testing.T) {
	for _, c := range []struct {
		pattern, message string
		want             map[string]string
	}{
		{"Prod", apache, map[string]string{}},
		{"[..., size]", apache, map[string]string{"$1": "127.0.0.1", "$2": "Prod", "$3": "frank", "$4": "10/Oct/2000:13:25:15 -0700",
			"$5": "GET /index.html HTTP/1.0", "$6": "404", "$size": "1534"}},
		{"[a, b]", "x y z", map[string]string{"$a": "x", "$b": "y z"}},
		{"{ $.errorCode = 4* && $.objectList[0].name = a }", trail, map[string]string{"$.errorCode": "400", "$.objectList[0].name": "a"}},
	} {
		p, err := Parse(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		e, ok := p.Find(c.message)
		if !ok {
			t.Fatalf("%s does not match", c.pattern)
		}
		if got := e.Values(); !maps.Equal(got, c.want) {
			t.Errorf("%s: %v", c.pattern, got)
		}
		for reference, want := range c.want {
			if got, ok := e.Value(reference); !ok || got != want || !p.Has(reference) {
				t.Errorf("%s: %s is %q", c.pattern, reference, got)
			}
		}
	}
	p, err := Parse("{ $.errorCode = * }")
	if err != nil {
		t.Fatal(err)
	}
	e, _ := p.Find(trail)
	if v, ok := e.Value("$.bandwidth"); !ok || v != "75.5" {
		t.Errorf("a value that the pattern does not speak of: %q", v)
	}
	if p.Has("$x") || p.Has("$.x y") || p.Has("1") {
		t.Error("what is no selector is taken for one")
	}
}

// The worst of patterns, on a message of the largest size.
func TestMatchingIsLinear(t *testing.T) {
	stars := strings.Repeat("*a", 400) + "*b"
	for pattern, message := range map[string]string{
		"{ $.a = " + stars + " }": `{"a": "` + strings.Repeat("a", 1<<20) + `"}`,
		"[a = " + stars + "]":     strings.Repeat("a", 1<<20),
		"[a, ..., b = x]":         strings.Repeat(`"[ `, 1<<18),
		"%[a-z]*[a-z]*[a-z]*!%":   "",
		"%[a-z]*[a-z]*[a-z]*0%":   strings.Repeat("a", 1<<20),
		"{ $.a = 1 }":             strings.Repeat(`{"a":`, 1<<18),
	} {
		p, err := Parse(pattern)
		if err != nil {
			continue
		}
		begin := time.Now()
		if p.Match(message) {
			t.Errorf("%.30s matches", pattern)
		}
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("%.30s took %v", pattern, took)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, seed := range []string{`a "b c" -d ?e %f.g%`, `"`, `{ ($.a[0].b-c = "x*" && $.d IS NULL) || $.e NOT EXISTS }`,
		`[a, b=4* || b!=%x{1,3}%, ..., c > 1,]`, "-", "é ü", "[0]"} {
		f.Add(seed, trail)
		f.Add(seed, apache)
	}
	f.Fuzz(func(t *testing.T, text, message string) {
		p, err := Parse(text)
		if err != nil {
			if !errors.As(err, new(*Error)) {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		e, ok := p.Find(message)
		if ok != p.Match(message) {
			t.Errorf("%q finds and matches otherwise", text)
		}
		if !ok {
			return
		}
		for reference, want := range e.Values() {
			if got, ok := e.Value(reference); !ok || got != want || !p.Has(reference) {
				t.Errorf("%q: %s is %q, %v", text, reference, got, ok)
			}
		}
	})
}
