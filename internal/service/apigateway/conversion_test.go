package apigateway

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	api "brume/internal/api/apigateway"
)

// The two tables of https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-payload-encodings-workflow.html
func TestContentConversions(t *testing.T) {
	const blob = "\x00\xff"
	text := base64.StdEncoding.EncodeToString([]byte(blob))
	images := []string{"image/png"}
	for _, tt := range []struct {
		types                        []string
		handling, media, in, payload string
	}{
		{nil, "", "image/png", text, text},
		{nil, "CONVERT_TO_BINARY", "image/png", text, blob},
		{nil, "CONVERT_TO_TEXT", "image/png", text, text},
		{images, "", "text/plain", text, text},
		{images, "CONVERT_TO_BINARY", "text/plain", text, blob},
		{images, "CONVERT_TO_TEXT", "text/plain", text, text},
		{images, "", "image/png", blob, blob},
		{images, "CONVERT_TO_BINARY", "image/png", blob, blob},
		{images, "CONVERT_TO_TEXT", "image/png", blob, text},
	} {
		g := newGateway(t)
		f := &fakeHTTP{send: func(context.Context, *HTTPCall) (*HTTPResult, error) { return &HTTPResult{Status: 200}, nil }}
		g.http = f
		id := g.endpoint(api.PutIntegrationInput{Type: new("HTTP"), IntegrationHttpMethod: new("POST"), Uri: new("http://backend.example/"), ContentHandling: &tt.handling},
			map[string]api.PutIntegrationResponseInput{"200": {}})
		g.binary(id, tt.types)
		r := request(id, "dev", "POST", "/a/b/c", Field{"Content-Type", tt.media})
		r.Body = []byte(tt.in)
		if g.Invoke(t.Context(), r); len(f.calls) != 1 || string(f.calls[0].Body) != tt.payload {
			t.Errorf("request %+v: sent %+v", tt, f.calls)
		}
	}
	for _, tt := range []struct {
		types                              []string
		media, accept, handling, in, shown string
	}{
		{nil, "text/plain", "text/plain", "", text, text},
		{nil, "text/plain", "text/plain", "CONVERT_TO_BINARY", text, blob},
		{nil, "text/plain", "text/plain", "CONVERT_TO_TEXT", text, text},
		{images, "text/plain", "text/plain", "", text, text},
		{images, "text/plain", "text/plain", "CONVERT_TO_BINARY", text, blob},
		{images, "text/plain", "text/plain", "CONVERT_TO_TEXT", text, text},
		{images, "text/plain", "image/png, text/plain", "", text, blob},
		{images, "text/plain", "image/png", "CONVERT_TO_BINARY", text, blob},
		{images, "text/plain", "image/png", "CONVERT_TO_TEXT", text, text},
		{images, "image/png", "text/plain, image/png", "", blob, text},
		{images, "image/png", "text/plain", "CONVERT_TO_BINARY", blob, blob},
		{images, "image/png", "text/plain", "CONVERT_TO_TEXT", blob, text},
		{images, "image/png", "image/png", "", blob, blob},
		{images, "image/png", "image/png", "CONVERT_TO_BINARY", blob, blob},
		{images, "image/png", "image/png", "CONVERT_TO_TEXT", blob, text},
		{images, "image/png", "", "", blob, blob},
		{images, "image/png", "*/*", "", blob, blob},
		{[]string{"*/*"}, "text/plain", "*/*", "", text, text},
		{images, "text/plain", "text/plain", "CONVERT_TO_BINARY", `"` + text + `"`, blob}, // what a function returns
		{images, "text/plain", "image/png", "", "{}", bodyInternal},
	} {
		g := newGateway(t)
		g.http = &fakeHTTP{send: func(context.Context, *HTTPCall) (*HTTPResult, error) {
			return &HTTPResult{Status: 200, Header: []Field{{"Content-Type", tt.media}}, Body: []byte(tt.in)}, nil
		}}
		id := g.endpoint(api.PutIntegrationInput{Type: new("HTTP"), IntegrationHttpMethod: new("GET"), Uri: new("http://backend.example/")},
			map[string]api.PutIntegrationResponseInput{"200": {ContentHandling: &tt.handling}})
		g.binary(id, tt.types)
		r := request(id, "dev", "GET", "/a/b/c")
		if tt.accept != "" {
			r.Header = append(r.Header, Field{"Accept", tt.accept})
		}
		if _, body := g.send(r); body != tt.shown {
			t.Errorf("response %+v: got %q", tt, body)
		}
	}
}

// binary sets an API's binary media types and deploys it again.
func (g *gateway) binary(apiID string, types []string) {
	for _, media := range types {
		must(g.UpdateRestApi(g.ctx, &api.UpdateRestApiInput{RestApiId: &apiID, PatchOperations: ops("add /binaryMediaTypes/" + strings.ReplaceAll(media, "/", "~1"))}))
	}
	g.deploy(apiID, "dev")
}

// An image that an HTTP proxy fetches is text for those who did not ask for images.
func TestHTTPProxyConvertsBinaryData(t *testing.T) {
	g := newGateway(t)
	g.http = &fakeHTTP{send: func(context.Context, *HTTPCall) (*HTTPResult, error) {
		return &HTTPResult{Status: 200, Header: []Field{{"Content-Type", "image/png"}, {"Via", "x"}, {"Host", "x"}}, Body: []byte("\xff")}, nil
	}}
	id := g.endpoint(api.PutIntegrationInput{Type: new("HTTP_PROXY"), IntegrationHttpMethod: new("GET"), Uri: new("http://backend.example/")}, nil)
	g.binary(id, []string{"image/png"})
	g.want(request(id, "dev", "GET", "/a/b/c", Field{"Accept", "text/html"}), 200, "/w==")
	g.want(request(id, "dev", "GET", "/a/b/c", Field{"Accept", "image/png"}), 200, "\xff")
	g.want(request(id, "dev", "GET", "/a/b/c"), 200, "\xff")
	if got := shownFields(g.Invoke(t.Context(), request(id, "dev", "GET", "/a/b/c")).Header); got != "Content-Type=image/png" {
		t.Errorf("%s", got)
	}
}

// X-HTTP-Method-Override says the method, and ANY stands for the methods that API Gateway knows.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
func TestMethods(t *testing.T) {
	g := newGateway(t)
	id, _ := g.api()
	g.proxy(id, "/a", "GET", false)
	g.proxy(id, "/any", "ANY", false)
	g.deploy(id, "dev")
	for _, method := range []string{"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"} {
		g.want(request(id, "dev", method, "/any"), 200, "ok")
	}
	const missing = `{"message":"Missing Authentication Token"}`
	for _, method := range []string{"TRACE", "CONNECT", "PROPFIND", "get", "ANY", ""} {
		g.want(request(id, "dev", method, "/any"), 403, missing)
	}
	g.want(request(id, "dev", "POST", "/a"), 403, missing)
	g.want(request(id, "dev", "POST", "/a", Field{"X-Http-Method-Override", "get"}), 200, "ok")
	g.want(request(id, "dev", "GET", "/a", Field{"X-Http-Method-Override", "DELETE"}), 403, missing)
	g.want(request(id, "dev", "GET", "/any", Field{"X-Http-Method-Override", "TRACE"}), 200, "ok")
}
