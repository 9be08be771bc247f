package runtimes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"brume/internal/runtimeapi"
)

// catalogDir is what the tests' own Catalog keeps its files in: BRUME_TEST_RUNTIMES, which may have the SDK of Node.js
// installed, or a directory for the time of the tests.
var catalogDir = os.Getenv("BRUME_TEST_RUNTIMES")

func TestMain(m *testing.M) {
	if catalogDir != "" {
		goleak.VerifyTestMain(m)
		return
	}
	dir, err := os.MkdirTemp("", "brume-runtimes-")
	if err != nil {
		panic(err)
	}
	catalogDir = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := os.RemoveAll(dir); err != nil {
			panic(err)
		}
		os.Exit(code)
	}))
}

// here are the runtimes of the machine the tests run on, found once.
var here = sync.OnceValues(func() (map[string]*Runtime, error) {
	c := NewCatalog(catalogDir, os.Getenv("PATH"), os.Getenv("HOME"))
	c.OfferAny("ruby")
	all, err := c.All(context.Background())
	m := make(map[string]*Runtime)
	for _, r := range all {
		m[r.Name] = r
	}
	return m, err
})

// each runs a test with every runtime here of a family, side by side.
func each(t *testing.T, f family, test func(t *testing.T, r *Runtime)) {
	all, err := here()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, name := range names(all) {
		if r := all[name]; r.family == f {
			found = true
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, r)
			})
		}
	}
	if !found {
		if os.Getenv("CI") != "" {
			t.Fatal("this machine has no such runtime")
		}
		t.Skip("this machine has no such runtime")
	}
}

// A function is a process of a runtime, on the host, and the environment it is served by.
type function struct {
	t        testing.TB
	env      *runtimeapi.Environment
	exit     chan error // how the process ended
	stdout   *output
	requests int
	kill     func() // ends everything
}

type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

const functionARN = "arn:aws:lambda:us-east-1:000000000000:function:f"

