package codec

import (
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"brume/internal/awserr"
)

func TestParseParams(t *testing.T) {
	got, err := ParseParams("b=2&a=1&a=x%20y+z&c&=d&&e=f=g;h")
	if err != nil {
		t.Fatal(err)
	}
	want := Params{{"b", "2"}, {"a", "1"}, {"a", "x y z"}, {"c", ""}, {"", "d"}, {"e", "f=g;h"}}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if v, ok := got.Get("a"); v != "1" || !ok {
		t.Errorf("a is %q, %v", v, ok)
	}
	if _, ok := got.Get("z"); ok {
		t.Error("there is a z")
	}
	for _, bad := range []string{"a=%", "a=%1", "a=%zz", "%=a", "a=b&c=%4", "a=%ff", "\xff", "%c3=%a9"} {
		if _, err := ParseParams(bad); err == nil || err.(awserr.Error).ErrorCode() != "MalformedQueryString" {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for n, ok := range map[int]bool{MaxParams: true, MaxParams + 1: false} {
		if _, err := ParseParams(strings.TrimSuffix(strings.Repeat("a&", n), "&")); (err == nil) != ok {
			t.Errorf("%d parameters: %v", n, err)
		}
	}
}

func TestNewRequest(t *testing.T) {
	r := httptest.NewRequest("GET", "/b//k%2Fx%20y?a=b", nil)
	req, err := NewRequest(r, []byte("body"))
	if err != nil {
		t.Fatal(err)
	}
	if req.Path != "/b//k%2Fx%20y" || string(req.Body) != "body" || req.Method != "GET" || !slices.Equal(req.Query, Params{{"a", "b"}}) {
		t.Errorf("%+v", req)
	}
	r.URL.RawQuery = "%"
	if _, err := NewRequest(r, nil); err == nil {
		t.Error("a bad query string passed")
	}
}

func TestUnescapePath(t *testing.T) {
	for in, want := range map[string]string{"a+b": "a+b", "a%2Fb%20c": "a/b c", "": "", "%C3%A9": "é"} {
		if got, ok := UnescapePath(in); got != want || !ok {
			t.Errorf("%q: %q, %v", in, got, ok)
		}
	}
	for _, bad := range []string{"%4", "%ff", "\xff"} {
		if _, ok := UnescapePath(bad); ok {
			t.Errorf("%q passed", bad)
		}
	}
}

// FuzzParseParams compares with net/url, which refuses semicolons, knows no order and takes any bytes.
func FuzzParseParams(f *testing.F) {
	for _, s := range []string{"", "a=b", "a=b&a=c", "a", "=", "&&", "a=%20+b", "%41=%zz", "a;b=c", "Tags.member.1.Key=x&Tags.member.1.Value="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParseParams(text)
		if strings.Contains(text, ";") {
			return
		}
		want, wantErr := url.ParseQuery(text)
		text8 := true
		for k, values := range want {
			text8 = text8 && utf8.ValidString(k)
			for _, v := range values {
				text8 = text8 && utf8.ValidString(v)
			}
		}
		if (err == nil) != (wantErr == nil && text8) {
			t.Fatalf("%q: %v, net/url %v", text, err, wantErr)
		}
		if err != nil {
			return
		}
		n := 0
		for k, values := range want {
			for _, v := range values {
				i := slices.Index(got, Param{k, v})
				if i < 0 {
					t.Fatalf("%q: no %q=%q in %q", text, k, v, got)
				}
				n++
			}
		}
		if n != len(got) {
			t.Fatalf("%q: %q, net/url %q", text, got, want)
		}
	})
}
