package pebblekv_test

import (
	"context"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"brume/internal/kv"
	"brume/internal/kv/kvtest"
	"brume/internal/kv/pebblekv"
)

func open(t testing.TB, o pebblekv.Options) *pebblekv.Store {
	t.Helper()
	s, err := pebblekv.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("disk", func(t *testing.T) {
		kvtest.Run(t, func(t *testing.T) kv.Store { return open(t, pebblekv.Options{Dir: t.TempDir()}) })
	})
	t.Run("memory", func(t *testing.T) {
		kvtest.Run(t, func(t *testing.T) kv.Store { return open(t, pebblekv.Options{Dir: "/data", FS: vfs.NewMem()}) })
	})
}

func BenchmarkStore(b *testing.B) {
	kvtest.Benchmark(b, func(b *testing.B) kv.Store { return open(b, pebblekv.Options{Dir: b.TempDir()}) })
}
