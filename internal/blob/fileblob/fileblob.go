// Package fileblob keeps blobs in files.
//
// A blob is the file xx/REF, xx being the first two digits of its hash and REF its text form. It holds the bytes in
// blocks of 64 KiB, each followed by the CRC-32C of its number and its bytes, so that a part of a large blob can be read
// and checked without reading all of it. A blob is written to a file in tmp first, synced, and renamed.
//
// A directory has one Store at a time. The Store does not see to that itself: it stands beside a kv store, whose lock
// covers both.
package fileblob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"brume/internal/blob"
)

// DefaultMaxSize is what Amazon S3 takes in one PUT, 5 GiB.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html
const DefaultMaxSize = 5 << 30

// Options configure a Store. Only Dir must be set.
type Options struct {
	// Dir is the directory of the store, made if missing. It holds nothing else.
	Dir string
	// MaxSize bounds the bytes of one blob. 0 means DefaultMaxSize.
	MaxSize int64
	// FS is the file system of Dir. nil means the operating system's.
	FS vfs.FS
}

// A Store is a directory of blobs.
type Store struct {
	opts Options
	fs   vfs.FS
	// blocks holds buffers of one block.
	blocks sync.Pool

	mu sync.Mutex
	// shards are the directories known to be on disk.
	shards map[string]bool
}

var _ blob.Store = (*Store)(nil)

// Open opens the store in o.Dir and removes what interrupted writes have left there. Errors name the directory.
func Open(ctx context.Context, o Options) (*Store, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.Dir == "" {
		return nil, errors.New("fileblob: no directory given")
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.MaxSize == 0 {
		o.MaxSize = DefaultMaxSize
	}
	s := &Store{
		opts:   o,
		fs:     o.FS,
		blocks: sync.Pool{New: func() any { return new([blockSize + sumSize]byte) }},
		shards: map[string]bool{},
	}
	if err := s.prepare(); err != nil {
		return nil, fmt.Errorf("fileblob: open %q: %w", o.Dir, err)
	}
	return s, nil
}

// prepare makes the directories and empties tmp.
func (s *Store) prepare() error {
	if err := s.makeDirs(); err != nil {
		return err
	}
	left, err := s.fs.List(s.temp())
	if err != nil {
		return err
	}
	for _, name := range left {
		if err := s.fs.Remove(s.fs.PathJoin(s.temp(), name)); err != nil {
			return err
		}
	}
	return nil
}

// makeDirs makes the directory, tmp in it, and what is missing above it, durably. A process that died may have made them
// just before.
func (s *Store) makeDirs() error {
	parents := []string{s.opts.Dir, filepath.Dir(s.opts.Dir)}
	for at := parents[1]; at != filepath.Dir(at); at = filepath.Dir(at) {
		_, err := s.fs.Stat(at)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		parents = append(parents, filepath.Dir(at))
	}
	if err := s.fs.MkdirAll(s.temp(), 0o700); err != nil {
		return err
	}
	for _, parent := range parents {
		if err := s.syncDir(parent); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) temp() string { return s.fs.PathJoin(s.opts.Dir, "tmp") }

// shard is the name of the directory of a blob.
func shard(ref blob.Ref) string { return fmt.Sprintf("%02x", ref.SHA256[0]) }

func (s *Store) path(ref blob.Ref) string {
	return s.fs.PathJoin(s.opts.Dir, shard(ref), ref.String())
}

// syncDir makes the names in a directory durable.
func (s *Store) syncDir(dir string) error {
	d, err := s.fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// makeShard makes the directory name durable.
func (s *Store) makeShard(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shards[name] {
		return nil
	}
	// It may be there already, made by a process that died before it was durable.
	err := s.fs.MkdirAll(s.fs.PathJoin(s.opts.Dir, name), 0o700)
	if err == nil {
		err = s.syncDir(s.opts.Dir)
	}
	s.shards[name] = err == nil
	return err
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, ref blob.Ref) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.fs.Remove(s.path(ref))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = s.syncDir(s.fs.PathJoin(s.opts.Dir, shard(ref)))
	}
	if err != nil {
		return fmt.Errorf("fileblob: delete: %w", err)
	}
	return nil
}

// List implements blob.Store.
func (s *Store) List(ctx context.Context) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		if err := s.list(ctx, yield); err != nil {
			yield(blob.Info{}, fmt.Errorf("fileblob: list: %w", err))
		}
	}
}

// list returns an error, or nil if it is done or yield wants no more.
func (s *Store) list(ctx context.Context, yield func(blob.Info, error) bool) error {
	dirs, err := s.fs.List(s.opts.Dir)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if len(dir) != 2 { // tmp
			continue
		}
		names, err := s.fs.List(s.fs.PathJoin(s.opts.Dir, dir))
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := ctx.Err(); err != nil {
				return err
			}
			ref, err := blob.ParseRef(name)
			if err != nil {
				return fmt.Errorf("%q holds a foreign file: %w", s.opts.Dir, err)
			}
			info, err := s.fs.Stat(s.path(ref))
			if errors.Is(err, fs.ErrNotExist) { // deleted meanwhile
				continue
			}
			if err != nil {
				return err
			}
			if !yield(blob.Info{Ref: ref, ModTime: info.ModTime()}, nil) {
				return nil
			}
		}
	}
	return nil
}
