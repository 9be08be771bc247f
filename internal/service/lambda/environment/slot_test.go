package environment

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// settle waits until every shelf is full.
func (h *harness) settle() {
	h.t.Helper()
	s := h.manager.slots
	for range 12_000 {
		if _, ok, wait := s.next(); !ok && wait == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.t.Fatal("the shelves do not fill")
}

// prepare is Prepare of a copy: f may be changed.
func (h *harness) prepare(f *Function) {
	g := *f
	h.manager.Prepare(&g)
}

// waiting says how many sandboxes wait.
func (s *slots) waiting() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sh := range s.shelves {
		n += len(sh.slots)
	}
	return n
}

// zip adds an archive of several files and makes it the function's.
func (h *harness) zip(f *Function, files map[string]string) *Function {
	h.t.Helper()
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for name, content := range files {
		head := &zip.FileHeader{Name: name}
		head.SetMode(0o644)
		if strings.HasPrefix(name, "extensions/") && !strings.HasSuffix(name, ".txt") {
			head.SetMode(0o755)
		}
		e, err := w.CreateHeader(head)
		must(h.t, err)
		_, err = io.WriteString(e, content)
		must(h.t, err)
	}
	must(h.t, w.Close())
	sum := sha256.Sum256(buf.Bytes())
	g := *f
	g.Code = hex.EncodeToString(sum[:])
	g.Generation++
	h.mu.Lock()
	h.archives[g.Code] = buf.Bytes()
	h.mu.Unlock()
	return &g
}

// both runs a test with environments that are started from the beginning, and with ones that were ready.
func both(t *testing.T, test func(t *testing.T, h *harness, prepare func(*Function))) {
	t.Run("new", func(t *testing.T) {
		t.Parallel()
		test(t, newHarness(t, false, func(c *Config) { c.Prebooted = -1 }), func(*Function) {})
	})
	t.Run("ready", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t, false, nil)
		test(t, h, func(f *Function) {
			h.prepare(f)
			h.settle()
		})
	})
}

// A function finds the same in a sandbox that was ready as in one that was made for it.
func TestReadyIsTheSame(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *harness, prepare func(*Function)) {
		f := h.python(`
import os, sys, json
def handler(event, context):
    env = dict(os.environ)
    child = os.popen("env").read()
    st = os.statvfs("/tmp")
    return {
        "waits": [k for k in env if "WAIT" in k], "own": env.get("OWN"), "handler": env.get("_HANDLER"),
        "child": "OWN=variable" in child, "name": context.function_name, "path": sys.path[0], "argv": len(sys.argv),
        "sdk": "bo" "to3" in sys.modules, "tmp": st.f_blocks * st.f_frsize >> 20, "task": sorted(os.listdir("/var/task")),
        "opt": os.listdir("/opt") if os.path.isdir("/opt") else [], "writable": os.access("/var/task", os.W_OK),
        "log": env["AWS_LAMBDA_LOG_STREAM_NAME"][-5:] != "", "user": os.getuid(), "cwd": os.getcwd(),
        "here": os.listdir("."),
    }
`)
		f.Variables = map[string]string{"OWN": "variable"}
		f.TmpMB = 600
		prepare(f)
		const want = `{"waits": [], "own": "variable", "handler": "index.handler", "child": true, "name": "f", "path": "/var/task", ` +
			`"argv": 1, "sdk": false, "tmp": 600, "task": ["index.py"], "opt": [], "writable": false, "log": true, "user": 993, "cwd": "/var/task", "here": ["index.py"]}`
		if got := h.invoke(f, "{}"); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}

		n := h.node(`const fs = require("fs"); exports.handler = async (event, context) => ({
			waits: Object.keys(process.env).filter((k) => k.includes("WAIT")), own: process.env.OWN, name: context.functionName,
			child: require("child_process").execSync("env").toString().includes("OWN=variable"), task: fs.readdirSync("/var/task"),
			argv: process.argv.length, heap: require("v8").getHeapStatistics().heap_size_limit >> 20,
			zone: Intl.DateTimeFormat().resolvedOptions().timeZone,
		})`)
		n.Variables, n.Generation, n.MemoryMB = f.Variables, 2, 256
		prepare(n)
		got := h.invoke(n, "{}")
		heap, _, _ := strings.Cut(got[strings.Index(got, `"heap":`)+7:], ",")
		if mb, err := strconv.Atoi(heap); err != nil || mb < 230 || mb > 300 {
			t.Errorf("a heap of %s MB", heap)
		}
		if got = strings.Replace(got, `"heap":`+heap+",", "", 1); got != `{"waits":[],"own":"variable","name":"f","child":true,"task":["index.js"],"argv":2,"zone":"UTC"}` {
			t.Errorf("%s", got)
		}
	})
}

