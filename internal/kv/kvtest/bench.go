package kvtest

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"brume/internal/kv"
)

// Benchmark measures a store: one reader, one writer, and many.
func Benchmark(b *testing.B, open func(b *testing.B) kv.Store) {
	const n = 10_000
	key := func(i uint64) []byte { return binary.BigEndian.AppendUint64([]byte("some/prefix/"), i) }
	value := make([]byte, 200)
	fill := func(b *testing.B) kv.Store {
		s := open(b)
		b.Cleanup(func() {
			if err := s.Close(); err != nil {
				b.Error(err)
			}
		})
		update(b, s, func(tx kv.Tx) error {
			for i := range uint64(n) {
				if err := tx.Set(key(i), value); err != nil {
					return err
				}
			}
			return nil
		})
		b.ReportAllocs()
		b.ResetTimer()
		return s
	}
	ctx := context.Background()
	readWrite := func(s kv.Store, k []byte) error {
		return s.Update(ctx, func(tx kv.Tx) error {
			if _, _, err := tx.Get(k); err != nil {
				return err
			}
			return tx.Set(k, value)
		})
	}
	b.Run("Get", func(b *testing.B) {
		s := fill(b)
		for b.Loop() {
			if err := s.View(ctx, func(r kv.Reader) error {
				_, _, err := r.Get(key(rand.Uint64N(n)))
				return err
			}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Scan100", func(b *testing.B) {
		s := fill(b)
		for b.Loop() {
			if err := s.View(ctx, func(r kv.Reader) error {
				for _, err := range r.Scan(kv.Range{Start: key(rand.Uint64N(n - 100)), Limit: 100}) {
					if err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Update", func(b *testing.B) {
		s := fill(b)
		for b.Loop() {
			if err := readWrite(s, key(rand.Uint64N(n))); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("UpdateBy64", func(b *testing.B) {
		s := fill(b)
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := readWrite(s, key(rand.Uint64N(n))); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("UpdateOneKeyBy64", func(b *testing.B) {
		s := fill(b)
		var runs atomic.Int64
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if err := s.Update(ctx, func(tx kv.Tx) error {
					runs.Add(1)
					if _, _, err := tx.Get(key(1)); err != nil {
						return err
					}
					return tx.Set(key(1), value)
				}); err != nil {
					b.Error(err)
					return
				}
			}
		})
		b.ReportMetric(float64(runs.Load())/float64(b.N), "runs/op")
	})
}
