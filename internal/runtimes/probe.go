package runtimes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// probeTimeout bounds how long one interpreter may take to say what it is.
const probeTimeout = 20 * time.Second

// A program is a file that may be an interpreter.
type program struct {
	family family
	path   string // with no symbolic link in it
	size   int64
	mtime  int64 // in nanoseconds
}

// stamp changes when the program does.
func (p program) stamp() string {
	return p.path + "\x00" + strconv.FormatInt(p.size, 10) + "\x00" + strconv.FormatInt(p.mtime, 10)
}

// A finding is what a program said of itself. It is kept in the cache file.
type finding struct {
	Version string
	Prefix  string
	// Stdlib is a directory, outside of the system's, that functions must be able to read.
	Stdlib string `json:",omitempty"`
	// Sites are the directories with installed packages, and other ones that functions see.
	Sites []string `json:",omitempty"`
	// Watched are the directories that change when a package is installed, and their times.
	Watched      []string `json:",omitempty"`
	WatchedTimes []int64  `json:",omitempty"`
	SDK          string   `json:",omitempty"`
	// Problem says why the program cannot run functions; empty if it can.
	Problem string `json:",omitempty"`
}

// current says whether a kept finding still holds. A problem may be gone any time.
func (f *finding) current() bool {
	return f.Problem == "" && slices.Equal(modTimes(f.Watched), f.WatchedTimes)
}

func modTimes(dirs []string) []int64 {
	var times []int64
	for _, dir := range dirs {
		var t int64
		if info, err := os.Stat(dir); err == nil {
			t = info.ModTime().UnixNano()
		}
		times = append(times, t)
	}
	return times
}

// isProgram says whether a file is a compiled program and not a script, as the shims of version managers are.
func isProgram(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [4]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil {
		return false
	}
	switch string(magic[:]) {
	case "\x7fELF", "\xcf\xfa\xed\xfe", "\xca\xfe\xba\xbe": // Linux, macOS
		return true
	}
	return false
}

// pythonProbe is run with the source of the bootstrap and the file to compile it into.
const pythonProbe = `
import json, os, py_compile, site, sys
options = {}
if sys.version_info >= (3, 7):
    options["invalidation_mode"] = py_compile.PycInvalidationMode.UNCHECKED_HASH
py_compile.compile(sys.argv[1], sys.argv[2], sys.argv[3], doraise=True, **options)
try:
    import boto3
    sdk = boto3.__version__
except Exception:
    sdk = ""
sys.stdout.write("\n" + json.dumps({
    "Implementation": sys.implementation.name,
    "Version": "%d.%d.%d" % sys.version_info[:3],
    "Prefix": sys.prefix,
    "BasePrefix": sys.base_prefix,
    "Stdlib": os.path.dirname(os.__file__),
    "Sites": [d for d in site.getsitepackages() if os.path.isdir(d)],
    "SDK": sdk,
}))
`

const nodeProbe = `JSON.stringify({Version: process.versions.node})`

// probe asks a program what it is and makes its bootstrap's directory below dir. Only a context that has ended is an
// error: everything else is a finding.
func probe(ctx context.Context, dir string, p program) (*finding, error) {
	var f *finding
	err := placeBootstrap(dir, p, func(work string) error {
		var err error
		switch p.family {
		case python:
			f, err = probePython(ctx, p, work)
		case nodejs:
			f, err = probeNode(ctx, p)
		case ruby:
			f, err = probeRuby(ctx, p)
		case java:
			f, err = probeJava(ctx, p, work)
		}
		return err
	})
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return &finding{Problem: err.Error()}, nil
	}
	if p.family == java { // without the archive functions start later, and that is all
		if err := archiveJava(ctx, p, bootstrapDir(dir, p)); err != nil && ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	if os.Geteuid() == 0 && !inSystem(p.path) {
		// Functions run as another user then. Only what lies at and below the bind mounts matters for that.
		for _, path := range []string{p.path, f.Prefix, f.Stdlib} {
			if info, err := os.Stat(path); path != "" && (err != nil || info.Mode()&0o005 != 0o005) {
				f.Problem = path + " cannot be read by other users"
			}
		}
	}
	return f, nil
}

