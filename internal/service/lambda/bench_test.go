package lambda

import (
	"context"
	"testing"

	api "brume/internal/api/lambda"
	"brume/internal/dispatch"
	"brume/internal/service/lambda/environment"
)

// BenchmarkInvoke measures what Lambda itself does for an invocation, with validation and authorisation and without the
// function.
func BenchmarkInvoke(b *testing.B) {
	f := newFixture(b)
	f.create("f")
	result := &environment.Result{Payload: []byte(`{"a":1}`)}
	f.Service.environments = &constant{result: result}
	in := &api.InvokeInput{FunctionName: new("f"), Payload: []byte(`{"a":1}`)}
	ctx := root()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := dispatch.Run[api.InvokeOutput](ctx, f.calls, "lambda", "Invoke", in); err != nil {
			b.Fatal(err)
		}
	}
}

// constant runs nothing.
type constant struct {
	fakeEnvironments
	result *environment.Result
}

func (c *constant) Invoke(_ context.Context, _ *environment.Function, _ *environment.Invocation) (*environment.Result, error) {
	return c.result, nil
}
