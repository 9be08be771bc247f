package pebblekv_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/goleak"

	"brume/internal/kv"
	"brume/internal/kv/pebblekv"
)

// A trap fails the file operations that it is set for, from the moment it is set, as a full disk does.
type trap struct {
	set   atomic.Bool
	match func(op errorfs.Op) bool
	fired atomic.Int64
}

func (tr *trap) String() string { return "trap" }

func (tr *trap) MaybeError(op errorfs.Op) error {
	if tr.set.Load() && tr.match(op) {
		tr.fired.Add(1)
		return syscall.ENOSPC
	}
	return nil
}

// A faultFS is an errorfs that fails files made from old ones and the closing of files too.
type faultFS struct {
	vfs.FS
	inject errorfs.Injector
}

func faulty(inner vfs.FS, inject errorfs.Injector) vfs.FS {
	return faultFS{errorfs.Wrap(inner, inject), inject}
}

func (f faultFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, category)
	if err != nil {
		return nil, err
	}
	return faultFile{file, f.inject, name}, nil
}

func (f faultFS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.inject.MaybeError(errorfs.Op{Kind: errorfs.OpReuseForWrite, Path: newname}); err != nil {
		return nil, err
	}
	if err := f.FS.Remove(oldname); err != nil {
		return nil, err
	}
	return f.Create(newname, category)
}

type faultFile struct {
	vfs.File
	inject errorfs.Injector
	name   string
}

func (f faultFile) Close() error {
	return errors.Join(f.inject.MaybeError(errorfs.Op{Kind: errorfs.OpFileClose, Path: f.name}), f.File.Close())
}

func kinds(ext string, kinds ...errorfs.OpKind) func(errorfs.Op) bool {
	return func(op errorfs.Op) bool {
		for _, k := range kinds {
			if op.Kind == k && (filepath.Ext(op.Path) == ext || ext == "MANIFEST" && strings.Contains(op.Path, ext)) {
				return true
			}
		}
		return false
	}
}

func name(i int) []byte { return fmt.Appendf(nil, "key %06d", i) }

// fill commits count pairs of 60 KiB from the i-th on, until one fails. 80 fill several memtables.
func fill(s kv.Store, from, count int) (acknowledged int, err error) {
	random := make([]byte, 256<<10)
	_, _ = rand.NewChaCha8([32]byte{}).Read(random) // so that it does not compress
	for i := from; i < from+count; i++ {
		value := random[i%1000*100:][:60<<10]
		if err := s.Update(context.Background(), func(tx kv.Tx) error { return tx.Set(name(i), value) }); err != nil {
			return i, err
		}
	}
	return from + count, nil
}

