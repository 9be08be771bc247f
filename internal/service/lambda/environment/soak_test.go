package environment

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// has is what this process has: memory, descriptors, children, mounts, cgroups.
func has(t *testing.T) map[string]int {
	t.Helper()
	runtime.GC()
	got := map[string]int{}
	fds, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	got["descriptors"] = len(fds)
	status, err := os.ReadFile("/proc/self/status")
	must(t, err)
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			got["resident MB"], err = strconv.Atoi(strings.Fields(rest)[0])
			must(t, err)
			got["resident MB"] >>= 10
		}
	}
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	must(t, err)
	for _, task := range tasks {
		b, err := os.ReadFile(task)
		if err == nil {
			got["processes"] += len(strings.Fields(string(b)))
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	got["mounts"] = strings.Count(string(mounts), "\n")
	must(t, filepath.WalkDir("/sys/fs/cgroup", func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.Contains(path, fmt.Sprintf("/brume.%d.", os.Getpid())) {
			got["cgroups"]++
		}
		return nil
	}))
	return got
}

// noLogs keeps nothing.
type noLogs struct{}

func (noLogs) PutLogEvents(context.Context, *LogStream, []LogEvent) error { return nil }

// Many invocations, among them cold starts, failures and timeouts, leave nothing behind: 200,000 with BRUME_SOAK=1.
func TestSoak(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it counts by /proc")
	}
	total := 3000
	if os.Getenv("BRUME_SOAK") != "" {
		total = 200_000
	}
	h := newHarness(t, false, func(c *Config) { c.Logs = noLogs{} })
	python, node := h.python("import os, time\ndef handler(e, c):\n  if e == 'die': os._exit(1)\n  return e"), h.node(nothingNode)
	node.Version, node.ARN = "1", strings.TrimSuffix(node.ARN, "$LATEST")+"1"
	var next atomic.Int64
	var current atomic.Pointer[Function] // of python
	current.Store(python)
	round := func(n int) {
		var wg sync.WaitGroup
		limit := next.Load() + int64(n)
		for range 8 {
			wg.Go(func() {
				for i := next.Add(1); i <= limit; i = next.Add(1) {
					f, payload, fails := current.Load(), "1", false
					if i%2 == 0 {
						f = node
					}
					switch {
					case i%997 == 0:
						f, payload, fails = current.Load(), `"die"`, true
					case i%500 == 0: // an update: cold starts
						g := *python
						g.Generation = i
						f = &g
						current.Store(f)
					}
					r, err := h.manager.Invoke(t.Context(), f, &Invocation{
						RequestID: fmt.Sprint("r", i), FunctionARN: f.ARN, Payload: []byte(payload), Limits: noLimits,
					})
					if err != nil || r.Failed != fails {
						t.Errorf("invocation %d: %+v, %v", i, r, err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	settled := func() map[string]int {
		h.manager.Retire(python.Account, python.Region, python.Name, "", next.Load())
		g := *python
		g.Generation, node.Generation = next.Load(), next.Load()
		current.Store(&g)
		eventually(t, "nothing runs", h.count(0, 0))
		h.settle()
		time.Sleep(200 * time.Millisecond)
		return has(t)
	}
	round(total / 10)
	before := settled()
	round(total)
	after := settled()
	t.Logf("after %d invocations %v, after %d more %v", total/10, before, total, after)
	for what, n := range after {
		allowed := before[what]
		if what == "resident MB" {
			allowed += 24 // caches and the heap of Go
			if raceDetector {
				continue // which remembers who used what memory when
			}
		}
		if n > allowed {
			t.Errorf("%s: %d, there were %d", what, n, before[what])
		}
	}
}

// Many functions that are invoked for the first time at one time all answer: 100 with BRUME_SOAK=1.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	n := 12
	if os.Getenv("BRUME_SOAK") != "" {
		n = 100
	}
	h := newHarness(t, false, nil)
	f := h.python("import os\ndef handler(e, c): return [e, os.environ['AWS_LAMBDA_FUNCTION_VERSION']]")
	f.Timeout = time.Minute
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			g := *f
			g.Version = strconv.Itoa(i)
			g.ARN = strings.Replace(f.ARN, "$LATEST", g.Version, 1)
			if got, want := h.invoke(&g, strconv.Itoa(i)), fmt.Sprintf(`[%d, "%d"]`, i, i); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
	all.Wait()
}
