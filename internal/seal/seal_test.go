package seal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func box(t testing.TB, m *Master, purpose string) *Box {
	t.Helper()
	b, err := m.Box(purpose)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func master(t testing.TB, fill byte) *Master {
	t.Helper()
	m, err := ParseMaster(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{fill}, KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSealOpen(t *testing.T) {
	m := master(t, 1)
	a := box(t, m, "a")
	for _, secret := range []string{"", "x", strings.Repeat("secret", 1000)} {
		sealed := a.Seal([]byte(secret), []byte("context"))
		if secret != "" && bytes.Contains(sealed, []byte(secret)) {
			t.Error("the secret stands in what was sealed")
		}
		if again := a.Seal([]byte(secret), []byte("context")); bytes.Equal(sealed, again) {
			t.Error("the same secret seals to the same bytes")
		}
		got, err := box(t, m, "a").Open(sealed, []byte("context"))
		if err != nil || string(got) != secret {
			t.Errorf("got %q, %v", got, err)
		}
		for name, try := range map[string]func() ([]byte, error){
			"another context": func() ([]byte, error) { return a.Open(sealed, []byte("other")) },
			"another purpose": func() ([]byte, error) { return box(t, m, "b").Open(sealed, []byte("context")) },
			"another master":  func() ([]byte, error) { return box(t, master(t, 2), "a").Open(sealed, []byte("context")) },
			"nothing":         func() ([]byte, error) { return a.Open(nil, nil) },
		} {
			if got, err := try(); !errors.Is(err, ErrOpen) || got != nil {
				t.Errorf("%s: got %q, %v", name, got, err)
			}
		}
		for i := range min(len(sealed), 64) {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1
			if _, err := a.Open(changed, []byte("context")); !errors.Is(err, ErrOpen) {
				t.Errorf("byte %d changed: %v", i, err)
			}
			if _, err := a.Open(sealed[:i], []byte("context")); !errors.Is(err, ErrOpen) {
				t.Errorf("cut at %d: %v", i, err)
			}
		}
	}
}

func TestLoadMaster(t *testing.T) {
	file := filepath.Join(t.TempDir(), "master.key")
	first, err := LoadMaster(file)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	sealed := box(t, first, "a").Seal([]byte("x"), nil)
	second, err := LoadMaster(file)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := box(t, second, "a").Open(sealed, nil); err != nil || string(got) != "x" {
		t.Errorf("after loading again: %q, %v", got, err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*")); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}

	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadMaster(file); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file for the group: %v", err)
	}
	for _, bad := range []string{"", "x", base64.StdEncoding.EncodeToString(make([]byte, KeySize-1)), base64.StdEncoding.EncodeToString(make([]byte, KeySize+1))} {
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		os.Chmod(file, 0o600)
		if _, err := LoadMaster(file); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if _, err := LoadMaster(filepath.Join(t.TempDir(), "missing", "master.key")); err == nil {
		t.Error("a directory that is not there is taken")
	}
}

func TestMasterDoesNotPrint(t *testing.T) {
	m := master(t, 'K')
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(format, m); strings.Contains(s, "75") || strings.Contains(s, "KK") {
			t.Errorf("%s prints %s", format, s)
		}
	}
}

func FuzzOpen(f *testing.F) {
	b := box(f, master(f, 1), "a")
	f.Add(b.Seal([]byte("x"), nil))
	f.Add([]byte{version})
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if got, err := b.Open(sealed, nil); err == nil && string(got) != "x" {
			t.Fatalf("opened %q", got)
		}
	})
}
