package fileblob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"brume/internal/blob"
	"brume/internal/blob/blobtest"
	"brume/internal/blob/fileblob"
)

func open(t testing.TB, o fileblob.Options) *fileblob.Store {
	t.Helper()
	s, err := fileblob.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t testing.TB, s *fileblob.Store, b []byte) blob.Ref {
	t.Helper()
	ref, err := s.Put(context.Background(), bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func list(t *testing.T, s *fileblob.Store) (all []blob.Ref) {
	t.Helper()
	for info, err := range s.List(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, info.Ref)
	}
	return all
}

func TestContract(t *testing.T) {
	t.Run("disk", func(t *testing.T) {
		blobtest.Run(t, func(t *testing.T) blob.Store {
			return open(t, fileblob.Options{Dir: t.TempDir(), MaxSize: blobtest.MaxSize})
		})
	})
	t.Run("memory", func(t *testing.T) {
		blobtest.Run(t, func(t *testing.T) blob.Store {
			return open(t, fileblob.Options{Dir: "/blobs", MaxSize: blobtest.MaxSize, FS: vfs.NewMem()})
		})
	})
}

// Whatever happens to a file, what is read from it are the bytes that were put or an error.
func TestDamaged(t *testing.T) {
	dir := t.TempDir()
	s := open(t, fileblob.Options{Dir: dir})
	want := blobtest.Bytes(200_000)
	for name, damage := range map[string]func(file []byte) []byte{
		"first byte": func(b []byte) []byte { b[0] ^= 1; return b },
		"last byte":  func(b []byte) []byte { b[len(b)-1] ^= 0x80; return b },
		"a checksum": func(b []byte) []byte { b[64<<10] ^= 1; return b },
		"cut":        func(b []byte) []byte { return b[:len(b)-1] },
		"emptied":    func(b []byte) []byte { return nil },
		"longer":     func(b []byte) []byte { return append(b, 0) },
		"blocks exchanged": func(b []byte) []byte {
			n := 64<<10 + 4
			return append(append(bytes.Clone(b[n:2*n]), b[:n]...), b[2*n:]...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			ref := put(t, s, want)
			path := filepath.Join(dir, ref.String()[:2], ref.String())
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(file), 0o600); err != nil {
				t.Fatal(err)
			}
			b, err := s.Open(context.Background(), ref)
			if err != nil {
				if !errors.Is(err, blob.ErrDamaged) {
					t.Errorf("Open: %v", err)
				}
				return
			}
			defer b.Close()
			got, err := io.ReadAll(b)
			if !errors.Is(err, blob.ErrDamaged) || !bytes.Equal(got, want[:len(got)]) {
				t.Errorf("reading: %d bytes, %v", len(got), err)
			}
			got = make([]byte, len(want))
			n, err := b.ReadAt(got, 0)
			if !errors.Is(err, blob.ErrDamaged) || !bytes.Equal(got[:n], want[:n]) {
				t.Errorf("ReadAt: %d bytes, %v", n, err)
			}
		})
	}
}

// A file in the place of another is whole in itself; its hash gives it away.
func TestExchanged(t *testing.T) {
	dir := t.TempDir()
	s := open(t, fileblob.Options{Dir: dir})
	a, b := put(t, s, blobtest.Bytes(5000)), put(t, s, append(blobtest.Bytes(4999), 'x'))
	path := func(r blob.Ref) string { return filepath.Join(dir, r.String()[:2], r.String()) }
	if err := os.Rename(path(a), path(b)); err != nil {
		t.Fatal(err)
	}
	f, err := s.Open(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.ReadAll(f); !errors.Is(err, blob.ErrDamaged) {
		t.Errorf("reading: %v, want ErrDamaged", err)
	}
}

func TestLeftoversAreRemoved(t *testing.T) {
	dir := t.TempDir()
	s := open(t, fileblob.Options{Dir: dir})
	ref := put(t, s, []byte("stays"))
	left := filepath.Join(dir, "tmp", "0123456789abcdef")
	if err := os.WriteFile(left, []byte("half of something"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, fileblob.Options{Dir: dir})
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the leftover is there: %v", err)
	}
	if all := list(t, s); len(all) != 1 || all[0] != ref {
		t.Errorf("the blobs are %v", all)
	}
}

func TestUnusableDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := fileblob.Open(context.Background(), fileblob.Options{Dir: file}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("Open in a file: %v", err)
	}
	if _, err := fileblob.Open(context.Background(), fileblob.Options{}); err == nil {
		t.Error("Open without a directory")
	}
}

