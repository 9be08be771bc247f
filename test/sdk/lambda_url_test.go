package sdk

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// urlRequest makes a request to a function URL, by its host or by the path form.
func urlRequest(t *testing.T, method, functionURL, path, body string, byPath bool) *http.Request {
	t.Helper()
	u := ok(url.Parse(functionURL))(t)
	id, _, _ := strings.Cut(u.Host, ".")
	target := brume.Endpoint + path
	if byPath {
		target = brume.Endpoint + "/_aws/lambda-url/" + id + path
	}
	req := ok(http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body)))(t)
	if !byPath {
		req.Host = u.Host
	}
	return req
}

func send(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp := ok(http.DefaultClient.Do(req))(t)
	defer resp.Body.Close()
	return resp, string(ok(io.ReadAll(resp.Body))(t))
}

// https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html
func TestLambdaFunctionURL(t *testing.T) {
	w := newWorld(t, "")
	w.function("f", `
def handler(e, c):
  return {"statusCode": 201, "headers": {"X-Path": e["rawPath"], "X-Who": e["requestContext"]["accountId"]}, "cookies": ["a=1"], "body": e.get("body", "none")}
`, nil)
	out := ok(w.lambda.CreateFunctionUrlConfig(t.Context(), &lambda.CreateFunctionUrlConfigInput{FunctionName: aws.String("f"), AuthType: types.FunctionUrlAuthTypeNone}))(t)
	resp, body := send(t, urlRequest(t, "GET", *out.FunctionUrl, "/", "", false))
	if resp.StatusCode != 403 || !strings.Contains(body, "urls-auth.html") {
		t.Errorf("%s: %s", resp.Status, body)
	}
	ok(w.lambda.AddPermission(t.Context(), &lambda.AddPermissionInput{
		FunctionName: aws.String("f"), StatementId: aws.String("url"), Action: aws.String("lambda:InvokeFunctionUrl"), Principal: aws.String("*"), FunctionUrlAuthType: types.FunctionUrlAuthTypeNone,
	}))(t)
	ok(w.lambda.AddPermission(t.Context(), &lambda.AddPermissionInput{
		FunctionName: aws.String("f"), StatementId: aws.String("invoke"), Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("*"), InvokedViaFunctionUrl: aws.Bool(true),
	}))(t)
	for _, byPath := range []bool{false, true} {
		resp, body = send(t, urlRequest(t, "POST", *out.FunctionUrl, "/a%20b", "hello", byPath))
		if resp.StatusCode != 201 || body != "aGVsbG8=" || resp.Header.Get("X-Path") != "/a%20b" || resp.Header.Get("Set-Cookie") != "a=1" || resp.Header.Get("X-Who") != "anonymous" {
			t.Errorf("%s: %v %s", resp.Status, resp.Header, body)
		}
	}

	// With signatures: nobody without one, a user with the permissions, and not one without.
	ok(w.lambda.UpdateFunctionUrlConfig(t.Context(), &lambda.UpdateFunctionUrlConfigInput{FunctionName: aws.String("f"), AuthType: types.FunctionUrlAuthTypeAwsIam}))(t)
	_, may := newUser(t, w.config, "may", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["lambda:InvokeFunctionUrl","lambda:InvokeFunction"],"Resource":"*"}}`)
	_, mayNot := newUser(t, w.config, "maynot", allow("lambda:GetFunction", "*"))
	signed := func(cfg aws.Config, region, body string, byPath bool) int {
		req := urlRequest(t, "PUT", *out.FunctionUrl, "/x?q=1", body, byPath)
		sum := sha256.Sum256([]byte(body))
		creds := ok(cfg.Credentials.Retrieve(t.Context()))(t)
		if err := v4.NewSigner().SignHTTP(t.Context(), creds, req, hex.EncodeToString(sum[:]), "lambda", region, time.Now()); err != nil {
			t.Fatal(err)
		}
		resp, body := send(t, req)
		if resp.StatusCode == 201 && resp.Header.Get("X-Who") != w.account {
			t.Errorf("called by %s: %s", resp.Header.Get("X-Who"), body)
		}
		return resp.StatusCode
	}
	for _, byPath := range []bool{false, true} {
		same(t, "with permission", signed(may, region, "b", byPath), 201)
		same(t, "without permission", signed(mayNot, region, "b", byPath), 403)
		same(t, "for another region", signed(may, "us-east-1", "b", byPath), 403)
		resp, _ := send(t, urlRequest(t, "GET", *out.FunctionUrl, "/", "", byPath))
		same(t, "unsigned", resp.StatusCode, 403)
	}
}

// A streamed response comes piece by piece.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html
func TestLambdaFunctionURLStreams(t *testing.T) {
	runtime := nodeRuntime(t)
	w := newWorld(t, "")
	w.function("f", "", func(in *lambda.CreateFunctionInput) {
		in.Runtime = runtime
		in.Code.ZipFile = zipOf(t, "index.mjs", `
