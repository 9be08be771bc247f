package lambda

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	api "brume/internal/api/lambda"
	"brume/internal/blob"
	"brume/internal/runtimes"
	"brume/internal/service/lambda/environment"
)

// https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
func TestInvoke(t *testing.T) {
	f := newFixture(t)
	in := f.input("f")
	in.Environment = &api.Environment{Variables: map[string]string{"KEY": "value"}}
	ok[api.FunctionConfiguration](f, "CreateFunction", in)
	out := ok[api.InvokeOutput](f, "Invoke", &api.InvokeInput{
		FunctionName: new("f"), Payload: []byte(`{"a":1}`), LogType: new("Tail"), ClientContext: new(base64.StdEncoding.EncodeToString([]byte(`{"client":{}}`))),
	})
	if *out.StatusCode != 200 || string(out.Payload) != `{"a":1}` || *out.ExecutedVersion != "$LATEST" || out.FunctionError != nil || *out.LogResult != base64.StdEncoding.EncodeToString([]byte("log")) {
		t.Errorf("%+v", out)
	}
	inv, fn := f.envs.runs[0], f.envs.ran[0]
	if inv.FunctionARN != fnARN+"f" || inv.ClientContext != `{"client":{}}` || !inv.Tail || len(inv.RequestID) != 36 || inv.Limits != (environment.Limits{Reserved: -1, Unreserved: 1000}) {
		t.Errorf("%+v", inv)
	}
	if fn.Name != "f" || fn.ARN != fnARN+"f:$LATEST" || fn.Handler != "index.handler" || fn.Timeout != 3*time.Second || fn.MemoryMB != 128 || fn.TmpMB != 512 ||
		fn.Variables["KEY"] != "value" || fn.LogGroup != "/aws/lambda/f" || fn.Role != roleARN {
		t.Errorf("%+v", fn)
	}
	out = ok[api.InvokeOutput](f, "Invoke", &api.InvokeInput{FunctionName: new("f:$LATEST")})
	if string(out.Payload) != "{}" || out.LogResult != nil || f.envs.runs[1].FunctionARN != fnARN+"f:$LATEST" || f.envs.ran[1] != fn {
		t.Errorf("%+v", out)
	}
	dry := ok[api.InvokeOutput](f, "Invoke", &api.InvokeInput{FunctionName: new("f"), InvocationType: new("DryRun")})
	if *dry.StatusCode != 204 || dry.Payload != nil || len(f.envs.runs) != 2 {
		t.Errorf("%+v", dry)
	}
	f.envs.run = func(*environment.Function, *environment.Invocation) (*environment.Result, error) {
		return &environment.Result{Payload: []byte(`{"errorType":"E"}`), Failed: true}, nil
	}
	if out = ok[api.InvokeOutput](f, "Invoke", &api.InvokeInput{FunctionName: new("f")}); *out.FunctionError != "Unhandled" || *out.StatusCode != 200 {
		t.Errorf("%+v", out)
	}
	// The next invocation sees an update.
	ok[api.FunctionConfiguration](f, "UpdateFunctionConfiguration", &api.UpdateFunctionConfigurationInput{FunctionName: new("f"), Timeout: new(int32(7))})
	ok[api.InvokeOutput](f, "Invoke", &api.InvokeInput{FunctionName: new("f")})
	if last := f.envs.ran[len(f.envs.ran)-1]; last.Timeout != 7*time.Second || last.Generation <= fn.Generation {
		t.Errorf("%+v", last)
	}
}

