package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	dynamodbapi "brume/internal/api/dynamodb"
	iamapi "brume/internal/api/iam"
	lambdaapi "brume/internal/api/lambda"
	"brume/internal/awserr"
	"brume/internal/schema"
	"brume/internal/wire/sigv4"
)

func fail(err error) func(context.Context, schema.Struct) (schema.Struct, error) {
	return func(context.Context, schema.Struct) (schema.Struct, error) { return nil, err }
}

// unwritable fails while it is encoded, after it has written something.
type unwritable struct{ *lambdaapi.InvokeOutput }

func (unwritable) EncodeMembers(schema.Encoder) { panic("half way") }

// A fault of ours is told to the log with its cause, once, and to the client without.
func TestFaultsAreOpaque(t *testing.T) {
	const message = "The request processing has failed because of an unknown error, exception or failure."
	cause := errors.New("the disk is on fire")
	var none *lambdaapi.GetFunctionOutput
	tests := []struct {
		name string
		call func(context.Context, schema.Struct) (schema.Struct, error)
		key  sigv4.Key
		log  string
	}{
		{"error", fail(fmt.Errorf("reading: %w", cause)), rootKey, "reading: the disk is on fire"},
		{"known error with a cause", fail(awserr.Internal(cause)), rootKey, "the disk is on fire"},
		{"panic", func(context.Context, schema.Struct) (schema.Struct, error) { panic(cause) }, rootKey, "the disk is on fire"},
		{"no output", func(context.Context, schema.Struct) (schema.Struct, error) { return none, nil }, rootKey, "panic"},
		{"output that cannot be written", func(context.Context, schema.Struct) (schema.Struct, error) {
			return unwritable{}, nil
		}, rootKey, "half way"},
		{"credentials that cannot be read", nil, brokenKey, "disk on fire"},
	}
	for _, tt := range tests {
		for _, f := range forms {
			t.Run(tt.name+"/"+f.name, func(t *testing.T) {
				if tt.name == "no output" && f.service != "lambda" {
					t.Skip("a nil of another type")
				}
				h := newHarness(t)
				h.calls[f.service+"."+f.operation] = tt.call
				w := h.do(f.signed(tt.key))
				got := read(t, w)
				code := "InternalFailure"
				if f.service == "dynamodb" {
					code = "InternalServerError"
				}
				if got != (answer{500, code, message}) {
					t.Errorf("%+v", got)
				}
				log := h.log.String()
				if n := strings.Count(log, "level=ERROR"); n != 1 {
					t.Errorf("%d errors in the log:\n%s", n, log)
				}
				if !strings.Contains(log, tt.log) || !strings.Contains(log, "request_id="+w.Header().Get("X-Amzn-Requestid")) {
					t.Errorf("log:\n%s", log)
				}
				if n := strings.Count(log, "msg=call "); n != 1 {
					t.Errorf("%d records of the call:\n%s", n, log)
				}
			})
		}
	}
}

// An error that comes after parts of an output have been written leaves nothing of them.
func TestErrorsHaveNoHeadersOfAnOutput(t *testing.T) {
	h := newHarness(t)
	h.calls["lambda.Invoke"] = func(context.Context, schema.Struct) (schema.Struct, error) {
		return &halfInvoked{lambdaapi.InvokeOutput{FunctionError: new("Unhandled"), Payload: []byte("{}")}}, nil
	}
	r := httptest.NewRequest("POST", "/2015-03-31/functions/f/invocations", strings.NewReader("{}"))
	sigv4.Sign(r, []byte("{}"), rootKey, "us-east-1", "lambda", now)
	w := h.do(r)
	if got := read(t, w); got.status != 500 {
		t.Errorf("%+v", got)
	}
	if v := w.Header().Get("X-Amz-Function-Error"); v != "" {
		t.Errorf("X-Amz-Function-Error: %q", v)
	}
}

// halfInvoked writes its members and then fails.
type halfInvoked struct{ lambdaapi.InvokeOutput }

func (v *halfInvoked) EncodeMembers(e schema.Encoder) {
	v.InvokeOutput.EncodeMembers(e)
	panic("after the members")
}

// Codes and statuses of errors of the domain are those of the protocol.
func TestErrorsOfTheDomain(t *testing.T) {
	denied := &awserr.Generic{Code: "AccessDenied", Message: "no", Status: 403}
	tests := []struct {
		err  error
		want wanted
	}{
		// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
		// https://docs.aws.amazon.com/lambda/latest/api/CommonErrors.html
		{denied, wanted{{403, "AccessDenied", "no"}, {400, "AccessDeniedException", "no"}, {403, "AccessDeniedException", "no"}}},
		{fmt.Errorf("wrapped: %w", denied), wanted{{403, "AccessDenied", "no"}, {400, "AccessDeniedException", "no"}, {403, "AccessDeniedException", "no"}}},
		{awserr.NotImplemented("X"), wanted{
			{501, "NotImplemented", "Brume does not implement the operation X."},
			{501, "NotImplemented", "Brume does not implement the operation X."},
			{501, "NotImplemented", "Brume does not implement the operation X."}}},
		{awserr.New("Teapot", "short").WithStatus(418), wanted{{418, "Teapot", "short"}, {418, "Teapot", "short"}, {418, "Teapot", "short"}}},
	}
	for _, tt := range tests {
		for _, f := range forms {
			h := newHarness(t)
			h.calls[f.service+"."+f.operation] = fail(tt.err)
			if got := read(t, h.do(f.signed(rootKey))); got != tt.want.in(&f) {
				t.Errorf("%v in %s: %+v", tt.err, f.name, got)
			}
			if log := h.log.String(); strings.Contains(log, "level=ERROR") {
				t.Errorf("logged as a fault of ours:\n%s", log)
			}
		}
	}
	h := newHarness(t)
	h.calls["dynamodb.ListTables"] = fail(&dynamodbapi.ResourceNotFoundException{Message: new("gone")})
	w := h.do(forms[2].signed(rootKey))
	if got := read(t, w); got != (answer{400, "ResourceNotFoundException", "gone"}) {
		t.Errorf("%+v", got)
	}
	// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html#Programming.Errors.Components
	if !strings.Contains(w.Body.String(), `"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"`) {
		t.Errorf("body %s", w.Body)
	}
	h.calls["iam.GetUser"] = fail(&iamapi.NoSuchEntityException{Message: new("gone")})
	if got := read(t, h.do(forms[0].signed(rootKey))); got != (answer{404, "NoSuchEntity", "gone"}) {
		t.Errorf("%+v", got)
	}
}

