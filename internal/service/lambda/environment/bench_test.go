package environment

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const (
	nothingPython = "def handler(event, context): return event"
	nothingNode   = "exports.handler = async (event) => event"
	nothingESM    = "export const handler = async (event) => event"
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

// BenchmarkCold measures the first invocation of a function: with a sandbox that was ready, and from the beginning.
func BenchmarkCold(b *testing.B) {
	for _, language := range []string{"python", "boto3", "node", "esm", "ruby", "java"} {
		for name, prebooted := range map[string]int{"ready": 0, "new": -1} {
			b.Run(language+"/"+name, func(b *testing.B) {
				h := newHarness(b, false, func(c *Config) { c.Prebooted = prebooted })
				f := h.benchmarkFunction(language)
				var times []time.Duration
				for b.Loop() {
					b.StopTimer()
					h.settle()
					b.StartTimer()
					next := *f
					next.Generation++
					f = &next
					began := time.Now()
					if got := h.invoke(f, "1"); got != "1" {
						b.Fatal(got)
					}
					times = append(times, time.Since(began))
				}
				slices.Sort(times)
				b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "ms/median")
			})
		}
	}
}

func (h *harness) benchmarkFunction(language string) *Function {
	f := h.node
	source := nothingNode
	switch language {
	case "ruby":
		f, source = func(source string) *Function { return h.function(h.runtime("ruby"), "index.rb", source) }, "def handler(event:, context:) = event\n"
	case "java":
		classes := javaClasses(h.t, "Echo", "public class Echo { public Object handle(Object event) { return event; } }")
		fn := h.zip(h.function(h.runtime("java"), "x", ""), classes)
		fn.Handler = "Echo::handle"
		h.invoke(fn, "1")
		return fn
	case "esm":
		f, source = func(source string) *Function { return h.function(h.runtime("nodejs"), "index.mjs", source) }, nothingESM
	case "python":
		f, source = h.python, nothingPython
	case "boto3":
		f, source = h.python, "import boto3\n"+nothingPython
	}
	fn := f(source)
	h.invoke(fn, "1")
	return fn
}
