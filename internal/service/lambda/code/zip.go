// Package code turns deployment packages into directories: it checks and unpacks ZIP archives that nobody has reason to
// trust, and keeps what it unpacked in a cache, once for each archive.
//
// The package promises:
//
//   - Nothing is ever written outside of the directory that an archive is unpacked to, and no link in it leads out of it.
//   - Sizes are counted on the bytes that come out, not on what the archive says about itself, so that an archive bomb
//     costs no more time, memory or disk than an honest archive at the limit.
//   - A directory of the cache is there completely or not at all, also after a crash of the machine, and stays for as long
//     as somebody holds it.
package code

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Limits of deployment packages.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const (
	// MaxZipped is the largest archive that a request may carry, in bytes.
	MaxZipped = 50 << 20
	// MaxUnzipped is how large the files of a function may be together, in bytes.
	MaxUnzipped = 250 << 20
)

const (
	// maxDirectory is the largest table of contents that is read, in bytes: more than 100,000 files of usual names.
	maxDirectory = 16 << 20
	// maxName is the longest path of a file below /var/task that a function could open.
	maxName = 4000
	// maxTarget is the longest target of a symbolic link.
	maxTarget = 4000
)

var (
	// ErrEmpty says that an archive has no files.
	ErrEmpty = errors.New("the archive is empty")
	// ErrTooLarge says that the files of an archive are larger than MaxUnzipped.
	ErrTooLarge = errors.New("the files of the archive are too large")
)

// An InvalidError says why an archive cannot be unpacked.
type InvalidError struct {
	Name   string // the entry; empty for the archive as a whole
	Reason string
}

func (e *InvalidError) Error() string {
	if e.Name == "" {
		return "invalid archive: " + e.Reason
	}
	return fmt.Sprintf("invalid archive: %q: %s", e.Name, e.Reason)
}

// Unpack writes the files of the archive src, which is size bytes long, into dir, which must exist. It fails with
// ErrEmpty, ErrTooLarge or an *InvalidError if the archive is at fault; dir then holds a part of it.
//
// Everybody may read the files, and execute those that somebody may execute according to the archive; times, owners and
// special bits are not kept.
func Unpack(ctx context.Context, src io.ReaderAt, size int64, dir string) error {
	return unpack(ctx, src, size, dir, MaxUnzipped)
}

func unpack(ctx context.Context, src io.ReaderAt, size int64, dir string, limit int64) error {
	z, err := open(src, size)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	u := &unpacker{root: root, left: limit, links: make(map[string]bool), dirs: map[string]bool{".": true}, buf: make([]byte, 64<<10)}
	for _, f := range z.File {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := u.entry(f); err != nil {
			return err
		}
	}
	if u.files == 0 {
		return ErrEmpty
	}
	return nil
}

// open reads the table of contents.
func open(src io.ReaderAt, size int64) (*zip.Reader, error) {
	b := &budget{src: src, left: maxDirectory}
	z, err := zip.NewReader(b, size)
	switch {
	case errors.Is(err, zip.ErrInsecurePath): // entry looks at each path itself
	case errors.Is(err, errBudget):
		return nil, &InvalidError{Reason: "too many files"}
	case errors.Is(err, zip.ErrFormat), errors.Is(err, zip.ErrAlgorithm), errors.Is(err, zip.ErrChecksum), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return nil, &InvalidError{Reason: "not a ZIP archive"}
	case err != nil:
		return nil, err
	}
	if len(z.File) == 0 {
		return nil, ErrEmpty
	}
	b.unlimited = true
	return z, nil
}

var errBudget = errors.New("code: the table of contents is too large")

// budget bounds what zip.NewReader reads, and with it what it allocates.
type budget struct {
	src       io.ReaderAt
	left      int64
	unlimited bool
}

func (b *budget) ReadAt(p []byte, off int64) (int, error) {
	if !b.unlimited {
		if b.left -= int64(len(p)); b.left < 0 {
			return 0, errBudget
		}
	}
	return b.src.ReadAt(p, off)
}

type unpacker struct {
	root  *os.Root
	left  int64 // bytes that may still be written
	files int
	links map[string]bool // symbolic links written so far
	dirs  map[string]bool // directories that are there
	buf   []byte
}

func (u *unpacker) entry(f *zip.File) error {
	name, err := cleanName(f.Name)
	if err != nil {
		return err
	}
	// Every path is then where it seems to be, and a link that stays inside by its text stays inside.
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if u.links[dir] {
			return &InvalidError{f.Name, "lies behind a symbolic link"}
		}
	}
	if f.Flags&1 != 0 {
		return &InvalidError{f.Name, "is encrypted"}
	}
	mode := f.Mode()
	switch {
	case strings.HasSuffix(f.Name, "/") || mode.IsDir():
		return u.mkdir(f, name)
	case name == ".":
		return &InvalidError{f.Name, "is not the name of a file"}
	case mode&fs.ModeSymlink != 0:
		err = u.symlink(f, name)
	case mode.IsRegular():
		err = u.file(f, name, mode)
	default:
		return &InvalidError{f.Name, "is not a file, a directory or a symbolic link"}
	}
	u.files++
	return err
}

