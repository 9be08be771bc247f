package pebblekv

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"brume/internal/kv"
)

// The committer remembers nothing that no running transaction can be checked against, and never more than its bound.
func TestHistoryIsBounded(t *testing.T) {
	ctx := context.Background()
	s, err := Open(ctx, Options{Dir: "/data", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	write := func(n int) {
		if err := s.Update(ctx, func(tx kv.Tx) error {
			for i := range n {
				if err := tx.Set(fmt.Appendf(nil, "%01000d", i), nil); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		write(10)
	}
	h := &s.committer.history // the committer sleeps
	if len(h.last) > 10 || len(h.groups) > 1 {
		t.Errorf("%d keys in %d groups are remembered for nobody", len(h.last), len(h.groups))
	}
	// The first transaction of all still runs while others come and go.
	first := true
	if err := s.Update(ctx, func(tx kv.Tx) error {
		if !first {
			return nil
		}
		first = false
		for range 30 {
			write(500)
		}
		if h.size > maxHistory {
			t.Errorf("%d bytes are remembered, more than %d", h.size, maxHistory)
		}
		if len(h.groups) < 10 {
			t.Errorf("only %d groups are remembered", len(h.groups))
		}
		return tx.Set([]byte("x"), nil)
	}); err != nil {
		t.Fatal(err)
	}
	write(1)
	write(1)
	if len(h.last) > 1 || len(h.groups) > 1 || len(s.live) > 2 {
		t.Errorf("%d keys in %d groups of %d snapshots are remembered for nobody", len(h.last), len(h.groups), len(s.live))
	}
	if h.size < 0 || h.size > 2*(1001+keyOverhead) {
		t.Errorf("the history is said to have %d bytes", h.size)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A history answers as one does that keeps everything and looks at all of it.
func TestHistoryModel(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	type commit struct {
		version uint64
		keys    [][]byte
	}
	for range 300 {
		h := newHistory(1)
		var all []commit
		key := func() []byte { return []byte{dataSpace, byte(random.IntN(12))} }
		for version := uint64(2); version < 12; version++ {
			h.open(version)
			for range random.IntN(4) {
				t1 := &tx{}
				t1.snap = &snapshot{version: 1 + random.Uint64N(version-1)}
				for range random.IntN(2) {
					t1.reads = append(t1.reads, key())
				}
				for range random.IntN(2) {
					lo, hi := key(), key()
					t1.spans = append(t1.spans, span{lo: lo, hi: hi, hiOpen: random.IntN(2) == 0})
				}
				want := t1.snap.version < h.floor
				for _, c := range all {
					if c.version <= t1.snap.version {
						continue
					}
					for _, k := range c.keys {
						hit := slices.ContainsFunc(t1.reads, func(r []byte) bool { return string(r) == string(k) }) ||
							slices.ContainsFunc(t1.spans, func(s span) bool { return string(k) >= string(s.lo) && s.has(k) })
						want = want || hit
					}
				}
				if _, got := h.conflict(t1); got != want {
					t.Fatalf("conflict is %v, want %v", got, want)
				}
				if want {
					continue
				}
				c := commit{version: version}
				for range 1 + random.IntN(2) {
					k := key()
					t1.writes.put(write{key: k})
					c.keys = append(c.keys, k)
				}
				h.add(&t1.writes)
				all = append(all, c)
			}
			h.close()
			if random.IntN(3) == 0 {
				h.prune(1 + random.Uint64N(version))
			}
		}
	}
}

// Checking with spans from several goroutines' transactions keeps the committer's structures whole under the race detector.
func TestSpansUnderLoad(t *testing.T) {
	ctx := context.Background()
	s, err := Open(ctx, Options{Dir: "/data", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 50 {
				if err := s.Update(ctx, func(tx kv.Tx) error {
					for _, err := range tx.Scan(kv.Prefix([]byte{byte(w)})) {
						if err != nil {
							return err
						}
					}
					return tx.Set([]byte{byte(w), byte(i)}, nil)
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func FuzzLostRecord(f *testing.F) {
	mem := vfs.NewMem()
	s, err := Open(context.Background(), Options{Dir: "/data", FS: mem})
	if err != nil {
		f.Fatal(err)
	}
	for i := range 3 {
		if err := s.Update(context.Background(), func(tx kv.Tx) error { return tx.Set([]byte{byte(i)}, make([]byte, 20_000)) }); err != nil {
			f.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		f.Fatal(err)
	}
	names, err := mem.List("/data")
	if err != nil {
		f.Fatal(err)
	}
	for _, n := range names {
		if isLog(n) {
			file, err := mem.Open("/data/" + n)
			if err != nil {
				f.Fatal(err)
			}
			info, err := file.Stat()
			if err != nil {
				f.Fatal(err)
			}
			data := make([]byte, info.Size())
			if _, err := file.ReadAt(data, 0); err != nil {
				f.Fatal(err)
			}
			f.Add(data, uint32(2))
			f.Add(data[:len(data)/2], uint32(2))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, number uint32) {
		lost, err := lostRecord(vfs.NewMemFile(data), number)
		if err != nil || lost < -1 || lost > int64(len(data)) {
			t.Errorf("%d, %v", lost, err)
		}
	})
}
