// Package seal encrypts small secrets that are kept in the store, under a key that is kept outside of it: whoever gets
// hold of the store alone, or of a copy of it, learns no secret.
//
// Each Box has a purpose, and its own key derived from the master key and that purpose, so that what was sealed for one
// purpose does not open for another. Sealing is AES-256-GCM with a random nonce, which is safe for 2^32 messages of one
// purpose.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// KeySize is the size of a master key, in bytes.
const KeySize = 32

// ErrOpen is returned for what was not sealed by the same box with the same context, or was changed since.
var ErrOpen = errors.New("seal: cannot be opened")

// A Master is the key that all boxes come from. It prints as nothing.
type Master struct{ key [KeySize]byte }

// String keeps the key out of logs and errors.
func (*Master) String() string { return "seal.Master" }

// GoString keeps the key out of logs and errors.
func (*Master) GoString() string { return "seal.Master" }

// ParseMaster reads a master key as BRUME_MASTER_KEY and the key file hold it: 32 bytes in base64.
func ParseMaster(text string) (*Master, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(key) != KeySize {
		return nil, fmt.Errorf("seal: a master key is %d bytes in base64, as `head -c %d /dev/urandom | base64` makes them", KeySize, KeySize)
	}
	return &Master{key: [KeySize]byte(key)}, nil
}

// LoadMaster reads the master key from file. If the file does not exist it makes a random key and writes it there, for
// its owner only. It refuses a file that others may read or write.
func LoadMaster(file string) (*Master, error) {
	text, err := readPrivate(file)
	if !errors.Is(err, fs.ErrNotExist) {
		if err != nil {
			return nil, err
		}
		m, err := ParseMaster(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return m, nil
	}
	var m Master
	rand.Read(m.key[:])
	if err := writePrivate(file, base64.StdEncoding.EncodeToString(m.key[:])+"\n"); err != nil {
		return nil, err
	}
	return &m, nil
}

func readPrivate(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("seal: %s may be used by others than its owner; allow its owner alone: chmod 600 %s", file, file)
	}
	var b [256]byte
	n, err := f.Read(b[:])
	if err != nil {
		return "", fmt.Errorf("seal: %w", err)
	}
	return string(b[:n]), nil
}

// writePrivate makes file with this text, durably and all at once, unless it exists: a key that is lost after something
// was sealed with it loses that too.
func writePrivate(file, text string) (err error) {
	dir := filepath.Dir(file)
	tmp, err := os.CreateTemp(dir, ".key-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(text)
	if err == nil {
		err = tmp.Sync()
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), file); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// Box returns the box for a purpose.
func (m *Master) Box(purpose string) (*Box, error) {
	key, err := hkdf.Key(sha256.New, m.key[:], nil, "brume/"+purpose, KeySize)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return &Box{aead: aead}, nil
}

// A Box seals and opens for one purpose. It is safe for concurrent use.
type Box struct{ aead cipher.AEAD }

// Seal encrypts plaintext. context is not kept with it: Open needs the same one, so that a sealed secret cannot be moved
// to another place.
func (b *Box) Seal(plaintext, context []byte) []byte {
	return b.aead.Seal([]byte{version}, nil, plaintext, context)
}

// version is the first byte of all that is sealed, so that another scheme can follow this one.
const version = 1

// Open decrypts what Seal returned, or fails with ErrOpen.
func (b *Box) Open(sealed, context []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != version {
		return nil, ErrOpen
	}
	plaintext, err := b.aead.Open(nil, nil, sealed[1:], context)
	if err != nil {
		return nil, ErrOpen
	}
	return plaintext, nil
}
