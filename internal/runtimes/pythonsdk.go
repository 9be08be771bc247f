package runtimes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
)

// pythonSDKDir is the directory below dir, a Catalog's, with the boto3 of a Python that has none of its own.
func pythonSDKDir(dir, major string) string { return filepath.Join(dir, "python", major) }

// pythonSDKTarget is where functions see it: where Lambda's Python has it.
func pythonSDKTarget(major string) string { return "/var/lang/lib/python" + major + "/site-packages" }

// addPythonSDK finds boto3 where InstallPythonSDK puts it.
func (c *Catalog) addPythonSDK(r *Runtime) {
	dir := pythonSDKDir(c.dir, r.major)
	if r.SDK = pythonSDKVersion(dir); r.SDK != "" {
		r.sdkDir = pythonSDKTarget(r.major)
		r.binds = append(r.binds, Bind{dir, r.sdkDir})
	}
}

var boto3Version = regexp.MustCompile(`(?m)^__version__ = ['"]([0-9.]+)['"]`)

// pythonSDKVersion returns the version of boto3 in a directory of packages, and nothing if it is not there.
func pythonSDKVersion(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, "boto3", "__init__.py"))
	if err != nil {
		return ""
	}
	if m := boto3Version.FindSubmatch(b); m != nil {
		return string(m[1])
	}
	return ""
}

// InstallPythonSDK gives boto3 to every Python here that has none: a copy of another one's, which is pure Python, or what
// its pip fetches. It is for functions alone, and changes no installation of Python. It goes on with the next Python where one
// cannot have it, and says so in its error.
func (c *Catalog) InstallPythonSDK(ctx context.Context, progress io.Writer) error {
	all, err := c.All(ctx)
	if err != nil {
		return err
	}
	var with, without []*Runtime
	for _, r := range all {
		switch {
		case r.family != python:
		case r.SDK == "":
			without = append(without, r)
		case r.sdkDir == "":
			with = append(with, r)
		}
	}
	slices.SortStableFunc(with, func(a, b *Runtime) int { return compareVersions(b.SDK, a.SDK) })
	if len(with)+len(without) == 0 {
		return errors.New("no Python is installed; install it with: apt-get install -y python3 python3-boto3")
	}
	var failed []error
	for _, r := range without {
		how, err := installPythonSDK(ctx, pythonSDKDir(c.dir, r.major), r, with)
		if err != nil {
			failed = append(failed, fmt.Errorf("no boto3 for %s: %w", r.Name, err))
			continue
		}
		fmt.Fprintf(progress, "%s has boto3 %s\n", r.Name, how)
	}
	return errors.Join(append(failed, c.Refresh(ctx))...)
}

// installPythonSDK fills dir, which is replaced only after everything has worked.
func installPythonSDK(ctx context.Context, dir string, r *Runtime, with []*Runtime) (how string, err error) {
	parent := filepath.Dir(dir)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	work, err := os.MkdirTemp(parent, ".install-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	made := filepath.Join(work, "packages")
	for _, other := range with {
		if copyPythonSDK(ctx, other, made) == nil && usable(ctx, r, made) == nil {
			how = "from " + other.Name
			break
		}
		if err := os.RemoveAll(made); err != nil {
			return "", err
		}
	}
	if how == "" {
		if err := pipInstall(ctx, r, made); err != nil {
			return "", err
		}
		how = "from the package index"
	}
	// Functions may not write beside it, so what is not compiled now is compiled at every cold start.
	if _, err := ask(ctx, r.Interpreter, "-I", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", made); err != nil {
		return "", err
	}
	if err := readableForAll(made); err != nil {
		return "", err
	}
	if err := os.Rename(dir, filepath.Join(work, "old")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return how, os.Rename(made, dir)
}

// boto3Packages prints where boto3 and all that it needs is.
const boto3Packages = `
import importlib, json, os
places = []
for name in ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six"):
    try:
        file = importlib.import_module(name).__file__
    except ImportError:
        continue  # an old or a new boto3 that does without
    places.append(os.path.dirname(file) if os.path.basename(file) == "__init__.py" else file)
print(json.dumps(places))
`

func copyPythonSDK(ctx context.Context, from *Runtime, dir string) error {
	out, err := ask(ctx, from.Interpreter, "-I", "-B", "-W", "ignore", "-c", boto3Packages)
	if err != nil {
		return err
	}
	var places []string
	if err := json.Unmarshal(out, &places); err != nil {
		return err
	}
	for _, place := range places {
		if err := copyPackage(place, filepath.Join(dir, filepath.Base(place))); err != nil {
			return err
		}
	}
	return nil
}

// copyPackage copies a module or a package without what is compiled of it for another Python.
func copyPackage(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "__pycache__" {
				return fs.SkipDir
			}
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, path[len(from):])
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return os.WriteFile(target, b, 0o644)
	})
}

// usable says whether a Python can work with the boto3 of another one.
func usable(ctx context.Context, r *Runtime, dir string) error {
	_, err := ask(ctx, r.Interpreter, "-I", "-B", "-W", "ignore", "-c",
		"import sys; sys.path.insert(0, sys.argv[1]); import boto3; boto3.resource('dynamodb', region_name='us-east-1')", dir)
	return err
}

func pipInstall(ctx context.Context, r *Runtime, dir string) error {
	cmd := exec.CommandContext(ctx, r.Interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
		"--no-compile", "--target", dir, "boto3")
	cmd.Dir = "/"
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("pip: %w: %s", err, lastLine(stderr.Bytes()))
	}
	return nil
}
