package sandbox

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// roleEnv names the role in which the test binary executes itself: as the program in a sandbox, or as a server that is
// going to be killed.
const roleEnv = "SANDBOX_TEST_ROLE"

// raceOptions keep the race detector, where there is one, from sleeping for a second before each exit.
const raceOptions = "GORACE=atexit_sleep_ms=0"

// roles are the programs. Each prints what it found and returns the exit status.
var roles = map[string]func(args []string) int{}

func TestMain(m *testing.M) {
	if IsInit(os.Args) {
		Init()
	}
	if role := os.Getenv(roleEnv); role != "" {
		os.Exit(roles[role](os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// logs fails the test if anything is logged as an error.
type logs struct {
	slog.Handler
	t testing.TB
}

func (l logs) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		var b strings.Builder
		r.Attrs(func(a slog.Attr) bool { fmt.Fprintf(&b, " %s", a); return true })
		l.t.Errorf("logged: %s%s", r.Message, b.String())
	}
	return nil
}

func testOptions(t testing.TB) Options {
	return Options{Logger: slog.New(logs{slog.DiscardHandler, t})}
}

// taskRoot is where sandboxes have the directory of the test binary.
const taskRoot = "/var/task"

// self is the path of the test binary in a sandbox.
func self(t testing.TB) (dir, path string) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(exe), taskRoot + "/" + filepath.Base(exe)
}

// system are the host's directories for dynamically linked programs.
func system() []Bind {
	var binds []Bind
	for _, d := range [...]string{"/usr", "/bin", "/lib", "/lib64"} {
		if _, err := os.Stat(d); err == nil {
			binds = append(binds, Bind{d, d})
		}
	}
	return binds
}

// roleConfig is for the test binary in a role.
func roleConfig(t testing.TB, d Driver, role string, args ...string) *Config {
	dir, path := self(t)
	c := &Config{
		Binds:       append(system(), Bind{dir, taskRoot}),
		Command:     append([]string{path}, args...),
		Dir:         taskRoot,
		Env:         []string{roleEnv + "=" + role, raceOptions},
		MemoryBytes: 256 << 20,
		TmpBytes:    16 << 20,
	}
	if !d.Features().PrivateRoot {
		c.TmpBytes = 0
	}
	return c
}

// A run is a sandbox whose output is collected.
type run struct {
	Process
	out *os.File
}

// start starts c with both outputs in one pipe.
func start(t testing.TB, d Driver, c *Config) *run {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.Stderr = w, w
	p, err := d.Start(t.Context(), c)
	w.Close()
	if err != nil {
		r.Close()
		t.Fatal(err)
	}
	return &run{Process: p, out: r}
}

// output waits for the end of the output and returns all of it.
func (r *run) output(t testing.TB) string {
	t.Helper()
	b, err := io.ReadAll(r.out)
	if err != nil {
		t.Fatal(err)
	}
	r.out.Close()
	return string(b)
}

// line reads one line of the output.
func (r *run) line(t testing.TB) string {
	t.Helper()
	var line []byte
	var b [1]byte
	for {
		if _, err := r.out.Read(b[:]); err != nil {
			t.Fatalf("after %q: %v", line, err)
		}
		if b[0] == '\n' {
			return string(line)
		}
		line = append(line, b[0])
	}
}

// ok returns the output of a run that has to end with status 0.
func (r *run) ok(t testing.TB) string {
	t.Helper()
	out := r.output(t)
	if exit := r.Wait(); exit.Code != 0 {
		t.Fatalf("%+v\n%s", exit, out)
	}
	return out
}
