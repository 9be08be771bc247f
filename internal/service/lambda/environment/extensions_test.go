package environment

import (
	"fmt"
	"strings"
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
	layer = h.zip(f, map[string]string{"extensions/broken": strings.Replace(extension, `while True:
`, `c.request("POST", "/2020-01-01/extension/init/error", "{}", dict(headers, **{"Lambda-Extension-Function-Error-Type": "Extension.NoConfig"}))
c.getresponse().read()
while True:
    time.sleep(1)
while True:
`, 1)})
	f.Layers = []string{layer.Code}
	if r := h.fails(f, "1"); !strings.Contains(string(r.Payload), `"errorType":"Extension.NoConfig"`) {
		t.Errorf("%s", r.Payload)
	}
}
