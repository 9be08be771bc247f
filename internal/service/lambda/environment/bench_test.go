package environment

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

const (
	nothingPython = "def handler(event, context): return event"
	nothingNode   = "exports.handler = async (event) => event"
)

// BenchmarkWarm measures an invocation in an environment that is up, and beside it a request over the loopback to a server
// that does nothing.
func BenchmarkWarm(b *testing.B) {
	b.Run("echo", func(b *testing.B) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
		defer server.Close()
		b.ReportAllocs()
		for b.Loop() {
			resp, err := server.Client().Post(server.URL, "application/json", strings.NewReader(`{"a":1}`))
			must(b, err)
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	})
	for _, language := range []string{"python", "node"} {
		b.Run(language, func(b *testing.B) {
			h := newHarness(b, false, nil)
			f := h.benchmarkFunction(language)
			inv := &Invocation{RequestID: "00000000-0000-4000-8000-000000000000", FunctionARN: f.ARN, Payload: []byte(`{"a":1}`), Limits: noLimits}
			b.ReportAllocs()
			for b.Loop() {
				if r, err := h.manager.Invoke(b.Context(), f, inv); err != nil || r.Failed {
					b.Fatal(r, err)
				}
			}
		})
		b.Run(language+"/parallel", func(b *testing.B) {
			h := newHarness(b, false, nil)
			f := h.benchmarkFunction(language)
			inv := &Invocation{RequestID: "00000000-0000-4000-8000-000000000000", FunctionARN: f.ARN, Payload: []byte(`{"a":1}`), Limits: noLimits}
			var failed atomic.Int32
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if r, err := h.manager.Invoke(b.Context(), f, inv); err != nil || r.Failed {
						failed.Add(1)
					}
				}
			})
			if failed.Load() > 0 {
				b.Errorf("%d invocations failed", failed.Load())
			}
		})
	}
}

// BenchmarkCold measures the first invocation of a function.
func BenchmarkCold(b *testing.B) {
	for _, language := range []string{"python", "node"} {
		b.Run(language, func(b *testing.B) {
			h := newHarness(b, false, nil)
			f := h.benchmarkFunction(language)
			for b.Loop() {
				next := *f
				next.Generation++
				f = &next
				if got := h.invoke(f, "1"); got != "1" {
					b.Fatal(got)
				}
			}
		})
	}
}

func (h *harness) benchmarkFunction(language string) *Function {
	f := h.node
	source := nothingNode
	if language == "python" {
		f, source = h.python, nothingPython
	}
	fn := f(source)
	h.invoke(fn, "1")
	return fn
}
