package pebblekv

// An arena hands out small pieces of memory for one transaction. The garbage collector frees them; nothing is used again
// while someone may hold it.
type arena struct {
	chunk []byte // its length is what has been handed out
	size  int    // of the last chunk
}

const (
	minChunk = 64
	maxChunk = 64 << 10
)

// alloc returns n bytes, with no capacity beyond.
func (a *arena) alloc(n int) []byte {
	if n > cap(a.chunk)-len(a.chunk) {
		if n > maxChunk/4 {
			return make([]byte, n)
		}
		a.size = min(max(2*a.size, minChunk), maxChunk)
		a.chunk = make([]byte, 0, max(a.size, n))
	}
	at := len(a.chunk)
	a.chunk = a.chunk[:at+n]
	return a.chunk[at : at+n : at+n]
}

// copy returns a copy of b, which is never nil.
func (a *arena) copy(b []byte) []byte {
	c := a.alloc(len(b))
	copy(c, b)
	return c
}

// key returns the key in Pebble of a key of the store.
func (a *arena) key(k []byte) []byte {
	c := a.alloc(1 + len(k))
	c[0] = dataSpace
	copy(c[1:], k)
	return c
}
