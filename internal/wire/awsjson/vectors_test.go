package awsjson

import (
	"testing"

	"brume/internal/wire/codec/codectest"
)

func TestInputVectors(t *testing.T) {
	codectest.Exceptions{
		"Idempotency token auto fill/1": "the client makes up a token",
	}.Run(t, codectest.Load(t, "input", "json"), func(t *testing.T, v codectest.Vector) {
		req := codectest.Request(t, v)
		if len(req.Body) == 0 {
			req.Body = []byte("{}") // the vector leaves the body open
		}
		if v.Serialized.Headers["X-Amz-Target"] == "" {
			// The vector leaves the headers open.
			v.Svc.TargetPrefix = "com.amazonaws.foo"
			req.Header.Set("X-Amz-Target", "com.amazonaws.foo.OperationName")
			req.Header.Set("Content-Type", "application/x-amz-json-1.0")
		}
		codectest.Resolve(t, v, req)
		codectest.Decode(t, New(), v, req)
	})
}

func TestOutputVectors(t *testing.T) {
	codectest.Exceptions{
		"Lists/1":                               "lists hold no nulls on their way out",
		"unmodeled non-json response payload/0": "not a message of this protocol: clients must bear it",
		"unmodeled non-json response payload/1": "not a message of this protocol: clients must bear it",
		"Ignores extra data/0":                  "a member that the model does not have: clients must bear it",
	}.Run(t, codectest.Load(t, "output", "json"), func(t *testing.T, v codectest.Vector) {
		w := codectest.Encode(t, New(), v)
		codectest.SameJSON(t, string(w.Body), v.Response.Body)
	})
}
