package jsontext

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// value reads any value as encoding/json does with UseNumber.
func value(s *Scanner) any {
	switch s.Kind() {
	case Object:
		m := map[string]any{}
		s.BeginObject()
		for k, ok := s.NextKey(); ok; k, ok = s.NextKey() {
			m[k] = value(s)
		}
		return m
	case Array:
		l := []any{}
		s.BeginArray()
		for s.NextElem() {
			l = append(l, value(s))
		}
		return l
	case String:
		return s.String()
	case Number:
		return json.Number(s.Number())
	case True, False:
		return s.Bool()
	case Null:
		s.Null()
		return nil
	}
	s.syntax("no value")
	return nil
}

func appendValue(a *Appender, v any) {
	switch v := v.(type) {
	case map[string]any:
		a.BeginObject()
		for k, v := range v {
			a.Key(k)
			appendValue(a, v)
		}
		a.EndObject()
	case []any:
		a.BeginArray()
		for _, v := range v {
			appendValue(a, v)
		}
		a.EndArray()
	case string:
		a.String(v)
	case json.Number:
		a.Raw([]byte(v))
	case bool:
		a.Bool(v)
	case nil:
		a.Null()
	}
}

func parse(data []byte) (any, error) {
	var s Scanner
	s.Reset(data)
	v := value(&s)
	s.End()
	return v, s.Err()
}

func stdlib(data []byte) (any, error) {
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if !json.Valid(data) {
		return nil, errors.New("trailing text")
	}
	return v, nil
}

var seeds = []string{
	`{}`, `[]`, `null`, `true`, `false`, `0`, `-0`, `1.5e+10`, `""`, `"a"`, ` { "a" : [ 1 , { } , "x" ] } `,
	`{"TableName":"t","Item":{"id":{"S":"ö\u00e9\ud83d\ude00"},"n":{"N":"12.5"}}}`,
	`"\ud800"`, `"\ud800\u0041"`, `"\udc00"`, `"\uD83D\uDE00"`, `"\""`, `"\\"`, `"\/"`, `"\b\f\n\r\t"`, `"\x"`, `"\u12"`, `"\u123g"`,
	"\"\x01\"", "\"\xff\"", "\"é\xc3\"", "\"\\n\xff\"", `"abc`, `"abc\`, `"abcdefgh\"ijklmnop"`, `"abcdefg"`, `"abcdefgh"`,
	`01`, `1.`, `.5`, `-`, `1e`, `1e+`, `+1`, `0x1`, `tru`, `nul`, `falsey`, `[1,]`, `[,1]`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{1:2}`, `[1 2]`,
	`{"a":1}x`, ``, ` `, "\x00", `[`, `{`, `]`, `{"a":1,"a":2}`, `{"a":"b" "c":1}`, "\ufeff{}", `[[[[]]]]`, "{\"a\":1\x00}", "\"\u2028\"",
}

func compare(t *testing.T, data []byte) {
	got, gotErr := parse(data)
	if err := Valid(data); (err == nil) != (gotErr == nil) {
		t.Fatalf("%q: Valid says %v, reading %v", data, err, gotErr)
	}
	want, wantErr := stdlib(data)
	if wantErr == nil && (!utf8.Valid(data) || depth(data) > MaxDepth) {
		if gotErr == nil {
			t.Fatalf("%q accepted", data)
		}
		return
	}
	if (gotErr == nil) != (wantErr == nil) {
		t.Fatalf("%q: error %v, encoding/json %v", data, gotErr, wantErr)
	}
	if gotErr != nil {
		var syntax *SyntaxError
		if !errors.As(gotErr, &syntax) || syntax.Offset < 0 || syntax.Offset > len(data) {
			t.Fatalf("%q: error %#v", data, gotErr)
		}
		return
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%q: %#v, encoding/json %#v", data, got, want)
	}
	var a Appender
	appendValue(&a, got)
	again, err := stdlib(a.Buf)
	if err != nil || !reflect.DeepEqual(again, want) {
		t.Fatalf("%q written as %q: %#v, %v", data, a.Buf, again, err)
	}
}

// depth is how deeply data nests, if it is valid.
func depth(data []byte) int {
	d, deepest, inString := 0, 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '[' || c == '{':
			d++
			deepest = max(deepest, d)
		case c == ']' || c == '}':
			d--
		}
	}
	return deepest
}

func FuzzScanner(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { compare(t, data) })
}

