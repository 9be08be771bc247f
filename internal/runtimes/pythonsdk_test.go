package runtimes

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A Python without boto3 gets that of another one, and its functions find it where Lambda's do. Where all have it, one that has it
// gets a copy in the same way.
func TestInstallPythonSDK(t *testing.T) {
	all, err := here()
	if err != nil {
		t.Fatal(err)
	}
	var with, target *Runtime
	for _, name := range names(all) {
		r := all[name]
		if r.family == python && r.SDK != "" && r.sdkDir == "" {
			with = r
		}
		if r.family == python && (target == nil || r.SDK == "") {
			target = r // the newest, which an old boto3 may not suit; then its own pip is asked
		}
	}
	if with == nil {
		t.Skip("no Python here has boto3")
	}
	dir := t.TempDir()
	if target.SDK == "" {
		// Only what is here is taken: tests need no network.
		if err := copyPythonSDK(t.Context(), with, filepath.Join(dir, "try")); err != nil {
			t.Fatal(err)
		}
		if usable(t.Context(), target, filepath.Join(dir, "try")) != nil {
			target = with
		}
	}
	c := NewCatalog(dir, "", "")
	how, err := installPythonSDK(t.Context(), pythonSDKDir(dir, target.major), target, []*Runtime{with})
	if err != nil || how != "from "+with.Name {
		t.Fatalf("%q %v", how, err)
	}
	r := *target
	r.binds, r.SDK = slices.Clone(target.binds), ""
	if c.addPythonSDK(&r); r.SDK != with.SDK {
		t.Errorf("version %q, not %q", r.SDK, with.SDK)
	}
	if compiled, err := filepath.Glob(pythonSDKDir(dir, r.major) + "/boto3/__pycache__/*.pyc"); err != nil || len(compiled) == 0 {
		t.Errorf("nothing is compiled: %v", err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "python")); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v %v", left, err)
	}
	f := pythonFunction(t, &r, `
import boto3
def lambda_handler(event, context):
    table = boto3.resource("dynamodb", region_name="us-east-1").Table("t")
    return [boto3.__version__, boto3.__file__, table.name]
`)
	got := string(f.invoke(`{}`).Payload)
	if !strings.Contains(got, `"`+with.SDK+`"`) || !strings.Contains(got, dir) || !strings.Contains(got, `"t"`) {
		t.Error(got)
	}
	// In a sandbox the place is AWS's.
	if env := r.Env(Options{}); env["PYTHONPATH"] != "/var/runtime:/var/lang/lib/python"+r.major+"/site-packages" {
		t.Error(env["PYTHONPATH"])
	}
}

func TestPythonSDKVersion(t *testing.T) {
	dir := t.TempDir()
	if got := pythonSDKVersion(dir); got != "" {
		t.Error(got)
	}
	if err := os.Mkdir(filepath.Join(dir, "boto3"), 0o755); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{"__version__ = '1.43.11'\n": "1.43.11", "# x\n__version__ = \"1.2.3\"\n": "1.2.3", "x = 1\n": ""} {
		if err := os.WriteFile(filepath.Join(dir, "boto3", "__init__.py"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := pythonSDKVersion(dir); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}
