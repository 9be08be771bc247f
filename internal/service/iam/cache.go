package iam

import (
	"sync"
	"sync/atomic"

	"brume/internal/policy"
	"brume/internal/recent"
)

const (
	maxCachedKeys       = 16384
	maxCachedPrincipals = 16384
	maxSessionDocuments = 4096
	// maxCachedText bounds the compiled documents, in bytes of their text.
	maxCachedText = 4 << 20
)

// A cache remembers what was read from the store until invalidate is called.
type cache[K comparable, V any] struct {
	epoch   atomic.Uint64
	entries *recent.Map[K, cached[V]]
}

type cached[V any] struct {
	epoch uint64
	value V
}

func newCache[K comparable, V any](limit int) *cache[K, V] {
	return &cache[K, V]{entries: recent.NewMap[K, cached[V]](limit)}
}

// invalidate forgets everything, also what a load that is under way is about to remember.
func (c *cache[K, V]) invalidate() { c.epoch.Add(1) }

// remembered returns the value of key if it is remembered.
func (c *cache[K, V]) remembered(key K) (value V, ok bool) {
	if e, found := c.entries.Get(key); found && e.epoch == c.epoch.Load() {
		return e.value, true
	}
	return value, false
}

// get returns the value of key, from load if it is not remembered. What load reports as not ok is not remembered.
func (c *cache[K, V]) get(key K, load func() (value V, ok bool, err error)) (value V, ok bool, err error) {
	// The epoch is read before the store is.
	epoch := c.epoch.Load()
	if e, found := c.entries.Get(key); found && e.epoch == epoch {
		return e.value, true, nil
	}
	value, ok, err = load()
	if err == nil && ok {
		c.entries.Set(key, cached[V]{epoch, value})
	}
	return value, ok, err
}

// documents remembers compiled identity policies by their text, which never goes out of date. It too has two generations.
type documents struct {
	mu         sync.Mutex
	size       int // of the texts in young
	young, old map[string]*policy.Document
}

func newDocuments() *documents { return &documents{young: map[string]*policy.Document{}} }

func (d *documents) parse(text string) (*policy.Document, error) {
	d.mu.Lock()
	doc := d.young[text]
	if doc == nil {
		if doc = d.old[text]; doc != nil {
			d.add(text, doc)
		}
	}
	d.mu.Unlock()
	if doc != nil {
		return doc, nil
	}
	doc, err := policy.Parse(text, policy.Identity)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.add(text, doc)
	return doc, nil
}

func (d *documents) add(text string, doc *policy.Document) {
	if d.young[text] != nil {
		return
	}
	if d.size+len(text) > maxCachedText {
		d.young, d.old, d.size = map[string]*policy.Document{}, d.young, 0
	}
	d.young[text] = doc
	d.size += len(text)
}
