package lambda

import (
	"fmt"
	"testing"

	api "brume/internal/api/lambda"
	"brume/internal/schema"
	"brume/internal/service/lambda/environment"
)

// https://docs.aws.amazon.com/lambda/latest/api/API_InvokeWithResponseStream.html
func TestInvokeWithResponseStream(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	events := func(in *api.InvokeWithResponseStreamInput) (got []string, err error) {
		in.FunctionName = new("f")
		out := ok[api.InvokeWithResponseStreamOutput](f, "InvokeWithResponseStream", in)
		if *out.ExecutedVersion != "$LATEST" {
			t.Errorf("%+v", out)
		}
		err = out.EventStream(func(e *schema.Event) error {
			text := string(e.Payload)
			if e.Members != nil {
				end := e.Members.(*api.InvokeWithResponseStreamCompleteEvent)
				for _, s := range []*string{end.ErrorCode, end.ErrorDetails, end.LogResult} {
					if s != nil {
						text += " " + *s
					}
				}
			}
			got = append(got, e.Name+" "+text)
			return nil
		})
		return got, err
	}
	f.envs.run = func(_ *environment.Function, inv *environment.Invocation) (*environment.Result, error) {
		inv.Stream.Begin("text/plain")
		inv.Stream.Write([]byte("a"))
		inv.Stream.Write([]byte("b"))
		return &environment.Result{LogTail: []byte("log")}, nil
	}
	if got, err := events(&api.InvokeWithResponseStreamInput{LogType: new("Tail")}); err != nil || fmt.Sprintf("%q", got) != `["PayloadChunk a" "PayloadChunk b" "InvokeComplete  bG9n"]` {
		t.Errorf("%q, %v", got, err)
	}
	f.envs.run = func(*environment.Function, *environment.Invocation) (*environment.Result, error) {
		return &environment.Result{Failed: true, Payload: []byte(`{"errorType":"E"}`)}, nil
	}
	if got, err := events(&api.InvokeWithResponseStreamInput{}); err != nil || fmt.Sprintf("%q", got) != `["InvokeComplete  Unhandled {\"errorType\":\"E\"}"]` {
		t.Errorf("%q, %v", got, err)
	}
	f.envs.run = func(*environment.Function, *environment.Invocation) (*environment.Result, error) {
		return nil, &environment.ThrottledError{Reason: "ReservedFunctionConcurrentInvocationLimitExceeded"}
	}
	_, err := events(&api.InvokeWithResponseStreamInput{})
	expectError(t, err, "TooManyRequestsException", "Rate Exceeded.")
	dry := ok[api.InvokeWithResponseStreamOutput](f, "InvokeWithResponseStream", &api.InvokeWithResponseStreamInput{FunctionName: new("f"), InvocationType: new("DryRun")})
	if *dry.StatusCode != 204 || dry.EventStream != nil {
		t.Errorf("%+v", dry)
	}
}
