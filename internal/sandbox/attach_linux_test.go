//go:build linux && (amd64 || arm64)

package sandbox

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func init() {
	// waits until the file is there and tells what may be done with it.
	roles["later"] = func(args []string) int {
		fmt.Println("up")
		for range 2000 {
			if _, err := os.Stat(args[0] + "/file"); err == nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		b, err := os.ReadFile(args[0] + "/file")
		fmt.Println(string(b), err)
		fmt.Println(os.WriteFile(args[0]+"/file", nil, 0o644) != nil)
		fmt.Println(os.WriteFile(args[0]+"/other", nil, 0o644) != nil)
		entries, err := os.ReadDir("/opt")
		fmt.Println(len(entries), err)
		here, err := os.ReadFile("file") // in the working directory
		dir, err2 := syscall.Getwd()
		fmt.Println(string(here), err, dir, err2)
		return 0
	}
}

// What is attached to a sandbox that runs is there like a bind: read-only, and with nothing else of the host.
func TestAttach(t *testing.T) {
	d := openLinux(t)
	defer d.Close()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := roleConfig(t, d, "later", "/var/later")
	c.Later = []string{"/opt", "/var/later"}
	c.Dir = "/var/later"
	before := belongings(t, d)
	p := start(t, d, c)
	if l := p.line(t); l != "up" {
		t.Fatal(l)
	}
	if err := p.Attach([]Bind{{dir, "/var/task"}}); err == nil {
		t.Error("attached over a bind")
	}
	if err := p.Attach([]Bind{{filepath.Join(dir, "missing"), "/opt"}}); !errors.Is(err, os.ErrNotExist) ||
		!strings.Contains(err.Error(), "missing") {
		t.Errorf("%v", err)
	}
	if err := p.Attach([]Bind{{dir, "/var/later"}}); err != nil {
		t.Fatal(err)
	}
	if out := p.ok(t); out != "content <nil>\ntrue\ntrue\n0 <nil>\ncontent <nil> /var/later <nil>\n" {
		t.Errorf("%q", out)
	}
	if err := p.Attach([]Bind{{dir, "/opt"}}); !errors.Is(err, ErrEnded) {
		t.Errorf("after the end: %v", err)
	}
	if after := belongings(t, d); !maps.Equal(after, before) {
		t.Errorf("left: %v, before: %v", after, before)
	}
}

func BenchmarkAttach(b *testing.B) {
	d := openLinux(b)
	defer d.Close()
	dir := b.TempDir()
	c := roleConfig(b, d, "later", "/none")
	c.Later = []string{"/opt"}
	p := start(b, d, c)
	p.line(b)
	for b.Loop() {
		if err := p.Attach([]Bind{{dir, "/opt"}}); err != nil {
			b.Fatal(err)
		}
	}
	p.Kill()
	p.Wait()
	p.out.Close()
}
