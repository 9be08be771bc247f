package story

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
)

// Build builds the brume of the module at root into a directory of the test.
func Build(t testing.TB, root string) string {
	t.Helper()
	binary, err := BuildIn(t.Context(), root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// BuildIn builds the brume of the module at root into dir and returns its path.
func BuildIn(ctx context.Context, root, dir string) (string, error) {
	binary := filepath.Join(dir, "brume")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/brume")
	cmd.Dir = root
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
}
