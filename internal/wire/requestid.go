package wire

import (
	"encoding/hex"
	"math/rand/v2"
)

// newRequestID returns a random UUID. Request ids name calls in logs; nothing relies on their being secret.
func newRequestID() string {
	var b [16]byte
	for i, v := range [2]uint64{rand.Uint64(), rand.Uint64()} {
		for j := range 8 {
			b[8*i+j] = byte(v >> (8 * j))
		}
	}
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[0:8], b[0:4])
	hex.Encode(text[9:13], b[4:6])
	hex.Encode(text[14:18], b[6:8])
	hex.Encode(text[19:23], b[8:10])
	hex.Encode(text[24:36], b[10:16])
	for _, i := range [4]int{8, 13, 18, 23} {
		text[i] = '-'
	}
	return string(text[:])
}
