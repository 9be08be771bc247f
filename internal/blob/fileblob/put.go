package fileblob

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"brume/internal/blob"
)

// A file is blocks of blockSize bytes, the last one shorter, each with a sum of sumSize bytes behind it.
const (
	blockSize = 64 << 10
	sumSize   = crc32.Size
)

// sum is the checksum of the n-th block. The number is part of it so that blocks cannot change places.
func sum(n int64, block []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	var number [8]byte
	binary.BigEndian.PutUint64(number[:], uint64(n))
	return crc32.Update(crc32.Checksum(number[:], table), table, block)
}

// fileSize is the size of the file of a blob of n bytes.
func fileSize(n int64) int64 { return n + (n+blockSize-1)/blockSize*sumSize }

// A sourceError is an error of the reader that Put reads.
type sourceError struct{ error }

// Put implements blob.Store.
func (s *Store) Put(ctx context.Context, r io.Reader) (blob.Ref, error) {
	ref, err := s.put(ctx, r)
	var source sourceError
	switch {
	case err == nil:
		return ref, nil
	case errors.As(err, &source):
		return blob.Ref{}, source.error
	case errors.Is(err, blob.ErrTooLarge), ctx.Err() != nil:
		return blob.Ref{}, err
	}
	return blob.Ref{}, fmt.Errorf("fileblob: put: %w", err)
}

func (s *Store) put(ctx context.Context, r io.Reader) (ref blob.Ref, err error) {
	if _, err := rand.Read(ref.ID[:]); err != nil {
		return ref, err
	}
	temp := s.fs.PathJoin(s.temp(), hex.EncodeToString(ref.ID[:]))
	file, err := s.fs.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return ref, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.fs.Remove(temp))
		}
	}()
	err = s.copy(ctx, file, r, &ref)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return ref, err
	}
	if err := s.makeShard(shard(ref)); err != nil {
		return ref, err
	}
	if err := s.fs.Rename(temp, s.path(ref)); err != nil {
		return ref, err
	}
	temp = s.path(ref)
	return ref, s.syncDir(s.fs.PathJoin(s.opts.Dir, shard(ref)))
}

// copy writes what r yields in blocks, and sets ref's hash and size.
func (s *Store) copy(ctx context.Context, w io.Writer, r io.Reader, ref *blob.Ref) error {
	block := s.blocks.Get().(*[blockSize + sumSize]byte)
	defer s.blocks.Put(block)
	hash := sha256.New()
	for n := int64(0); ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		size, err := io.ReadFull(r, block[:blockSize])
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return sourceError{err}
		}
		if ref.Size += int64(size); ref.Size > s.opts.MaxSize {
			return blob.ErrTooLarge
		}
		if size > 0 {
			hash.Write(block[:size])
			framed := binary.BigEndian.AppendUint32(block[:size], sum(n, block[:size]))
			if _, err := w.Write(framed); err != nil {
				return err
			}
		}
		if size < blockSize {
			hash.Sum(ref.SHA256[:0])
			return nil
		}
	}
}
