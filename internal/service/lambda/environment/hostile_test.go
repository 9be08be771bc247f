package environment

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"brume/internal/sandboxnet"
)

// What a hostile function tries that has to do with other functions and with Brume. The attempts against the sandbox itself
// are in package sandbox, those by archives in package code.
const hostilePython = `
import glob, json, os, signal, socket, subprocess, sys, time, urllib.request
def attempt(f):
    try:
        return f()
    except Exception as e:
        return type(e).__name__
def get(url):
    with urllib.request.urlopen(url, timeout=5) as r:
        return r.read().decode()
def dial(host, port):
    with socket.create_connection((host, port), timeout=5):
        return "connected"
def processes():
    return sorted(int(p) for p in os.listdir("/proc") if p.isdigit() and int(p) not in (1, os.getpid()))
def fill(path, limit):
    n = 0
    with open(path, "wb") as f:
        try:
            while n < limit:
                f.write(b"x" * (1 << 20))
                n += 1 << 20
        except OSError as e:
            return [e.errno, n >> 20]
    return n >> 20
def tries(event):
    return {
        "data directory": attempt(lambda: open(event["secret"]).read()),
        "data directory by /proc": attempt(lambda: open("/proc/1/root" + event["secret"]).read()),
        "another's /tmp": os.listdir("/tmp"),
        "another's code": sorted(os.listdir("/var/task")),
        "others' processes": processes(),
        "another's environment": [p for p in glob.glob("/proc/[0-9]*/environ") if "victim" in (attempt(lambda: open(p).read()) or "")],
        "kill them all": attempt(lambda: os.kill(event["pid"], signal.SIGKILL)),
        "another's Runtime API": attempt(lambda: dial("127.0.0.1", event["port"])),
        "the host by the gateway": attempt(lambda: dial("169.254.76.2", event["port"])),
        "metadata": attempt(lambda: get("http://169.254.169.254/latest/meta-data/")),
        "another id to the Runtime API": attempt(lambda: urllib.request.urlopen(urllib.request.Request(
            "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/other/response", data=b"{}"), timeout=5).status),
        "who Brume thinks I am": attempt(lambda: get("http://127.0.0.1:4566/")),
        "keys": sorted(k for k in os.environ if "SECRET" in k or "ACCESS_KEY" in k),
        "write the code": attempt(lambda: open("/var/task/x", "w")),
        "write the runtime": attempt(lambda: open("/var/runtime/x", "w")),
        "fill the disk": fill("/tmp/full", 1 << 30),
    }
def handler(event, context):
    return tries(event)
`

func TestHostile(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h0 *harness, prepare func(*Function)) {
		who := func(w http.ResponseWriter, r *http.Request) {
			id, _ := sandboxnet.From(r.Context())
			io.WriteString(w, id.FunctionARN)
		}
		h := newOutsideHarness(t, who, &sandboxnet.Egress{}, fakeNames{})
		h.config.Prebooted = h0.config.Prebooted
		victim := h.python(`
import os, threading, socket
open("/tmp/secret", "w").write("secret")
s = socket.socket()
s.bind(("0.0.0.0", 0))
s.listen()
def handler(e, c): return [os.getpid(), s.getsockname()[1]]
`)
		victim.Variables = map[string]string{"VICTIM": "victim"}
		var is [2]int
		must(t, json.Unmarshal([]byte(h.invoke(victim, "1")), &is))

		secret := filepath.Join(t.TempDir(), "secret")
		must(t, os.WriteFile(secret, []byte("secret"), 0o644))
		f := h.python(hostilePython)
		f.Version, f.ARN = "2", strings.TrimSuffix(f.ARN, "$LATEST")+"2"
		f.TmpMB = 512
		f.Timeout = 30 * time.Second
		if prepare(f); h.config.Prebooted >= 0 {
			h.prepare(f)
			h.settle()
		}
		event, err := json.Marshal(map[string]any{"secret": secret, "pid": os.Getpid(), "port": is[1]})
		must(t, err)
		var got map[string]any
		must(t, json.Unmarshal([]byte(h.invoke(f, string(event))), &got))
		for try, want := range map[string]string{
			"data directory":                `"FileNotFoundError"`,
			"data directory by /proc":       `"FileNotFoundError"`,
			"another's /tmp":                `[]`,
			"another's code":                `["index.py"]`,
			"others' processes":             `[]`,
			"another's environment":         `[]`,
			"kill them all":                 `"ProcessLookupError"`,
			"another's Runtime API":         `"ConnectionRefusedError"`,
			"the host by the gateway":       `"ConnectionRefusedError"`,
			"metadata":                      `"URLError"`,
			"another id to the Runtime API": `"HTTPError"`,
			"who Brume thinks I am":         `"` + f.ARN + `"`,
			"keys":                          `["AWS_ACCESS_KEY_ID","AWS_SECRET_ACCESS_KEY"]`,
			"write the code":                `"OSError"`,
			"write the runtime":             `"OSError"`,
		} {
			if b, err := json.Marshal(got[try]); err != nil || string(b) != want {
				t.Errorf("%s: %s, want %s", try, b, want)
			}
		}
		full, _ := got["fill the disk"].([]any)
		if len(full) != 2 || full[0] != float64(syscall.ENOSPC) || full[1].(float64) < 500 || full[1].(float64) > 512 {
			t.Errorf("/tmp of 512 MB: %v", got["fill the disk"])
		}
	})
}

// Nothing of a function runs on after its timeout, however far it has gone away.
func TestHostileTimeout(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	f := h.python(`
import os, time
def handler(event, context):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 1000)
            while True: pass
        os._exit(0)
    while True: pass
`)
	f.Timeout = time.Second
	f.Version, f.ARN = "run-on", strings.TrimSuffix(f.ARN, "$LATEST")+"run-on"
	began := time.Now()
	if r := h.fails(f, "1"); !strings.Contains(string(r.Payload), "Task timed out after 1.00 seconds") {
		t.Errorf("%s", r.Payload)
	}
	if d := time.Since(began); d > 30*time.Second {
		t.Errorf("it took %v", d)
	}
	eventually(t, "nothing is left", h.count(0, 0))
}

// TestAsNobody runs some tests once more as an ordinary user.
func TestAsNobody(t *testing.T) {
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("not root on Linux")
	}
	const nobody = 65534
	dir, err := os.MkdirTemp("", "environment-nobody")
	must(t, err)
	defer os.RemoveAll(dir)
	exe, err := os.Executable()
	must(t, err)
	binary, err := os.ReadFile(exe)
	must(t, err)
	tmp, test := filepath.Join(dir, "tmp"), filepath.Join(dir, "environment.test")
	must(t, os.Chmod(dir, 0o755))
	must(t, os.WriteFile(test, binary, 0o755))
	must(t, os.Mkdir(tmp, 0o700))
	must(t, os.Chown(tmp, nobody, nobody))
	cmd := exec.Command(test, "-test.v", "-test.timeout=120s", "-test.run=^(TestHostile|TestOutside|TestReadyIsTheSame|TestFrozen)")
	cmd.Dir = dir
	cmd.Env = []string{"TMPDIR=" + tmp, "HOME=" + tmp, "PATH=/usr/local/bin:/usr/bin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	} else if strings.Contains(string(out), "--- SKIP: TestHostile") || !strings.Contains(string(out), "--- PASS: TestHostile ") {
		t.Skipf("an ordinary user can make no sandbox here, or has no Python:\n%s", out)
	}
}
