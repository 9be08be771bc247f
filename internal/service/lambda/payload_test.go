package lambda

import (
	"strings"
	"testing"
	"time"
)

// The first ones are what users have reported of Lambda: see explainJSON.
func TestExplainJSON(t *testing.T) {
	const values = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
	for payload, want := range map[string]string{
		"test data":  "Unrecognized token 'test': was expecting " + values + "\n at [Source: (byte[])\"test data\"; line: 1, column: 6]",
		"0D\xb6":     "Unexpected character ('D' (code 68)): Expected space separating root-level values\n at [Source: (byte[])\"0D\ufffd\"; line: 1, column: 3]",
		"\x9b+-":     "Unexpected character ((CTRL-CHAR, code 155)): expected a valid value " + values + "\n at [Source: (byte[])\"\ufffd+-\"; line: 1, column: 2]",
		"\xb5\x97":   "Invalid UTF-8 start byte 0x97\n at [Source: (byte[])\"\ufffd\"; line: 1, column: 3]",
		"test":       "Unrecognized token 'test': was expecting " + values + "\n at [Source: (byte[])\"test\"; line: 1, column: 5]",
		"nul":        "Unrecognized token 'nul': was expecting " + values + "\n at [Source: (byte[])\"nul\"; line: 1, column: 4]",
		"[nullx]":    "Unrecognized token 'nullx': was expecting " + values + "\n at [Source: (byte[])\"[nullx]\"; line: 1, column: 8]",
		"{a:1}":      "Unexpected character ('a' (code 97)): was expecting double-quote to start field name\n at [Source: (byte[])\"{a:1}\"; line: 1, column: 3]",
		"{'a':1}":    "Unexpected character (''' (code 39)): was expecting double-quote to start field name\n at [Source: (byte[])\"{'a':1}\"; line: 1, column: 3]",
		`{"a" 1}`:    "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value\n at [Source: (byte[])\"{\"a\" 1}\"; line: 1, column: 7]",
		`{"a":1,}`:   "Unexpected character ('}' (code 125)): was expecting double-quote to start field name\n at [Source: (byte[])\"{\"a\":1,}\"; line: 1, column: 9]",
		`{"a":1 "b"`: "Unexpected character ('\"' (code 34)): was expecting comma to separate Object entries\n at [Source: (byte[])\"{\"a\":1 \"b\"\"; line: 1, column: 9]",
		"[1,]":       "Unexpected character (']' (code 93)): expected a value\n at [Source: (byte[])\"[1,]\"; line: 1, column: 5]",
		"[1}":        "Unexpected close marker '}': expected ']' (for Array starting at [Source: (byte[])\"[1}\"; line: 1, column: 1])\n at [Source: (byte[])\"[1}\"; line: 1, column: 4]",
		"{":          "Unexpected end-of-input: expected close marker for Object (start marker at [Source: (byte[])\"{\"; line: 1, column: 1])\n at [Source: (byte[])\"{\"; line: 1, column: 2]",
		`{"a":`:      "Unexpected end-of-input within/between Object entries\n at [Source: (byte[])\"{\"a\":\"; line: 1, column: 6]",
		`"a`:         "Unexpected end-of-input in VALUE_STRING\n at [Source: (byte[])\"\"a\"; line: 1, column: 3]",
		"\"a\nb\"":   "Illegal unquoted character ((CTRL-CHAR, code 10)): has to be escaped using backslash to be included in string value\n at [Source: (byte[])\"\"a\nb\"\"; line: 2, column: 1]",
		`"\q"`:       "Unrecognized character escape 'q' (code 113)\n at [Source: (byte[])\"\"\\q\"\"; line: 1, column: 4]",
		`"\u12g4"`:   "Unexpected character ('g' (code 103)): expected a hex-digit for character escape sequence\n at [Source: (byte[])\"\"\\u12g4\"\"; line: 1, column: 7]",
		"01":         "Invalid numeric value: Leading zeroes not allowed\n at [Source: (byte[])\"01\"; line: 1, column: 3]",
		"-x":         "Unexpected character ('x' (code 120)) in numeric value: expected digit (0-9) to follow minus sign, for valid numeric value\n at [Source: (byte[])\"-x\"; line: 1, column: 3]",
		" ":          "No content to map due to end-of-input\n at [Source: (byte[])\" \"; line: 1, column: 2]",
	} {
		if got := explainJSON([]byte(payload)); got != want {
			t.Errorf("%q is explained by\n%s\nwant\n%s", payload, got, want)
		}
	}
	// The largest payload takes no longer than reading it does.
	began := time.Now()
	for _, s := range []string{"[" + strings.Repeat("1,", 3<<20), strings.Repeat("[", 6<<20), strings.Repeat("\n", 6<<20) + "x"} {
		explainJSON([]byte(s))
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	long := explainJSON([]byte(strings.Repeat("x", 1491)))
	if want := strings.Repeat("x", 256) + "...': was"; !strings.Contains(long, want) || !strings.Contains(long, `(byte[])"`+strings.Repeat("x", 500)+`"[truncated 991 bytes]; line: 1`) {
		t.Error(long)
	}
}

// Whatever is no JSON is explained, and nothing else could be.
func FuzzExplainJSON(f *testing.F) {
	for _, s := range []string{"{}", `{"a":[1,-2.5e+3,"x\u00e9\n",true,false,null,{}]}`, "[[", `"\xff"`, "\xe2\x82", "truefalse", "1 2", "\xed\xa0\x80"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		got := explainJSON(payload)
		if validPayload(payload) != (got == "") || len(got) > 5000 {
			t.Errorf("%q is JSON: %v, and explained by %q", payload, validPayload(payload), got)
		}
	})
}
