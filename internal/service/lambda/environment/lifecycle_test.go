package environment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// eventually waits until done is true.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not after 30 s", what)
		}
	}
}

func (h *harness) count(all, idle int) func() bool {
	return func() bool {
		a, i := h.manager.Environments()
		return a == all && i == idle
	}
}

const sleeper = `
import time, uuid
me = str(uuid.uuid4())
busy = False
def handler(event, context):
    global busy
    assert not busy
    busy = True
    time.sleep(event)
    busy = False
    return me
`

func TestOneInvocationPerEnvironment(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	f := h.python(sleeper)
	const n = 4
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := map[string]int{}
	for range n {
		wg.Go(func() {
			who := h.invoke(f, "0.5")
			mu.Lock()
			seen[who]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if len(seen) != n {
		t.Errorf("%d invocations at a time ran in %v", n, seen)
	}
	first := h.invoke(f, "0")
	for range 5 {
		if who := h.invoke(f, "0"); who != first {
			t.Error("the environment used last is not taken")
		}
	}
	if a, i := h.manager.Environments(); a != n || i != n {
		t.Errorf("%d environments, %d idle", a, i)
	}
	if h.roles.issued > n {
		t.Errorf("%d sessions", h.roles.issued)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	h := newHarness(t, true, nil)
	f := h.python(sleeper)
	call := func(l Limits, payload string) error {
		_, err := h.manager.Invoke(t.Context(), f, &Invocation{RequestID: "x", FunctionARN: f.ARN, Payload: []byte(payload), Limits: l})
		return err
	}
	reason := func(err error) string {
		if e, ok := errors.AsType[*ThrottledError](err); ok {
			return e.Reason
		}
		return fmt.Sprint(err)
	}
	for _, tt := range []struct {
		limits Limits
		want   string
	}{
		{Limits{Reserved: -1, Unreserved: 1}, "ConcurrentInvocationLimitExceeded"},
		{Limits{Reserved: 1, Unreserved: 0}, "ReservedFunctionConcurrentInvocationLimitExceeded"},
	} {
		done := make(chan error)
		go func() { done <- call(tt.limits, "0.5") }()
		eventually(t, "an invocation runs", func() bool {
			h.manager.mu.Lock()
			defer h.manager.mu.Unlock()
			return h.manager.running == 1
		})
		if got := reason(call(tt.limits, "0")); got != tt.want {
			t.Errorf("%+v: %s", tt.limits, got)
		}
		must(t, <-done)
		must(t, call(tt.limits, "0"))
	}
	for _, l := range []Limits{{Reserved: 0, Unreserved: 5}, {Reserved: -1, Unreserved: 0}} {
		if err := call(l, "0"); !strings.HasSuffix(reason(err), "ConcurrentInvocationLimitExceeded") {
			t.Errorf("%+v: %v", l, err)
		}
	}
	if len(h.manager.usage) != 0 || len(h.manager.shared) != 0 {
		t.Errorf("still counted: %v %v", h.manager.usage, h.manager.shared)
	}
}

func TestRetire(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	f := h.python(sleeper)
	idle := h.invoke(f, "0")
	running := make(chan string)
	go func() { running <- h.invoke(f, "0.5") }()
	eventually(t, "it is busy", h.count(1, 0))
	h.manager.Retire(f.Account, f.Region, f.Name, f.Version, 2)
	newer := *f
	newer.Generation = 2
	after := h.invoke(&newer, "0")
	if was := <-running; was != idle {
		t.Errorf("the invocation under way ended in %s, not in %s", was, idle)
	}
	if after == idle {
		t.Error("a new configuration got an old environment")
	}
	eventually(t, "the old environment is gone", h.count(1, 1))

	// A caller that has read the old configuration just before is served, but nothing of it stays.
	if got := h.invoke(f, "0"); got == after {
		t.Error("an old configuration got a new environment")
	}
	eventually(t, "the late one is gone", h.count(1, 1))
	if again := h.invoke(&newer, "0"); again != after {
		t.Error("the new environment is gone")
	}

	h.manager.Retire(f.Account, f.Region, f.Name, "", 3)
	eventually(t, "all are gone", h.count(0, 0))
	if len(h.manager.pools) != 0 {
		t.Errorf("pools are left: %v", h.manager.pools)
	}
	h.manager.Retire(f.Account, f.Region, "other", "", 3)
	h.manager.Retire(f.Account, f.Region, "other", "1", 3)
}

func TestIdleEnvironmentsEnd(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	f := h.python(sleeper)
	first := h.invoke(f, "0")
	before := time.Now()
	h.invoke(f, "0")
	h.manager.reapIdle(before)
	running := make(chan string)
	go func() { running <- h.invoke(f, "0.5") }()
	eventually(t, "it is busy", h.count(1, 0))
	h.manager.reapIdle(time.Now())
	if who := <-running; who != first {
		t.Fatal("an environment that is used ended")
	}
	h.manager.reapIdle(time.Now())
	eventually(t, "it ends", h.count(0, 0))
	if who := h.invoke(f, "0"); who == first {
		t.Error("it came back")
	}
}

func TestEnvironmentsEndBeforeTheirCredentials(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	h.roles.life = 2 * time.Second // of which the last quarter is not for invocations
	f := h.python("import os\ndef handler(e, c): return os.environ['AWS_ACCESS_KEY_ID']")
	f.Timeout = 500 * time.Millisecond
	for asked := time.Now(); ; asked = time.Now() {
		got := h.invoke(f, "0")
		h.roles.mu.Lock()
		age := asked.Sub(h.roles.first)
		h.roles.mu.Unlock()
		switch {
		case got != `"ASIA1"`:
			return // they are new ones
		case age > time.Second:
			t.Fatalf("after %v the first credentials are still used", age)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestEnvironmentThatDiesIdleIsForgotten(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	f := h.python("def handler(e, c): return e")
	h.invoke(f, "0")
	h.manager.mu.Lock()
	for e := range h.manager.all { // it does not run when it is idle, but may be killed, by the kernel for instance
		must(t, syscall.Kill(e.proc.PID(), syscall.SIGKILL))
	}
	h.manager.mu.Unlock()
	eventually(t, "it is forgotten", h.count(0, 0))
	if got := h.invoke(f, "0"); got != "0" {
		t.Errorf("%s", got)
	}
}

// The runtime answers long before it asks for the next invocation.
const dawdler = `#!/usr/bin/env python3
import http.client, os, time
c = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    c.request("GET", "/2018-06-01/runtime/invocation/next")
    r = c.getresponse()
    body = r.read()
    c.request("POST", "/2018-06-01/runtime/invocation/%s/response" % r.getheader("Lambda-Runtime-Aws-Request-Id"), body)
    c.getresponse().read()
    print("afterwards", flush=True)
    while not os.path.exists("GO_ON"):
        time.sleep(0.05)
    print("long afterwards", flush=True)
`

func TestAnswerDoesNotWaitForTheRuntime(t *testing.T) {
	t.Parallel()
	h := newHarness(t, true, nil)
	h.runtime("python3")
	goOn := filepath.Join(t.TempDir(), "go-on")
	f := h.function("provided.al2023", "bootstrap", strings.Replace(dawdler, "GO_ON", goOn, 1))
	r, err := h.manager.Invoke(t.Context(), f, &Invocation{RequestID: "one", FunctionARN: f.ARN, Payload: []byte("1"), Limits: noLimits})
	must(t, err)
	r2, err := h.manager.Invoke(t.Context(), f, &Invocation{RequestID: "two", FunctionARN: f.ARN, Payload: []byte("2"), Limits: noLimits})
	must(t, err)
	if string(r.Payload) != "1" || string(r2.Payload) != "2" {
		t.Errorf("%s %s", r.Payload, r2.Payload)
	}
	if all, idle := h.manager.Environments(); all != 2 || idle != 0 {
		t.Errorf("%d environments, %d of them idle: a busy one was used", all, idle)
	}
	must(t, os.WriteFile(goOn, nil, 0o644))
	eventually(t, "both are idle", h.count(2, 2))
	if r, err = h.try(f, "3"); err != nil || !strings.Contains(string(r.LogTail), "long afterwards\nEND") {
		t.Errorf("the tail is %q, %v", r.LogTail, err)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	f := h.python(sleeper)
	done := make(chan *Result, 2)
	start := func(payload string) {
		go func() {
			r, err := h.try(f, payload)
			if err != nil {
				t.Error(err)
			}
			done <- r
		}()
	}
	for all := 0; all < 2; all, _ = h.manager.Environments() { // so that what follows does not start first
		start("0.3")
		start("0.3")
		<-done
		<-done
	}
	start("0.2")
	start("60")
	eventually(t, "two are busy", h.count(2, 0))
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	began := time.Now()
	h.manager.Close(ctx)
	if d := time.Since(began); d < 2900*time.Millisecond || d > 30*time.Second {
		t.Errorf("Close took %v", d)
	}
	if r := <-done; r.Failed {
		t.Errorf("what could end in time failed: %s", r.Payload)
	}
	if r := <-done; !r.Failed {
		t.Errorf("%s", r.Payload)
	}
	if _, err := h.try(f, "0"); err != ErrClosed {
		t.Errorf("%v", err)
	}
	if text := h.logs.text("/aws/lambda/f"); strings.Count(text, "REPORT") != strings.Count(text, "START RequestId") {
		t.Errorf("the log is not complete: %q", text)
	}
}

func TestCallerThatGoesAwayStopsNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t, true, nil)
	goOn := filepath.Join(t.TempDir(), "go-on")
	f := h.python("import os, time\ndef handler(e, c):\n  while not os.path.exists(e): time.sleep(0.05)\n  print('the end')")
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	_, err := h.manager.Invoke(ctx, f, &Invocation{RequestID: "x", FunctionARN: f.ARN, Payload: []byte(strconv.Quote(goOn)), Limits: noLimits})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	must(t, os.WriteFile(goOn, nil, 0o644))
	eventually(t, "the function has run to its end", h.count(1, 1))
	h.manager.shipper.close()
	if text := h.logs.text("/aws/lambda/f"); !strings.Contains(text, "the end\nEND RequestId: x\nREPORT") {
		t.Errorf("the log is %q", text)
	}
}

func TestFloodIsCutAndSaid(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	f := h.python("import os\nline = b'x' * 1023 + b'\\n'\ndef handler(e, c):\n  for _ in range(e): os.write(1, line)\n  return 'done'")
	const n = 48 << 10 // 48 MiB
	began := time.Now()
	if got := h.invoke(f, fmt.Sprint(n)); got != `"done"` {
		t.Errorf("%s", got)
	}
	t.Logf("48 MiB of log took %v", time.Since(began))
	h.manager.shipper.close()
	text := h.logs.text("/aws/lambda/f")
	kept := strings.Count(text, "xxx\n")
	dropped := 0
	for _, line := range strings.Split(text, "\n") {
		var events, bytes int
		if _, err := fmt.Sscanf(line, "[brume] %d log events (%d bytes) were dropped here", &events, &bytes); err == nil {
			dropped += events
		}
	}
	if kept+dropped != n || dropped == 0 {
		t.Errorf("%d lines were kept, %d are said to be dropped, of %d", kept, dropped, n)
	}
	if !strings.Contains(text, "REPORT") {
		t.Error("the end of the log is missing")
	}
}

// A thread that never stops writing delays no invocation.
func TestEndlessOutput(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	f := h.python(`
import os, threading
def flood():
    line = b"x" * 4095 + b"\n"
    while True:
        os.write(1, line)
def handler(e, c):
    if e:
        threading.Thread(target=flood, daemon=True).start()
    return e
`)
	f.Timeout = 30 * time.Second
	h.invoke(f, "1")
	for range 3 {
		began := time.Now()
		h.invoke(f, "0")
		if d := time.Since(began); d > f.Timeout/2 {
			t.Errorf("an invocation took %v", d)
		}
	}
}

func TestJSONLog(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	f := h.python("def handler(e, c):\n  if e: raise SystemExit(1)\n  return e")
	f.LogFormat, f.SystemLogLevel, f.ApplicationLogLevel = "JSON", "INFO", "INFO"
	h.invoke(f, "0")
	quiet := *f
	quiet.SystemLogLevel, quiet.LogGroup, quiet.Generation = "WARN", "/quiet", 2
	h.invoke(&quiet, "0")
	h.manager.shipper.close()
	text := h.logs.text("/aws/lambda/f")
	for _, want := range []string{
		`"type":"platform.initStart","record":{"initializationType":"on-demand","phase":"init","runtimeVersion":"python:3`,
		`"type":"platform.start","record":{"requestId":"00000000-0000-4000-8000-000000000001"`,
		`"type":"platform.report","record":{"requestId":"00000000-0000-4000-8000-000000000001","metrics":{"durationMs":`,
		`"memorySizeMB":128,"maxMemoryUsedMB":`, `"initDurationMs":`, `"status":"success"}}` + "\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in the log: %s", want, text)
		}
	}
	if text := h.logs.text("/quiet"); strings.Contains(text, "platform.") {
		t.Errorf("a log of warnings has %q", text)
	}
}

// A burst of cold starts is more than the processors can do at once, and none takes longer for it than it may.
func TestBurst(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	f := h.python(sleeper)
	f.Timeout = 20 * time.Second
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() { h.invoke(f, "0.1") })
	}
	wg.Wait()
	h.manager.shipper.close()
	if text := h.logs.text("/aws/lambda/f"); strings.Contains(text, "INIT_REPORT") {
		t.Errorf("an init phase failed: %q", text)
	}
}

// Environments that wait in their init phase do not keep others from starting.
func TestSlowStartsHoldUpNobody(t *testing.T) {
	t.Parallel()
	h := newHarness(t, true, func(c *Config) { c.InitTimeout = time.Minute })
	goOn := filepath.Join(t.TempDir(), "go-on")
	slow := h.python("import os, time\nwhile not os.path.exists(" + strconv.Quote(goOn) + "): time.sleep(0.1)\ndef handler(e, c): return e")
	quick := h.python(echo)
	quick.Version, quick.ARN = "1", strings.Replace(quick.ARN, "$LATEST", "1", 1) // another pool
	var wg sync.WaitGroup
	for range cap(h.manager.starts) {
		wg.Go(func() { h.invoke(slow, "1") })
	}
	eventually(t, "all places are taken", func() bool { return len(h.manager.starts) == cap(h.manager.starts) })
	h.invoke(quick, "1") // while none of the others can
	must(t, os.WriteFile(goOn, nil, 0o644))
	wg.Wait()
}