// After a power failure at any moment, what was put is there whole and what was deleted is not; what Put had not
// acknowledged is there whole or not at all.
func TestPowerFailure(t *testing.T) {
	for _, percent := range []int{0, 50, 100} {
		mem := vfs.NewCrashableMem()
		s := open(t, fileblob.Options{Dir: "/var/blobs", FS: mem})
		there, gone := map[blob.Ref][]byte{}, map[blob.Ref]bool{}
		random := rand.New(rand.NewPCG(uint64(percent), 1))
		for i := range 15 {
			b := blobtest.Bytes(i * 13_000)
			ref := put(t, s, b)
			if i%3 == 0 {
				if err := s.Delete(context.Background(), ref); err != nil {
					t.Fatal(err)
				}
				gone[ref] = true
			} else {
				there[ref] = b
			}
			// The power fails within the next Put.
			var crashed *vfs.MemFS
			n, at := 0, random.IntN(4)
			_, err := s.Put(context.Background(), readerFunc(func(p []byte) (int, error) {
				if n++; n > at {
					crashed = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: random})
					return 0, io.EOF
				}
				return len(p), nil
			}))
			if err != nil {
				t.Fatal(err)
			}
			after := open(t, fileblob.Options{Dir: "/var/blobs", FS: crashed})
			seen := map[blob.Ref]bool{}
			for _, ref := range list(t, after) {
				seen[ref] = true
				f, err := after.Open(context.Background(), ref)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(f)
				if want, ok := there[ref]; err != nil || ok && !bytes.Equal(got, want) {
					t.Errorf("%v is not what was put: %v", ref, err)
				}
				if err := f.Close(); err != nil {
					t.Error(err)
				}
				if gone[ref] {
					t.Errorf("%v was deleted", ref)
				}
			}
			for ref := range there {
				if !seen[ref] {
					t.Errorf("%v was put and is gone", ref)
				}
			}
		}
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Any write may fail: Put says so and leaves nothing behind.
func TestFailedWrite(t *testing.T) {
	failures := 0
	for index := 0; ; index++ {
		mem := vfs.NewMem()
		left := -1
		s := open(t, fileblob.Options{Dir: "/blobs", FS: errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpRemove && left >= 0 {
				if left--; left < 0 {
					return syscall.ENOSPC
				}
			}
			return nil
		}))})
		left = index
		_, err := s.Put(context.Background(), bytes.NewReader(blobtest.Bytes(100_000)))
		if err == nil {
			break
		}
		failures++
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Put: %v", err)
		}
		if all := list(t, s); len(all) != 0 {
			t.Errorf("after failure %d there is %v", index, all)
		}
		if left, err := mem.List("/blobs/tmp"); len(left) != 0 || err != nil {
			t.Errorf("after failure %d there is %v, %v", index, left, err)
		}
		left = -1
		put(t, s, []byte("works again"))
	}
	if failures < 6 {
		t.Errorf("only %d operations failed", failures)
	}
}

func BenchmarkPut(b *testing.B) {
	s := open(b, fileblob.Options{Dir: b.TempDir()})
	data := blobtest.Bytes(1 << 20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		put(b, s, data)
	}
}

func BenchmarkRead(b *testing.B) {
	s := open(b, fileblob.Options{Dir: b.TempDir()})
	ref := put(b, s, blobtest.Bytes(1<<20))
	b.SetBytes(ref.Size)
	b.ReportAllocs()
	for b.Loop() {
		f, err := s.Open(context.Background(), ref)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, f); err != nil {
			b.Fatal(err)
		}
		if err := f.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