func FuzzAppendString(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		text := AppendString(nil, s)
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if want := strings.ToValidUTF8(s, "\ufffd"); utf8.ValidString(s) && got != want {
			t.Fatalf("%q became %q", s, got)
		}
		if !utf8.Valid(text) {
			t.Fatalf("%q is not UTF-8", text)
		}
	})
}

// Every byte stops the scan of a string at every place of the eight that are looked at together, or does not.
func TestEveryByteAtEveryPlace(t *testing.T) {
	for c := range 256 {
		for at := range 20 {
			text := []byte(`"aaaaaaaaaaaaaaaaaaaa"`)
			text[1+at] = byte(c)
			compare(t, text)
		}
	}
}

func TestLimits(t *testing.T) {
	for n, ok := range map[int]bool{MaxDepth: true, MaxDepth + 1: false} {
		for _, nest := range []string{
			strings.Repeat("[", n) + strings.Repeat("]", n),
			strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n),
		} {
			if err := Valid([]byte(nest)); (err == nil) != ok {
				t.Errorf("depth %d: %v", n, err)
			}
		}
	}
	// Many values beside one another are not deep.
	if err := Valid([]byte("[" + strings.Repeat("[[]],", 2*MaxDepth) + "[]]")); err != nil {
		t.Error(err)
	}
	for _, n := range []int{sharedText - 2, sharedText - 1, sharedText, 100_000} {
		want := strings.Repeat("x", n)
		if v, err := parse([]byte(`"` + want + `"`)); err != nil || v != want {
			t.Errorf("a string of %d bytes: %v", n, err)
		}
	}
}

func TestErrorsStick(t *testing.T) {
	var s Scanner
	s.Reset([]byte(`{"a": [1, x], "b": "c"}`))
	s.BeginObject()
	s.NextName()
	s.BeginArray()
	s.NextElem()
	if got := string(s.Number()); got != "1" {
		t.Fatalf("number %q", got)
	}
	s.NextElem()
	s.Number()
	first := s.Err()
	if first == nil {
		t.Fatal("x read as a number")
	}
	if s.NextElem() || s.Kind() != None || s.String() != "" || s.Bool() || s.Number() != nil || s.Raw() != nil {
		t.Error("a value after an error")
	}
	if _, ok := s.NextKey(); ok {
		t.Error("a key after an error")
	}
	s.BeginObject()
	s.Null()
	s.End()
	s.Fail(errors.New("later"))
	if s.Err() != first {
		t.Errorf("error replaced by %v", s.Err())
	}
}

func TestRaw(t *testing.T) {
	var s Scanner
	s.Reset([]byte(` {"a" : {"b": [1, 2] } , "c":null}`))
	s.BeginObject()
	s.NextName()
	if got := string(s.Raw()); got != `{"b": [1, 2] }` {
		t.Errorf("raw %q", got)
	}
	if name, ok := s.NextName(); !ok || string(name) != "c" || s.Kind() != Null {
		t.Errorf("then %q, %v", name, ok)
	}
}

func TestAppender(t *testing.T) {
	var a Appender
	a.BeginObject()
	a.Name("a")
	a.BeginArray()
	a.Int(math.MinInt64)
	a.BeginArray()
	a.EndArray()
	a.BeginObject()
	a.EndObject()
	a.Bool(true)
	a.Null()
	a.String("<&>\u2028\"\\\x00\n\xff")
	a.EndArray()
	a.Key("b\"")
	a.Base64([]byte{0xfb, 0xff, 0})
	for _, f := range []float64{0, 1.5, 1e20, 1e21, 1e-6, 1e-7, math.MaxFloat64, math.NaN(), math.Inf(1), math.Inf(-1)} {
		a.Name("f")
		a.Float(f, 64)
	}
	a.Name("f")
	a.Float(float64(float32(1.2)), 32)
	a.Name("r")
	a.Raw([]byte(`{"x":1}`))
	a.EndObject()
	want := `{"a":[-9223372036854775808,[],{},true,null,"<&>` + "\u2028" + `\"\\\u0000\n` + "\ufffd" + `"],"b\"":"+/8A",` +
		`"f":0,"f":1.5,"f":100000000000000000000,"f":1e+21,"f":0.000001,"f":1e-07,"f":1.7976931348623157e+308,` +
		`"f":"NaN","f":"Infinity","f":"-Infinity","f":1.2,"r":{"x":1}}`
	if got := string(a.Buf); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if err := Valid(a.Buf); err != nil {
		t.Error(err)
	}
}
