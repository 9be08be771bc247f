package environment

import (
	"os"
	"path/filepath"
	"strings"
	"time"

	"brume/internal/runtimes"
	"brume/internal/sandbox"
	"brume/internal/service/lambda/code"
)

// shutdownTime is what extensions have to finish when their environment ends.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-shutdown
const shutdownTime = 2 * time.Second

const extensionRoot = runtimes.LayerRoot + "/extensions"

// extensions are the names of the external extensions that layers bring: the executable files of /opt/extensions.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
func extensions(layers *code.Dir) (names []string) {
	if layers == nil {
		return nil
	}
	entries, err := os.ReadDir(filepath.Join(layers.Path, "extensions"))
	if err != nil {
		return nil // most layers have none
	}
	for _, e := range entries {
		info, err := os.Stat(filepath.Join(layers.Path, "extensions", e.Name()))
		if err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 && !strings.ContainsAny(e.Name(), "\"\n") {
			names = append(names, e.Name())
		}
	}
	return names
}

// withExtensions is the command of c with one before it that starts the extensions.
func withExtensions(c *sandbox.Config, features sandbox.Features) []string {
	dir := extensionRoot
	if !features.PrivateRoot {
		dir = c.HostPath(dir)
	}
	const script = `for e in "$0"/*; do if [ -f "$e" ] && [ -x "$e" ]; then "$e" & fi; done; exec "$@"`
	return append([]string{"/bin/sh", "-c", script, dir}, c.Command...)
}
