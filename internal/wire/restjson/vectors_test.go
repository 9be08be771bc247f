package restjson

import (
	"strings"
	"testing"

	"brume/internal/wire/codec/codectest"
)

func TestInputVectors(t *testing.T) {
	codectest.Exceptions{
		"Idempotency token auto fill/1": "the client makes up a token",
	}.Run(t, codectest.Load(t, "input", "rest-json"), func(t *testing.T, v codectest.Vector) {
		req := codectest.Request(t, v)
		codectest.Resolve(t, v, req)
		codectest.Decode(t, New(), v, req)
	})
}

func TestOutputVectors(t *testing.T) {
	codectest.Exceptions{
		"Ignores extra data/0":       "a member that the model does not have: clients must bear it",
		"Ignores undefined output/0": "not a message of this protocol: clients must bear it",
	}.Run(t, codectest.Load(t, "output", "rest-json"), func(t *testing.T, v codectest.Vector) {
		w := codectest.Encode(t, New(), v)
		want := v.Response.Body
		switch v.Name {
		case "Scalar members/0":
			// Clients must read a timestamp in any format; a server writes the protocol's.
			want = strings.Replace(want, `"2015-01-25T08:00:00Z"`, "1422172800", 1)
		case "Streaming payload/0":
			if string(w.Body) != want {
				t.Errorf("body %q, want %q", w.Body, want)
			}
			return
		}
		codectest.SameJSON(t, string(w.Body), want)
	})
}
