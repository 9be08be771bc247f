package environment

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// A subscriber like those that AWS shows: it has a server, subscribes, works on each invocation until the runtime has finished
// with it, and says in the end what it got.
// https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api.html
const subscriber = `#!/usr/bin/python3
import http.client, http.server, json, os, socketserver, sys, threading, time
name = os.path.basename(sys.argv[0])
request = json.loads(os.environ["SUBSCRIPTION"])
cond, got = threading.Condition(), []

def take(events):
    with cond:
        got.extend(events)
        cond.notify_all()

class HTTP(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        if "HANG" in os.environ:
            time.sleep(3600)
        assert self.path == "/got" and self.headers["Content-Type"] == "application/json"
        take(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *a): pass

class TCP(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            take([json.loads(line)])

class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
tcp = request["destination"]["protocol"] == "TCP"
try:
    server = Server(("sandbox.localdomain", 0), TCP if tcp else HTTP)
except OSError:
    server = Server(("127.0.0.1", 0), TCP if tcp else HTTP)
threading.Thread(target=server.serve_forever, daemon=True).start()
port = server.server_address[1]

c = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
def ask(method, path, body=None, **headers):
    c.request(method, path, body and json.dumps(body), headers)
    r = c.getresponse()
    return r, json.loads(r.read())
r, _ = ask("POST", "/2020-01-01/extension/register", {"events": ["INVOKE", "SHUTDOWN"]}, **{"Lambda-Extension-Name": name})
identity = {"Lambda-Extension-Identifier": r.getheader("Lambda-Extension-Identifier")}
if tcp:
    request["destination"]["port"] = port
else:
    request["destination"]["URI"] = "http://sandbox.localdomain:%d/got" % port
for _ in range(2):
    r, answer = ask("PUT", os.environ["SUBSCRIBE_AT"], request, **identity)
    assert r.status == 200 and answer == "OK", answer
print("an extension's own line", flush=True)
while True:
    _, event = ask("GET", "/2020-01-01/extension/event/next", **identity)
    if event["eventType"] == "SHUTDOWN":
        time.sleep(0.3)
        with cond:
            sys.stdout.write("".join("got " + json.dumps(e) + "\n" for e in got))
            sys.stdout.flush()
        break
    r, late = ask("PUT", os.environ["SUBSCRIBE_AT"], request, **identity)
    assert r.status == 403, late
    if "NOWAIT" not in os.environ:
        done = lambda: [e for e in got if e["type"] == "platform.runtimeDone" and e["record"]["requestId"] == event["requestId"]]
        with cond:
            if not cond.wait_for(done, 15):
                print("no runtimeDone", flush=True)
`

// A delivery is an event as a subscriber got it.
type delivery struct {
	Time   string
	Type   string
	Record json.RawMessage
}

// received ends the environments of f, and returns what the subscriber says it got.
func (h *harness) received(f *Function) (events []delivery) {
	h.t.Helper()
	h.manager.Retire(f.Account, f.Region, f.Name, "", 1<<40)
	eventually(h.t, "nothing is left", h.count(0, 0))
	text := ""
	eventually(h.t, "the log is there", func() bool {
		text = h.logs.text(f.LogGroup)
		return strings.Contains(text, "got ")
	})
	h.manager.shipper.close()
	text = h.logs.text(f.LogGroup)
	if strings.Contains(text, "no runtimeDone") || strings.Contains(text, "Traceback") {
		h.t.Errorf("%s", text)
	}
	return got(h.t, text)
}

// got are the events that a subscriber has printed to a log.
func got(t testing.TB, log string) (events []delivery) {
	t.Helper()
	for line := range strings.Lines(log) {
		if got, ok := strings.CutPrefix(line, "got "); ok {
			var d delivery
			must(t, json.Unmarshal([]byte(got), &d))
			events = append(events, d)
		}
	}
	return events
}

func typesOf(events []delivery, prefix string) (types []string) {
	for _, e := range events {
		if strings.HasPrefix(e.Type, prefix) {
			types = append(types, strings.TrimPrefix(e.Type, prefix))
		}
	}
	return types
}

