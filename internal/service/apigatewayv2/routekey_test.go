package apigatewayv2

import (
	"strings"
	"testing"
)

func TestParseRouteKey(t *testing.T) {
	for key, want := range map[string]string{
		"$default": "", "GET /": "", "ANY /{proxy+}": "proxy+", "GET /pets/{id}": "pets id", "POST /a/{b}/c/{d+}": "a b c d+", "GET /pets/": "pets ",
		"PUT /a.b_c~d/@x": "a.b_c~d @x",
	} {
		rk, err := parseRouteKey(key)
		if err != nil {
			t.Errorf("%q: %v", key, err)
			continue
		}
		var got []string
		for _, s := range rk.segments {
			text := s.literal + s.variable
			if s.greedy {
				text += "+"
			}
			got = append(got, text)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: got %q", key, got)
		}
	}
	for _, key := range []string{"", "GET", "GET ", "GET pets", "get /pets", "TRACE /", "/pets", "$connect", "GET /{a+}/b", "GET /{}", "GET /{a}/{a}", "GET /a{b}", "GET /a b", "GET /a?b", "GET  /a", "GET /{a b}"} {
		if rk, err := parseRouteKey(key); err == nil {
			t.Errorf("%q: %+v", key, rk)
		}
	}
}

// The most specific route wins: a path before a variable before a greedy one, a method before ANY, and $default at last.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html#http-api-develop-routes.evaluation
func TestRouter(t *testing.T) {
	var rt router
	for _, key := range []string{"GET /pets/dog/1", "GET /pets/dog/{id}", "GET /pets/{proxy+}", "ANY /{proxy+}", "ANY /pets/{kind}", "POST /pets/{name}", "GET /", "GET /end/", "$default"} {
		rk, err := parseRouteKey(key)
		if err != nil {
			t.Fatal(err)
		}
		rt.add(&route{key0: key, key: rk})
	}
	for _, tt := range []struct{ method, path, key, params string }{
		{"GET", "/pets/dog/1", "GET /pets/dog/1", ""},
		{"GET", "/pets/dog/2", "GET /pets/dog/{id}", "id=2"},
		{"GET", "/pets/cat/1", "GET /pets/{proxy+}", "proxy=cat/1"},
		{"GET", "/pets/cat", "ANY /pets/{kind}", "kind=cat"},
		{"POST", "/pets/cat", "POST /pets/{name}", "name=cat"},
		{"POST", "/pets/dog/1", "ANY /{proxy+}", "proxy=pets/dog/1"},
		{"GET", "/test/5", "ANY /{proxy+}", "proxy=test/5"},
		{"GET", "/", "GET /", ""},
		{"POST", "/", "$default", ""},
		{"GET", "/end/", "GET /end/", ""},
		{"GET", "/pets/a%2Fb", "ANY /pets/{kind}", "kind=a/b"},
		{"GET", "/pe%74s/dog/1", "GET /pets/dog/1", ""},
	} {
		r, params := rt.match(tt.method, tt.path)
		text := ""
		for _, p := range params {
			text += p.Name + "=" + p.Value
		}
		if r == nil || r.key0 != tt.key || text != tt.params {
			t.Errorf("%s %s: got %+v %s; want %s %s", tt.method, tt.path, r, text, tt.key, tt.params)
		}
	}
}

// Whatever route keys and paths are, a route that matches has a value for each of its variables, and its own path leads to it.
func FuzzRouteKey(f *testing.F) {
	f.Add("GET /pets/{id}", "ANY /{proxy+}", "/pets/1")
	f.Add("$default", "POST /a/{b}/{c+}", "/a//%zz/")
	f.Fuzz(func(t *testing.T, a, b, path string) {
		var rt router
		for _, key := range []string{a, b} {
			if rk, err := parseRouteKey(key); err == nil {
				rt.add(&route{key0: key, key: rk})
			}
		}
		for _, method := range []string{"GET", "POST"} {
			r, params := rt.match(method, path)
			if r == nil {
				continue
			}
			variables := 0
			for _, s := range r.key.segments {
				if s.variable != "" {
					variables++
				}
			}
			if variables != len(params) || r.key.method != "" && r.key.method != "ANY" && r.key.method != method {
				t.Errorf("%s %s matches %s with %v", method, path, r.key0, params)
			}
		}
	})
}