// run starts a function of files, with more environment variables.
func run(t testing.TB, r *Runtime, handler string, files map[string]string, env ...string) *function {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		// No other test forks while a file that is to be run is open for writing: https://go.dev/issue/22315
		syscall.ForkLock.RLock()
		err := os.WriteFile(path, []byte(content), 0o755)
		syscall.ForkLock.RUnlock()
		if err != nil {
			t.Fatal(err)
		}
	}
	// As in a sandbox, /var/task is the directory "task" of the files, and /opt the directory "opt".
	binds := append(r.Binds(Options{}), Bind{root + "/task", TaskRoot}, Bind{root + "/opt", LayerRoot})
	o := Options{MemoryMB: 128, HostPath: func(p string) string {
		best := Bind{}
		for _, b := range binds {
			if within(p, b.Target) && len(b.Target) > len(best.Target) {
				best = b
			}
		}
		return best.Source + strings.TrimPrefix(p, best.Target)
	}}
	for _, e := range env {
		if wrapper, ok := strings.CutPrefix(e, "AWS_LAMBDA_EXEC_WRAPPER="); ok {
			o.Wrapper = wrapper
		}
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &function{t: t, env: runtimeapi.New(l), exit: make(chan error, 1), stdout: &output{}}
	command := r.Command(o)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = root + "/task"
	for name, value := range r.Env(o) {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Env = append(cmd.Env, "_HANDLER="+handler, "AWS_LAMBDA_RUNTIME_API="+l.Addr().String(),
		"AWS_LAMBDA_FUNCTION_NAME=f", "AWS_LAMBDA_FUNCTION_VERSION=$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=128",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/f", "AWS_LAMBDA_LOG_STREAM_NAME=2024/01/01/[$LATEST]0")
	cmd.Env = append(cmd.Env, env...)
	cmd.Stdout, cmd.Stderr = f.stdout, f.stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := cmd.Wait()
		f.env.Exited(err)
		f.exit <- err
	}()
	f.kill = func() {
		cmd.Process.Kill() // it may have ended already
		<-ended
		f.env.Close()
	}
	t.Cleanup(f.kill)
	return f
}

func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// invoke invokes the function, which must answer.
func (f *function) invoke(event string, with ...func(*runtimeapi.Invocation)) *runtimeapi.Result {
	f.t.Helper()
	r, err := f.tryInvoke(event, with...)
	if err != nil {
		f.t.Fatalf("%v\n%s", err, f.stdout)
	}
	return r
}

func (f *function) tryInvoke(event string, with ...func(*runtimeapi.Invocation)) (*runtimeapi.Result, error) {
	f.requests++
	inv := &runtimeapi.Invocation{
		RequestID:   fmt.Sprintf("00000000-0000-4000-8000-%012d", f.requests),
		Deadline:    time.Now().Add(30 * time.Second),
		FunctionARN: functionARN,
		Payload:     []byte(event),
	}
	for _, w := range with {
		w(inv)
	}
	return f.env.Invoke(deadline(f.t), inv)
}

// returns checks a successful answer.
func (f *function) returns(event, want string) {
	f.t.Helper()
	if r := f.invoke(event); r.Failed || string(r.Payload) != want {
		f.t.Errorf("%s returned %s %s, want %s\n%s", event, r.ErrorType, r.Payload, want, f.stdout)
	}
}

// A failure is an error as Lambda describes it.
type failure struct {
	ErrorType, ErrorMessage, RequestID string
	StackTrace, Trace                  []string
	Cause                              *failure
}

// fails checks an answer that is an error.
func (f *function) fails(event, typ, message string) failure {
	f.t.Helper()
	r := f.invoke(event)
	var got failure
	if err := json.Unmarshal(r.Payload, &got); err != nil {
		f.t.Fatal(err)
	}
	if !r.Failed || r.ErrorType != typ || got.ErrorType != typ || got.ErrorMessage != message {
		f.t.Errorf("%s returned %s %s, want %s: %s", event, r.ErrorType, r.Payload, typ, message)
	}
	return got
}

// failsInit checks that the function does not start.
func (f *function) failsInit(typ, message string) failure {
	f.t.Helper()
	err := f.env.Ready(deadline(f.t))
	e, ok := errors.AsType[*runtimeapi.InitError](err)
	if !ok {
		f.t.Fatalf("%v\n%s", err, f.stdout)
	}
	var got failure
	if err := json.Unmarshal(e.Payload, &got); err != nil {
		f.t.Fatal(err)
	}
	if e.Type != typ || got.ErrorType != typ || got.ErrorMessage != message {
		f.t.Errorf("%s %s, want %s: %s", e.Type, e.Payload, typ, message)
	}
	return got
}

// exits checks that the process has ended with a status.
func (f *function) exits(status int) {
	f.t.Helper()
	select {
	case err := <-f.exit:
		var code int
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			code = e.ExitCode()
		}
		if code != status {
			f.t.Errorf("exit status %d (%v), want %d\n%s", code, err, status, f.stdout)
		}
	case <-time.After(30 * time.Second):
		f.t.Fatalf("the process lives\n%s", f.stdout)
	}
}

// logs waits until the function has written something, and returns the events that it wrote.
func (f *function) logs(some string) []string {
	f.t.Helper()
	for range 3000 {
		if s := f.stdout.String(); strings.Contains(s, some) && strings.HasSuffix(s, "\n") {
			var events []string
			for line := range strings.Lines(s) {
				events = append(events, string(LogEvent([]byte(strings.TrimSuffix(line, "\n")))))
			}
			return events
		}
		time.Sleep(5 * time.Millisecond)
	}
	f.t.Fatalf("no %q in the output:\n%s", some, f.stdout)
	return nil
}

func one(name, content string) map[string]string { return map[string]string{"task/" + name: content} }