func TestInvokeRefuses(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	for what, tt := range map[string]struct {
		in            *api.InvokeInput
		code, message string
	}{
		"no JSON":        {&api.InvokeInput{Payload: []byte("{\n\"a\":x}")}, "InvalidRequestContentException", "Could not parse request body into json: Could not parse payload into json: Unrecognized token 'x': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')\n at [Source: (byte[])\"{\n\"a\":x}\"; line: 2, column: 7]"},
		"half":           {&api.InvokeInput{Payload: []byte(`{"a":`)}, "InvalidRequestContentException", "Could not parse payload into json: Unexpected end-of-input within/between Object entries\n at [Source: (byte[])\"{\"a\":\"; line: 1, column: 6]"},
		"two":            {&api.InvokeInput{Payload: []byte(`1 2`)}, "InvalidRequestContentException", "Could not parse payload into json"},
		"large":          {&api.InvokeInput{Payload: jsonOf(maxPayload + 1)}, "RequestTooLargeException", "6291457 byte payload is too large for the RequestResponse invocation type (limit 6291456 bytes)"},
		"large event":    {&api.InvokeInput{Payload: jsonOf(maxEventPayload + 1), InvocationType: new("Event")}, "RequestTooLargeException", "1048577 byte payload is too large for the Event invocation type (limit 1048576 bytes)"},
		"context":        {&api.InvokeInput{ClientContext: new("{}")}, "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object."},
		"no JSON either": {&api.InvokeInput{ClientContext: new(base64.StdEncoding.EncodeToString([]byte("x")))}, "InvalidRequestContentException", "Client context must be"},
		"long context":   {&api.InvokeInput{ClientContext: new(strings.Repeat("A", maxClientContext+1))}, "InvalidRequestContentException", "no longer than 3583 bytes"},
		"type":           {&api.InvokeInput{InvocationType: new("Later")}, "ValidationException", "invocationType"},
	} {
		tt.in.FunctionName = new("f")
		_, err := do[api.InvokeOutput](f, root(), "Invoke", tt.in)
		t.Run(what, func(t *testing.T) { expectError(t, err, tt.code, tt.message) })
	}
	if len(f.envs.runs) != 0 {
		t.Errorf("%d runs", len(f.envs.runs))
	}
	ok[api.InvokeOutput](f, "Invoke", &api.InvokeInput{FunctionName: new("f"), Payload: jsonOf(maxPayload)})

	var cause error
	f.envs.run = func(*environment.Function, *environment.Invocation) (*environment.Result, error) { return nil, cause }
	for _, tt := range []struct {
		cause         error
		code, message string
	}{
		{&environment.ThrottledError{Reason: "ConcurrentInvocationLimitExceeded"}, "TooManyRequestsException", "Rate Exceeded."},
		{fmt.Errorf("x: %w", environment.ErrRoleDenied), "AccessDeniedException", "The role defined for the function cannot be assumed by Lambda."},
		{&runtimes.UnavailableError{Runtime: "python3.12", Install: "apt-get install python3"}, "InvalidRuntimeException", "Install it with: apt-get install python3"},
		{environment.ErrClosed, "ServiceException", "stopping"},
	} {
		cause = tt.cause
		refused[api.InvokeOutput](f, "Invoke", &api.InvokeInput{FunctionName: new("f")}, tt.code, tt.message)
	}
	cause = &environment.ThrottledError{Reason: "ReservedFunctionConcurrentInvocationLimitExceeded"}
	_, err := do[api.InvokeOutput](f, root(), "Invoke", &api.InvokeInput{FunctionName: new("f")})
	if e, ok := errors.AsType[*api.TooManyRequestsException](err); !ok || *e.Reason != "ReservedFunctionConcurrentInvocationLimitExceeded" || e.HTTPStatus() != 429 {
		t.Errorf("%v", err)
	}
}

// An update may take the code away between the reading of a function and its start.
func TestInvokeReadsAgainWhatChangedMeanwhile(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	tries := 0
	f.envs.run = func(*environment.Function, *environment.Invocation) (*environment.Result, error) {
		if tries++; tries%2 == 1 {
			return nil, fmt.Errorf("start: %w", blob.ErrNotFound)
		}
		return &environment.Result{Payload: []byte("1")}, nil
	}
	if out := ok[api.InvokeOutput](f, "Invoke", &api.InvokeInput{FunctionName: new("f")}); string(out.Payload) != "1" || tries != 2 {
		t.Errorf("%+v after %d tries", out, tries)
	}
}

// jsonOf is a JSON document of n bytes.
func jsonOf(n int) []byte { return []byte(`"` + strings.Repeat("x", n-2) + `"`) }

func TestInvokeDecodesOnce(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	for range 3 {
		ok[api.InvokeOutput](f, "Invoke", &api.InvokeInput{FunctionName: new("f")})
	}
	if f.envs.ran[0] != f.envs.ran[1] || f.envs.ran[1] != f.envs.ran[2] {
		t.Error("a row that did not change is decoded again")
	}
	for i := range maxCached + 10 {
		key := fmt.Appendf(nil, "key %d", i)
		_, err := cached(&f.cache, key, []byte("v"), func() (*int, error) { return &i, nil })
		must(t, err)
	}
	if n := len(f.cache.rows); n != maxCached {
		t.Errorf("%d rows are cached", n)
	}
}
