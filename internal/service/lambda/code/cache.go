package code

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// An Archive is a deployment package that is open for reading.
type Archive interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// A Cache holds unpacked deployment packages. A package is known by its digest: the SHA-256 of the archive, in
// hexadecimal. Methods may be called from any goroutine.
type Cache struct {
	dir      string // of this boot
	removing sync.WaitGroup

	mu      sync.Mutex
	entries map[string]*entry
}

// An entry is what is known of one digest. It exists while somebody uses it.
type entry struct {
	turn    chan struct{} // holds one while nobody unpacks or removes the directory
	users   int           // who have it or wait for it; guarded by Cache.mu
	ready   bool          // the directory is there; guarded by turn
	removed bool          // it is to go with its last user; guarded by Cache.mu
}

// OpenCache opens the cache in dir, making the directory if need be.
//
// Directories are written without waiting for the disk, so those of an earlier boot of the machine, which a crash may
// have torn, are removed.
func OpenCache(dir string) (*Cache, error) {
	boot := bootID()
	c := &Cache{dir: filepath.Join(dir, boot), entries: make(map[string]*entry)}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return nil, fmt.Errorf("code: %w", err)
	}
	if err := removeExcept(dir, func(name string) bool { return name == boot }); err != nil {
		return nil, fmt.Errorf("code: %w", err)
	}
	if err := removeExcept(c.dir, func(name string) bool { return !strings.HasPrefix(name, unfinished) }); err != nil {
		return nil, fmt.Errorf("code: %w", err)
	}
	return c, nil
}

// unfinished begins the name of a directory that is being filled or emptied.
const unfinished = "tmp-"

// bootID names this boot of the machine. Where there is no name, every start of the process counts as one.
func bootID() string {
	if id, err := os.ReadFile("/proc/sys/kernel/random/boot_id"); err == nil {
		if s := strings.TrimSpace(string(id)); s != "" && !strings.ContainsAny(s, "/.") {
			return s
		}
	}
	return rand.Text()
}

func removeExcept(dir string, keep func(name string) bool) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		if !keep(e.Name()) {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// A Dir is an unpacked package that somebody holds.
type Dir struct {
	// Path is the directory. Everybody may read what is in it, though not what leads to it. It must not be changed.
	Path    string
	release func()
	once    sync.Once
}

// Release gives the directory back. It may be called more than once.
func (d *Dir) Release() { d.once.Do(d.release) }

// Acquire returns the directory of digest. If the cache does not have it, it unpacks what open returns, and closes that.
// It fails as open and Unpack do.
func (c *Cache) Acquire(ctx context.Context, digest string, open func() (Archive, error)) (*Dir, error) {
	return c.acquire(ctx, digest, func(dir string) error {
		src, err := open()
		if err != nil {
			return err
		}
		defer src.Close()
		return Unpack(ctx, src, src.Size(), dir)
	})
}

// acquire returns the directory of digest. If the cache does not have it, fill makes it.
func (c *Cache) acquire(ctx context.Context, digest string, fill func(dir string) error) (*Dir, error) {
	if b, err := hex.DecodeString(digest); err != nil || len(b) != 32 || strings.ToLower(digest) != digest {
		return nil, fmt.Errorf("code: %q is no digest", digest)
	}
	e := c.use(digest)
	path := filepath.Join(c.dir, digest)
	select {
	case <-e.turn:
	case <-ctx.Done():
		c.done(digest, e)
		return nil, ctx.Err()
	}
	err := e.prepare(path, fill)
	e.turn <- struct{}{}
	if err != nil {
		c.done(digest, e)
		return nil, err
	}
	return &Dir{Path: path, release: func() { c.done(digest, e) }}, nil
}

// prepare makes sure that the directory is there. The caller has the turn.
func (e *entry) prepare(path string, fill func(dir string) error) (err error) {
	if e.ready {
		return nil
	}
	if _, err := os.Stat(path); err == nil {
		e.ready = true
		return nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(path), unfinished)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	if err := fill(tmp); err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	e.ready = true
	return nil
}

// Remove removes the directory of digest as soon as nobody holds it. It is no error if there is none.
func (c *Cache) Remove(digest string) {
	e := c.use(digest)
	c.mu.Lock()
	e.removed = true
	c.mu.Unlock()
	c.done(digest, e)
}

// Sweep removes the directories whose digests keep does not return true for and which nobody holds.
func (c *Cache) Sweep(keep func(digest string) bool) error {
	list, err := os.ReadDir(c.dir)
	if err != nil {
		return fmt.Errorf("code: %w", err)
	}
	for _, d := range list {
		if name := d.Name(); !strings.HasPrefix(name, unfinished) && !keep(name) {
			c.Remove(name)
		}
	}
	return nil
}

func (c *Cache) use(digest string) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[digest]
	if e == nil {
		e = &entry{turn: make(chan struct{}, 1)}
		e.turn <- struct{}{}
		c.entries[digest] = e
	}
	// Who asks for a directory wants it, whatever was asked before.
	e.removed = false
	e.users++
	return e
}

func (c *Cache) done(digest string, e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.users--; e.users > 0 {
		return
	}
	delete(c.entries, digest)
	if !e.removed {
		return
	}
	// The directory gets another name at once, so that whoever asks next makes a new one, and is deleted at leisure. If
	// this fails it is still there, complete, and Sweep finds it at the next start.
	gone := filepath.Join(c.dir, unfinished+rand.Text())
	if err := os.Rename(filepath.Join(c.dir, digest), gone); err == nil {
		c.removing.Go(func() { os.RemoveAll(gone) }) // what is left of it goes at the next start
	}
}

// Close waits for what is being removed. Nobody may use the cache any more.
func (c *Cache) Close() { c.removing.Wait() }
