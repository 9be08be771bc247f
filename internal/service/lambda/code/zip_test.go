package code

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

type file struct {
	name string
	mode fs.FileMode
	body string
}

func archive(t testing.TB, files ...file) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate}
		if f.mode != 0 {
			h.SetMode(f.mode)
		}
		e, err := w.CreateHeader(h)
		must(t, err)
		if !strings.HasSuffix(f.name, "/") {
			_, err = io.WriteString(e, f.body)
			must(t, err)
		}
	}
	must(t, w.Close())
	return buf.Bytes()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func unpackTo(t testing.TB, data []byte, limit int64) (dir string, err error) {
	t.Helper()
	dir = t.TempDir()
	return dir, unpack(t.Context(), bytes.NewReader(data), int64(len(data)), dir, limit)
}

func TestUnpack(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077)) // the process's umask must not show
	dir, err := unpackTo(t, archive(t,
		file{"index.py", 0, "print(1)"},
		file{"bin/bootstrap", 0o700, "#!/bin/sh"},
		file{"bin/setuid", fs.ModeSetuid | 0o4755, "x"},
		file{"secret/only-mine", 0o600, "y"},
		file{"empty/", fs.ModeDir | 0o700, ""},
		file{"./a//b", 0, "z"},
		file{"node_modules/.bin/tool", fs.ModeSymlink | 0o777, "../tool/cli.js"},
		file{"node_modules/tool/cli.js", 0o755, "cli"},
		file{`back\slash`, 0, "w"},
		file{"dangling", fs.ModeSymlink | 0o777, "nowhere"},
		file{"twice", 0, "first"},
		file{"twice", 0, "second"},
	), MaxUnzipped)
	must(t, err)
	for name, want := range map[string]fs.FileMode{
		"index.py": 0o644, "bin": fs.ModeDir | 0o755, "bin/bootstrap": 0o755, "bin/setuid": 0o755,
		"secret": fs.ModeDir | 0o755, "secret/only-mine": 0o644, "empty": fs.ModeDir | 0o755, "a/b": 0o644, `back\slash`: 0o644,
	} {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", name, info, err, want)
		}
	}
	for name, want := range map[string]string{"index.py": "print(1)", "a/b": "z", "node_modules/.bin/tool": "cli", "twice": "second"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v", name, got, err)
		}
	}
}

