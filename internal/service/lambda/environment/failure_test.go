package environment

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"brume/internal/runtimes"
)

// errorOf returns what a failed invocation says.
func errorOf(t testing.TB, r *Result) (typ, message string) {
	t.Helper()
	var e struct{ ErrorType, ErrorMessage string }
	if err := json.Unmarshal(r.Payload, &e); err != nil {
		t.Fatalf("the error is no JSON: %s", r.Payload)
	}
	return e.ErrorType, e.ErrorMessage
}

func (h *harness) expectFailure(f *Function, payload, typ, message string) *Result {
	h.t.Helper()
	r := h.fails(f, payload)
	gotType, gotMessage := errorOf(h.t, r)
	if gotType != typ || !regexp.MustCompile(message).MatchString(gotMessage) {
		h.t.Errorf("the error is %s, want %s with %s\n%s", r.Payload, typ, message, r.LogTail)
	}
	return r
}

func expectLog(t testing.TB, r *Result, want string) {
	t.Helper()
	if !regexp.MustCompile(want).Match(r.LogTail) {
		t.Errorf("the log is %q, want %s", r.LogTail, want)
	}
}

func TestHandlerError(t *testing.T) {
	t.Parallel()
	drivers(t, nil, func(t *testing.T, h *harness) {
		f := h.python("def handler(e, c): raise ValueError('no ' + e)")
		r := h.expectFailure(f, `"way"`, "ValueError", "^no way$")
		if !strings.Contains(string(r.Payload), "stackTrace") {
			t.Errorf("no stack trace: %s", r.Payload)
		}
		h.expectFailure(f, `"luck"`, "ValueError", "^no luck$")
		if all, _ := h.manager.Environments(); all != 1 {
			t.Errorf("%d environments: an error in the handler costs the environment", all)
		}
	})
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	drivers(t, nil, func(t *testing.T, h *harness) {
		f := h.python("import time\ndef handler(e, c):\n  print('before')\n  time.sleep(e)\n  return 'done'")
		f.Timeout = time.Second
		if got := h.invoke(f, "0"); got != `"done"` {
			t.Errorf("%s", got)
		}
		began := time.Now()
		r := h.expectFailure(f, "60", "Sandbox.Timedout", `^RequestId: 00000000-0000-4000-8000-000000000002 Error: Task timed out after 1\.00 seconds$`)
		if d := time.Since(began); d < time.Second || d > 30*time.Second {
			t.Errorf("it took %v", d)
		}
		expectLog(t, r, `(?s)^START.*\nbefore\n\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z 00000000-0000-4000-8000-000000000002 Task timed out after 1\.00 seconds\n\n`+
			`END RequestId.*\nREPORT RequestId: [-0-9]+\tDuration: 1000\.00 ms\tBilled Duration: 1000 ms\t.*\tStatus: timeout\n$`)
		if got := h.invoke(f, "0"); got != `"done"` {
			t.Errorf("after a timeout: %s", got)
		}
		if r.Usage.Duration != time.Second {
			t.Errorf("%+v", r.Usage)
		}
	})
}

func TestCrash(t *testing.T) {
	t.Parallel()
	drivers(t, nil, func(t *testing.T, h *harness) {
		f := h.python("import os, signal\ndef handler(e, c):\n  print('last words', flush=True)\n" +
			"  if e < 0: os.kill(os.getpid(), -e)\n  os._exit(e)")
		const id = `^RequestId: 00000000-0000-4000-8000-00000000000\d Error: `
		r := h.expectFailure(f, "7", "Runtime.ExitError", id+`Runtime exited with error: exit status 7$`)
		expectLog(t, r, `(?s)\nlast words\nRequestId: [-0-9]+ Error: Runtime exited with error: exit status 7\nRuntime.ExitError\nEND .*\tStatus: error\tError Type: Runtime.ExitError\n$`)
		h.expectFailure(f, "0", "Runtime.ExitError", id+`Runtime exited without providing a reason$`)
		h.expectFailure(f, "-6", "Runtime.ExitError", id+`Runtime exited with error: signal: aborted$`)
	})
}

