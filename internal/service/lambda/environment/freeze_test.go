package environment

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// A thread that runs on in the background does not run between invocations.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-invoke
func TestFrozenBetweenInvocations(t *testing.T) {
	t.Parallel()
	drivers(t, nil, func(t *testing.T, h *harness) {
		f := h.python(`
import threading, time
ticks = []
def run():
    while True:
        ticks.append(time.monotonic())
        time.sleep(0.01)
threading.Thread(target=run, daemon=True).start()
def handler(event, context):
    time.sleep(event)
    longest = max((b - a for a, b in zip(ticks, ticks[1:])), default=0)
    n = len(ticks)
    return [n, longest]
`)
		ask := func(sleep string) (n int, longest float64) {
			var got [2]float64
			must(t, json.Unmarshal([]byte(h.invoke(f, sleep)), &got))
			return int(got[0]), got[1]
		}
		n, longest := ask("0.1")
		if n < 3 || longest > 5 {
			t.Fatalf("%d ticks, the longest pause %f", n, longest)
		}
		eventually(t, "it is frozen", func() bool {
			h.manager.mu.Lock()
			defer h.manager.mu.Unlock()
			for e := range h.manager.all {
				e.freezer.mu.Lock()
				defer e.freezer.mu.Unlock()
				return e.freezer.frozen
			}
			return false
		})
		const pause = 600 * time.Millisecond
		time.Sleep(pause)
		m, longest := ask("0.1")         // the thread has to run once more for the pause to show
		if longest < pause.Seconds()/2 { // on a busy machine a signal takes its time
			t.Errorf("the thread ran on: %d ticks after %d, the longest pause %f", m, n, longest)
		}
		// And it goes on.
		if k, _ := ask("0.2"); k <= m {
			t.Errorf("%d ticks after %d", k, m)
		}
	})
}

// Environments that are frozen end like others.
func TestFrozenEnds(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, func(c *Config) { c.IdleTimeout = 300 * time.Millisecond })
	h.invoke(h.python("def handler(e, c): return e"), "1")
	for i := 0; ; i++ {
		if all, _ := h.manager.Environments(); all == 0 {
			break
		}
		if i == 1000 {
			t.Fatal("it does not end")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html
func TestProvision(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, func(c *Config) { c.IdleTimeout = 200 * time.Millisecond })
	f := h.python("import os, time\nkind = os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']\ndef handler(e, c):\n  if e == 'die': os._exit(1)\n  return kind")
	f.Version, f.ARN = "1", strings.Replace(f.ARN, "$LATEST", "1", 1)
	status := func() ProvisionStatus { return h.manager.Provisioned(f.Account, f.Region, f.Name, f.Version) }
	await := func(want ProvisionStatus) {
		t.Helper()
		for range 2000 {
			if status() == want {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("%+v, want %+v", status(), want)
	}
	if s := status(); s != (ProvisionStatus{}) {
		t.Errorf("%+v", s)
	}
	h.manager.Provision(f, 3)
	await(ProvisionStatus{Requested: 3, Allocated: 3, Available: 3})
	time.Sleep(500 * time.Millisecond) // longer than others are kept
	await(ProvisionStatus{Requested: 3, Allocated: 3, Available: 3})
	if got := h.invoke(f, "1"); got != `"provisioned-concurrency"` {
		t.Errorf("%s", got)
	}
	r, err := h.try(f, "1")
	must(t, err)
	if r.Usage.Billed > r.Usage.Duration+time.Millisecond {
		t.Errorf("the init phase is billed: %+v", r.Usage)
	}
	h.fails(f, `"die"`)
	await(ProvisionStatus{Requested: 3, Allocated: 3, Available: 3})
	h.manager.Provision(f, 1)
	await(ProvisionStatus{Requested: 1, Allocated: 1, Available: 1})
	h.manager.Provision(f, 0)
	if s := status(); s != (ProvisionStatus{}) {
		t.Errorf("%+v", s)
	}
	for i := 0; ; i++ { // what is left is ended like all that is idle
		if all, _ := h.manager.Environments(); all == 0 {
			break
		}
		if i == 1000 {
			t.Fatal("they do not end")
		}
		time.Sleep(10 * time.Millisecond)
	}

	bad := *f
	bad.Code, bad.Version, bad.ARN = h.python("raise OSError('no')").Code, "2", strings.TrimSuffix(f.ARN, "1")+"2"
	h.manager.Provision(&bad, 1)
	for i := 0; ; i++ {
		if s := h.manager.Provisioned(f.Account, f.Region, f.Name, "2"); strings.Contains(s.Reason, "OSError") && s.Allocated == 0 {
			break
		}
		if i == 1000 {
			t.Fatal("no reason")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// When memory is short, what was used least lately goes first, and what is provisioned stays.
func TestRelieve(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	f := h.python("import os, time\ndef handler(e, c): return os.environ['AWS_LAMBDA_FUNCTION_VERSION']")
	for _, v := range []string{"1", "2", "3"} {
		g := *f
		g.Version, g.ARN = v, strings.Replace(f.ARN, "$LATEST", v, 1)
		h.invoke(&g, "1")
		time.Sleep(2 * time.Millisecond)
	}
	h.manager.relieve()
	h.manager.mu.Lock()
	var left []string
	for k, p := range h.manager.pools {
		if len(p.idle) > 0 {
			left = append(left, k.version)
		}
	}
	h.manager.mu.Unlock()
	if len(left) != 1 || left[0] != "3" {
		t.Errorf("left are %v", left)
	}
	if memoryIsShort() {
		t.Log("this machine is short of memory")
	}
}
