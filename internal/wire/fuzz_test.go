package wire

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"brume/internal/wire/sigv4"
)

// Whatever a request holds, it is answered, in a protocol, and with no fault of ours: 501 alone is not the client's.
func FuzzServeHTTP(f *testing.F) {
	headers := func(h map[string]string) string {
		var b strings.Builder
		for k, v := range h {
			b.WriteString(k + ": " + v + "\r\n")
		}
		return b.String()
	}
	for i := range forms {
		f.Add(forms[i].method, forms[i].target, headers(forms[i].header), []byte(forms[i].body), uint8(i))
		r := forms[i].signed(sessionKey)
		var b strings.Builder
		r.Header.Write(&b)
		f.Add(forms[i].method, forms[i].target, b.String(), []byte(forms[i].body), uint8(len(forms)))
	}
	form, amzJSON := "Content-Type: application/x-www-form-urlencoded\r\n", "Content-Type: application/x-amz-json-1.0\r\nX-Amz-Target: DynamoDB_20120810."
	for _, seed := range []struct {
		method, target, header, body string
		service                      uint8
	}{
		{"GET", "/", "", "", 99},
		{"GET", "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A/20260314/r/iam/aws4_request", "", "", 99},
		{"GET", "/?Action=%zz&Action=GetUser", form, "Action=GetUser", 0},
		{"POST", "/", form, "Action=CreateRole&Version=2010-05-08&RoleName=r&AssumeRolePolicyDocument=%7B%7D&Tags.member.1.Key=k&Tags.member.1.Value=v", 0},
		{"POST", "/", amzJSON + "PutItem\r\n", `{"TableName":"t","Item":{"k":{"S":"v"},"n":{"N":"1e5"},"l":{"L":[{"NULL":true}]}}}`, 2},
		{"POST", "/", amzJSON + "Query\r\n", `{"TableName":["t"],"x":{"y":[[[[1]]]]}}`, 2},
		{"POST", "/2015-03-31/functions/f/invocations?Qualifier=1", "X-Amz-Client-Context: e30=\r\n", `{"a":1}`, 4},
		{"PUT", "/2017-03-31/tags/arn%3Aaws%3Alambda", "Content-Type: application/json\r\n", `{"Tags":{"a":null}}`, 4},
		{"PATCH", "/restapis/a%2Fb/../resources/%00", "", `{"patchOperations":[{"op":"add"}]}`, 5},
		{"HEAD", "/restapis//", "Authorization: AWS4-HMAC-SHA256 Credential=a/b/c/apigateway/aws4_request\r\n", "", 99},
		{"DELETE", "http://iam.localhost/?Action=DeleteUser", "Authorization: AWS4-HMAC-SHA256\r\nAuthorization: x\r\n", "", 99},
		{"GET", "/_brume/health", "", "", 99},
	} {
		f.Add(seed.method, seed.target, seed.header, []byte(seed.body), seed.service)
	}
	h := newHarness(f)
	h.answerForms()
	services := []string{"iam", "sts", "dynamodb", "logs", "lambda", "apigateway", "sqs"}
	f.Fuzz(func(t *testing.T, method, target, header string, body []byte, service uint8) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n" + header + "\r\n")))
		if err != nil {
			return // net/http answers
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		if int(service) < len(services) {
			sigv4.Sign(r, body, rootKey, "us-east-1", services[service], now)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		h.log.b.Reset()
		if strings.HasPrefix(r.URL.Path, "/_brume/") {
			return
		}
		if got := read(t, w); got.status >= 500 && got.status != http.StatusNotImplemented {
			t.Errorf("%+v", got)
		}
	})
}
