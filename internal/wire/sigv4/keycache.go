package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"strings"
	"sync"
)

// keyCacheSize is how many keys one generation of the cache holds, under a kilobyte each.
const keyCacheSize = 16384

// keyID names a derived key. The secret is part of it, so that a replaced secret never finds the old key.
type keyID struct{ accessKeyID, secret, date, region, service string }

// A signingKey computes HMACs under one derived key.
type signingKey struct {
	key  []byte
	macs sync.Pool // of hash.Hash, reset; a used HMAC keeps its key schedule
}

// A keyCache holds derived signing keys in two generations: when the young one is full it becomes the old one, and what
// is still in use moves over as it is asked for. Only keys that verified a request get in, so a stranger cannot fill it.
type keyCache struct {
	mu         sync.RWMutex
	young, old map[keyID]*signingKey
}

func (c *keyCache) get(id keyID) *signingKey {
	c.mu.RLock()
	k := c.young[id]
	promote := false
	if k == nil {
		k = c.old[id]
		promote = k != nil
	}
	c.mu.RUnlock()
	if promote {
		c.add(id, k)
	}
	return k
}

func (c *keyCache) add(id keyID, k *signingKey) {
	// The parts of id point into the request's headers, which would otherwise live as long as the key.
	id = keyID{strings.Clone(id.accessKeyID), strings.Clone(id.secret), strings.Clone(id.date), strings.Clone(id.region), strings.Clone(id.service)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= keyCacheSize {
		c.young, c.old = nil, c.young
	}
	if c.young == nil {
		c.young = make(map[keyID]*signingKey)
	}
	c.young[id] = k
}

// derive computes the signing key of id.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#derive-signing-key
func derive(id keyID) *signingKey {
	key := []byte("AWS4" + id.secret)
	for _, part := range [...]string{id.date, id.region, id.service, terminator} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	return &signingKey{key: key}
}

// mac appends the HMAC-SHA256 of msg to dst.
func (k *signingKey) mac(dst, msg []byte) []byte {
	h, ok := k.macs.Get().(hash.Hash)
	if !ok {
		h = hmac.New(sha256.New, k.key)
	}
	h.Write(msg)
	dst = h.Sum(dst)
	h.Reset()
	k.macs.Put(h)
	return dst
}
