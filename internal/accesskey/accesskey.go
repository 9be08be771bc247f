// Package accesskey makes the ids and secrets of access keys, long-term and temporary ones. The id of a key says which
// account it belongs to, as AWS's do; it is no secret.
package accesskey

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
)

// The prefixes of ids.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-prefixes
const (
	LongTerm  = "AKIA"
	Temporary = "ASIA"
)

const prefixSize = len(LongTerm)

// Of the 80 bits behind the prefix, the first is set, the next 40 are the account, and the rest are random.
const accountShift = 63 - 40

// NewID returns a new id for a key of an account, which must be twelve digits.
func NewID(prefix, account string) string {
	var b [10]byte
	rand.Read(b[:])
	n, err := strconv.ParseUint(account, 10, 40)
	if err != nil {
		panic("accesskey: no account id: " + account)
	}
	head := binary.BigEndian.Uint64(b[:8])&(1<<accountShift-1) | n<<accountShift | 1<<63
	binary.BigEndian.PutUint64(b[:8], head)
	return prefix + base32.StdEncoding.EncodeToString(b[:])
}

// Account returns the account that a key belongs to by its id, and false if it is not the id of an access key.
func Account(id string) (string, bool) {
	if len(id) != prefixSize+16 || id[:prefixSize] != LongTerm && id[:prefixSize] != Temporary {
		return "", false
	}
	b, err := base32.StdEncoding.DecodeString(id[prefixSize:])
	if err != nil || len(b) != 10 { // the decoder passes over line breaks
		return "", false
	}
	n := binary.BigEndian.Uint64(b[:8]) >> accountShift & (1<<40 - 1)
	if b[0]&0x80 == 0 || n > 999_999_999_999 {
		return "", false
	}
	return fmt.Sprintf("%012d", n), true
}

// NewSecret returns the secret of a new key: 240 random bits in 40 characters.
func NewSecret() string {
	var b [30]byte
	rand.Read(b[:])
	return base64.StdEncoding.EncodeToString(b[:])
}
