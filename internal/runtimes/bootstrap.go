package runtimes

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

//go:embed bootstrap/bootstrap.py
var bootstrapPython []byte

//go:embed bootstrap/index.cjs
var bootstrapNode []byte

//go:embed bootstrap/hooks.mjs
var bootstrapNodeHooks []byte

//go:embed bootstrap/bootstrap.rb
var bootstrapRuby []byte

// Made of the sources in bootstrap/java by scripts/javabootstrap.
//
//go:embed bootstrap/bootstrap.jar
var bootstrapJava []byte

// A bootstrapFile is one of the files of a family's bootstrap.
type bootstrapFile struct {
	name    string
	content []byte
}

func bootstrapFiles(f family) []bootstrapFile {
	switch f {
	case python:
		return []bootstrapFile{{"bootstrap.py", bootstrapPython}}
	case nodejs:
		return []bootstrapFile{{"index.cjs", bootstrapNode}, {"hooks.mjs", bootstrapNodeHooks}}
	case ruby:
		return []bootstrapFile{{"bootstrap.rb", bootstrapRuby}}
	case java:
		return []bootstrapFile{{"bootstrap.jar", bootstrapJava}}
	}
	return nil
}

// bootstrapDir returns the directory that a sandbox shows as RuntimeDir for an interpreter: below dir, and another one
// for another interpreter and for another bootstrap.
func bootstrapDir(dir string, p program) string {
	h := sha256.New()
	h.Write([]byte(p.stamp() + "\x00"))
	for _, f := range bootstrapFiles(p.family) {
		h.Write(f.content)
	}
	return filepath.Join(dir, "bootstrap", hex.EncodeToString(h.Sum(nil)[:8]))
}

// placeBootstrap makes bootstrapDir. It calls finish with the path of the directory before the directory has its name,
// so that what is there is complete.
func placeBootstrap(dir string, p program, finish func(dir string) error) (err error) {
	final := bootstrapDir(dir, p)
	if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(final), ".new-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	for _, f := range bootstrapFiles(p.family) {
		if err := os.WriteFile(filepath.Join(work, f.name), f.content, 0o644); err != nil {
			return err
		}
	}
	if p.family == nodejs {
		if err := os.Mkdir(filepath.Join(work, "node_modules"), 0o755); err != nil { // a place for the SDK to appear at
			return err
		}
	}
	if err := finish(work); err != nil {
		return err
	}
	if err := readableForAll(work); err != nil {
		return err
	}
	if err := os.Rename(work, final); err != nil && !exists(final) {
		return err
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
