package environment

import (
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An extension that notes its events in /tmp, and takes its time with each.
const extension = `#!/usr/bin/python3
import http.client, json, os, sys, time
name = os.path.basename(sys.argv[0])
c = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
time.sleep(0.2)
c.request("POST", "/2020-01-01/extension/register", json.dumps({"events": ["INVOKE", "SHUTDOWN"]}), {"Lambda-Extension-Name": name})
r = c.getresponse()
about = json.loads(r.read())
headers = {"Lambda-Extension-Identifier": r.getheader("Lambda-Extension-Identifier")}
print("registered for", about["functionName"], about["functionVersion"], about["handler"], flush=True)
while True:
    c.request("GET", "/2020-01-01/extension/event/next", headers=headers)
    event = json.loads(c.getresponse().read())
    with open("/tmp/events", "a") as f:
        f.write(event["eventType"] + " " + event.get("requestId", event.get("shutdownReason")) + "\n")
    if event["eventType"] == "SHUTDOWN":
        print("bye", event["shutdownReason"], event["deadlineMs"] > time.time() * 1000, flush=True)
        break
    time.sleep(0.1)
    print("noted", flush=True)
`

// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
func TestExtensions(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	f := h.python(`
import os, time
def handler(event, context):
    time.sleep(0.3)
    return open("/tmp/events").read() if os.path.exists("/tmp/events") else ""
`)
	layer := h.zip(f, map[string]string{"extensions/watcher": extension, "extensions/README/nothing": ""})
	f.Layers = []string{layer.Code}
	f.Timeout = 20 * time.Second
	first := "INVOKE 00000000-0000-4000-8000-000000000001\\n"
	second := "INVOKE 00000000-0000-4000-8000-000000000002\\n"
	if got := h.invoke(f, "1"); got != `"`+first+`"` {
		t.Errorf("%s", got)
	}
	if got := h.invoke(f, "1"); got != `"`+first+second+`"` {
		t.Errorf("%s", got)
	}
	eventually(t, "it is idle", h.count(1, 1))
	time.Sleep(freezeDelay + 50*time.Millisecond) // and frozen
	h.manager.Retire(f.Account, f.Region, f.Name, "", 1<<40)
	eventually(t, "nothing is left", h.count(0, 0))
	h.manager.shipper.close()
	text := h.logs.text("/aws/lambda/f")
	for _, want := range []string{"registered for f $LATEST index.handler\n", "noted\n", "bye spindown True\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	// The extension takes 200 ms before it registers. What it prints then comes by a pipe of its own, at any time.
	_, after, _ := strings.Cut(text, "Init Duration: ")
	var took float64
	if _, err := fmt.Sscanf(after, "%f ms", &took); err != nil || took < 200 {
		t.Errorf("the init phase did not wait: %v %s", err, text)
	}
	if i, j := strings.Index(text, "noted"), strings.Index(text, "END"); i > j {
		t.Errorf("the invocation did not wait: %s", text)
	}
}

// An extension that fails takes the environment with it, one that never registers the init phase.
func TestExtensionsFail(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, func(c *Config) { c.InitTimeout = time.Second })
	f := h.python("def handler(e, c): return e")
	f.Timeout = time.Second
	layer := h.zip(f, map[string]string{"extensions/silent": "#!/bin/sh\nsleep 60\n"})
	f.Layers = []string{layer.Code}
	if r := h.fails(f, "1"); !strings.Contains(string(r.Payload), "Task timed out") {
		t.Errorf("%s", r.Payload)
	}
	h = newHarness(t, false, nil)
	f = h.python("def handler(e, c): return e")
	// What AWS makes of extensions that fail:
	// https://github.com/elastic/apm-aws-lambda/pull/145, https://github.com/DataDog/datadog-lambda-extension/issues/263
	says := func(path string) string {
		return strings.Replace(extension, "while True:\n", `c.request("POST", "/2020-01-01/extension/`+path+`", "{}", dict(headers, **{"Lambda-Extension-Function-Error-Type": "Extension.NoConfig"}))
c.getresponse().read()
sys.exit(0)
while True:
`, 1)
	}
	f.Timeout = 20 * time.Second
	for name, test := range map[string]struct{ file, source, typ, message, line string }{
		"init error":     {"x", says("init/error"), "Extension.InitError", "exit code 0$", "EXTENSION\tName: x\tState: InitError\tEvents: [INVOKE, SHUTDOWN]\tError Type: Extension.NoConfig\n"},
		"exit error":     {"x", says("exit/error"), "Extension.ExitError", "exit code 0$", "EXTENSION\tName: x\tState: ExitError\tEvents: [INVOKE, SHUTDOWN]\tError Type: Extension.NoConfig\n"},
		"crash":          {"x", "#!/bin/sh\necho last words\nexit 3\n", "Extension.Crash", "exit status 3$", "last words\n"},
		"kill":           {"x", "#!/bin/sh\nkill -9 $$\n", "Extension.Crash", "signal: killed$", "EXTENSION\tName: x\tState: Started\tEvents: []\n"},
		"no interpreter": {"x", "#!/no/such/interpreter\n", "Extension.LaunchError", "fork/exec /opt/extensions/x: no such file or directory$", "EXTENSION\tName: x\tState: LaunchError\tEvents: []\tError Type: UnknownError\n"},
		"not executable": {"x.txt", "#!/bin/sh\n", "Extension.LaunchError", "fork/exec /opt/extensions/x.txt: permission denied$", "EXTENSION\tName: x.txt\tState: LaunchError\tEvents: []\tError Type: PermissionDenied\n"},
	} {
		f.Generation++
		f.LogGroup = name
		f.Layers = []string{h.zip(f, map[string]string{"extensions/" + test.file: test.source}).Code}
		r := h.expectFailure(f, "1", test.typ, test.message)
		expectLog(t, r, "(?s)\tPhase: invoke\t.*\nSTART .*"+regexp.QuoteMeta(strings.TrimSuffix(test.message, "$"))+"\n"+regexp.QuoteMeta(test.typ)+"\nEND .*Error Type: "+regexp.QuoteMeta(test.typ)+"\n$")
		eventually(t, "the log is written", func() bool { return strings.Contains(h.logs.text(name), "\nREPORT") })
		text := h.logs.text(name)
		report := "Status: error\tError Type: " + test.typ + "\n"
		if strings.Count(text, test.line) != 2 || strings.Count(text, "INIT_START") != 1 || !strings.Contains(text, "Phase: init\t"+report) || !strings.Contains(text, "Phase: invoke\t"+report) {
			t.Errorf("%s: %s", name, text)
		}
	}
	files := map[string]string{}
	for i := range 11 {
		files[fmt.Sprint("extensions/", i)] = "#!/bin/sh\nsleep 60\n"
	}
	f.Generation++
	f.Layers = []string{h.zip(f, files).Code}
	h.expectFailure(f, "1", "Extension.LaunchError", `Extension limit \(10\) reached$`)
}

// An extension that ends during an invocation ends that, at once, and the next one has another environment.
func TestExtensionCrash(t *testing.T) {
	t.Parallel()
	drivers(t, nil, func(t *testing.T, h *harness) {
		f := h.python("import time\ndef handler(e, c):\n  if e: time.sleep(15)\n  return e")
		f.Timeout = 20 * time.Second
		f.Layers = []string{h.zip(f, map[string]string{"extensions/x": strings.Replace(extension, `    with open`, `    if event["eventType"] == "INVOKE" and "crash" in os.environ["CRASH"]: sys.exit(4)
    with open`, 1)}).Code}
		f.Variables = map[string]string{"CRASH": "crash"}
		began := time.Now()
		r := h.expectFailure(f, "1", "Extension.Crash", "exit status 4$")
		if d := time.Since(began); d > 12*time.Second {
			t.Errorf("it took %v", d)
		}
		expectLog(t, r, "(?s)Error: exit status 4\nExtension.Crash\nEND .*Status: error\tError Type: Extension.Crash\n$")
		f.Generation++
		f.Variables = map[string]string{"CRASH": "no"}
		h.invoke(f, "0")
	})
}

// After a timeout or a failure the runtime is gone at once, and extensions hear why and have their time to finish.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html#runtimes-lifecycle-shutdown
func TestExtensionShutdownReasons(t *testing.T) {
	t.Parallel()
	drivers(t, nil, func(t *testing.T, h *harness) {
		f := h.python(`
import os, subprocess, time
def handler(event, context):
    if event == "die": os._exit(1)
    if event == "child": subprocess.Popen(["/bin/sh", "-c", "while true; do echo tick; sleep 0.05; done"])
    while event != "fine":
        print("tock", flush=True)
        time.sleep(0.05)
`)
		f.Layers = []string{h.zip(f, map[string]string{"extensions/x": strings.Replace(extension, `print("bye"`, `time.sleep(0.5); print("bye"`, 1)}).Code}
		for event, want := range map[string]struct{ typ, reason string }{
			"die":   {"Runtime.ExitError", "failure"},
			"child": {"Sandbox.Timedout", "timeout"},
		} {
			f.Generation++
			f.LogGroup, f.Timeout = event, 20*time.Second
			h.invoke(f, `"fine"`)
			f.Generation++
			if want.reason == "timeout" {
				f.Timeout = 2 * time.Second
			}
			r := h.expectFailure(f, `"`+event+`"`, want.typ, "")
			expectLog(t, r, "(?s)\nSTART .*\nEND .*\nREPORT .*$")
			eventually(t, "nothing is left", h.count(0, 0))
			bye := "bye " + want.reason + " True\n"
			eventually(t, "the extension has finished", func() bool { return strings.Contains(h.logs.text(event), bye) })
			_, after, _ := strings.Cut(h.logs.text(event), "END RequestId: 00000000-0000-4000-8000-0000000000"+r.id(t)+"\n")
			if after == "" || strings.Contains(after, "tick") || strings.Contains(after, "tock") {
				t.Errorf("%s: after the end comes %q", event, after)
			}
		}
		// A runtime that ends between two invocations costs nobody anything.
		f.Generation++
		f.LogGroup, f.Timeout = "later", 20*time.Second
		h.invoke(f, `"fine"`)
		eventually(t, "it is idle", h.count(1, 1))
		h.manager.mu.Lock()
		for e := range h.manager.all {
			e.proc.SignalCommand(syscall.SIGKILL)
		}
		h.manager.mu.Unlock()
		eventually(t, "the extension has finished", func() bool { return strings.Contains(h.logs.text("later"), "bye failure True\n") })
		eventually(t, "nothing is left", h.count(0, 0))
		h.invoke(f, `"fine"`)
	})
}

// id is the end of the request's id, as its log has it.
func (r *Result) id(t *testing.T) string {
	m := regexp.MustCompile(`START RequestId: 00000000-0000-4000-8000-0000000000(\d\d)`).FindSubmatch(r.LogTail)
	if m == nil {
		t.Fatalf("%s", r.LogTail)
	}
	return string(m[1])
}

// Where there are extensions, inside of the runtime or beside it, the runtime hears of the end by SIGTERM, and before the others.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-shutdown
func TestRuntimeIsTerminated(t *testing.T) {
	t.Parallel()
	const source = `
import http.client, json, os, signal, threading, time
def end(*a):
    print("terminated", flush=True)
    while "STAY" in os.environ: time.sleep(1)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
if "INNER" in os.environ:
    c = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    c.request("POST", "/2020-01-01/extension/register", json.dumps({"events": []}), {"Lambda-Extension-Name": "inner"})
    r = c.getresponse()
    r.read()
    identity = {"Lambda-Extension-Identifier": r.getheader("Lambda-Extension-Identifier")}
    def wait():
        c.request("GET", "/2020-01-01/extension/event/next", headers=identity)
        c.getresponse()
    threading.Thread(target=wait, daemon=True).start()
def handler(e, c): return e
`
	drivers(t, nil, func(t *testing.T, h *harness) {
		for name, test := range map[string]struct {
			variables map[string]string
			external  bool
			want      string
		}{
			"none":     {nil, false, `^INIT_START .*\nREPORT [^\n]*\n$`},
			"internal": {map[string]string{"INNER": "1"}, false, `\nREPORT [^\n]*\nterminated\n$`},
			"external": {nil, true, `\nterminated\nbye spindown True\n$`},
			"both":     {map[string]string{"INNER": "1"}, true, `\nterminated\nbye spindown True\n$`},
			"stays":    {map[string]string{"STAY": "1"}, true, `\nterminated\nbye spindown True\n$`},
		} {
			f := h.python(source)
			f.LogGroup, f.Timeout, f.Variables = name, 20*time.Second, test.variables
			if test.external {
				f.Layers = []string{h.zip(f, map[string]string{"extensions/x": extension}).Code}
			}
			h.invoke(f, "1")
			eventually(t, "it is idle", h.count(1, 1))
			h.manager.Retire(f.Account, f.Region, f.Name, "", 1<<40)
			eventually(t, "nothing is left", h.count(0, 0))
			want := regexp.MustCompile("(?s)" + test.want)
			eventually(t, "the log is "+test.want, func() bool { return want.MatchString(h.logs.text(name)) })
		}
	})
}
