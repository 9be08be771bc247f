package story

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Build builds the brume of the module at root into a directory of the test.
func Build(t testing.TB, root string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "brume")
	cmd := exec.Command("go", "build", "-o", binary, "./cmd/brume")
	cmd.Dir = root
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}
