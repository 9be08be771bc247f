package pebblekv

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A failStop is a file system that writes nothing more after a write has failed.
//
// Pebble ends the process, by panic or Fatalf, where a write to its log or its manifest fails, and tries failed flushes
// and compactions again at once and for ever. So it does not learn of such failures from a failStop: the log and the
// directories pretend that all is well, and background work waits, until Close, inside the operation that failed. Nothing
// is acknowledged in that state, because the committer asks for the cause after each fsync.
//
// While the store is being opened, errors go to Pebble, which returns them.
type failStop struct {
	vfs.FS
	report  func(cause error)
	once    sync.Once
	err     atomic.Pointer[error]
	failed  chan struct{} // closed at the first failure
	closing chan struct{} // closed to let background work go
	opened  atomic.Bool
}

func newFailStop(inner vfs.FS, report func(cause error)) *failStop {
	return &failStop{FS: inner, report: report, failed: make(chan struct{}), closing: make(chan struct{})}
}

// cause returns the first failure, nil if there was none.
func (f *failStop) cause() error {
	if err := f.err.Load(); err != nil {
		return *err
	}
	return nil
}

// fail notes a failure.
func (f *failStop) fail(err error) {
	f.once.Do(func() {
		f.err.Store(&err)
		close(f.failed)
		f.report(err)
	})
}

// do runs a write of background work, unless one has failed already.
func (f *failStop) do(op func() error) error {
	if f.cause() == nil {
		err := op()
		if err == nil {
			return nil
		}
		f.fail(err)
		if !f.opened.Load() {
			return err
		}
	}
	if f.opened.Load() {
		<-f.closing
	}
	return f.cause()
}

// pretend runs a write of the log or a directory, unless one has failed already.
func (f *failStop) pretend(op func() error) {
	if f.cause() == nil {
		if err := op(); err != nil {
			f.fail(err)
		}
	}
}

func isLog(name string) bool { return filepath.Ext(name) == ".log" }

// file makes a file whose writes fail as its kind does.
func (f *failStop) file(name string, open func() (vfs.File, error)) (file vfs.File, err error) {
	if isLog(name) && f.opened.Load() {
		f.pretend(func() error {
			file, err = open()
			return err
		})
		if file == nil || err != nil {
			return deadFile{name: f.PathBase(name)}, nil
		}
		return logFile{file, f}, nil
	}
	err = f.do(func() error {
		file, err = open()
		return err
	})
	if err != nil {
		return nil, err
	}
	if isLog(name) {
		return logFile{file, f}, nil
	}
	return dataFile{file, f}, nil
}

// Create implements vfs.FS.
func (f *failStop) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) { return f.FS.Create(name, category) })
}

// ReuseForWrite implements vfs.FS.
func (f *failStop) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file(newname, func() (vfs.File, error) { return f.FS.ReuseForWrite(oldname, newname, category) })
}

// OpenReadWrite implements vfs.FS.
func (f *failStop) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.file(name, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, category, opts...) })
}

// OpenDir implements vfs.FS.
func (f *failStop) OpenDir(name string) (vfs.File, error) {
	d, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return directory{d, f}, nil
}

// Link implements vfs.FS.
func (f *failStop) Link(oldname, newname string) error {
	return f.do(func() error { return f.FS.Link(oldname, newname) })
}

// Rename implements vfs.FS.
func (f *failStop) Rename(oldname, newname string) error {
	return f.do(func() error { return f.FS.Rename(oldname, newname) })
}

// MkdirAll implements vfs.FS.
func (f *failStop) MkdirAll(dir string, perm os.FileMode) error {
	return f.do(func() error { return f.FS.MkdirAll(dir, perm) })
}

