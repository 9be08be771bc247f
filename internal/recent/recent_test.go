package recent

import (
	"sync"
	"testing"
)

func TestMap(t *testing.T) {
	m := NewMap[int, int](10)
	for i := range 1000 {
		m.Set(i, i*i)
		// What is used stays, and so do the last ten.
		if v, ok := m.Get(0); !ok || v != 0 {
			t.Fatalf("after %d: the entry in use is gone", i)
		}
		for j := max(0, i-5); j <= i; j++ {
			if v, ok := m.Get(j); !ok || v != j*j {
				t.Fatalf("after %d: %d is %d, %v", i, j, v, ok)
			}
		}
		if n := len(m.young) + len(m.old); n > 20 {
			t.Fatalf("after %d: %d entries", i, n)
		}
	}
	if _, ok := m.Get(500); ok {
		t.Error("an entry long unused is still there")
	}
	m.Set(999, 1)
	if v, _ := m.Get(999); v != 1 {
		t.Errorf("set again: %d", v)
	}
}

func TestMapConcurrently(t *testing.T) {
	m := NewMap[int, int](8)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				key := (i*7 + g) % 40
				if v, ok := m.Get(key); ok && v != key {
					t.Errorf("%d is %d", key, v)
				}
				m.Set(key, key)
			}
		})
	}
	wg.Wait()
}