func probePython(ctx context.Context, p program, work string) (*finding, error) {
	out, err := ask(ctx, p.path, "-I", "-B", "-W", "ignore", "-c", pythonProbe,
		filepath.Join(work, "bootstrap.py"), filepath.Join(work, "bootstrap.pyc"), RuntimeDir+"/bootstrap.py")
	if err != nil {
		return nil, err
	}
	var said struct {
		finding
		Implementation, BasePrefix string
	}
	if err := json.Unmarshal(out, &said); err != nil {
		return nil, err
	}
	switch {
	case said.Implementation != "cpython":
		return nil, errors.New("not CPython but " + said.Implementation)
	case said.Prefix != said.BasePrefix:
		return nil, errors.New("a virtual environment of " + said.BasePrefix)
	}
	f := said.finding
	f.Watched = f.Sites
	f.WatchedTimes = modTimes(f.Watched)
	return &f, nil
}

// rubyProbe leaves out the packages of a user's home.
const rubyProbe = `
require "json"
sites = Gem.default_path - [Gem.user_dir]
sdk = begin
  Gem::Specification.find_by_name("aws-sdk-core").version.to_s
rescue LoadError
  ""
end
STDOUT.write("\n", JSON.generate({
  Implementation: RUBY_ENGINE, Version: RUBY_VERSION, Prefix: RbConfig::CONFIG["prefix"], Stdlib: RbConfig::CONFIG["rubylibdir"],
  Sites: sites.select { |d| File.directory?(d) }, Watched: sites.map { |d| File.join(d, "specifications") }, SDK: sdk
}))
`

func probeRuby(ctx context.Context, p program) (*finding, error) {
	out, err := ask(ctx, p.path, "-W0", "-e", rubyProbe)
	if err != nil {
		return nil, err
	}
	var said struct {
		finding
		Implementation string
	}
	if err := json.Unmarshal(out, &said); err != nil {
		return nil, err
	}
	if said.Implementation != "ruby" {
		return nil, errors.New("not CRuby but " + said.Implementation)
	}
	f := said.finding
	f.WatchedTimes = modTimes(f.Watched)
	return &f, nil
}

func probeNode(ctx context.Context, p program) (*finding, error) {
	out, err := ask(ctx, p.path, "-p", nodeProbe)
	if err != nil {
		return nil, err
	}
	f := &finding{Prefix: filepath.Dir(p.path)}
	if filepath.Base(f.Prefix) == "bin" {
		f.Prefix = filepath.Dir(f.Prefix)
	}
	return f, json.Unmarshal(out, f)
}

// ask runs a program in a bare environment and returns the last line of what it writes.
func ask(ctx context.Context, path string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C.UTF-8"}
	cmd.Dir = "/"
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, lastLine(stderr.Bytes()))
	}
	return lastLine(out), nil
}

func lastLine(b []byte) []byte {
	b = bytes.TrimSpace(b)
	return b[bytes.LastIndexByte(b, '\n')+1:]
}

// candidates returns the programs in dirs that are named like interpreters, each once.
func candidates(dirs []string) []program {
	var found []program
	seen := make(map[string]bool)
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			continue // most of the places that may have one do not exist
		}
		for _, e := range entries {
			family, ok := familyOf(e.Name())
			if !ok {
				continue
			}
			path, err := filepath.EvalSymlinks(filepath.Join(dir, e.Name()))
			if err != nil || seen[path] {
				continue
			}
			seen[path] = true
			info, err := os.Stat(path)
			if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 || !isProgram(path) {
				continue
			}
			found = append(found, program{family, path, info.Size(), info.ModTime().UnixNano()})
		}
	}
	return found
}

// familyOf says what a file is by its name: python3, python3.N, node, nodejs, ruby, rubyM.N, or java.
func familyOf(name string) (family, bool) {
	switch name {
	case "node", "nodejs":
		return nodejs, true
	case "python3":
		return python, true
	case "ruby":
		return ruby, true
	case "java":
		return java, true
	}
	if minor, ok := strings.CutPrefix(name, "python3."); ok {
		_, ok = number(minor)
		return python, ok
	}
	version, ok := strings.CutPrefix(name, "ruby")
	return ruby, ok && isMajorMinor(version)
}
