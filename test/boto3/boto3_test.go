// Package boto3 runs the walkthrough with each boto3 that the machine has: the one of Debian's packages is old enough to
// know no AWS_ENDPOINT_URL, the one of a virtual environment is not.
package boto3

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"brume/test/story"
)

func TestWalkthroughWithBoto3(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	brume := story.Build(t, root)
	runtimes, err := story.Runtimes(t.Context(), brume)
	if err != nil {
		t.Fatal(err)
	}
	runtime := ""
	for _, rt := range runtimes {
		if strings.HasPrefix(rt.Name, "python") {
			runtime = rt.Name
		}
	}
	ran := false
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		version, err := exec.Command(python, "-c", "import boto3; print(boto3.__version__)").Output()
		if err != nil {
			continue
		}
		ran = true
		t.Run(strings.TrimSpace(string(version)), func(t *testing.T) {
			if runtime == "" {
				t.Skip("the machine offers no Python runtime with boto3: see scripts/prerequisites")
			}
			server, err := story.StartServer(t.Context(), brume, filepath.Join(t.TempDir(), "data"), "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := server.Stop(); err != nil {
					t.Errorf("stopping: %v", err)
				}
			}()
			cmd := exec.CommandContext(t.Context(), python, "walkthrough.py")
			cmd.Env = append(os.Environ(),
				"BRUME_ENDPOINT="+server.Endpoint, "AWS_ACCESS_KEY_ID="+server.AccessKeyID,
				"AWS_SECRET_ACCESS_KEY="+server.SecretAccessKey, "AWS_DEFAULT_REGION="+server.Region,
				"AWS_EC2_METADATA_DISABLED=true", "RUNTIME="+runtime,
				"EXAMPLES="+filepath.Join(root, "examples", "microservice-http-endpoint"))
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, out, server.LogTail())
			}
			t.Logf("%s", out)
		})
	}
	if !ran {
		t.Skip("no Python with boto3 on this machine")
	}
}