// cleanName returns the path of an entry relative to the root.
func cleanName(name string) (string, error) {
	switch {
	case name == "" || len(name) > maxName:
		return "", &InvalidError{name, "has no usable name"}
	case strings.ContainsRune(name, 0):
		return "", &InvalidError{name, "has a zero byte in its name"}
	case path.IsAbs(name):
		return "", &InvalidError{name, "has an absolute path"}
	}
	for part := range strings.SplitSeq(name, "/") {
		switch {
		case part == "..":
			return "", &InvalidError{name, "leads out of the archive"}
		case len(part) > 255:
			return "", &InvalidError{name, "has no usable name"}
		}
	}
	return path.Clean(name), nil
}

func (u *unpacker) mkdir(f *zip.File, name string) error {
	if u.dirs[name] {
		return nil
	}
	if parent := path.Dir(name); !u.dirs[parent] {
		if err := u.mkdir(f, parent); err != nil {
			return err
		}
	}
	if err := u.root.Mkdir(name, 0o755); err != nil {
		return u.conflict(f, err)
	}
	// The umask of the process must not decide.
	if err := u.root.Chmod(name, 0o755); err != nil {
		return err
	}
	u.dirs[name] = true
	return nil
}

// conflict makes the error for an entry that clashes with an earlier one.
func (u *unpacker) conflict(f *zip.File, err error) error {
	if errors.Is(err, fs.ErrExist) || isDirectory(err) {
		return &InvalidError{f.Name, "is there twice, as different kinds of files"}
	}
	return err
}

func (u *unpacker) file(f *zip.File, name string, mode fs.FileMode) error {
	if err := u.mkdir(f, path.Dir(name)); err != nil {
		return err
	}
	if u.links[name] || u.dirs[name] {
		return &InvalidError{f.Name, "is there twice, as different kinds of files"}
	}
	perm := fs.FileMode(0o644)
	if mode&0o111 != 0 {
		perm = 0o755
	}
	r, err := f.Open()
	if err != nil {
		return entryError(f, err)
	}
	defer r.Close()
	w, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return u.conflict(f, err)
	}
	err = u.copy(w, r, f)
	if err == nil {
		err = w.Chmod(perm)
	}
	if e := w.Close(); err == nil {
		err = e
	}
	return err
}

// copy writes what r holds, of which no more than u.left bytes are accepted.
func (u *unpacker) copy(w io.Writer, r io.Reader, f *zip.File) error {
	for {
		n, err := r.Read(u.buf)
		if u.left -= int64(n); u.left < 0 {
			return ErrTooLarge
		}
		if n > 0 {
			if _, werr := w.Write(u.buf[:n]); werr != nil {
				return werr
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return entryError(f, err)
		}
	}
}

func (u *unpacker) symlink(f *zip.File, name string) error {
	if err := u.mkdir(f, path.Dir(name)); err != nil {
		return err
	}
	r, err := f.Open()
	if err != nil {
		return entryError(f, err)
	}
	defer r.Close()
	target := make([]byte, maxTarget+1)
	n, err := io.ReadFull(r, target)
	if err != io.ErrUnexpectedEOF && err != io.EOF {
		if err == nil {
			return &InvalidError{f.Name, "is a symbolic link with too long a target"}
		}
		return entryError(f, err)
	}
	if !staysInside(name, string(target[:n])) {
		return &InvalidError{f.Name, "is a symbolic link that leads out of the archive"}
	}
	if u.left -= int64(n); u.left < 0 {
		return ErrTooLarge
	}
	if err := u.root.Symlink(string(target[:n]), name); err != nil {
		return u.conflict(f, err)
	}
	u.links[name] = true
	return nil
}

// staysInside says whether a link at name to target leads to a place below the root, whatever other links there are:
// it may climb only at its beginning, where the way up is known, and then only as far as the root.
func staysInside(name, target string) bool {
	if target == "" || path.IsAbs(target) || strings.ContainsRune(target, 0) {
		return false
	}
	depth, climbing := strings.Count(name, "/"), true
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if depth--; depth < 0 || !climbing {
				return false
			}
		default:
			climbing = false
		}
	}
	return true
}

// entryError tells a broken archive from a disk that cannot be read.
func entryError(f *zip.File, err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return err
	}
	return &InvalidError{f.Name, err.Error()}
}
