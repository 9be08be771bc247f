package codectest

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"brume/internal/schema/schematest"
	"brume/internal/wire/codec"
)

// Exceptions name the vectors that do not apply to a server, each with the reason. A name that no vector has fails the
// test.
type Exceptions map[string]string

// Run runs f on every vector that is no exception.
func (x Exceptions) Run(t *testing.T, vectors []Vector, f func(t *testing.T, v Vector)) {
	seen := map[string]bool{}
	for _, v := range vectors {
		if _, ok := x[v.Name]; ok {
			seen[v.Name] = true
			continue
		}
		t.Run(v.Name, func(t *testing.T) { f(t, v) })
	}
	for name, reason := range x {
		if !seen[name] {
			t.Errorf("no vector is called %q (%s)", name, reason)
		}
	}
}

// Request makes the request of an input vector, and resolves its operation.
func Request(t *testing.T, v Vector) *codec.Request {
	t.Helper()
	method := v.Serialized.Method
	if method == "" {
		method = v.Op.Method
	}
	r := httptest.NewRequest(method, v.Serialized.URI, strings.NewReader(v.Serialized.Body))
	for k, value := range v.Serialized.Headers {
		r.Header.Set(k, value)
	}
	req, err := codec.NewRequest(r, []byte(v.Serialized.Body))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// Resolve finds the operation of req, which must be that of the vector.
func Resolve(t *testing.T, v Vector, req *codec.Request) {
	t.Helper()
	resolver, err := codec.NewResolver(v.Svc)
	if err != nil {
		t.Fatal(err)
	}
	if op, err := resolver.Resolve(req); err != nil || op != v.Op {
		t.Fatalf("resolved to %v, %v", op, err)
	}
}

// Decode decodes req and compares what comes out with the vector's parameters.
func Decode(t *testing.T, c codec.Codec, v Vector, req *codec.Request) {
	t.Helper()
	in := schematest.New(v.Svc, v.Op.Input, nil)
	if err := c.Decode(v.Svc, v.Op, req, in); err != nil {
		t.Fatal(err)
	}
	want := maps.Clone(v.Params)
	maps.DeleteFunc(want, func(_ string, value any) bool { return value == nil })
	got := in.Values
	if p := v.Svc.Shapes[v.Op.Input].Payload; p > 0 {
		// A structure that is the whole body and has no members is sent in the same way as none.
		name := v.Svc.Shapes[v.Op.Input].Members[p-1].Name
		if m, ok := got[name].(map[string]any); ok && len(m) == 0 {
			delete(got, name)
		}
	}
	if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		t.Errorf("decoded %#v\nwant    %#v", got, want)
	}
}

// Encode encodes the vector's result and checks the status and the headers of the response.
func Encode(t *testing.T, c codec.Codec, v Vector) *codec.Response {
	t.Helper()
	w := &codec.Response{Header: http.Header{}}
	if err := c.Encode(v.Svc, v.Op, "requestid", schematest.New(v.Svc, v.Op.Output, v.Result), w); err != nil {
		t.Fatal(err)
	}
	if w.Status != v.Response.StatusCode {
		t.Errorf("status %d, want %d", w.Status, v.Response.StatusCode)
	}
	for k, want := range v.Response.Headers {
		if got := w.Header.Get(k); got != want {
			t.Errorf("header %s: %q, want %q", k, got, want)
		}
	}
	return w
}

// SameJSON compares two JSON texts; a body without any text stands for an object without members.
func SameJSON(t *testing.T, got, want string) {
	t.Helper()
	var g, w any
	for text, v := range map[*string]*any{&got: &g, &want: &w} {
		if *text == "" {
			*text = "{}"
		}
		if err := json.Unmarshal([]byte(*text), v); err != nil {
			t.Fatalf("%s: %v", *text, err)
		}
	}
	if !reflect.DeepEqual(g, w) {
		t.Errorf("body %s\nwant %s", got, want)
	}
}