// match compares the records of a type with patterns.
func match(t *testing.T, events []delivery, typ string, patterns ...string) {
	t.Helper()
	var records []string
	for _, e := range events {
		if e.Type == typ {
			records = append(records, string(e.Record))
		}
	}
	if len(records) != len(patterns) {
		t.Errorf("%d %s: %s", len(records), typ, records)
		return
	}
	for i, p := range patterns {
		// {ms} is a duration, {time} a time
		p = strings.NewReplacer(`\{ms\}`, `[0-9]+(\.[0-9]{1,3})?`, `\{time\}`, `"20[-0-9]{8}T[:0-9]{8}\.[0-9]{3}Z"`,
			`\{trace\}`, `\{"type":"X-Amzn-Trace-Id","value":"Root=1-[-0-9a-f]+;Parent=[0-9a-f]{16};Sampled=0"\}`, `\{n\}`, `[0-9]+`, `\{any\}`, `[^"]*`).
			Replace(regexp.QuoteMeta(p))
		var compact strings.Builder
		if got := strings.NewReplacer(`": `, `":`, `, "`, `,"`, `}, {`, `},{`).Replace(records[i]); !regexp.MustCompile("^" + p + "$").MatchString(got) {
			t.Errorf("%s\n%s\nis not\n%s%s", typ, got, p, compact.String())
		}
	}
}

const subscription = `{"schemaVersion":"2022-12-13","types":["platform","function","extension"],"buffering":{"timeoutMs":25},"destination":{"protocol":"HTTP"}}`

// An extension gets all that it has asked for, in order, with all that is documented.
// https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html
func TestTelemetry(t *testing.T) {
	t.Parallel()
	drivers(t, nil, func(t *testing.T, h *harness) {
		f := h.python("print('loading')\ndef handler(e, c):\n  print('handling', e)\n  return e")
		f.Timeout = 20 * time.Second
		f.Variables = map[string]string{"SUBSCRIBE_AT": "/2022-07-01/telemetry", "SUBSCRIPTION": subscription}
		f.Layers = []string{h.zip(f, map[string]string{"extensions/watcher": subscriber}).Code}
		h.invoke(f, "1")
		h.invoke(f, `"two"`)
		events := h.received(f)
		if got := strings.Join(typesOf(events, "platform."), " "); got != "initStart telemetrySubscription initRuntimeDone extension initReport start runtimeDone report start runtimeDone report" {
			t.Error(got)
		}
		match(t, events, "function", `"loading\n"`, `"handling 1\n"`, `"handling two\n"`)
		match(t, events, "extension", `"an extension's own line\n"`)
		match(t, events, "platform.initStart", `{"initializationType":"on-demand","phase":"init","runtimeVersion":"python:{any}","runtimeVersionArn":"arn:aws:lambda:us-east-1::runtime:0",`+
			`"functionName":"f","functionVersion":"$LATEST","instanceId":"{any}","instanceMaxMemory":134217728}`)
		match(t, events, "platform.telemetrySubscription", `{"name":"watcher","state":"Subscribed","types":["platform","function","extension"]}`)
		match(t, events, "platform.initRuntimeDone", `{"initializationType":"on-demand","phase":"init","status":"success"}`)
		match(t, events, "platform.extension", `{"name":"watcher","state":"Ready","events":["INVOKE","SHUTDOWN"]}`)
		match(t, events, "platform.initReport", `{"initializationType":"on-demand","phase":"init","status":"success","metrics":{"durationMs":{ms}}}`)
		var starts, dones, reports []string
		for i := range 2 {
			id := fmt.Sprintf(`"requestId":"00000000-0000-4000-8000-%012d"`, i+1)
			init := `,"initDurationMs":{ms}`
			produced := `1`
			if i > 0 {
				init, produced = "", `5`
			}
			starts = append(starts, `{`+id+`,"functionArn":"arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST","version":"$LATEST","tracing":{trace}}`)
			dones = append(dones, `{`+id+`,"status":"success","tracing":{trace},"spans":[{"name":"responseLatency","start":{time},"durationMs":{ms}},`+
				`{"name":"responseDuration","start":{time},"durationMs":{ms}},{"name":"runtimeOverhead","start":{time},"durationMs":{ms}}],"metrics":{"durationMs":{ms},"producedBytes":`+produced+`}}`)
			reports = append(reports, `{`+id+`,"metrics":{"durationMs":{ms},"billedDurationMs":{n},"memorySizeMB":128,"maxMemoryUsedMB":{n}`+init+`},"tracing":{trace},`+
				`"spans":[{"name":"extensionOverhead","start":{time},"durationMs":{ms}}],"status":"success"}`)
		}
		match(t, events, "platform.start", starts...)
		match(t, events, "platform.runtimeDone", dones...)
		match(t, events, "platform.report", reports...)
		if !slices.IsSortedFunc(events, func(a, b delivery) int { return strings.Compare(a.Time, b.Time) }) {
			t.Errorf("not in the order of time: %v", events)
		}
		// The log has it all as ever.
		if text := h.logs.text(f.LogGroup); !regexp.MustCompile("(?s)^INIT_START .*TELEMETRY\tName: watcher\tState: Subscribed\tTypes: \\[Platform, Function, Extension\\]\n"+
			".*EXTENSION\tName: watcher\tState: Ready\tEvents: \\[INVOKE, SHUTDOWN\\]\nSTART .*handling 1\n.*END .*START").MatchString(text) || !strings.Contains(text, "an extension's own line\n") {
			t.Errorf("%s", text)
		}
	})
}