// Remove implements vfs.FS. A file that cannot be removed wastes room and harms nothing; but after a failure the older
// files are what the next start may need.
func (f *failStop) Remove(name string) error {
	if err := f.cause(); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

// RemoveAll implements vfs.FS.
func (f *failStop) RemoveAll(name string) error {
	if err := f.cause(); err != nil {
		return err
	}
	return f.FS.RemoveAll(name)
}

// Unwrap implements vfs.FS.
func (f *failStop) Unwrap() vfs.FS { return f.FS }

// A dataFile is a table, the manifest or another file that background work writes.
type dataFile struct {
	vfs.File
	fs *failStop
}

func (d dataFile) Write(p []byte) (n int, err error) {
	err = d.fs.do(func() error {
		n, err = d.File.Write(p)
		return err
	})
	return n, err
}

func (d dataFile) WriteAt(p []byte, off int64) (n int, err error) {
	err = d.fs.do(func() error {
		n, err = d.File.WriteAt(p, off)
		return err
	})
	return n, err
}

func (d dataFile) Sync() error     { return d.fs.do(d.File.Sync) }
func (d dataFile) SyncData() error { return d.fs.do(d.File.SyncData) }

func (d dataFile) SyncTo(length int64) (full bool, err error) {
	err = d.fs.do(func() error {
		full, err = d.File.SyncTo(length)
		return err
	})
	return full, err
}

// Close closes the file even after a failure, so that no descriptor leaks.
func (d dataFile) Close() error {
	err := d.File.Close()
	if err != nil {
		return d.fs.do(func() error { return err })
	}
	return nil
}

// A logFile is a write-ahead log.
type logFile struct {
	vfs.File
	fs *failStop
}

func (l logFile) Write(p []byte) (int, error) {
	l.fs.pretend(func() error {
		_, err := l.File.Write(p)
		return err
	})
	return len(p), nil
}

func (l logFile) Sync() error {
	l.fs.pretend(l.File.Sync)
	return nil
}

func (l logFile) SyncData() error {
	l.fs.pretend(l.File.SyncData)
	return nil
}

func (l logFile) SyncTo(length int64) (full bool, _ error) {
	l.fs.pretend(func() (err error) {
		full, err = l.File.SyncTo(length)
		return err
	})
	return full, nil
}

func (l logFile) Stat() (vfs.FileInfo, error) {
	info, err := l.File.Stat()
	if err != nil {
		l.fs.fail(err)
		return deadFile{}.Stat()
	}
	return info, nil
}

func (l logFile) Close() error {
	if err := l.File.Close(); err != nil {
		l.fs.fail(err)
	}
	return nil
}

// A directory is a directory opened to be synced.
type directory struct {
	vfs.File
	fs *failStop
}

func (d directory) Sync() error {
	d.fs.pretend(d.File.Sync)
	return nil
}

// A deadFile stands for a log that could not be made.
type deadFile struct{ name string }

func (deadFile) Close() error                           { return nil }
func (deadFile) Read([]byte) (int, error)               { return 0, fs.ErrInvalid }
func (deadFile) ReadAt([]byte, int64) (int, error)      { return 0, fs.ErrInvalid }
func (deadFile) Write(p []byte) (int, error)            { return len(p), nil }
func (deadFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (deadFile) Preallocate(int64, int64) error         { return nil }
func (d deadFile) Stat() (vfs.FileInfo, error)          { return deadInfo(d), nil }
func (deadFile) Sync() error                            { return nil }
func (deadFile) SyncTo(int64) (bool, error)             { return true, nil }
func (deadFile) SyncData() error                        { return nil }
func (deadFile) Prefetch(int64, int64) error            { return nil }
func (deadFile) Fd() uintptr                            { return vfs.InvalidFd }

type deadInfo struct{ name string }

func (i deadInfo) Name() string         { return i.name }
func (deadInfo) Size() int64            { return 0 }
func (deadInfo) Mode() fs.FileMode      { return 0 }
func (deadInfo) ModTime() time.Time     { return time.Time{} }
func (deadInfo) IsDir() bool            { return false }
func (deadInfo) Sys() any               { return nil }
func (deadInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }
