// Package npm gives tests what they compare Brume with, packages of npm. None of them is linked into Brume or shipped.
package npm

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Install returns the directory of modules in which a package ("@scope/name@1.2.3") and what it needs stand, which is
// installed once for all test runs, below .brume in the repository. The test is skipped where npm cannot reach its
// registry, and where there is no npm, unless CI is set, where it fails.
func Install(t testing.TB, pkg string) (modules string) {
	t.Helper()
	lacking := t.Skipf
	if os.Getenv("CI") != "" {
		lacking = t.Fatalf
	}
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			lacking("this test compares with the npm package %s, and the machine has no %s", pkg, tool)
		}
	}
	root, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, ".brume", "npm", strings.NewReplacer("/", "-", "@", "-").Replace(pkg))
	modules = filepath.Join(dir, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	// Tests of several packages may install at the same time: the first to finish wins.
	made, err := os.MkdirTemp(filepath.Dir(dir), "installing")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(made)
	cmd := exec.CommandContext(t.Context(), "npm", "install", "--prefix", made, "--ignore-scripts", "--no-audit", "--no-fund", "--no-save", pkg)
	cmd.Dir = made
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("npm cannot install %s: %v\n%s", pkg, err, out)
	}
	if err := os.Rename(made, dir); err != nil {
		if _, there := os.Stat(modules); there != nil {
			t.Fatal(err)
		}
	}
	return modules
}

// repository is the directory that holds go.mod.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return "", err
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("npm: no go.mod above the test's directory")
		}
		dir = up
	}
}