func TestUnpackRefuses(t *testing.T) {
	link := fs.ModeSymlink | 0o777
	good := archive(t, file{"a", 0, "b"})
	encrypted := bytes.Clone(good)
	binary.LittleEndian.PutUint16(encrypted[bytes.Index(encrypted, []byte("PK\x01\x02"))+8:], 1)
	unknownMethod := bytes.Clone(good)
	binary.LittleEndian.PutUint16(unknownMethod[bytes.Index(unknownMethod, []byte("PK\x01\x02"))+10:], 99)
	badSum := bytes.Clone(good)
	badSum[bytes.Index(badSum, []byte("PK\x01\x02"))+16] ^= 1
	stored := bytes.Replace(good, []byte("PK\x03\x04"), []byte("PKxx"), 1)

	for name, data := range map[string][]byte{
		"nothing":               {},
		"no archive":            []byte("def handler(event, context): pass"),
		"half an archive":       good[:len(good)/2],
		"encrypted":             encrypted,
		"unknown method":        unknownMethod,
		"wrong checksum":        badSum,
		"no local header":       stored,
		"parent":                archive(t, file{"../a", 0, "x"}),
		"parent inside":         archive(t, file{"a/../../b", 0, "x"}),
		"harmless parent":       archive(t, file{"a/../b", 0, "x"}),
		"absolute":              archive(t, file{"/etc/passwd", 0, "x"}),
		"absolute directory":    archive(t, file{"/", fs.ModeDir, ""}),
		"zero byte":             archive(t, file{"a\x00b", 0, "x"}),
		"no name":               archive(t, file{"", 0, "x"}),
		"the root":              archive(t, file{".", 0, "x"}),
		"long name":             archive(t, file{strings.Repeat("a", 256), 0, "x"}),
		"long path":             archive(t, file{strings.Repeat("a/", 2001) + "b", 0, "x"}),
		"device":                archive(t, file{"null", fs.ModeDevice | fs.ModeCharDevice | 0o666, ""}),
		"block device":          archive(t, file{"sda", fs.ModeDevice | 0o666, ""}),
		"fifo":                  archive(t, file{"fifo", fs.ModeNamedPipe | 0o666, ""}),
		"socket":                archive(t, file{"socket", fs.ModeSocket | 0o666, ""}),
		"absolute link":         archive(t, file{"l", link, "/etc"}),
		"climbing link":         archive(t, file{"l", link, "../x"}),
		"deep climbing link":    archive(t, file{"a/b/l", link, "../../../x"}),
		"link through a link":   archive(t, file{"s", link, "."}, file{"l", link, "s/../x"}),
		"empty link":            archive(t, file{"l", link, ""}),
		"endless link":          archive(t, file{"l", link, strings.Repeat("a", maxTarget+1)}),
		"zero byte in a link":   archive(t, file{"l", link, "a\x00"}),
		"behind a link":         archive(t, file{"d/x", 0, "1"}, file{"l", link, "d"}, file{"l/y", 0, "2"}),
		"below a link":          archive(t, file{"d/x", 0, "1"}, file{"l", link, "d"}, file{"l/y/z", 0, "2"}),
		"over a link":           archive(t, file{"x", 0, "1"}, file{"l", link, "x"}, file{"l", 0, "2"}),
		"link over a file":      archive(t, file{"x", 0, "1"}, file{"x", link, "y"}),
		"directory over a file": archive(t, file{"x", 0, "1"}, file{"x/", fs.ModeDir, ""}),
		"file over a directory": archive(t, file{"x/", fs.ModeDir, ""}, file{"x", 0, "1"}),
		"below a file":          archive(t, file{"x", 0, "1"}, file{"x/y", 0, "1"}),
	} {
		dir, err := unpackTo(t, data, MaxUnzipped)
		if _, ok := errors.AsType[*InvalidError](err); !ok {
			t.Errorf("%s: %v", name, err)
		}
		staysIn(t, name, dir)
	}
	for name, data := range map[string][]byte{
		"no files":         archive(t),
		"only directories": archive(t, file{"a/", fs.ModeDir, ""}),
	} {
		if _, err := unpackTo(t, data, MaxUnzipped); err != ErrEmpty {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// staysIn looks whether everything below dir resolves to a place below dir, or to none.
func staysIn(t testing.TB, name, dir string) {
	real, err := filepath.EvalSymlinks(dir)
	must(t, err)
	must(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if to, err := filepath.EvalSymlinks(p); err == nil && to != real && !strings.HasPrefix(to, real+"/") {
			t.Errorf("%s: %s leads to %s", name, p, to)
		}
		if !d.IsDir() && !d.Type().IsRegular() && d.Type() != fs.ModeSymlink {
			t.Errorf("%s: %s is a %v", name, p, d.Type())
		}
		return nil
	}))
	if entries, _ := os.ReadDir(filepath.Dir(dir)); len(entries) > 64 {
		t.Errorf("%s: files beside the directory: %v", name, entries)
	}
}

func TestUnpackCountsWhatComesOut(t *testing.T) {
	const limit = 1 << 20
	for _, n := range []int{limit - 1, limit} {
		if _, err := unpackTo(t, archive(t, file{"a", 0, strings.Repeat("x", n)}), limit); err != nil {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := unpackTo(t, archive(t, file{"a", 0, strings.Repeat("x", limit)}, file{"b", 0, "x"}), limit); err != ErrTooLarge {
		t.Errorf("one byte over the limit: %v", err)
	}
	// An entry that says it is small.
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) { return flate.NewWriter(out, 9) })
	e, err := w.Create("bomb")
	must(t, err)
	_, err = e.Write(make([]byte, 64<<20))
	must(t, err)
	must(t, w.Close())
	lying := buf.Bytes()
	binary.LittleEndian.PutUint32(lying[bytes.Index(lying, []byte("PK\x01\x02"))+24:], 10)
	dir, err := unpackTo(t, lying, limit)
	if err == nil {
		t.Error("an entry that lies about its size is accepted")
	}
	if info, err := os.Stat(filepath.Join(dir, "bomb")); err == nil && info.Size() > limit {
		t.Errorf("%d bytes of it were written", info.Size())
	}
}

func TestUnpackBoundsTheTableOfContents(t *testing.T) {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for i := range 70_000 {
		_, err := w.CreateRaw(&zip.FileHeader{Name: fmt.Sprintf("%0250d", i)})
		must(t, err)
	}
	must(t, w.Close())
	_, err := unpackTo(t, buf.Bytes(), MaxUnzipped)
	if e, ok := errors.AsType[*InvalidError](err); !ok || e.Reason != "too many files" {
		t.Errorf("%v", err)
	}
}

func TestUnpackEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	data := archive(t, file{"a", 0, "b"})
	if err := Unpack(ctx, bytes.NewReader(data), int64(len(data)), t.TempDir()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func FuzzUnpack(f *testing.F) {
	link := fs.ModeSymlink | 0o777
	f.Add(archive(f, file{"a/b", 0, "x"}, file{"l", link, "a/../b"}))
	f.Add(archive(f, file{"d/x", 0, "1"}, file{"l", link, "d"}, file{"l/y", 0, "2"}))
	f.Add(archive(f, file{"../a", 0, "x"}, file{"/b", 0, "x"}))
	f.Add(archive(f, file{"null", fs.ModeDevice | fs.ModeCharDevice | 0o666, ""}))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 16
		outer := t.TempDir()
		dir := filepath.Join(outer, "in")
		must(t, os.Mkdir(dir, 0o755))
		err := unpack(t.Context(), bytes.NewReader(data), int64(len(data)), dir, limit)
		staysIn(t, "fuzz", dir)
		if entries, _ := os.ReadDir(outer); len(entries) != 1 {
			t.Errorf("files beside the directory: %v", entries)
		}
		if _, invalid := errors.AsType[*InvalidError](err); err != nil && !invalid && err != ErrEmpty && err != ErrTooLarge {
			t.Errorf("blames the machine: %v", err)
		}
	})
}
