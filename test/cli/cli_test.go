// Package cli runs the stories of testdata against a started brume, with the tools that a user has: the AWS CLI, curl,
// Terraform. A story whose tool the machine lacks is skipped by name.
package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"brume/test/story"
)

func TestStories(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	brume := story.Build(t, root)
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("EXAMPLES", filepath.Join(root, "examples", "microservice-http-endpoint"))
			env.Setenv("PATH", filepath.Dir(brume)+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("BRUME_DATA_DIR", filepath.Join(env.WorkDir, "data"))
			for _, name := range []string{"PYENV_ROOT", "PYENV_VERSION"} {
				if v, ok := os.LookupEnv(name); ok {
					env.Setenv(name, v)
				}
			}
			env.Setenv("HOME", env.WorkDir)
			env.Values[runningKey{}] = new(running)
			env.Setenv("AWS_PAGER", "")
			env.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			return nil
		},
		Condition: func(cond string) (bool, error) {
			if cond == "terraform-aws" {
				return hasTerraform(t.TempDir()), nil
			}
			name, ok := strings.CutPrefix(cond, "works:")
			if !ok {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			return exec.Command(name, "--version").Run() == nil, nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"serve":      serve,
			"stop":       stop,
			"eventually": eventually,
			"capture":    capture,
			"runtime":    runtimeOf(brume),
		},
	})
}

// hasTerraform tells whether this machine has Terraform and can get at its AWS provider.
func hasTerraform(dir string) bool {
	const main = `terraform { required_providers { aws = { source = "hashicorp/aws" } } }`
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(main), 0o600); err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "terraform", "init", "-input=false")
	cmd.Dir = dir
	return cmd.Run() == nil
}

// running is the server of one script.
type running struct{ server *story.Server }

type runningKey struct{}

func runningOf(ts *testscript.TestScript) *running { return ts.Value(runningKey{}).(*running) }

// serve starts brume on the script's data directory and puts its address and keys into the environment; a second serve
// after stop uses the same address.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: serve")
	}
	if err := os.MkdirAll(ts.Getenv("BRUME_DATA_DIR"), 0o700); err != nil {
		ts.Fatalf("%v", err)
	}
	listen := strings.TrimPrefix(ts.Getenv("AWS_ENDPOINT_URL"), "http://")
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	brume, err := exec.LookPath("brume")
	if err != nil {
		brume = filepath.Join(strings.SplitN(ts.Getenv("PATH"), string(os.PathListSeparator), 2)[0], "brume")
	}
	server, err := story.StartServer(context.Background(), brume, ts.Getenv("BRUME_DATA_DIR"), listen)
	if err != nil {
		ts.Fatalf("%v", err)
	}
	ts.Setenv("AWS_ENDPOINT_URL", server.Endpoint)
	ts.Setenv("AWS_ACCESS_KEY_ID", server.AccessKeyID)
	ts.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretAccessKey)
	ts.Setenv("AWS_DEFAULT_REGION", server.Region)
	ts.Setenv("ROOT_KEY", server.AccessKeyID)
	ts.Setenv("ROOT_SECRET", server.SecretAccessKey)
	ts.Setenv("SERVER_PID", fmt.Sprint(server.PID()))
	r := runningOf(ts)
	r.server = server
	ts.Defer(func() {
		if r.server == server {
			ts.Check(server.Stop())
		}
	})
}

func stop(ts *testscript.TestScript, neg bool, args []string) {
	r := runningOf(ts)
	if neg || len(args) != 0 || r.server == nil {
		ts.Fatalf("usage: stop, while a server runs")
	}
	ts.Check(r.server.Stop())
	r.server = nil
}

// eventually repeats a command until its output holds a text: eventually TEXT COMMAND…
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually text command...")
	}
	deadline := time.Now().Add(15 * time.Second)
	for {
		err := ts.Exec(args[1], args[2:]...)
		if err == nil && strings.Contains(ts.ReadFile("stdout"), args[0]) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("never saw %q in the output of %v", args[0], args[1:])
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// capture puts the last command's standard output, trimmed, into a variable: capture NAME
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: capture name")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// runtimeOf skips a script unless the machine offers a runtime with an SDK, and names it: runtime python PYTHON
func runtimeOf(brume string) func(ts *testscript.TestScript, neg bool, args []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) != 2 {
			ts.Fatalf("usage: runtime kind variable")
		}
		list, err := story.Runtimes(context.Background(), brume)
		ts.Check(err)
		for _, rt := range list {
			if strings.HasPrefix(rt.Name, args[0]) {
				ts.Setenv(args[1], rt.Name)
				return
			}
		}
		ts.Setenv(args[1], "")
	}
}
