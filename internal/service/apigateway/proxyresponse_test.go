package apigateway

import (
	"fmt"
	"strings"
	"testing"
)

// https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html#api-gateway-simple-proxy-for-lambda-output-format
func TestParseProxyResponse(t *testing.T) {
	tests := []struct{ payload, want string }{
		{`{"statusCode":201,"headers":{"X-A":"1"},"body":"hello"}`, "201 [X-A:1] hello false"},
		{`{}`, "200 []  false"},
		{`{"statusCode":"404"}`, "404 []  false"},
		{`{"statusCode":null,"headers":null,"multiValueHeaders":null,"body":null,"isBase64Encoded":null}`, "200 []  false"},
		{`{"headers":{"n":1,"b":true,"z":null}}`, "200 [n:1 b:true]  false"},
		{`{"multiValueHeaders":{"Set-Cookie":["a","b"]},"headers":{"Set-Cookie":"b","X":"y"}}`, "200 [Set-Cookie:a Set-Cookie:b X:y]  false"},
		{`{"multiValueHeaders":{"A":null,"B":[null,"x"]}}`, "200 [B:x]  false"},
		{`{"body":"aGk=","isBase64Encoded":true}`, "200 [] aGk= true"},
		{`{"body":3,"isBase64Encoded":"false"}`, "200 [] 3 false"},
	}
	for _, tt := range tests {
		r, encoded, err := parseProxyResponse([]byte(tt.payload))
		if err != nil {
			t.Errorf("%s: %v", tt.payload, err)
			continue
		}
		var headers []string
		for _, f := range r.Header {
			headers = append(headers, f.Name+":"+f.Value)
		}
		if got := fmt.Sprintf("%d %v %s %v", r.Status, headers, r.Body, encoded); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.payload, got, tt.want)
		}
	}
	for _, payload := range []string{
		``, `null`, `"text"`, `[]`, `1`, `{`, `{"statusCode":200`, `{"statusCode":200}x`, `{"statusCode":200}{}`, `{"statusCode":199}`, `{"statusCode":600}`,
		`{"statusCode":"abc"}`, `{"statusCode":200.5}`, `{"statusCode":{}}`, `{"body":{"a":1}}`, `{"body":[]}`, `{"headers":[]}`, `{"headers":"x"}`,
		`{"headers":{"a":{}}}`, `{"headers":{"a":["b"]}}`, `{"multiValueHeaders":{"a":"b"}}`, `{"multiValueHeaders":{"a":[{}]}}`, `{"isBase64Encoded":"maybe"}`,
		`{"unknown":1}`, `{"statusCode":200,"errorMessage":"x"}`, `{"headers":{"a b":"c"}}`, `{"headers":{"":"c"}}`, `{"headers":{"a":"b\r\nSet-Cookie: c"}}`,
		`{"headers":{"a:":"b"}}`,
	} {
		if r, _, err := parseProxyResponse([]byte(payload)); err != errMalformed {
			t.Errorf("%s: got %+v, %v", payload, r, err)
		}
	}
}

func TestRemapHeaders(t *testing.T) {
	got := remapHeaders([]Field{{"WWW-Authenticate", "Basic"}, {"Date", "d"}, {"Content-Length", "9"}, {"Transfer-Encoding", "chunked"}, {"X-Mine", "m"}, {"x-amzn-RequestId", "forged"}})
	want := "[{x-amzn-Remapped-WWW-Authenticate Basic} {x-amzn-Remapped-Date d} {x-amzn-Remapped-Content-Length 9} {X-Mine m}]"
	if fmt.Sprint(got) != want {
		t.Errorf("got %v", got)
	}
}

func FuzzProxyResponse(f *testing.F) {
	for _, s := range []string{`{"statusCode":200,"headers":{"a":"b"},"multiValueHeaders":{"c":["d",1]},"body":"x","isBase64Encoded":false}`, `{"headers":{"a":{"b":[`, strings.Repeat("[", 9000)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, _, err := parseProxyResponse(payload)
		if err != nil {
			return
		}
		if r.Status < 200 || r.Status > 599 {
			t.Fatalf("status %d", r.Status)
		}
		for _, h := range r.Header {
			if strings.ContainsAny(h.Name+h.Value, "\r\n") || h.Name == "" {
				t.Fatalf("header %q", h)
			}
		}
	})
}

func TestBinary(t *testing.T) {
	tests := []struct {
		types               []string
		accept, contentType string
		want                bool
	}{
		{nil, "image/png", "image/png", false},
		{[]string{"*/*"}, "", "", true},
		{[]string{"image/png"}, "image/png,text/html", "text/plain", true},
		{[]string{"image/png"}, "text/html,image/png", "image/png", false},
		{[]string{"image/png"}, "*/*", "image/png", true},
		{[]string{"image/*"}, "image/webp;q=1", "", true},
		{[]string{"image/png"}, "", "image/PNG; x=y", true},
		{[]string{"image/png"}, "", "", false},
	}
	for _, tt := range tests {
		if got := wantsBinary(tt.types, tt.accept, tt.contentType); got != tt.want {
			t.Errorf("%+v: %v", tt, got)
		}
	}
}
