package sdk

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// An invocation continues the trace that its caller sends, and a chain of them that keeps coming back is stopped.
// https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html and …/invocation-recursion.html
func TestLambdaTraces(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.function("f", "import os\ndef handler(event, context): return os.environ['_X_AMZN_TRACE_ID']\n", nil)
	const root = "Root=1-5759e988-bd862e3fe1be46a994272793;"
	trace := root + "Parent=53995c3f42cd8ad8;Sampled=1"
	for i := range 17 {
		out, err := w.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: new("f")}, func(o *lambda.Options) {
			o.APIOptions = append(o.APIOptions, smithyhttp.AddHeaderValue("X-Amzn-Trace-Id", trace))
		})
		if i == 16 {
			if err == nil || !strings.Contains(err.Error(), "RecursiveInvocationException: AWS Lambda detected") {
				t.Errorf("the function runs in a loop: %v", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Trim(string(out.Payload), `"`)
		if !strings.HasPrefix(got, root+"Parent=") || strings.Contains(got, "53995c3f42cd8ad8") || !strings.Contains(got, ";Sampled=1;Lineage=") {
			t.Fatalf("the trace became %s", got)
		}
		trace = got
	}
}
