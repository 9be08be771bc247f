package fileblob

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"

	"brume/internal/blob"
)

// A file is an open blob.
type file struct {
	store *Store
	ref   blob.Ref
	f     vfs.File
	pos   int64
	// block is the block that Read took last, and number which one it is.
	block  *[blockSize + sumSize]byte
	number int64
	// hash is that of the first hashed bytes, as long as they are read in order.
	hash   hash.Hash
	hashed int64
	closed bool
}

// Open implements blob.Store.
func (s *Store) Open(ctx context.Context, ref blob.Ref) (blob.Blob, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := s.fs.Open(s.path(ref))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", blob.ErrNotFound, ref)
	}
	if err != nil {
		return nil, fmt.Errorf("fileblob: open: %w", err)
	}
	info, err := f.Stat()
	if err == nil && info.Size() != fileSize(ref.Size) {
		err = fmt.Errorf("%w: the file of %s has %d bytes, want %d", blob.ErrDamaged, ref, info.Size(), fileSize(ref.Size))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &file{store: s, ref: ref, f: f, number: -1, hash: sha256.New()}, nil
}

// readBlock reads and checks the n-th block, and returns its bytes in buf.
func (f *file) readBlock(n int64, buf *[blockSize + sumSize]byte) ([]byte, error) {
	size := min(blockSize, f.ref.Size-n*blockSize)
	framed := buf[:size+sumSize]
	if _, err := f.f.ReadAt(framed, n*(blockSize+sumSize)); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // it has shrunk
		}
		return nil, fmt.Errorf("fileblob: read: %w", err)
	}
	if binary.BigEndian.Uint32(framed[size:]) != sum(n, framed[:size]) {
		return nil, fmt.Errorf("%w: block %d of %s", blob.ErrDamaged, n, f.ref)
	}
	return framed[:size], nil
}

// Read implements io.Reader.
func (f *file) Read(p []byte) (int, error) {
	if f.closed {
		return 0, fs.ErrClosed
	}
	if len(p) == 0 {
		return 0, nil
	}
	if f.pos >= f.ref.Size {
		return 0, f.end()
	}
	n, offset := f.pos/blockSize, f.pos%blockSize
	if f.block == nil {
		f.block = f.store.blocks.Get().(*[blockSize + sumSize]byte)
	}
	if f.number != n {
		f.number = -1
		if _, err := f.readBlock(n, f.block); err != nil {
			return 0, err
		}
		f.number = n
	}
	end := min(blockSize, f.ref.Size-n*blockSize)
	c := copy(p, f.block[offset:end])
	if f.pos == f.hashed {
		f.hash.Write(p[:c])
		f.hashed += int64(c)
	}
	f.pos += int64(c)
	return c, nil
}

// end is the error at the end of the bytes: io.EOF, if what was read was right.
func (f *file) end() error {
	if f.hashed == f.ref.Size && [sha256.Size]byte(f.hash.Sum(nil)) != f.ref.SHA256 {
		return fmt.Errorf("%w: the SHA-256 of %s", blob.ErrDamaged, f.ref)
	}
	return io.EOF
}

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if f.closed {
		return 0, fs.ErrClosed
	}
	if off < 0 {
		return 0, errors.New("fileblob: negative offset")
	}
	buf := f.store.blocks.Get().(*[blockSize + sumSize]byte)
	defer f.store.blocks.Put(buf)
	done := 0
	for done < len(p) {
		if off >= f.ref.Size {
			return done, io.EOF
		}
		block, err := f.readBlock(off/blockSize, buf)
		if err != nil {
			return done, err
		}
		c := copy(p[done:], block[off%blockSize:])
		done += c
		off += int64(c)
	}
	return done, nil
}

// Seek implements io.Seeker.
func (f *file) Seek(offset int64, whence int) (int64, error) {
	if f.closed {
		return 0, fs.ErrClosed
	}
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += f.pos
	case io.SeekEnd:
		offset += f.ref.Size
	default:
		return 0, fmt.Errorf("fileblob: whence is %d", whence)
	}
	if offset < 0 {
		return 0, errors.New("fileblob: seek before the beginning")
	}
	f.pos = offset
	return offset, nil
}

// Close implements io.Closer.
func (f *file) Close() error {
	if f.closed {
		return fs.ErrClosed
	}
	f.closed = true
	if f.block != nil {
		f.store.blocks.Put(f.block)
		f.block = nil
	}
	return f.f.Close()
}
