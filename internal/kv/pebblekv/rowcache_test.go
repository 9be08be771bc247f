package pebblekv

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"brume/internal/kv"
)

// Whatever the cache holds, a transaction reads the state that it began with, or a later one that commits of its time
// made; counters in two rows that are always written together tell if one of them is stale.
func TestCachedRowsAreNeverStale(t *testing.T) {
	s, err := Open(context.Background(), Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := context.Background()
	const pairs, writers, rounds = 4, 4, 300
	key := func(pair, half int) []byte { return fmt.Appendf(nil, "pair %d half %d", pair, half) }
	done := make(chan error, 2*writers)
	for range writers {
		go func() {
			for range rounds {
				pair := rand.N(pairs)
				if err := s.Update(ctx, func(tx kv.Tx) error {
					var values [2][]byte
					for half := range values {
						v, _, err := tx.Get(key(pair, half))
						if err != nil {
							return err
						}
						values[half] = v
					}
					if !bytes.Equal(values[0], values[1]) {
						return fmt.Errorf("halves of %d differ in a transaction: %x, %x", pair, values[0], values[1])
					}
					n := uint64(1)
					if values[0] != nil {
						n += binary.BigEndian.Uint64(values[0])
					}
					for half := range values {
						if err := tx.Set(key(pair, half), binary.BigEndian.AppendUint64(nil, n)); err != nil {
							return err
						}
					}
					return nil
				}); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		go func() {
			var last [pairs]uint64
			for range 20 * rounds {
				pair := rand.N(pairs)
				if err := s.View(ctx, func(r kv.Reader) error {
					a, ok, err := r.Get(key(pair, 0))
					if err != nil {
						return err
					}
					b, _, err := r.Get(key(pair, 1))
					if err != nil {
						return err
					}
					if !bytes.Equal(a, b) {
						return fmt.Errorf("halves of %d differ: %x, %x", pair, a, b)
					}
					if ok {
						n := binary.BigEndian.Uint64(a)
						if n < last[pair] {
							return fmt.Errorf("%d went back from %d to %d", pair, last[pair], n)
						}
						last[pair] = n
					}
					return nil
				}); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 2 * writers {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	// All increments are there: none was made on a stale value.
	sum := uint64(0)
	if err := s.View(ctx, func(r kv.Reader) error {
		for pair := range pairs {
			v, _, err := r.Get(key(pair, 0))
			if err != nil {
				return err
			}
			sum += binary.BigEndian.Uint64(v)
		}
		return nil
	}); err != nil || sum != writers*rounds {
		t.Errorf("%d increments are left of %d: %v", sum, writers*rounds, err)
	}
	if len(s.rows.rows) == 0 {
		t.Error("nothing was cached")
	}
}

// An old snapshot sees its own rows, not those that newer ones have cached, and puts none of its own in.
func TestCachedRowsBelongToVersions(t *testing.T) {
	s, err := Open(context.Background(), Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := context.Background()
	set := func(value string) {
		t.Helper()
		if err := s.Update(ctx, func(tx kv.Tx) error { return tx.Set([]byte("k"), []byte(value)) }); err != nil {
			t.Fatal(err)
		}
	}
	read := func(r kv.Reader, want string) {
		t.Helper()
		for range 3 {
			if v, _, err := r.Get([]byte("k")); err != nil || string(v) != want {
				t.Fatalf("read %q, %v, want %q", v, err, want)
			}
		}
	}
	view := func(want string) {
		t.Helper()
		if err := s.View(ctx, func(r kv.Reader) error { read(r, want); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	set("1")
	if err := s.View(ctx, func(old kv.Reader) error {
		read(old, "1")
		set("2")
		read(old, "1")
		view("2")
		read(old, "1")
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	view("2")
	if err := s.Update(ctx, func(tx kv.Tx) error { return tx.Delete([]byte("k")) }); err != nil {
		t.Fatal(err)
	}
	if err := s.View(ctx, func(r kv.Reader) error {
		if _, ok, err := r.Get([]byte("k")); ok || err != nil {
			t.Errorf("deleted, but there: %v", err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for i := range 1500 { // more than fits
		big := make([]byte, 1000)
		k := fmt.Appendf(nil, "big %d", i)
		if err := s.Update(ctx, func(tx kv.Tx) error { return tx.Set(k, big) }); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := s.View(ctx, func(r kv.Reader) error { _, _, err := r.Get(k); return err }); err != nil {
				t.Fatal(err)
			}
		}
	}
	if s.rows.size > maxRowCache || len(s.rows.rows) == 0 {
		t.Errorf("%d rows of %d bytes are cached", len(s.rows.rows), s.rows.size)
	}
}
