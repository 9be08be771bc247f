// Command javabootstrap compiles the bootstrap of Java functions, internal/runtimes/bootstrap/java, into bootstrap.jar beside it.
// A machine that runs functions need not have a compiler, so the jar is committed. It does nothing while the sources are those
// that the jar was made of: only who changes them needs a JDK.
package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// release is the oldest Java that the bootstrap runs on.
const release = "11"

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: javabootstrap DIRECTORY")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "javabootstrap:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	jar := filepath.Join(dir, "bootstrap.jar")
	sources, sum, err := read(filepath.Join(dir, "java"))
	if err != nil {
		return err
	}
	if _, err := os.Stat(jar); err == nil {
		if m, err := manifest(jar); err != nil || m["Sources"] == sum {
			return err
		}
	}
	b, err := build(filepath.Join(dir, "java"), sources, sum)
	if err != nil {
		return err
	}
	return os.WriteFile(jar, b, 0o644)
}

// read returns the paths of the sources below dir, sorted, and a checksum of all that they hold.
func read(dir string) (sources []string, sum string, err error) {
	h := sha256.New()
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".java" {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		fmt.Fprintf(h, "%s %d\n", filepath.ToSlash(name), len(b))
		h.Write(b)
		sources = append(sources, name)
		return err
	})
	return sources, hex.EncodeToString(h.Sum(nil)[:24]), err
}

// manifest reads the lines of a jar's manifest.
func manifest(jar string) (map[string]string, error) {
	r, err := zip.OpenReader(jar)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	f, err := r.Open("META-INF/MANIFEST.MF")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	m := make(map[string]string)
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		m[name] = value
	}
	return m, err
}

// compiler returns the version of the compiler: "17".
func compiler() (string, error) {
	out, err := exec.Command("javac", "-version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("the bootstrap of Java functions has changed, and there is no javac to compile it: %w", err)
	}
	m := regexp.MustCompile(`javac (\d+)`).FindSubmatch(out)
	if m == nil {
		return "", errors.New("javac -version says " + string(out))
	}
	return string(m[1]), nil
}

// build compiles the sources below dir and returns the jar: the same bytes for the same sources and compiler.
func build(dir string, sources []string, sum string) (_ []byte, err error) {
	version, err := compiler()
	if err != nil {
		return nil, err
	}
	out, err := os.MkdirTemp("", "javabootstrap-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(out)) }()
	// Strings are put together by plain code: the other way is linked when it is first used, which is when somebody waits.
	cmd := exec.Command("javac", append([]string{"-encoding", "UTF-8", "--release", release, "-XDstringConcat=inline", "-Xlint:all,-options", "-Werror", "-d", out}, sources...)...)
	cmd.Dir = dir
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, said)
	}
	var classes []string
	if err := filepath.WalkDir(out, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			classes = append(classes, path)
		}
		return err
	}); err != nil {
		return nil, err
	}
	slices.Sort(classes)

	var b bytes.Buffer
	w := zip.NewWriter(&b)
	add := func(name string, content []byte) error {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name}) // stored: it loads sooner, and compressors change
		if err == nil {
			_, err = f.Write(content)
		}
		return err
	}
	// Opening java.util lets a process that waits for its function take over the function's environment. A
	// line has room for 72 bytes.
	head := "Manifest-Version: 1.0\r\nMain-Class: brume.Bootstrap\r\nAdd-Opens: java.base/java.util\r\nCompiler: " + version +
		"\r\nSources: " + sum + "\r\n\r\n"
	if err := add("META-INF/MANIFEST.MF", []byte(head)); err != nil {
		return nil, err
	}
	for _, path := range classes {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		name, err := filepath.Rel(out, path)
		if err != nil {
			return nil, err
		}
		if err := add(filepath.ToSlash(name), content); err != nil {
			return nil, err
		}
	}
	err = w.Close()
	return b.Bytes(), err
}
