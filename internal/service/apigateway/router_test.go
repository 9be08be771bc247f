package apigateway

import (
	"fmt"
	"strings"
	"testing"
)

func routerOf(paths ...string) *router {
	rt := &router{}
	for _, p := range paths {
		rt.add(&resource{path: p})
	}
	return rt
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-settings-method-request.html
func TestRouter(t *testing.T) {
	rt := routerOf("/", "/pets", "/pets/{id}", "/pets/mine", "/pets/{id}/toys/{toy}", "/pets/mine/food", "/{proxy+}", "/a/{x}", "/a/{x}/b/{rest+}", "/{v}/b/c")
	tests := []struct{ path, want, params string }{
		{"/", "/", ""},
		{"", "/", ""},
		{"/pets", "/pets", ""},
		{"/pets/", "/pets", ""},
		{"/pets/mine", "/pets/mine", ""},
		{"/pets/7", "/pets/{id}", "id=7"},
		{"/pets/a%2Fb%20c", "/pets/{id}", "id=a%2Fb%20c"},
		{"/p%65ts/7", "/pets/{id}", "id=7"},
		{"/pets/7/toys/ball", "/pets/{id}/toys/{toy}", "id=7 toy=ball"},
		{"/pets/mine/toys/ball", "/pets/{id}/toys/{toy}", "id=mine toy=ball"}, // the literal leads nowhere
		{"/pets/mine/food", "/pets/mine/food", ""},
		{"/pets/mine/other", "/{proxy+}", "proxy=pets/mine/other"},
		{"/pets//toys", "/{proxy+}", "proxy=pets//toys"},
		{"/other", "/{proxy+}", "proxy=other"},
		{"/other/", "/{proxy+}", "proxy=other"},
		{"/a/1/b/c/d", "/a/{x}/b/{rest+}", "x=1 rest=c/d"},
		{"/a/1/b", "/{proxy+}", "proxy=a/1/b"},
		{"/z/b/c", "/{v}/b/c", "v=z"},
		{"/PETS", "/{proxy+}", "proxy=PETS"},
		{"/pets/%zz", "/pets/{id}", "id=%zz"},
	}
	for _, tt := range tests {
		r, params := rt.match(tt.path)
		var got []string
		for _, p := range params {
			got = append(got, p.Name+"="+p.Value)
		}
		if r == nil || r.path != tt.want || strings.Join(got, " ") != tt.params {
			t.Errorf("%s: got %+v %v, want %s %s", tt.path, r, got, tt.want, tt.params)
		}
	}
	for _, path := range []string{"/x", "/pets/1/2"} {
		if r, _ := routerOf("/", "/pets/{id}").match(path); r != nil {
			t.Errorf("%s: got %s", path, r.path)
		}
	}
	if r, _ := routerOf("/{proxy+}").match("/"); r != nil {
		t.Error("a greedy parameter matched nothing at all")
	}
}

func FuzzRouter(f *testing.F) {
	rt := routerOf("/", "/a", "/a/{x}", "/a/{x}/c", "/{p}/b/{q}", "/a/b/{rest+}", "/{proxy+}")
	for _, s := range []string{"/a/b/c", "//", "/%2f/%zz", "/a/b/", "a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		r, params := rt.match(path)
		if r == nil {
			if len(splitPath(path)) > 0 {
				t.Fatalf("%q matches nothing, not even /{proxy+}", path)
			}
			return
		}
		if len(params) != len(r.params) {
			t.Fatalf("%q: %d values for %d parameters", path, len(params), len(r.params))
		}
		for _, p := range params {
			if !strings.Contains(path, p.Value) {
				t.Fatalf("%q: %s is %q", path, p.Name, p.Value)
			}
		}
	})
}

// 1,000 resources route as fast as 10.
func BenchmarkRouter(b *testing.B) {
	for _, n := range []int{10, 1000} {
		rt := &router{}
		for i := range n {
			rt.add(&resource{path: fmt.Sprintf("/r%d/{id}/sub%d", i, i)})
		}
		path := fmt.Sprintf("/r%d/abc/sub%d", n/2, n/2)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if r, _ := rt.match(path); r == nil {
					b.Fatal("no match")
				}
			}
		})
	}
}

// Policies see one path for all that lead to the same place.
func TestPathsAsPoliciesSeeThem(t *testing.T) {
	rt := &router{}
	for _, path := range []string{"/", "/admin", "/pets/{id}", "/files/{proxy+}"} {
		rt.add(&resource{path: path})
	}
	for path, want := range map[string]string{
		"/": "/", "": "/", "/admin": "/admin", "/admin/": "/admin", "/%61dmin": "/admin", "/ad%6Din/": "/admin",
		"/pets/1": "/pets/1", "/pets/%31": "/pets/1", "/pets/a%20b": "/pets/a b", "/pets/a%2fb": "/pets/a%2Fb", "/pets/a%252Fb": "/pets/a%252Fb",
		"/pets/%zz": "/pets/%zz", "/pets/%2A": "/pets/*",
		"/files/a/b": "/files/a/b", "/files/%61/b%2Fc/": "/files/a/b%2Fc",
	} {
		r, params := rt.match(path)
		if r == nil {
			t.Errorf("%s leads nowhere", path)
		} else if got := r.pathOf(params); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
}
