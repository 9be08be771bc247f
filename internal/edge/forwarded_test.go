package edge

import "testing"

func TestForwarded(t *testing.T) {
	for _, c := range []struct {
		req         Request
		proto, port string
	}{
		{Request{}, "http", "80"},
		{Request{Secure: true, Host: "example.com"}, "https", "443"},
		{Request{Host: "example.com:8080"}, "http", "8080"},
		{Request{Host: "[::1]:8080"}, "http", "8080"},
		{Request{Secure: true, Host: "example.com:8080", Port: 4566}, "https", "4566"},
	} {
		if proto, port := c.req.Forwarded(); proto != c.proto || port != c.port {
			t.Errorf("%+v: %s, %s", c.req, proto, port)
		}
	}
}
