package runtimes

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// npm is replaced by a program that does what it is told; what matters here is what it is told, and what becomes of it.
func TestInstallNodeSDK(t *testing.T) {
	const npm = `#!/bin/sh
umask 077
echo "$@"
grep -q '"@aws-sdk/client-dynamodb":"3"' package.json || exit 9
mkdir -p node_modules/@aws-sdk/client-dynamodb
echo '{"version":"'$VERSION'"}' > node_modules/@aws-sdk/client-dynamodb/package.json
exit $STATUS
`
	t.Setenv("PATH", fakeBin(t, map[string]string{"npm": npm})+":"+os.Getenv("PATH"))
	dir := filepath.Join(t.TempDir(), "it's a dir")
	install := func(version, status string) (string, error) {
		t.Setenv("VERSION", version)
		t.Setenv("STATUS", status)
		var progress bytes.Buffer
		err := installNodeSDK(t.Context(), nodeSDKDir(dir), "20", &progress)
		return progress.String(), err
	}
	sdk := func() string {
		c := NewCatalog(dir, "", "")
		r := &Runtime{family: nodejs}
		c.addNodeSDK(r, &finding{Prefix: "/nowhere"})
		if r.SDK != "" && r.binds[0].Source != filepath.Join(dir, "nodejs/node_modules") {
			t.Errorf("%v", r.binds)
		}
		return r.SDK
	}
	if said, err := install("3.1.0", "0"); err != nil || !strings.Contains(said, "install --ignore-scripts") {
		t.Fatalf("%q, %v", said, err)
	}
	if got := sdk(); got != "3.1.0" {
		t.Errorf("version %q", got)
	}
	info, err := os.Stat(filepath.Join(dir, "nodejs/node_modules/@aws-sdk/client-dynamodb/package.json"))
	if err != nil || info.Mode()&0o004 == 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := install("3.2.0", "1"); err == nil {
		t.Error("a failure passes for a success")
	}
	if got := sdk(); got != "3.1.0" {
		t.Errorf("after a failure: version %q", got)
	}
	if _, err := install("3.3.0", "0"); err != nil {
		t.Error(err)
	}
	if got := sdk(); got != "3.3.0" {
		t.Errorf("after another install: version %q", got)
	}
	entries, err := os.ReadDir(nodeSDKDir(dir))
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	t.Setenv("PATH", t.TempDir())
	if err := installNodeSDK(t.Context(), dir, "20", &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "apt-get install -y npm") {
		t.Errorf("%v", err)
	}
}

// With BRUME_TEST_NPM set, the real npm installs the real SDK, into BRUME_TEST_RUNTIMES for the other tests.
func TestInstallRealNodeSDK(t *testing.T) {
	if os.Getenv("BRUME_TEST_NPM") == "" {
		t.Skip("needs the network; set BRUME_TEST_NPM")
	}
	c := NewCatalog(catalogDir, os.Getenv("PATH"), os.Getenv("HOME"))
	if err := c.InstallNodeSDK(t.Context(), os.Stderr); err != nil {
		t.Fatal(err)
	}
	all, err := c.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if r.family == nodejs && r.SDK == "" {
			t.Errorf("%s has no SDK", r.Name)
		}
	}
}
