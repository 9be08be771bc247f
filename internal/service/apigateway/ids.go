package apigateway

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
)

// newID returns n characters of 0-9 and a-z. 10 are what APIs, keys and plans have, 6 resources and deployments.
func newID(n int) string { return randomText(n, "0123456789abcdefghijklmnopqrstuvwxyz") }

// newKeyValue returns the value of a generated API key: 40 characters, some 238 bits.
func newKeyValue() string {
	return randomText(40, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
}

// randomText draws n characters of alphabet, each as likely as the others.
func randomText(n int, alphabet string) string {
	limit := byte(256 - 256%len(alphabet))
	out := make([]byte, 0, n)
	var buf [64]byte
	for {
		rand.Read(buf[:])
		for _, b := range buf {
			if limit != 0 && b >= limit {
				continue
			}
			if out = append(out, alphabet[int(b)%len(alphabet)]); len(out) == n {
				return string(out)
			}
		}
	}
}

// newRequestID returns a random UUID.
func newRequestID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	out := make([]byte, 36)
	hex.Encode(out, b[:4])
	out[8] = '-'
	hex.Encode(out[9:], b[4:6])
	out[13] = '-'
	hex.Encode(out[14:], b[6:8])
	out[18] = '-'
	hex.Encode(out[19:], b[8:10])
	out[23] = '-'
	hex.Encode(out[24:], b[10:])
	return string(out)
}

// newExtendedID returns what x-amz-apigw-id carries: 16 characters of Base64.
func newExtendedID() string {
	var b [11]byte
	rand.Read(b[:])
	return base64.StdEncoding.EncodeToString(b[:])
}