// holds checks that the keys below n are there, and whether the key n is.
func holds(t *testing.T, s kv.Store, n int, mayHoldMore bool) {
	t.Helper()
	err := s.View(context.Background(), func(r kv.Reader) error {
		i := 0
		for p, err := range r.Scan(kv.Range{}) {
			if err != nil {
				return err
			}
			if !bytes.Equal(p.Key, name(i)) {
				t.Fatalf("key %q in place of %q", p.Key, name(i))
			}
			i++
		}
		if i < n || i > n && !mayHoldMore {
			t.Errorf("%d keys, want %d", i, n)
		}
		if _, ok, err := r.Get(name(n / 2)); n > 0 && (!ok || err != nil) {
			t.Errorf("Get of an acknowledged key: %v, %v", ok, err)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("View: %v", err)
	}
}

func within(t *testing.T, what string, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s hangs", what)
	}
}

// Wherever the disk fails: the write is refused with the cause, nothing is written any more, reads go on, Close ends, and
// the next start has all that was acknowledged.
func TestFailedWrite(t *testing.T) {
	for point, match := range map[string]func(errorfs.Op) bool{
		"log write":      kinds(".log", errorfs.OpFileWrite),
		"log sync":       kinds(".log", errorfs.OpFileSync, errorfs.OpFileSyncData),
		"log creation":   kinds(".log", errorfs.OpCreate, errorfs.OpReuseForWrite),
		"log close":      kinds(".log", errorfs.OpFileClose),
		"log stat":       kinds(".log", errorfs.OpFileStat),
		"directory sync": func(op errorfs.Op) bool { return op.Path == "/data" && op.Kind == errorfs.OpFileSync },
		"table creation": kinds(".sst", errorfs.OpCreate),
		"table write":    kinds(".sst", errorfs.OpFileWrite),
		"table sync":     kinds(".sst", errorfs.OpFileSync, errorfs.OpFileSyncData),
		"table close":    kinds(".sst", errorfs.OpFileClose),
		"manifest write": kinds("MANIFEST", errorfs.OpFileWrite),
		"manifest sync":  kinds("MANIFEST", errorfs.OpFileSync, errorfs.OpFileSyncData),
		"every write": func(op errorfs.Op) bool {
			return op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpLock
		},
	} {
		t.Run(point, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			mem := vfs.NewCrashableMem()
			tr := &trap{match: match}
			s := open(t, pebblekv.Options{Dir: "/data", FS: faulty(mem, tr)})
			n, err := fill(s, 0, 80)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Err(); err != nil {
				t.Fatal(err)
			}
			tr.set.Store(true)
			within(t, "Update", func() { n, err = fill(s, n, 600) })
			if tr.fired.Load() == 0 {
				t.Fatal("the test never came to the point")
			}
			if !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("the refused write returns %v, want the cause", err)
			}
			ran := false
			err = s.Update(context.Background(), func(tx kv.Tx) error {
				ran = true
				return tx.Set([]byte("later"), nil)
			})
			if !errors.Is(err, kv.ErrReadOnly) || !errors.Is(err, syscall.ENOSPC) || ran {
				t.Errorf("the next Update returns %v, want ErrReadOnly and the cause", err)
			}
			if err := s.Err(); !errors.Is(err, kv.ErrReadOnly) || !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("Err: %v", err)
			}
			within(t, "View", func() { holds(t, s, n, false) })
			time.Sleep(20 * time.Millisecond)
			within(t, "View", func() { holds(t, s, n, false) })

			// The power fails, or there is room again and a new start.
			crashed := mem.CrashClone(vfs.CrashCloneCfg{})
			tr.set.Store(false)
			within(t, "Close", func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			for name, fs := range map[string]vfs.FS{"crash": crashed, "restart": mem} {
				s := open(t, pebblekv.Options{Dir: "/data", FS: fs})
				holds(t, s, n, true)
				if err := s.Update(context.Background(), func(tx kv.Tx) error { return tx.Set([]byte("zzz "+name), nil) }); err != nil {
					t.Errorf("Update after a new start: %v", err)
				}
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}
		})
	}
}

// Transactions that wait for one another's fsync are all refused if it fails, and none of them is seen.
func TestFailedSyncRefusesTheGroup(t *testing.T) {
	tr := &trap{match: kinds(".log", errorfs.OpFileSync, errorfs.OpFileSyncData)}
	s := open(t, pebblekv.Options{Dir: "/data", FS: faulty(vfs.NewMem(), tr)})
	defer s.Close()
	tr.set.Store(true)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if err := s.Update(context.Background(), func(tx kv.Tx) error { return tx.Set(name(i), nil) }); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("Update returns %v", err)
			}
		})
	}
	wg.Wait()
	holds(t, s, 0, false)
}

