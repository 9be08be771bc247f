package code

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

type given struct{ *bytes.Reader }

func (given) Close() error { return nil }

// store is where a test's archives come from.
type store struct {
	data   []byte
	opened atomic.Int32
}

func (s *store) open() (Archive, error) {
	s.opened.Add(1)
	return given{bytes.NewReader(s.data)}, nil
}

func openCache(t testing.TB, dir string) *Cache {
	t.Helper()
	c, err := OpenCache(dir)
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestCacheUnpacksOnce(t *testing.T) {
	s := &store{data: archive(t, file{"index.py", 0, "1"})}
	root := t.TempDir()
	c := openCache(t, root)
	digest := digestOf(s.data)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			d, err := c.Acquire(t.Context(), digest, s.open)
			if err != nil {
				t.Error(err)
				return
			}
			defer d.Release()
			if !exists(filepath.Join(d.Path, "index.py")) {
				t.Error("the file is not there")
			}
		})
	}
	wg.Wait()
	if n := s.opened.Load(); n != 1 {
		t.Errorf("unpacked %d times", n)
	}
	again := openCache(t, root)
	d, err := again.Acquire(t.Context(), digest, s.open)
	must(t, err)
	d.Release()
	if n := s.opened.Load(); n != 1 && exists("/proc/sys/kernel/random/boot_id") {
		t.Errorf("unpacked again after a new start")
	}
	info, err := os.Stat(d.Path)
	must(t, err)
	if info.Mode().Perm() != 0o755 {
		t.Errorf("the directory has mode %v", info.Mode())
	}
	if info, err = os.Stat(c.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory above has mode %v, %v", info.Mode(), err)
	}
}

func TestCacheCleansUp(t *testing.T) {
	root := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(root, "another boot", "x"), 0o755))
	s := &store{data: archive(t, file{"a", 0, "1"})}
	c := openCache(t, root)
	must(t, os.MkdirAll(filepath.Join(c.dir, unfinished+"1", "x"), 0o755))
	digest := digestOf(s.data)
	d, err := c.Acquire(t.Context(), digest, s.open)
	must(t, err)
	d.Release()

	c = openCache(t, root)
	if exists(filepath.Join(root, "another boot")) || exists(filepath.Join(c.dir, unfinished+"1")) {
		t.Error("leftovers are still there")
	}
	if d, err = c.Acquire(t.Context(), digest, s.open); err != nil {
		t.Fatal(err)
	}
	must(t, c.Sweep(func(d string) bool { return d == digest }))
	c.Remove(digest)
	if !exists(d.Path) {
		t.Fatal("a directory went while somebody held it")
	}
	d.Release()
	d.Release()
	if exists(d.Path) {
		t.Error("a removed directory is still there")
	}
	if d, err = c.Acquire(t.Context(), digest, s.open); err != nil {
		t.Fatal(err)
	}
	d.Release()
	must(t, c.Sweep(func(string) bool { return false }))
	c.Close()
	if list, _ := os.ReadDir(c.dir); len(list) != 0 {
		t.Errorf("left after a sweep: %v", list)
	}
	if len(c.entries) != 0 {
		t.Errorf("entries are left: %v", c.entries)
	}
}

func TestCacheWantedAgainIsNotRemoved(t *testing.T) {
	s := &store{data: archive(t, file{"a", 0, "1"})}
	c := openCache(t, t.TempDir())
	first, err := c.Acquire(t.Context(), digestOf(s.data), s.open)
	must(t, err)
	c.Remove(digestOf(s.data))
	second, err := c.Acquire(t.Context(), digestOf(s.data), s.open)
	must(t, err)
	first.Release()
	second.Release()
	if !exists(second.Path) {
		t.Error("a directory that was wanted again is gone")
	}
}

func TestCacheKeepsNothingOfAFailure(t *testing.T) {
	s := &store{data: archive(t, file{"a", 0, "1"}, file{"../b", 0, "2"})}
	c := openCache(t, t.TempDir())
	digest := digestOf(s.data)
	if _, err := c.Acquire(t.Context(), digest, s.open); err == nil {
		t.Fatal("no error for a bad archive")
	}
	if list, _ := os.ReadDir(c.dir); len(list) != 0 {
		t.Errorf("left behind: %v", list)
	}
	for _, bad := range []string{"", "../../etc", digest[:62], "A" + digest[1:]} {
		if _, err := c.Acquire(t.Context(), bad, s.open); err == nil {
			t.Errorf("%q is taken for a digest", bad)
		}
	}
	s.data = archive(t, file{"a", 0, "1"})
	d, err := c.Acquire(t.Context(), digest, s.open)
	must(t, err)
	d.Release()
	if len(c.entries) != 0 {
		t.Errorf("entries are left: %v", c.entries)
	}
}

func TestCacheWaitsNoLongerThanItsCaller(t *testing.T) {
	s := &store{data: archive(t, file{"a", 0, "1"})}
	c := openCache(t, t.TempDir())
	digest := digestOf(s.data)
	e := c.use(digest)
	<-e.turn // somebody unpacks, for ever
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Acquire(ctx, digest, s.open); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}
