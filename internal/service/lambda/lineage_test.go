package lambda

import (
	"fmt"
	"strings"
	"testing"

	api "brume/internal/api/lambda"
	"brume/internal/call"
	"brume/internal/service/lambda/environment"
)

// https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
func TestLineage(t *testing.T) {
	f := &environment.Function{Account: account, Region: region, Name: "f"}
	id := ancestor(account, region, "f")
	for trace, want := range map[string]string{
		"":                                  "Lineage=" + id + ":1",
		"Root=1-2;Sampled=1":                "Root=1-2;Sampled=1;Lineage=" + id + ":1",
		"Lineage=" + id + ":4;Root=1":       "Root=1;Lineage=" + id + ":5",
		"Lineage=00000000:1|" + id + ":1|x": "Lineage=00000000:1|" + id + ":2",
		"Lineage=" + id + ":-1|1:1|zzzzzzzz:1|aaaaaaaa:": "Lineage=" + id + ":1",
	} {
		if got := extendTrace(trace, f); got != want {
			t.Errorf("%q became %q, want %q", trace, got, want)
		}
	}
	trace := ""
	for i := range 3 * maxAncestors {
		trace = extendTrace(trace, &environment.Function{Name: fmt.Sprint(i)})
	}
	if l, _ := readLineage(trace); len(l) != maxAncestors || l[ancestor("", "", fmt.Sprint(3*maxAncestors-1))] != 1 {
		t.Errorf("%d ancestors: %s", len(l), trace)
	}
}

// A function that a chain of invocations comes back to for the seventeenth time does not run, unless it may.
func TestRecursiveInvocations(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	ctx := root()
	info := call.From(ctx)
	invoke := func() error {
		_, err := do[api.InvokeOutput](f, ctx, "Invoke", &api.InvokeInput{FunctionName: new("f")})
		if err == nil {
			info.TraceID = f.envs.runs[len(f.envs.runs)-1].TraceID
		}
		return err
	}
	for range 16 {
		must(t, invoke())
	}
	expectError(t, invoke(), "RecursiveInvocationException", "AWS Lambda detected the function being invoked in a recursive loop with other AWS resources and stopped your function's invocation.")
	_, err := do[api.InvokeWithResponseStreamOutput](f, ctx, "InvokeWithResponseStream", &api.InvokeWithResponseStreamInput{FunctionName: new("f")})
	expectError(t, err, "RecursiveInvocationException", "recursive loop")
	ok[api.PutFunctionRecursionConfigOutput](f, "PutFunctionRecursionConfig", &api.PutFunctionRecursionConfigInput{FunctionName: new("f"), RecursiveLoop: new("Allow")})
	must(t, invoke())
	if !strings.HasSuffix(info.TraceID, ":17") {
		t.Error(info.TraceID)
	}
}