// A caller that went away is no fault of ours; one whose request was ended is told why.
func TestCallsThatEndWithTheirRequest(t *testing.T) {
	waits := func(ctx context.Context, _ schema.Struct) (schema.Struct, error) {
		<-ctx.Done()
		return nil, fmt.Errorf("waiting: %w", ctx.Err())
	}
	ended := &awserr.Generic{Code: "ServiceUnavailable", Message: "Come again.", Status: 503}
	for _, tt := range []struct {
		cause error
		want  answer
	}{
		{nil, answer{499, "ClientDisconnected", ""}},
		{ended, answer{503, "ServiceUnavailable", "Come again."}},
	} {
		h := newHarness(t)
		h.calls["dynamodb.ListTables"] = waits
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(tt.cause)
		if got := read(t, h.do(forms[2].signed(rootKey).WithContext(ctx))); got != tt.want {
			t.Errorf("%v: %+v", tt.cause, got)
		}
		if log := h.log.String(); strings.Contains(log, "level=ERROR") {
			t.Errorf("%v: log:\n%s", tt.cause, log)
		}
	}
}

// The log names who called what and how it went. Nothing that a caller keeps to itself is in it: no signature, no
// session token, no body, no parameters.
func TestTheLogHoldsNoSecrets(t *testing.T) {
	h := newHarness(t)
	h.answerForms()
	for _, f := range forms {
		r := f.signed(sessionKey)
		h.do(r)
		_, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
		log := h.log.String()
		for _, s := range []string{signature, token, secret} {
			if strings.Contains(log, s) {
				t.Errorf("%q is in the log:\n%s", s, log)
			}
		}
		for _, part := range []string{"service=" + f.service, "operation=" + f.operation, "status=20", "principal=arn:aws:iam::" + account + ":root",
			"source=192.0.2.1", "duration=", "request_id="} {
			if !strings.Contains(log, part) {
				t.Errorf("%s is not in the log:\n%s", part, log)
			}
		}
	}
	body := "Action=CreateLoginProfile&Version=2010-05-08&UserName=u&Password=correct-horse"
	for _, key := range []sigv4.Key{rootKey, forgedKey} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		sigv4.Sign(r, []byte(body), key, "us-east-1", "iam", now)
		h.do(r)
	}
	if log := h.log.String(); strings.Contains(log, "horse") {
		t.Errorf("a password is in the log:\n%s", log)
	}
	h.log.b.Reset()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("User-Agent", "x\nlevel=ERROR msg=forged")
	r.RemoteAddr = "@"
	h.do(r)
	if log := h.log.String(); strings.Count(log, "\n") != 1 {
		t.Errorf("a caller wrote into the log:\n%s", log)
	}
}

// However wild the requests, the metrics have labels out of the models only.
func TestMetricsAreBounded(t *testing.T) {
	h := newHarness(t)
	h.answerForms()
	for i := range 200 {
		name := fmt.Sprintf("x%d", i)
		body := "Action=" + name + "&Version=2010-05-08"
		for _, r := range []*http.Request{
			httptest.NewRequest(fmt.Sprintf("M%d", i), "/"+name, nil),
			httptest.NewRequest("GET", "/?Action="+name, nil),
			httptest.NewRequest("POST", "/", strings.NewReader(body)),
			httptest.NewRequest("POST", "/", strings.NewReader("{}")),
			httptest.NewRequest("GET", "/2015-03-31/functions/"+name, nil),
		} {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if r.ContentLength == 2 {
				r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+name)
			}
			h.do(r)
			service := "iam"
			if i%2 == 0 {
				service = name
			}
			b, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			r.Body = io.NopCloser(bytes.NewReader(b))
			sigv4.Sign(r, b, rootKey, "us-east-1", service, now)
			h.do(r)
		}
	}
	families, err := h.Metrics.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{"unknown": true}
	for _, svc := range h.Services {
		known[svc.Name] = true
		for i := range svc.Operations {
			known[svc.Operations[i].Name] = true
		}
	}
	n := 0
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "brume_") {
			continue
		}
		for _, m := range f.GetMetric() {
			n++
			for _, l := range m.GetLabel() {
				if (l.GetName() == "service" || l.GetName() == "operation") && !known[l.GetValue()] {
					t.Errorf("%s has %s=%q", f.GetName(), l.GetName(), l.GetValue())
				}
			}
		}
	}
	if n == 0 || n > 60 {
		t.Errorf("%d time series", n)
	}
	// The log says what was asked for.
	if log := h.log.String(); !strings.Contains(log, " service=x0 operation=unknown status=501 ") || strings.Contains(log, " service=x1 ") {
		t.Error("the log does not name the services that are not here")
	}
}