// The Logs API by TCP, in its own words; and records that are objects where the function logs JSON.
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-logs-api.html
func TestTelemetryLogsAPI(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	f := h.python("def handler(e, c):\n  print('handling')\n  return e")
	f.Timeout = 20 * time.Second
	f.Variables = map[string]string{"SUBSCRIBE_AT": "/2020-08-15/logs",
		"SUBSCRIPTION": `{"schemaVersion":"2021-03-18","types":["platform","function"],"buffering":{"timeoutMs":25},"destination":{"protocol":"TCP"}}`}
	f.Layers = []string{h.zip(f, map[string]string{"extensions/watcher": subscriber}).Code}
	h.invoke(f, "1")
	events := h.received(f)
	if got := strings.Join(typesOf(events, "platform."), " "); got != "logsSubscription extension start runtimeDone end report" {
		t.Error(got)
	}
	const id = `"requestId":"00000000-0000-4000-8000-000000000001"`
	match(t, events, "platform.start", `{`+id+`,"version":"$LATEST"}`)
	match(t, events, "platform.runtimeDone", `{`+id+`,"status":"success"}`)
	match(t, events, "platform.end", `{`+id+`}`)
	match(t, events, "platform.report", `{`+id+`,"metrics":{"durationMs":{ms},"billedDurationMs":{n},"memorySizeMB":128,"maxMemoryUsedMB":{n},"initDurationMs":{ms}}}`)
	match(t, events, "function", `"handling\n"`)
	if text := h.logs.text(f.LogGroup); !strings.Contains(text, "LOGS\tName: watcher\tState: Subscribed\tTypes: [Platform, Function]\n") {
		t.Errorf("%s", text)
	}
}

