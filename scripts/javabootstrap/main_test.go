package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

const bootstrap = "../../internal/runtimes/bootstrap"

// The jar is made of the sources beside it: it says so, and the compiler that made it makes the same again.
func TestUpToDate(t *testing.T) {
	sources, sum, err := read(filepath.Join(bootstrap, "java"))
	if err != nil || len(sources) < 20 {
		t.Fatal(sources, err)
	}
	m, err := manifest(filepath.Join(bootstrap, "bootstrap.jar"))
	if err != nil {
		t.Fatal(err)
	}
	if m["Sources"] != sum {
		t.Fatal("bootstrap.jar is older than its sources: run make generate")
	}
	version, err := compiler()
	switch {
	case err != nil && os.Getenv("CI") != "":
		t.Fatal(err)
	case err != nil:
		t.Skip(err)
	case version != m["Compiler"]: // it may be newer, and compile otherwise
		t.Skipf("the jar was made by javac %s, here is %s", m["Compiler"], version)
	}
	made, err := build(filepath.Join(bootstrap, "java"), sources, sum)
	if err != nil {
		t.Fatal(err)
	}
	committed, err := os.ReadFile(filepath.Join(bootstrap, "bootstrap.jar"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made, committed) {
		t.Error("compiling the sources gives another jar")
	}
}
