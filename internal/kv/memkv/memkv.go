// Package memkv is a kv.Store in memory, for tests.
package memkv

import (
	"bytes"
	"context"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"brume/internal/kv"
)

// A Store is a kv.Store for tests, with no goroutines of its own, so that it works in virtual time. It runs every
// closure twice and throws the first run away, as a store may after a conflict.
type Store struct {
	mu   sync.Mutex
	m    map[string][]byte
	fail error
}

// New returns an empty Store.
func New() *Store { return &Store{m: map[string][]byte{}} }

func (s *Store) View(_ context.Context, fn func(kv.Reader) error) error {
	s.mu.Lock()
	m := s.m
	s.mu.Unlock()
	return fn(&tx{m})
}

func (s *Store) Update(_ context.Context, fn func(kv.Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	if err := fn(&tx{maps.Clone(s.m)}); err != nil {
		return err
	}
	next := &tx{maps.Clone(s.m)}
	if err := fn(next); err != nil {
		return err
	}
	s.m = next.m
	return nil
}

// Fail has every Update return err, if it is not nil.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// Len is the number of rows.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.m)
}

func (s *Store) Close() error { return nil }

type tx struct{ m map[string][]byte }

func (t *tx) Now() time.Time { return time.Now() }

func (t *tx) Get(key []byte) ([]byte, bool, error) {
	v, ok := t.m[string(key)]
	return v, ok, nil
}

func (t *tx) Set(key, value []byte) error {
	t.m[string(key)] = bytes.Clone(value)
	return nil
}

func (t *tx) Delete(key []byte) error {
	delete(t.m, string(key))
	return nil
}

func (t *tx) Scan(r kv.Range) iter.Seq2[kv.Pair, error] {
	var keys []string
	for k := range t.m {
		if k >= string(r.Start) && (r.End == nil || k < string(r.End)) {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	if r.Reverse {
		slices.Reverse(keys)
	}
	return func(yield func(kv.Pair, error) bool) {
		for i, k := range keys {
			if r.Limit > 0 && i == r.Limit || !yield(kv.Pair{Key: []byte(k), Value: t.m[k]}, nil) {
				return
			}
		}
	}
}
