package code

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// Layers lie over one another in their order.
// https://docs.aws.amazon.com/lambda/latest/dg/adding-layers.html
func TestAcquireMerged(t *testing.T) {
	c, err := OpenCache(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	layer := func(digest byte, files ...string) *Dir {
		var buf bytes.Buffer
		w := zip.NewWriter(&buf)
		for i := 0; i < len(files); i += 2 {
			e, err := w.Create(files[i])
			if err != nil {
				t.Fatal(err)
			}
			e.Write([]byte(files[i+1]))
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		dir, err := c.Acquire(t.Context(), string(bytes.Repeat([]byte{digest}, 64)), func() (Archive, error) {
			return memoryArchive{bytes.NewReader(buf.Bytes())}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return dir
	}
	a := layer('a', "python/x.py", "1", "python/y.py", "1", "kind", "file")
	b := layer('b', "python/x.py", "2", "kind/z", "directory", "lib/l.so", "2")
	defer a.Release()
	defer b.Release()
	merged, err := c.AcquireMerged(t.Context(), []*Dir{a, b})
	if err != nil {
		t.Fatal(err)
	}
	defer merged.Release()
	for name, want := range map[string]string{"python/x.py": "2", "python/y.py": "1", "kind/z": "directory", "lib/l.so": "2"} {
		if got, err := os.ReadFile(filepath.Join(merged.Path, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got, err := os.ReadFile(filepath.Join(a.Path, "python/x.py")); err != nil || string(got) != "1" {
		t.Errorf("the layer below was changed: %q, %v", got, err)
	}
	other, err := c.AcquireMerged(t.Context(), []*Dir{b, a})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Release()
	if got, err := os.ReadFile(filepath.Join(other.Path, "kind")); err != nil || string(got) != "file" || other.Path == merged.Path {
		t.Errorf("the other way round: %q, %v", got, err)
	}
	if size, err := Size(merged.Path); err != nil || size != int64(len("2"+"1"+"directory"+"2")) {
		t.Errorf("%d bytes, %v", size, err)
	}
}

type memoryArchive struct{ *bytes.Reader }

func (memoryArchive) Close() error { return nil }
