package functionurl

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct{ host, uri, id, path string }{
		{"abc.lambda-url.eu-central-1.localhost:4566", "/a%2Fb?x=1", "abc", "/a%2Fb"},
		{"ABC.LAMBDA-URL.us-east-1.on.aws", "/", "abc", "/"},
		{"abc.lambda-url:80", "/x", "abc", "/x"},
		{"127.0.0.1:4566", "/_aws/lambda-url/abc", "abc", "/"},
		{"127.0.0.1:4566", "/_aws/lambda-url/abc/x//y", "abc", "/x//y"},
		{"127.0.0.1:4566", "/_aws/lambda-url/", "", ""},
		{"lambda-url.localhost", "/", "", ""},
		{"abc.lambda-urls.localhost", "/", "", ""},
		{"lambda.us-east-1.amazonaws.com", "/2015-03-31/functions/", "", ""},
	} {
		r := httptest.NewRequest(http.MethodGet, c.uri, nil)
		r.Host = c.host
		if id, path, ok := Match(r); id != c.id || ok != (c.id != "") || ok && path != c.path {
			t.Errorf("%s %s: %q, %q, %v", c.host, c.uri, id, path, ok)
		}
	}
}