// With the JSON format lines of the function are objects, and the platform's own records go to the log by their levels.
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
func TestTelemetryJSON(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	f := h.python("import logging\ndef handler(e, c):\n  logging.getLogger().info('handling')\n  if e: raise SystemExit(1)")
	f.Timeout = 20 * time.Second
	f.LogFormat, f.SystemLogLevel, f.ApplicationLogLevel = "JSON", "DEBUG", "INFO"
	f.Variables = map[string]string{"SUBSCRIBE_AT": "/2022-07-01/telemetry", "SUBSCRIPTION": strings.Replace(subscription, "2022-12-13", "2025-01-29", 1)}
	f.Layers = []string{h.zip(f, map[string]string{"extensions/watcher": subscriber}).Code}
	h.invoke(f, "0")
	quiet := *f
	quiet.LogGroup, quiet.SystemLogLevel, quiet.Generation = "/quiet", "WARN", 2
	h.fails(&quiet, "1")
	events := h.received(f)
	var record struct{ Message string }
	for _, e := range events {
		if e.Type == "function" {
			must(t, json.Unmarshal(e.Record, &record))
		}
	}
	if record.Message != "handling" {
		t.Errorf("%+v", events)
	}
	of := func(group string) string {
		return strings.Join(regexp.MustCompile(`"type":"platform\.\w+"`).FindAllString(h.logs.text(group), -1), " ")
	}
	if got := strings.NewReplacer(`"type":"platform.`, "", `"`, "").Replace(of(f.LogGroup)); got != "initStart telemetrySubscription initRuntimeDone extension initReport start runtimeDone report" {
		t.Error(got, h.logs.text(f.LogGroup))
	}
	if got := of("/quiet"); got != `"type":"platform.runtimeDone" "type":"platform.report"` {
		t.Error(got, h.logs.text("/quiet"))
	}
}

// A subscriber that never answers costs an invocation nothing.
func TestTelemetrySubscriberHangs(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	f := h.python("def handler(e, c):\n  for i in range(e): print('0123456789' * 20)\n  return e")
	f.Timeout = 20 * time.Second
	f.Variables = map[string]string{"SUBSCRIBE_AT": "/2022-07-01/telemetry", "SUBSCRIPTION": subscription, "HANG": "1", "NOWAIT": "1"}
	f.Layers = []string{h.zip(f, map[string]string{"extensions/watcher": subscriber}).Code}
	h.invoke(f, "1")
	began := time.Now()
	for range 20 {
		h.invoke(f, "500") // two megabytes in all: more than its buffer holds
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("20 invocations took %v", d)
	}
	// The process that was to be told of the end has its time for that, and no more.
	h.manager.Retire(f.Account, f.Region, f.Name, "", 1<<40)
	eventually(t, "nothing is left", h.count(0, 0))
}

// A subscriber hears how an invocation failed before it is told of the end.
func TestTelemetryFailures(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	f := h.python("import os, time\ndef handler(e, c):\n  print('handling')\n  if e == 'die': os._exit(3)\n  if e == 'raise': raise ValueError('no')\n  time.sleep(60)")
	f.Variables = map[string]string{"SUBSCRIBE_AT": "/2022-07-01/telemetry", "SUBSCRIPTION": subscription, "NOWAIT": "1"}
	f.Layers = []string{h.zip(f, map[string]string{"extensions/watcher": subscriber}).Code}
	const id = `{"requestId":"00000000-0000-4000-8000-{any}",`
	const report = `"metrics":{"durationMs":{ms},"billedDurationMs":{n},"memorySizeMB":128,"maxMemoryUsedMB":{n},"initDurationMs":{ms}},"tracing":{trace},`
	for event, want := range map[string]struct{ done, report string }{
		"die":   {`"status":"error","errorType":"Runtime.ExitError",`, `"status":"error","errorType":"Runtime.ExitError"}`},
		"sleep": {`"status":"timeout",`, `"status":"timeout"}`},
	} {
		f.Generation++
		f.LogGroup, f.Timeout = event, 3*time.Second
		h.fails(f, `"`+event+`"`)
		var events []delivery
		eventually(t, "the subscriber has finished", func() bool { events = got(t, h.logs.text(event)); return len(events) > 0 })
		match(t, events, "extension", `"an extension's own line\n"`) // which comes by a pipe of its own, at any time
		events = slices.DeleteFunc(events, func(d delivery) bool { return d.Type == "extension" })
		if got := strings.Join(typesOf(events, ""), " "); got != "platform.initStart platform.telemetrySubscription platform.initRuntimeDone platform.extension platform.initReport "+
			"platform.start function platform.runtimeDone platform.report" {
			t.Error(event, got)
		}
		match(t, events, "platform.runtimeDone", id+want.done+`"tracing":{trace},"metrics":{"durationMs":{ms},"producedBytes":0}}`)
		match(t, events, "platform.report", id+report+want.report)
	}
}

