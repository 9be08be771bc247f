// Package totp computes time-based one-time passwords as virtual MFA devices do: HMAC-SHA-1, six digits, a new one every
// 30 seconds.
//
// https://www.rfc-editor.org/rfc/rfc6238
package totp

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"time"
)

// Step is how long a code counts.
const Step = 30 * time.Second

// Counter is the number of the step that t lies in.
func Counter(t time.Time) int64 { return t.Unix() / int64(Step/time.Second) }

// Code returns the code of a step: six digits.
func Code(seed []byte, counter int64) string {
	var message [8]byte
	binary.BigEndian.PutUint64(message[:], uint64(counter))
	mac := hmac.New(sha1.New, seed)
	mac.Write(message[:])
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0xf
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[at:])&0x7fffffff%1_000_000)
}

// Find returns the step nearest to now, at most window steps away, that has the codes in this order, one per step. It
// takes as long whichever step that is.
func Find(seed []byte, now int64, window int, codes ...string) (counter int64, ok bool) {
	best := int64(window) + 1
	for at := now - int64(window); at <= now+int64(window); at++ {
		same := 1
		for i, code := range codes {
			same &= subtle.ConstantTimeCompare([]byte(Code(seed, at+int64(i))), []byte(code))
		}
		if distance := max(at-now, now-at); same == 1 && distance < best {
			counter, best, ok = at, distance, true
		}
	}
	return counter, ok
}
