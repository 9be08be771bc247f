// Package blob is the contract of the store for large immutable bytes: function code, layers, S3 objects.
//
// A store promises:
//
//   - Put returns after the bytes are on disk. What a failed or interrupted Put wrote is not seen by anyone.
//   - A blob never changes. Whoever reads it gets the bytes that were put or an error, never others.
//   - Each Put makes a blob of its own, even of bytes that are there already: deleting one never takes another's bytes.
//
// Rows in package kv refer to blobs by Ref. Put comes first, then the transaction that writes the row. If that
// transaction fails, the caller deletes the blob; if the process dies in between, the blob stays behind, and List is for
// whoever sweeps such blobs. A blob is deleted after the transaction that removed its row, by a job of package outbox.
//
// Drivers live in sub-packages; package blobtest holds the contract as a test suite that every driver runs.
package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"
)

var (
	// ErrNotFound is returned by Open for a blob that is not there.
	ErrNotFound = errors.New("blob: not found")
	// ErrDamaged is returned by Open, and by reads, for a blob whose bytes are not those that were put.
	ErrDamaged = errors.New("blob: damaged")
	// ErrTooLarge is returned by Put for more bytes than the store takes.
	ErrTooLarge = errors.New("blob: too large")
)

// A Store holds blobs. It is safe for concurrent use.
type Store interface {
	// Put stores all that r yields. An error of r is returned as it is.
	Put(ctx context.Context, r io.Reader) (Ref, error)
	// Open opens a blob for reading. The caller closes it.
	Open(ctx context.Context, ref Ref) (Blob, error)
	// Delete removes a blob; removing what is not there is no error. Who has it open can go on reading.
	Delete(ctx context.Context, ref Ref) error
	// List yields all blobs in any order. It may or may not yield those put or deleted while it runs.
	List(ctx context.Context) iter.Seq2[Info, error]
}

// A Blob is an open blob. ReadAt may be called concurrently, the other methods may not. Every byte read is checked for
// damage; a blob read from its beginning to its end is checked against its SHA-256 as well, at the end.
type Blob interface {
	io.ReadSeekCloser
	io.ReaderAt
}

// Info describes a blob in a List.
type Info struct {
	Ref Ref
	// ModTime is when it was put.
	ModTime time.Time
}

// A Ref names a blob. It is comparable, and its text form is what rows keep.
type Ref struct {
	// SHA256 is the hash of the bytes.
	SHA256 [sha256.Size]byte
	// Size is their number.
	Size int64
	// ID tells apart blobs of the same bytes.
	ID [8]byte
}

// IsZero reports whether r is the zero Ref, which names no blob.
func (r Ref) IsZero() bool { return r == Ref{} }

// String returns the text form: the hash in hex, the size, and the id in hex, with dashes between.
func (r Ref) String() string {
	b, _ := r.AppendText(nil) // never fails
	return string(b)
}

// AppendText implements encoding.TextAppender.
func (r Ref) AppendText(b []byte) ([]byte, error) {
	b = hex.AppendEncode(b, r.SHA256[:])
	b = append(b, '-')
	b = strconv.AppendInt(b, r.Size, 10)
	b = append(b, '-')
	return hex.AppendEncode(b, r.ID[:]), nil
}

// MarshalText implements encoding.TextMarshaler.
func (r Ref) MarshalText() ([]byte, error) { return r.AppendText(nil) }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Ref) UnmarshalText(text []byte) error {
	ref, err := ParseRef(string(text))
	if err == nil {
		*r = ref
	}
	return err
}

// ParseRef reads the text form, and nothing but what String writes.
func ParseRef(s string) (Ref, error) {
	var r Ref
	sum, rest, ok1 := strings.Cut(s, "-")
	size, id, ok2 := strings.Cut(rest, "-")
	if !ok1 || !ok2 || len(sum) != hex.EncodedLen(len(r.SHA256)) || len(id) != hex.EncodedLen(len(r.ID)) {
		return Ref{}, fmt.Errorf("blob: %q is no reference", s)
	}
	_, err1 := hex.Decode(r.SHA256[:], []byte(sum))
	_, err2 := hex.Decode(r.ID[:], []byte(id))
	n, err3 := strconv.ParseInt(size, 10, 64)
	if r.Size = n; errors.Join(err1, err2, err3) != nil || n < 0 || r.String() != s {
		return Ref{}, fmt.Errorf("blob: %q is no reference", s)
	}
	return r, nil
}
