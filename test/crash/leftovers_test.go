//go:build linux

package crash

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
)

// A proc is a process: an id alone may be another's later.
type proc struct {
	pid   int
	start string // in clock ticks after boot
}

// stat is what /proc says of a process: who started it, and when.
// https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
func stat(pid int) (parent int, start string, ok bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, "", false
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	parent, err = strconv.Atoi(fields[1])
	return parent, fields[19], err == nil && fields[0] != "Z"
}

// family returns a process and all that it has started, directly or not.
func family(t *testing.T, pid int) []proc {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	must(t, err)
	children := map[int][]proc{}
	for _, e := range entries {
		if child, err := strconv.Atoi(e.Name()); err == nil {
			if parent, start, ok := stat(child); ok {
				children[parent] = append(children[parent], proc{child, start})
			}
		}
	}
	_, start, _ := stat(pid)
	all := []proc{{pid, start}}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i].pid]...)
	}
	return all
}

// cgroups are the directories of a server's cgroups.
func cgroups(t *testing.T, pid int) (dirs []string) {
	t.Helper()
	must(t, filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), fmt.Sprintf("brume.%d.", pid)) {
			dirs = append(dirs, path)
		}
		return nil
	}))
	return dirs
}

// A server that stops leaves no process and no cgroup; one that is killed leaves no process, and what cgroups it leaves go
// when the next one starts.
func TestNothingIsLeftBehind(t *testing.T) {
	v := newVictim(t)
	v.function("f", "import subprocess, time\nsubprocess.Popen(['sleep', '600'])\ndef handler(e, c):\n  time.sleep(0.3)\n  return e")
	run := func() (pid int, all []proc) {
		var calls sync.WaitGroup
		for range 4 {
			calls.Go(func() {
				if out, err := v.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f"), Payload: []byte("1")}); err != nil || out.FunctionError != nil {
					t.Errorf("%+v, %v", out, err)
				}
			})
		}
		calls.Wait()
		pid = v.server.PID()
		if all = family(t, pid); len(all) < 9 { // the server, and two of each environment
			t.Errorf("only %d processes: %v", len(all), all)
		}
		return pid, all
	}
	gone := func(all []proc) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			var left []proc
			for _, p := range all {
				if _, start, ok := stat(p.pid); ok && start == p.start {
					left = append(left, p)
				}
			}
			if len(left) == 0 {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("of %d processes %v are left", len(all), left)
			}
		}
	}

	pid, all := run()
	must(t, v.server.Stop())
	gone(all)
	if dirs := cgroups(t, pid); len(dirs) > 0 {
		t.Errorf("a server that stopped left %v", dirs)
	}
	v.start()

	pid, all = run()
	must(t, syscall.Kill(pid, syscall.SIGKILL))
	<-v.server.Exited()
	gone(all)
	left := cgroups(t, pid)
	v.start()
	if dirs := cgroups(t, pid); len(dirs) > 0 {
		t.Errorf("of %v, which a killed server left, the next one left %v", left, dirs)
	}
}
