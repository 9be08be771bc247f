package app

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// opens says whether a server takes a key.
func opens(t *testing.T, endpoint, id, secret string) bool {
	t.Helper()
	status, body := dynamo(t, endpoint, id, secret, "ListTables", `{}`)
	switch {
	case status == 200:
		return true
	case status == 400 && strings.Contains(body, "UnrecognizedClientException"):
		return false
	}
	t.Fatalf("%d %s", status, body)
	return false
}

// An order takes effect on the next call, whether the server runs or not, and clients find the new key.
func TestAdmin(t *testing.T) {
	for name, dir := range map[string]string{
		"a short path": "data",
		"a long path":  strings.Repeat("long/", 30) + "data",
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t)
			c.DataDir = filepath.Join(filepath.Dir(c.DataDir), dir)
			c.AccountID = "123456789012"
			known, stop := start(t, c)
			info, err := os.Lstat(filepath.Join(c.DataDir, adminSocket))
			if err != nil || info.Mode().Type() != fs.ModeSocket || info.Mode().Perm() != 0o600 {
				t.Fatalf("%v, %v", info, err)
			}
			order := func(order Order) *RootKey {
				t.Helper()
				key, err := RunAdmin(t.Context(), order, c.DataDir, "999999999999")
				if err != nil {
					t.Fatal(err)
				}
				now, err := readClient(c.DataDir)
				if err != nil || now.AccessKeyID != key.AccessKeyID || now.SecretAccessKey != key.SecretAccessKey ||
					now.Endpoint != known.Endpoint || now.Region != known.Region || key.Replaced != known.AccessKeyID || key.Account != c.AccountID {
					t.Errorf("%+v, %+v, %v", now, key, err)
				}
				if info, err := os.Stat(filepath.Join(c.DataDir, clientFile)); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("%v, %v", info, err)
				}
				return key
			}
			for _, o := range []Order{RotateRoot, ResetRoot} {
				old := known
				key := order(o)
				if opens(t, known.Endpoint, old.AccessKeyID, old.SecretAccessKey) || !opens(t, known.Endpoint, key.AccessKeyID, key.SecretAccessKey) {
					t.Errorf("after %s of a server that runs the wrong key opens", o)
				}
				known.AccessKeyID, known.SecretAccessKey = key.AccessKeyID, key.SecretAccessKey
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Lstat(filepath.Join(c.DataDir, adminSocket)); !errors.Is(err, fs.ErrNotExist) {
				t.Error("the socket stays")
			}
			var old []client
			for _, o := range []Order{RotateRoot, ResetRoot} {
				old = append(old, known)
				key := order(o)
				known.AccessKeyID, known.SecretAccessKey = key.AccessKeyID, key.SecretAccessKey
			}
			again, stop := start(t, c)
			if again.AccessKeyID != known.AccessKeyID || !opens(t, again.Endpoint, again.AccessKeyID, again.SecretAccessKey) {
				t.Errorf("%s after %s", again.AccessKeyID, known.AccessKeyID)
			}
			for _, k := range old {
				if opens(t, again.Endpoint, k.AccessKeyID, k.SecretAccessKey) {
					t.Error("a key opens that was replaced while the server was stopped")
				}
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A key that is lost, with the file that told it, is got back.
func TestResetRootWithoutClientFile(t *testing.T) {
	c := config(t)
	known, stop := start(t, c)
	file := filepath.Join(c.DataDir, clientFile)
	for _, running := range []bool{true, false} {
		if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := RunAdmin(t.Context(), RotateRoot, c.DataDir, c.AccountID); err == nil || !strings.Contains(err.Error(), "cannot be read") {
			t.Error(err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		key, err := RunAdmin(t.Context(), ResetRoot, c.DataDir, c.AccountID)
		if err != nil || key.Replaced != "" || key.Account != c.AccountID {
			t.Fatalf("%+v, %v", key, err)
		}
		if running {
			if opens(t, known.Endpoint, known.AccessKeyID, known.SecretAccessKey) || !opens(t, known.Endpoint, key.AccessKeyID, key.SecretAccessKey) {
				t.Error("the wrong key opens")
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAdminIsRefused(t *testing.T) {
	c := config(t)
	if _, err := RunAdmin(t.Context(), ResetRoot, c.DataDir, c.AccountID); err == nil || !strings.Contains(err.Error(), "no Brume data in") {
		t.Error(err)
	}
	_, stop := start(t, c)
	// The server holds the directory, but its socket is gone.
	if err := os.Remove(filepath.Join(c.DataDir, adminSocket)); err != nil {
		t.Fatal(err)
	}
	if _, err := RunAdmin(t.Context(), ResetRoot, c.DataDir, c.AccountID); err == nil || !strings.Contains(err.Error(), "stop it, and try again") {
		t.Error(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// With another master key nothing is sealed.
	t.Setenv("BRUME_MASTER_KEY", strings.Repeat("A", 43)+"=")
	if _, err := RunAdmin(t.Context(), ResetRoot, c.DataDir, c.AccountID); err == nil || !strings.Contains(err.Error(), "the master key is not that of") {
		t.Error(err)
	}
}

// Orders that come at once are carried out one after the other.
func TestAdminAtOnce(t *testing.T) {
	c := config(t)
	known, _ := start(t, c)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := RunAdmin(t.Context(), RotateRoot, c.DataDir, c.AccountID); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	last, err := readClient(c.DataDir)
	if err != nil || !opens(t, known.Endpoint, last.AccessKeyID, last.SecretAccessKey) {
		t.Errorf("%+v, %v", last, err)
	}
}