// A cold start takes a sandbox that was ready, and another one becomes ready.
func TestReadyIsTaken(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	f := h.python("import os, time\nT = time.time()\ndef handler(e, c): return os.getppid()")
	h.prepare(f)
	h.settle()
	before := h.manager.slots.waiting()
	if before != DefaultPrebooted {
		t.Fatalf("%d sandboxes wait", before)
	}
	h.manager.slots.mu.Lock()
	first := h.manager.slots.shelves[slotKind{runtime: f.Runtime, memoryMB: 128, tmpMB: 512}].slots[0]
	h.manager.slots.mu.Unlock()
	h.invoke(f, "1")
	select {
	case <-first.taken:
	default:
		t.Error("it was not taken")
	}
	h.settle()
	if n := h.manager.slots.waiting(); n != DefaultPrebooted {
		t.Errorf("%d sandboxes wait", n)
	}
	if all, idle := h.manager.Environments(); all != 1 || idle != 1 {
		t.Errorf("%d environments, %d idle", all, idle)
	}

	// One that dies is not handed out.
	h.manager.slots.mu.Lock()
	var dead []*slot
	for _, sh := range h.manager.slots.shelves {
		dead = append(dead, sh.slots...)
	}
	h.manager.slots.mu.Unlock()
	for _, sl := range dead {
		must(t, syscall.Kill(sl.proc.PID(), syscall.SIGKILL))
		<-sl.proc.Done()
	}
	f2 := *f
	f2.Generation++
	h.invoke(&f2, "1")
}

// What an interpreter looks at when it starts, it must find when it starts.
func TestNotReadyForStartupVariables(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	f := h.python("import sys, os, time\ndef handler(e, c): return [sys.flags.optimize, time.tzname[0], os.environ['PYTHONOPTIMIZE']]")
	h.prepare(f)
	h.settle()
	f.Variables = map[string]string{"PYTHONOPTIMIZE": "2", "TZ": "Asia/Tokyo"}
	if got := h.invoke(f, "1"); got != `[2, "JST", "2"]` && got != `[2, "Asia", "2"]` {
		t.Errorf("%s", got)
	}
}

// The SDK is there sooner, and a function's own copy of it, or of anything that it loads, comes first nevertheless.
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html#python-sdk-included
func TestReadyWithSDK(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	f := h.python("import boto3\ndef handler(e, c): return boto3.__file__.startswith('/var/task')")
	if r, err := h.catalog.Find(t.Context(), f.Runtime); err != nil || r.SDK == "" {
		t.Skip("no Python here has an SDK")
	}
	h.prepare(f) // now its code is unpacked, and the SDK is seen to be wanted
	eventually(t, "sandboxes wait, with and without it", func() bool { return h.manager.slots.waiting() == 2*DefaultPrebooted })
	probe := "import sys\nloaded = 'boto3' in sys.modules\nimport boto3, jmespath\ndef handler(e, c): return [loaded, getattr(boto3, 'OWN', 0), getattr(jmespath, 'OWN', 0)]"
	for _, c := range []struct {
		files map[string]string
		want  string
	}{
		{map[string]string{"index.py": probe}, "[true, 0, 0]"},
		{map[string]string{"index.py": probe, "boto3/__init__.py": "OWN = 1"}, "[false, 1, 0]"},
		{map[string]string{"index.py": probe, "jmespath.py": "OWN = 1\nfrom jmespath import *"}, "[false, 0, 1]"},
		{map[string]string{"index.py": "import sys\ndef handler(e, c): return 'bo' 'to3' in sys.modules"}, "false"},
	} {
		if _, own := c.files["jmespath.py"]; own {
			c.files["index.py"] = strings.Replace(probe, "import boto3, jmespath", "import jmespath; boto3 = None", 1)
			c.files["jmespath.py"] = "OWN = 1"
		}
		f = h.zip(f, c.files)
		if got := h.invoke(f, "1"); got != c.want {
			t.Errorf("%v: %s, want %s", c.files, got, c.want)
		}
		h.settle()
	}
}

// Errors of the init phase, JSON logs and timeouts are as ever.
func TestReadyFails(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *harness, prepare func(*Function)) {
		f := h.python("import logging\nlogging.getLogger().warning('at the start')\nraise OSError('no')\n")
		f.LogFormat = "JSON"
		prepare(f)
		r := h.fails(f, "1")
		if !strings.Contains(string(r.Payload), `"errorType": "OSError"`) {
			t.Errorf("%s", r.Payload)
		}
		h.settle()
		g := h.python("import time\ndef handler(e, c): time.sleep(60)")
		g.Generation, g.Timeout, g.LogFormat = 2, time.Second, "JSON"
		if r := h.fails(g, "1"); !strings.Contains(string(r.Payload), "Task timed out after 1.00 seconds") {
			t.Errorf("%s", r.Payload)
		}
		h.manager.shipper.close()
		if text := h.logs.text("/aws/lambda/f"); !strings.Contains(text, `"level": "WARNING", "message": "at the start"`) {
			t.Errorf("the log is %s", text)
		}
	})
}

// Kinds of which nobody has made use lately give way.
func TestShelvesAreFew(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, func(c *Config) { c.Prebooted = 1 })
	f := h.python("def handler(e, c): return e")
	for i := range maxShelves + 2 {
		f.MemoryMB = 128 + i
		h.prepare(f)
		time.Sleep(2 * time.Millisecond)
	}
	h.settle()
	if n := h.manager.slots.waiting(); n != maxShelves {
		t.Errorf("%d sandboxes wait", n)
	}
	h.manager.slots.prune(time.Now().Add(shelfLife + time.Minute))
	if n := h.manager.slots.waiting(); n != 0 {
		t.Errorf("%d sandboxes wait", n)
	}
}

func TestUsesSDK(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "a", "b"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "a", "b", "x.py"), []byte("from boto3 import client"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "boto3.txt"), []byte("boto3"), 0o644))
	for handler, want := range map[string]bool{"x.handler": false, "a/b/x.handler": true, "../../x.h": false, "a.b": false, "": false} {
		if got := usesSDK(&Function{Handler: handler}, dir); got != want {
			t.Errorf("%q: %v", handler, got)
		}
	}
}