// Every single write of an Open may fail, on an empty directory and on one whose log has to be replayed: then Open says
// so, and works once the disk does.
func TestFailedOpen(t *testing.T) {
	for _, full := range []bool{false, true} {
		failures := 0
		for index := int32(0); ; index++ {
			mem := vfs.NewMem()
			if full {
				s := open(t, pebblekv.Options{Dir: "/data", FS: mem})
				if err := s.Update(context.Background(), func(tx kv.Tx) error { return tx.Set(name(0), nil) }); err != nil {
					t.Fatal(err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			var left atomic.Int32
			left.Store(index)
			var hit atomic.Pointer[errorfs.Op]
			fs := faulty(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && left.Add(-1) == -1 {
					hit.Store(&op)
					return syscall.ENOSPC
				}
				return nil
			}))
			var s *pebblekv.Store
			var err error
			within(t, "Open", func() { s, err = pebblekv.Open(context.Background(), pebblekv.Options{Dir: "/data", FS: fs}) })
			op := hit.Load()
			if err == nil {
				if e := s.Close(); e != nil {
					t.Errorf("Close: %v", e)
				}
				if op == nil {
					break // this was one more than there are
				}
				if op.Kind != errorfs.OpRemove && op.Kind != errorfs.OpFilePreallocate {
					// Only what Close itself did may fail after an Open that succeeded.
					holdsAfterClose := s.Err()
					if holdsAfterClose == nil {
						t.Errorf("operation %d (%v of %s) failed unnoticed", index, op.Kind, op.Path)
					}
				}
			} else {
				failures++
				if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "/data") || errors.Is(err, pebblekv.ErrDamaged) {
					t.Errorf("operation %d (%v of %s): Open returns %v, want the cause and the directory", index, op.Kind, op.Path, err)
				}
			}
			// What is on disk now opens.
			s = open(t, pebblekv.Options{Dir: "/data", FS: clone(t, mem)})
			n := 0
			if full {
				n = 1
			}
			holds(t, s, n, false)
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if failures < 10 {
			t.Errorf("only %d operations of Open failed", failures)
		}
	}
}

// clone copies a file system, without the lock that a failed Open may have left behind.
func clone(t *testing.T, from vfs.FS) vfs.FS {
	t.Helper()
	to := vfs.NewMem()
	if _, err := from.Stat("/data"); err != nil {
		return to
	}
	if ok, err := vfs.Clone(from, to, "/data", "/data"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	return to
}

// At any moment the power may fail: what was acknowledged or seen by a View is there afterwards, and each transaction is
// there as a whole or not at all.
func TestPowerFailure(t *testing.T) {
	rounds := 15
	if os.Getenv("BRUME_SOAK") == "1" {
		rounds = 300
	}
	for round := range rounds {
		seed := rand.Uint64()
		mem := vfs.NewCrashableMem()
		s := open(t, pebblekv.Options{Dir: "/data", FS: mem})
		const workers = 8
		var acknowledged, seen [workers]atomic.Int64
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				random := rand.New(rand.NewPCG(seed, uint64(w)))
				for i := int64(1); ctx.Err() == nil; i++ {
					if err := s.Update(ctx, func(tx kv.Tx) error { return writeRound(tx, w, i, random.IntN(20<<10)) }); err == nil {
						acknowledged[w].Store(i)
					}
				}
			})
		}
		wg.Go(func() {
			for ctx.Err() == nil {
				_ = s.View(ctx, func(r kv.Reader) error {
					for w := range workers {
						n, err := readRound(r, w)
						if err != nil {
							t.Error(err)
							return err
						}
						seen[w].Store(n)
					}
					return nil
				})
			}
		})
		time.Sleep(time.Duration(5+rand.IntN(40)) * time.Millisecond)
		var atLeast [workers]int64
		for w := range workers {
			atLeast[w] = max(acknowledged[w].Load(), seen[w].Load())
		}
		crashed := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[round%3], RNG: rand.New(rand.NewPCG(seed, 1))})
		cancel()
		wg.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, pebblekv.Options{Dir: "/data", FS: crashed})
		err := s.View(context.Background(), func(r kv.Reader) error {
			for w := range workers {
				n, err := readRound(r, w)
				if err != nil {
					return err
				}
				if n < atLeast[w] {
					t.Errorf("worker %d: %d after the crash, %d were acknowledged or seen", w, n, atLeast[w])
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// writeRound writes the i-th transaction of a worker: several keys that belong together.
func writeRound(tx kv.Tx, worker int, i int64, size int) error {
	n, err := readRound(tx, worker)
	if err != nil {
		return err
	}
	if n > i {
		return fmt.Errorf("worker %d writes %d after %d", worker, i, n)
	}
	value := append(fmt.Appendf(nil, "%d ", i), make([]byte, size)...)
	for part := range 3 {
		if err := tx.Set(fmt.Appendf(nil, "worker/%d/%d", worker, part), value); err != nil {
			return err
		}
	}
	// A key of its own for each transaction, and the one before goes.
	return errors.Join(
		tx.Set(fmt.Appendf(nil, "worker/%d/at/%020d", worker, i), nil),
		tx.Delete(fmt.Appendf(nil, "worker/%d/at/%020d", worker, n)),
	)
}

// readRound returns the last transaction of a worker, 0 for none, and an error if only a part of it is there.
func readRound(r kv.Reader, worker int) (int64, error) {
	var last int64
	for part := range 3 {
		v, ok, err := r.Get(fmt.Appendf(nil, "worker/%d/%d", worker, part))
		if err != nil {
			return 0, err
		}
		var n int64
		if ok {
			if _, err := fmt.Sscanf(string(v[:min(len(v), 30)]), "%d ", &n); err != nil {
				return 0, err
			}
		}
		if part > 0 && n != last {
			return 0, fmt.Errorf("worker %d: part %d is of transaction %d, the others of %d", worker, part, n, last)
		}
		last = n
	}
	var at []string
	for p, err := range r.Scan(kv.Prefix(fmt.Appendf(nil, "worker/%d/at/", worker))) {
		if err != nil {
			return 0, err
		}
		at = append(at, string(p.Key))
	}
	want := fmt.Sprintf("worker/%d/at/%020d", worker, last)
	if last == 0 && len(at) == 0 || last > 0 && len(at) == 1 && at[0] == want {
		return last, nil
	}
	return 0, fmt.Errorf("worker %d: its keys are %q, want %q", worker, at, want)
}