export const handler = awslambda.streamifyResponse(async (event, stream) => {
  stream = awslambda.HttpResponseStream.from(stream, {statusCode: 202, headers: {'X-A': '1'}, cookies: ['c=1']});
  stream.write('first ');
  await new Promise((r) => setTimeout(r, 1000));
  stream.end('second');
});`)
	})
	out := ok(w.lambda.CreateFunctionUrlConfig(t.Context(), &lambda.CreateFunctionUrlConfigInput{
		FunctionName: aws.String("f"), AuthType: types.FunctionUrlAuthTypeAwsIam, InvokeMode: types.InvokeModeResponseStream,
	}))(t)
	req := urlRequest(t, "GET", *out.FunctionUrl, "/", "", false)
	sum := sha256.Sum256(nil)
	if err := v4.NewSigner().SignHTTP(t.Context(), ok(w.config.Credentials.Retrieve(t.Context()))(t), req, hex.EncodeToString(sum[:]), "lambda", region, time.Now()); err != nil {
		t.Fatal(err)
	}
	resp := ok(http.DefaultClient.Do(req))(t)
	defer resp.Body.Close()
	if resp.StatusCode != 202 || resp.Header.Get("X-A") != "1" || resp.Header.Get("Set-Cookie") != "c=1" {
		t.Errorf("%s: %v", resp.Status, resp.Header)
	}
	piece := make([]byte, 6)
	ok(io.ReadFull(resp.Body, piece))(t)
	began := time.Now()
	rest := ok(io.ReadAll(resp.Body))(t)
	if string(piece) != "first " || !bytes.Equal(rest, []byte("second")) || time.Since(began) < 300*time.Millisecond {
		t.Errorf("%q, then %q after %v", piece, rest, time.Since(began))
	}
}

// https://docs.aws.amazon.com/lambda/latest/api/API_InvokeWithResponseStream.html
func TestLambdaInvokeWithResponseStream(t *testing.T) {
	runtime := nodeRuntime(t)
	w := newWorld(t, "")
	w.function("f", "", func(in *lambda.CreateFunctionInput) {
		in.Runtime = runtime
		in.Code.ZipFile = zipOf(t, "index.mjs", `
export const handler = awslambda.streamifyResponse(async (event, stream) => {
  if (event === 'throttle') throw new Error('bad');
  stream.write('first ');
  await new Promise((r) => setTimeout(r, 500));
  stream.end('second');
});`)
	})
	w.function("buffered", "def handler(e, c): return e", nil)
	read := func(name, payload string) (body string, end types.InvokeWithResponseStreamCompleteEvent, chunks int) {
		out := ok(w.lambda.InvokeWithResponseStream(t.Context(), &lambda.InvokeWithResponseStreamInput{FunctionName: &name, Payload: []byte(payload), LogType: types.LogTypeTail}))(t)
		stream := out.GetStream()
		defer stream.Close()
		same(t, "version", aws.ToString(out.ExecutedVersion), "$LATEST")
		for e := range stream.Events() {
			switch e := e.(type) {
			case *types.InvokeWithResponseStreamResponseEventMemberPayloadChunk:
				body += string(e.Value.Payload)
				chunks++
			case *types.InvokeWithResponseStreamResponseEventMemberInvokeComplete:
				end = e.Value
			}
		}
		if err := stream.Err(); err != nil {
			t.Fatal(err)
		}
		return body, end, chunks
	}
	body, end, chunks := read("f", "{}")
	if body != "first second" || chunks < 2 || end.ErrorCode != nil || end.LogResult == nil {
		t.Errorf("%q in %d chunks, %+v", body, chunks, end)
	}
	if body, end, _ := read("f", `"throttle"`); body != "" || aws.ToString(end.ErrorCode) == "" || !strings.Contains(aws.ToString(end.ErrorDetails), "bad") {
		t.Errorf("%q, %+v", body, end)
	}
	if body, _, _ := read("buffered", `{"a":[1]}`); strings.ReplaceAll(body, " ", "") != `{"a":[1]}` {
		t.Errorf("%q", body)
	}
	ok(w.lambda.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String("f"), ReservedConcurrentExecutions: aws.Int32(0)}))(t)
	_, err := w.lambda.InvokeWithResponseStream(t.Context(), &lambda.InvokeWithResponseStreamInput{FunctionName: aws.String("f")})
	is[*types.TooManyRequestsException](t, err, "Rate Exceeded.")
}
