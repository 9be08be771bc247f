package apigateway

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

// memStore is a kv.Store for tests, with no goroutines of its own, so that it works in virtual time. It runs every
// closure twice and throws the first run away, as a store may after a conflict.
type memStore struct {
	mu sync.Mutex
	m  map[string][]byte
	// fail, if set, is what every Update returns.
	fail error
}

func newMemStore() *memStore { return &memStore{m: map[string][]byte{}} }

func (s *memStore) View(_ context.Context, fn func(kv.Reader) error) error {
	s.mu.Lock()
	m := s.m
	s.mu.Unlock()
	return fn(&memTx{m})
}

func (s *memStore) Update(_ context.Context, fn func(kv.Tx) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	if err := fn(&memTx{maps.Clone(s.m)}); err != nil {
		return err
	}
	next := &memTx{maps.Clone(s.m)}
	if err := fn(next); err != nil {
		return err
	}
	s.m = next.m
	return nil
}

func (s *memStore) Close() error { return nil }

type memTx struct{ m map[string][]byte }

func (t *memTx) Now() time.Time { return time.Now() }

func (t *memTx) Get(key []byte) ([]byte, bool, error) {
	v, ok := t.m[string(key)]
	return v, ok, nil
}

func (t *memTx) Set(key, value []byte) error {
	t.m[string(key)] = bytes.Clone(value)
	return nil
}

func (t *memTx) Delete(key []byte) error {
	delete(t.m, string(key))
	return nil
}

func (t *memTx) Scan(r kv.Range) iter.Seq2[kv.Pair, error] {
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
