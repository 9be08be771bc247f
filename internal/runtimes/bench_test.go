package runtimes

import (
	"fmt"
	"testing"
	"time"

	"brume/internal/runtimeapi"
)

var echo = map[family]struct {
	handler string
	files   map[string]string
}{
	python: {"lambda_function.lambda_handler", one("lambda_function.py", "def lambda_handler(event, context): return event\n")},
	ruby:   {"lambda_function.handler", one("lambda_function.rb", "def handler(event:, context:) = event\n")},
	nodejs: {"index.handler", one("index.js", "exports.handler = async (event) => event;\n")},
}

// BenchmarkColdStart is from the start of the interpreter to the request for the first invocation, without a sandbox.
func BenchmarkColdStart(b *testing.B) {
	benchmarkEach(b, func(b *testing.B, r *Runtime) {
		for b.Loop() {
			f := run(b, r, echo[r.family].handler, echo[r.family].files)
			if err := f.env.Ready(deadline(b)); err != nil {
				b.Fatal(err)
			}
			f.kill()
		}
	})
}

// BenchmarkWarm is one invocation of a function that returns its event.
func BenchmarkWarm(b *testing.B) {
	benchmarkEach(b, func(b *testing.B, r *Runtime) {
		f := run(b, r, echo[r.family].handler, echo[r.family].files)
		inv := &runtimeapi.Invocation{
			RequestID: "00000000-0000-4000-8000-000000000001", Deadline: time.Now().Add(time.Hour), FunctionARN: functionARN,
			Payload: []byte(`{"httpMethod":"POST","body":"{\"TableName\":\"t\",\"Item\":{\"username\":\"bob\"}}"}`),
		}
		ctx := deadline(b)
		for b.Loop() {
			if _, err := f.env.Invoke(ctx, inv); err != nil {
				b.Fatal(err)
			}
			if err := f.env.Ready(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func benchmarkEach(b *testing.B, bench func(b *testing.B, r *Runtime)) {
	all, err := here()
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range names(all) {
		if r := all[name]; r.family != provided && r.family != java { // which would have to be compiled
			b.Run(fmt.Sprint(name, "=", r.Version), func(b *testing.B) { bench(b, r) })
		}
	}
}