func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	for _, p := range h.config.Driver.Protections() {
		if p.Name == "memory limit" && !p.Active {
			t.Skip(p.Detail)
		}
	}
	f := h.python("def handler(e, c):\n  if e: keep = b'x' * (512 << 20)\n  return 'fine'")
	h.invoke(f, "0")
	r := h.expectFailure(f, "1", "Runtime.OutOfMemory", `Error: Runtime exited with error: signal: killed$`)
	expectLog(t, r, `Max Memory Used: 12[0-9] MB\t.*Error Type: Runtime.OutOfMemory`)
	h.invoke(f, "0")
}

func TestInitError(t *testing.T) {
	t.Parallel()
	drivers(t, nil, func(t *testing.T, h *harness) {
		f := h.python("print('starting')\nimport not_there\ndef handler(e, c): pass")
		r := h.expectFailure(f, "1", "Runtime.ImportModuleError", "No module named 'not_there'")
		// The tail that the caller gets begins with the init phase, if that was for this invocation.
		expectLog(t, r, `(?s)^starting\n.*\tPhase: init\t.*\nstarting\n.*\n\[ERROR\] Runtime.ImportModuleError: .*\tPhase: invoke\t.*\n`+
			`START .*\nEND .*\nREPORT .*\tStatus: error\tError Type: Runtime.ImportModuleError\n$`)
		f2 := h.python("import sys\nsys.exit(3)")
		h.expectFailure(f2, "1", "Runtime.ExitError", "Runtime exited with error: exit status 3$")
		h.manager.shipper.close()
		// The init phase is tried once more as a part of the invocation.
		// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib
		if text := h.logs.text("/aws/lambda/f"); !regexp.MustCompile(`(?s)INIT_START.*starting.*INIT_REPORT Init Duration: \d+\.\d\d ms\tPhase: init\tStatus: error\tError Type: Runtime\.\w+\n` +
			`starting.*\tPhase: invoke\tStatus: error`).MatchString(text) {
			t.Errorf("the log is %q", text)
		}
		if all, _ := h.manager.Environments(); all != 0 {
			t.Errorf("%d environments are left", all)
		}
	})
}

func TestInitGoesOnAtInvocation(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, func(c *Config) { c.InitTimeout = 300 * time.Millisecond })
	f := h.python("import time\ntime.sleep(0.6)\ndef handler(e, c): return 'slow but sure'")
	f.Timeout = 40 * time.Second
	r, err := h.try(f, "1")
	must(t, err)
	// The second try is a part of the duration, and no init duration of its own.
	if u := &r.Usage; string(r.Payload) != `"slow but sure"` || u.Duration > 30*time.Second || u.Duration < 600*time.Millisecond || u.Init != 0 || u.Billed > u.Duration+time.Millisecond {
		t.Errorf("%s %+v", r.Payload, r.Usage)
	}
	f = h.python("import time\ntime.sleep(60)")
	f.Timeout, f.Generation = time.Second, 2
	began := time.Now()
	h.expectFailure(f, "1", "Sandbox.Timedout", "Task timed out after 1.00 seconds$")
	if d := time.Since(began); d > 30*time.Second {
		t.Errorf("it took %v", d)
	}
	h.manager.shipper.close()
	if text := h.logs.text("/aws/lambda/f"); strings.Count(text, "Phase: init\tStatus: timeout\n") != 2 || strings.Count(text, "Phase: invoke\tStatus: timeout\n") != 1 || strings.Count(text, "INIT_START") != 2 {
		t.Errorf("the log is %q", text)
	}
}