// What is buffered when the environment is frozen is kept, and delivered before the extension is told of the end.
func TestTelemetryBuffered(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	f := h.python("def handler(e, c):\n  print('handling', e)\n  return e")
	f.Timeout = 20 * time.Second
	f.Variables = map[string]string{"SUBSCRIBE_AT": "/2022-07-01/telemetry", "SUBSCRIPTION": strings.Replace(subscription, `"timeoutMs":25`, `"timeoutMs":30000`, 1), "NOWAIT": "1"}
	f.Layers = []string{h.zip(f, map[string]string{"extensions/watcher": subscriber}).Code}
	h.invoke(f, "1")
	eventually(t, "it is idle", h.count(1, 1))
	time.Sleep(freezeDelay + 50*time.Millisecond)
	h.invoke(f, "2")
	events := h.received(f)
	if got := strings.Join(typesOf(events, "platform."), " "); got != "initStart telemetrySubscription initRuntimeDone extension initReport start runtimeDone report start runtimeDone report" {
		t.Error(got)
	}
	match(t, events, "function", `"handling 1\n"`, `"handling 2\n"`)
}

// An internal extension, which is a part of the function's own process, in a sandbox that was ready.
func TestTelemetryInternal(t *testing.T) {
	t.Parallel()
	drivers(t, nil, func(t *testing.T, h *harness) {
		f := h.python(`
import http.client, http.server, json, os, threading, time
cond, got = threading.Condition(), []
class HTTP(http.server.BaseHTTPRequestHandler):
    def do_PUT(self):
        events = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with cond:
            got.extend(events)
            cond.notify_all()
        self.send_response(200)
        self.end_headers()
    def log_message(self, *a): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), HTTP)
threading.Thread(target=server.serve_forever, daemon=True).start()
def ask(method, path, body=None, **headers):
    c = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    c.request(method, path, body and json.dumps(body), headers)
    r = c.getresponse()
    return r, json.loads(r.read())
r, _ = ask("POST", "/2020-01-01/extension/register", {"events": ["INVOKE"]}, **{"Lambda-Extension-Name": "inner"})
identity = {"Lambda-Extension-Identifier": r.getheader("Lambda-Extension-Identifier")}
r, answer = ask("PUT", "/2022-07-01/telemetry", {"schemaVersion": "2025-01-29", "types": ["platform", "function"], "buffering": {"timeoutMs": 25},
    "destination": {"protocol": "HTTP", "URI": "http://sandbox:%d" % server.server_address[1], "method": "PUT"}}, **identity)
assert answer == "OK", answer
def events():
    while True: ask("GET", "/2020-01-01/extension/event/next", **identity)
threading.Thread(target=events, daemon=True).start()
def handler(e, c):
    print("handling")
    with cond:
        assert cond.wait_for(lambda: [x for x in got if x["type"] == "function"], 15)
        return " ".join(x["type"] for x in got)
`)
		f.Timeout = 20 * time.Second
		h.prepare(f)
		want := `"platform.initStart platform.telemetrySubscription platform.initRuntimeDone platform.extension platform.initReport platform.start function"`
		if got := h.invoke(f, "1"); got != want {
			t.Error(got)
		}
	})
}

// An extension in Go, with the standard library alone.
func TestTelemetryGo(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it compiles a program")
	}
	program := filepath.Join(t.TempDir(), "subscriber")
	build := exec.Command("go", "build", "-o", program, "./testdata/subscriber")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	binary, err := os.ReadFile(program)
	must(t, err)
	h := newHarness(t, false, nil)
	f := h.python("def handler(e, c):\n  print('handling')\n  return e")
	f.Timeout = 20 * time.Second
	f.Layers = []string{h.zip(f, map[string]string{"extensions/subscriber": string(binary)}).Code}
	h.invoke(f, "1")
	h.invoke(f, "2")
	events := h.received(f)
	if got := strings.Join(typesOf(events, ""), " "); got != "platform.initStart platform.telemetrySubscription platform.initRuntimeDone platform.extension platform.initReport "+
		"platform.start function platform.runtimeDone platform.report platform.start function platform.runtimeDone platform.report" {
		t.Error(got)
	}
}
