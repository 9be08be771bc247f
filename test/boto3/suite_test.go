package boto3

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"brume/test/story"
)

// suite runs a script with each boto3 that the machine has, against a server of its own, with variables besides those that
// tell it of the server. The script exits with 0 if all was right.
func suite(t *testing.T, script string, variables ...string) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	brume := story.Build(t, root)
	ran := map[string]bool{}
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		out, err := exec.Command(python, "-c", "import boto3; print(boto3.__version__)").Output()
		version := strings.TrimSpace(string(out))
		if err != nil || ran[version] {
			continue
		}
		ran[version] = true
		t.Run(version, func(t *testing.T) {
			server, err := story.StartServer(t.Context(), brume, filepath.Join(t.TempDir(), "data"), "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := server.Stop(); err != nil {
					t.Errorf("stopping: %v", err)
				}
			}()
			cmd := exec.CommandContext(t.Context(), python, script)
			cmd.Env = append(os.Environ(),
				"BRUME_ENDPOINT="+server.Endpoint, "AWS_ACCESS_KEY_ID="+server.AccessKeyID,
				"AWS_SECRET_ACCESS_KEY="+server.SecretAccessKey, "AWS_DEFAULT_REGION="+server.Region,
				"AWS_EC2_METADATA_DISABLED=true")
			cmd.Env = append(cmd.Env, variables...)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, out, server.LogTail())
			}
			t.Logf("%s", out)
		})
	}
	if len(ran) == 0 {
		t.Skip("no Python with boto3 on this machine")
	}
}

func TestIAM(t *testing.T) { suite(t, "iam.py") }