func TestProvidedRuntime(t *testing.T) {
	t.Parallel()
	drivers(t, nil, func(t *testing.T, h *harness) {
		h.expectFailure(h.function("provided.al2023", "index.py", "x"), "1", "Runtime.InvalidEntrypoint",
			`Couldn't find valid bootstrap\(s\): \[/var/task/bootstrap /opt/bootstrap\]$`)
		h.expectFailure(h.function("provided.al2023", "bootstrap", "\x7fELF nonsense"), "1", "Runtime.InvalidEntrypoint",
			`fork/exec .*bootstrap: exec format error$`)
		h.expectFailure(h.function("provided.al2023", "bootstrap", "#!/no/such/shell\n"), "1", "Runtime.InvalidEntrypoint",
			`fork/exec .*bootstrap: no such file or directory$`)
		h.expectFailure(h.function("provided.al2023", "bootstrap", "#!/bin/sh\necho starting\nexit 9\n"), "1", "Runtime.ExitError",
			`exit status 9$`)
	})
}

func TestWhatIsNotTheFunctionsFault(t *testing.T) {
	t.Parallel()
	h := newHarness(t, true, nil)
	f := h.python(echo)
	f.Runtime = "cobol74"
	if _, err := h.try(f, "1"); err == nil {
		t.Error("an unknown runtime runs")
	} else if _, ok := errors.AsType[*runtimes.UnavailableError](err); !ok {
		t.Errorf("%v", err)
	}
	f = h.python(echo)
	h.roles.err = ErrRoleDenied
	if _, err := h.try(f, "1"); !errors.Is(err, ErrRoleDenied) {
		t.Errorf("%v", err)
	}
	h.roles.err = nil
	f.Code = strings.Repeat("0", 64)
	if _, err := h.try(f, "1"); err == nil || !strings.Contains(err.Error(), "no archive") {
		t.Errorf("%v", err)
	}
	if len(h.manager.pools) != 0 || h.manager.running != 0 || len(h.manager.shared) != 0 {
		t.Errorf("left behind: %v, %d, %v", h.manager.pools, h.manager.running, h.manager.shared)
	}
}

// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
func TestPayloadLimits(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	f := h.python("def handler(e, c): return 'x' * e if isinstance(e, int) else len(e)")
	f.MemoryMB = 512
	const limit = 6<<20 + 100
	if got := h.invoke(f, `"`+strings.Repeat("y", 6<<20-2)+`"`); got != "6291454" {
		t.Errorf("a request at the limit: %s", got)
	}
	if got := h.invoke(f, strconv.Itoa(limit-2)); len(got) != limit {
		t.Errorf("a response at the limit has %d bytes", len(got))
	}
	h.expectFailure(f, strconv.Itoa(limit-1), "Function.ResponseSizeTooLarge", `^Response payload size exceeded maximum allowed payload size \(6291556 bytes\)\.$`)
	if got := h.invoke(f, "1"); got != `"x"` {
		t.Errorf("after a response that was too large: %s", got)
	}
}

// slowRuntimes take longer to find a runtime than an init phase may.
type slowRuntimes struct{ Runtimes }

func (slowRuntimes) Find(ctx context.Context, _ string) (*runtimes.Runtime, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestStartThatTakesTooLong(t *testing.T) {
	t.Parallel()
	h := newHarness(t, true, func(c *Config) {
		c.InitTimeout = 50 * time.Millisecond
		c.Runtimes = slowRuntimes{c.Runtimes}
	})
	f := h.python(echo)
	f.Timeout = 100 * time.Millisecond
	h.expectFailure(f, "1", "Sandbox.Timedout", `Task timed out after 0\.10 seconds$`)

	f.Timeout = time.Minute
	done := make(chan error)
	go func() {
		_, err := h.try(f, "1")
		done <- err
	}()
	eventually(t, "it starts", func() bool { return len(h.manager.starts) == 1 })
	time.Sleep(100 * time.Millisecond) // into the second try
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.manager.Close(ctx)
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
}
