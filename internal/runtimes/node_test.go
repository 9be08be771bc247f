package runtimes

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"brume/internal/runtimeapi"
)

func nodeFunction(t *testing.T, r *Runtime, code string, env ...string) *function {
	return run(t, r, "index.handler", one("index.js", code), env...)
}

// modernNode says whether the runtime is one that knows no callbacks.
// https://aws.amazon.com/blogs/compute/node-js-24-runtime-now-available-in-aws-lambda/
func modernNode(r *Runtime) bool { return compareVersions(r.Version, "24") >= 0 }

// eachWithCallbacks is each for those that do.
func eachWithCallbacks(t *testing.T, test func(t *testing.T, r *Runtime)) {
	each(t, nodejs, func(t *testing.T, r *Runtime) {
		if modernNode(r) {
			t.Skip("Node.js from 24 on knows no callbacks")
		}
		test(t, r)
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html
func TestNodeResponses(t *testing.T) {
	each(t, nodejs, func(t *testing.T, r *Runtime) {
		f := nodeFunction(t, r, `
exports.handler = async (event) => (event && event.expr) ? eval(event.expr) : event;
`)
		for _, v := range []string{`{}`, `[1,2.5,"x",null,true]`, `"ü😀"`, `null`, `{"a":{"b":[]}}`} {
			f.returns(v, v)
		}
		f.returns(`{"expr": "undefined"}`, `null`)
		f.returns(`{"expr": "NaN"}`, `null`)
		f.returns(`{"expr": "() => 1"}`, `null`)
		f.returns(`{"expr": "({a: undefined, d: new Date(0)})"}`, `{"d":"1970-01-01T00:00:00.000Z"}`)
		typ := "Error"
		if modernNode(r) {
			typ = "Runtime.JSONStringifyError"
		}
		f.fails(`{"expr": "10n"}`, typ, "Unable to stringify response body")
		f.fails(`{"expr": "const o = {}; o.o = o; o"}`, typ, "Unable to stringify response body")
		f.returns(`1`, `1`)
		big := `"` + strings.Repeat("0123456789abcdeü", 250<<10) + `"`
		f.returns(big, big)
		f.returns(`2`, `2`)
		if r := f.invoke(`{"expr": "'x'.repeat(6291556)"}`); r.ErrorType != "Function.ResponseSizeTooLarge" {
			t.Errorf("%s", r.ErrorType)
		}
		f.returns(`3`, `3`)
		if r := f.invoke(`{`); r.ErrorType != "SyntaxError" {
			t.Errorf("%s", r.Payload)
		}
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/nodejs-exceptions.html
func TestNodeErrors(t *testing.T) {
	eachWithCallbacks(t, func(t *testing.T, r *Runtime) {
		f := nodeFunction(t, r, `
class Odd extends Error { constructor(m) { super(m); this.name = 'Odd'; this.extra = 1; } }
exports.handler = (event, context, callback) => {
  switch (event) {
    case 'throw': throw new TypeError('thrown\nin two lines');
    case 'reject': return Promise.reject(new Odd('rejected'));
    case 'callback': return callback(new Odd('called back'));
    case 'string': return callback('a string');
    case 'fail': return context.fail(new Odd('failed'));
    case 'handled': return context.fail();
    case 'done': return context.done(new Odd('done'));
    case 'evil': return callback({ toString() { throw 1; } });
    case 'unprintable': { const e = new Error('x'); e.name = 'Ünï\r\nX: y'; throw e; }
  }
};
`)
		got := f.fails(`"throw"`, "TypeError", "thrown\nin two lines")
		if len(got.Trace) < 3 || got.Trace[0] != "TypeError: thrown" || got.Trace[1] != "in two lines" || !strings.Contains(got.Trace[2], "at exports.handler") && !strings.Contains(got.Trace[2], "index.js:5") {
			t.Errorf("trace %q", got.Trace)
		}
		events := f.logs("TypeError")
		warned := strings.Contains(events[0], "Z\tundefined\tWARN\tAWS Lambda plans to remove support for callback-based function handlers starting with Node.js 24. ")
		if warned != (compareVersions(r.Version, "22") >= 0) {
			t.Errorf("log %q", events)
		}
		if warned {
			events = events[1:]
		}
		if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t00000000-0000-4000-8000-000000000001\tERROR\tInvoke Error \t\{"errorType":"TypeError","errorMessage":"thrown\\nin two lines","stack":\["TypeError: thrown","in two lines"`).MatchString(events[0]) {
			t.Errorf("log %q", events)
		}
		f.fails(`"reject"`, "Odd", "rejected")
		f.fails(`"callback"`, "Odd", "called back")
		f.fails(`"string"`, "string", "a string")
		f.fails(`"fail"`, "Odd", "failed")
		f.fails(`"handled"`, "string", "handled")
		f.fails(`"done"`, "Odd", "done")
		f.fails(`"evil"`, "handled", "callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack")
		if r := f.invoke(`"unprintable"`); r.ErrorType != "?n???X: y" {
			t.Errorf("%q", r.ErrorType)
		}
		f.returns(`"nothing"`, `null`)
	})
}

func TestNodeInitErrors(t *testing.T) {
	each(t, nodejs, func(t *testing.T, r *Runtime) {
		title, status := "Uncaught Exception", 129
		if modernNode(r) {
			title, status = "Init Error", 1
		}
		const good = "exports.handler = async () => 1; exports.value = 1;\n"
		for _, tc := range []struct{ handler, code, typ, message string }{
			{"index.other", good, "Runtime.HandlerNotFound", "index.other is undefined or not exported"},
			{"index.a.b", good, "Runtime.HandlerNotFound", "index.a.b is undefined or not exported"},
			{"index.value", good, "Runtime.HandlerNotFound", "index.value is not a function"},
			{"index", good, "Runtime.MalformedHandlerName", "Bad handler"},
			{"../index.handler", good, "Runtime.MalformedHandlerName", "'../index.handler' is not a valid handler name. Use absolute paths when specifying root directories in handler names."},
			{"index.handler", "exports.handler = async ) 1;\n", "Runtime.UserCodeSyntaxError", "SyntaxError: Unexpected token ')'"},
			{"index.handler", "exports.handler = async () => 1; exports.handler[Symbol.for('aws.lambda.runtime.handler.streaming')] = 'request'\n",
				"Runtime.MalformedStreamingHandler", "Only response streaming is supported."},
			{"index.handler", "throw new RangeError('at init');\n", "RangeError", "at init"},
		} {
			f := run(t, r, tc.handler, one("index.js", tc.code))
			f.failsInit(tc.typ, tc.message)
			f.exits(status)
			if events := f.logs(title); !strings.Contains(events[0], "Z\tundefined\tERROR\t"+title+" \t{\"errorType\":\""+tc.typ+`"`) {
				t.Errorf("log %q", events)
			}
		}
		for handler, code := range map[string]string{"nowhere.handler": good, "index.handler": "require('not-there')\n"} {
			f := run(t, r, handler, one("index.js", code))
			err := f.env.Ready(deadline(t))
			e, ok := errors.AsType[*runtimeapi.InitError](err)
			if !ok || e.Type != "Runtime.ImportModuleError" || !strings.Contains(string(e.Payload), `"errorMessage":"Error: Cannot find module 'no`) {
				t.Errorf("%v\n%s", err, f.stdout)
			}
			f.exits(status)
		}
		// https://repost.aws/knowledge-center/lambda-import-module-error-nodejs
		f := run(t, r, "index.handler", one("index.mjs", "import 'not-there'\n"))
		err := f.env.Ready(deadline(t))
		if e, ok := errors.AsType[*runtimeapi.InitError](err); !ok || e.Type != "Error" || !strings.Contains(string(e.Payload), `"errorMessage":"Cannot find package 'not-there' imported from `) {
			t.Errorf("%v\n%s", err, f.stdout)
		}
		f = nodeFunction(t, r, "Promise.reject(new Error('nobody cares')); exports.handler = async () => 1; setTimeout(() => {}, 1e6)\n")
		if modernNode(r) {
			if _, ok := errors.AsType[*runtimeapi.ExitError](f.env.Ready(deadline(t))); !ok {
				t.Error("no exit error")
			}
			f.exits(1)
			return
		}
		f.failsInit("Runtime.UnhandledPromiseRejection", "Error: nobody cares")
		f.exits(128)
	})
}

func TestNodeCrashes(t *testing.T) {
	eachWithCallbacks(t, func(t *testing.T, r *Runtime) {
		const code = `
exports.handler = (event, context, callback) => {
  switch (event) {
    case 'exit': process.exit(5);
    case 'uncaught': setTimeout(() => { throw new TypeError('later'); }, 1); break;
    case 'unhandled': Promise.reject(new Error('lost')); setTimeout(callback, 10000); break;
    case 'after': context.callbackWaitsForEmptyEventLoop = false; callback(null, 'ok'); setTimeout(() => { throw new Error('late'); }, 1);
  }
};
`
		f := nodeFunction(t, r, code)
		if _, err := f.tryInvoke(`"exit"`); err == nil {
			t.Error("no error")
		}
		f.exits(5)
		f = nodeFunction(t, r, code)
		f.fails(`"uncaught"`, "TypeError", "later")
		f.exits(129)
		f = nodeFunction(t, r, code)
		got := f.fails(`"unhandled"`, "Runtime.UnhandledPromiseRejection", "Error: lost")
		if len(got.Trace) == 0 || got.Trace[0] != "Runtime.UnhandledPromiseRejection: Error: lost" {
			t.Errorf("trace %q", got.Trace)
		}
		f.exits(128)
		f = nodeFunction(t, r, code)
		f.returns(`"after"`, `"ok"`)
		f.exits(129)
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html and nodejs-context.html:
// callbackWaitsForEmptyEventLoop
func TestNodeEventLoop(t *testing.T) {
	eachWithCallbacks(t, func(t *testing.T, r *Runtime) {
		f := nodeFunction(t, r, `
let done = 0;
exports.handler = (event, context, callback) => {
  switch (event) {
    case 'wait': callback(null, 'waited'); callback(null, 'twice'); setTimeout(() => { done++; }, 30); return;
    case 'done?': return Promise.resolve(done);
    case 'now': context.callbackWaitsForEmptyEventLoop = false; setTimeout(() => { done++; }, 100000).unref(); const t = setTimeout(() => {}, 100000); callback(null, 'now'); setTimeout(() => clearTimeout(t), 5); return;
    case 'succeed': setInterval(() => {}, 100000).unref(); const i = setInterval(() => {}, 100000); context.succeed('early'); clearInterval(i); return;
    case 'nothing': setTimeout(() => { done++; }, 30); return 'ignored';
    case 'pending': return new Promise(() => {});
    case 'thenable': return { then: (ok) => setTimeout(ok, 1, 'thenable') };
  }
};
exports.pending = async () => { await new Promise(() => {}); };
`)
		f.returns(`"wait"`, `"waited"`)
		f.returns(`"done?"`, `1`)
		f.returns(`"now"`, `"now"`)
		f.returns(`"succeed"`, `"early"`)
		f.returns(`"nothing"`, `null`)
		f.returns(`"done?"`, `2`)
		f.returns(`"pending"`, `null`)
		f.returns(`"thenable"`, `"thenable"`)
		f = run(t, r, "index.handler", one("index.js", "exports.handler = async () => { await new Promise(() => {}); };\n"))
		f.fails(`1`, "Runtime.NodeJsExit", "The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes")
		f.fails(`2`, "Runtime.NodeJsExit", "The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes")
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/nodejs-context.html
func TestNodeContext(t *testing.T) {
	each(t, nodejs, func(t *testing.T, r *Runtime) {
		f := nodeFunction(t, r, `
exports.handler = async (event, c) => {
  const left = c.getRemainingTimeInMillis();
  if (!(left > 0 && left <= 30000)) throw new Error(left);
  return [c.functionName, c.functionVersion, c.invokedFunctionArn, c.memoryLimitInMB, c.awsRequestId, c.logGroupName,
    c.logStreamName, c.callbackWaitsForEmptyEventLoop, c.identity, c.clientContext, process.env._X_AMZN_TRACE_ID ?? null, event && c.w3c ? c.w3c() : null];
};
`)
		waits, w3c := "true", "null"
		if modernNode(r) {
			waits, w3c = "null", `{"traceparent":"00-1"}`
		}
		fixed := `["f","$LATEST","` + functionARN + `","128","00000000-0000-4000-8000-00000000000N","/aws/lambda/f","2024/01/01/[$LATEST]0",` + waits + ","
		check := func(n, rest string, with ...func(*runtimeapi.Invocation)) {
			t.Helper()
			got := f.invoke(`{}`, with...)
			if want := strings.Replace(fixed, "N", n, 1) + rest; string(got.Payload) != want {
				t.Errorf("got  %s\nwant %s", got.Payload, want)
			}
		}
		trace, none := "", "null"
		if modernNode(r) {
			trace, none = ",\"w3c\":{\"traceparent\":\"00-1\",\"baggage\":[]}", "{}"
		}
		check("1", `null,null,null,`+none+`]`)
		check("2", `{"cognitoIdentityId":"i"},{"client":{"app_title":"ü"}},"Root=1",`+w3c+`]`, func(inv *runtimeapi.Invocation) {
			inv.TraceID = "Root=1"
			inv.CognitoIdentity = `{"cognitoIdentityId":"i"}`
			inv.ClientContext = "{\"client\":\n{\"app_title\":\"ü\"}" + trace + "}"
		})
		check("3", `null,null,null,`+none+`]`)
		if got := f.invoke(`{}`, func(inv *runtimeapi.Invocation) { inv.ClientContext = "{" }); got.ErrorType != "Error" || !strings.Contains(string(got.Payload), "Cannot parse ClientContext as json: SyntaxError") {
			t.Errorf("%s", got.Payload)
		}
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/nodejs-logging.html
func TestNodeLogging(t *testing.T) {
	each(t, nodejs, func(t *testing.T, r *Runtime) {
		const code = `
console.warn('at init');
exports.handler = async () => {
  console.log('two\nlines %d', 5, { a: 1 });
  console.trace('t'); console.debug('d'); console.info('i'); console.warn('w'); console.error('e'); console.fatal('f');
  process.stdout.write('raw ');
  process.stdout.write('line\n');
  console.log();
  console.error('with', new RangeError('boom'));
  console.log(new RangeError('alone'));
};
`
		f := nodeFunction(t, r, code)
		f.returns(`{}`, `null`)
		events := f.logs("alone")
		const ts, id = `\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t`, `00000000-0000-4000-8000-000000000001\t`
		wants := []string{
			`^` + ts + `undefined\tWARN\tat init$`,
			`^` + ts + id + `INFO\ttwo\nlines 5 \{ a: 1 \}$`,
		}
		for _, l := range []string{"TRACE\tt", "DEBUG\td", "INFO\ti", "WARN\tw", "ERROR\te", "FATAL\tf"} {
			wants = append(wants, `^`+ts+id+l+`$`)
		}
		wants = append(wants, `^raw line$`, `^`+ts+id+`INFO\tundefined$`, `(?s)^`+ts+id+`ERROR\twith RangeError: boom\n    at .*$`, `(?s)^`+ts+id+`INFO\tRangeError: alone\n    at .*$`)
		if len(events) != len(wants) {
			t.Fatalf("%d events, want %d: %q", len(events), len(wants), events)
		}
		for i, want := range wants {
			if !regexp.MustCompile(want).MatchString(events[i]) {
				t.Errorf("event %q does not match %s", events[i], want)
			}
		}

		f = nodeFunction(t, r, code, "AWS_LAMBDA_LOG_FORMAT=JSON", "AWS_LAMBDA_LOG_LEVEL=ERROR")
		f.returns(`{}`, `null`)
		events = f.logs("boom")
		if len(events) != 4 {
			t.Fatalf("events %q", events)
		}
		var record map[string]any
		if err := json.Unmarshal([]byte(events[3]), &record); err != nil {
			t.Fatal(err)
		}
		if record["level"] != "ERROR" || record["errorType"] != "RangeError" || record["errorMessage"] != "boom" || record["requestId"] != "00000000-0000-4000-8000-000000000001" {
			t.Errorf("%v", record)
		}
		f = nodeFunction(t, r, `const o = {}; o.o = o; exports.handler = async () => { console.log({a: [1]}); console.log(o); console.log(new TypeError('x')); }`, "AWS_LAMBDA_LOG_FORMAT=JSON")
		f.returns(`{}`, `null`)
		events = f.logs("TypeError")
		for i, want := range []string{`"message":{"a":[1]}}`, `"message":"<ref *1> { o: [Circular *1] }"}`, `"message":{"errorType":"TypeError","errorMessage":"x","stackTrace":["TypeError: x",`} {
			if !strings.Contains(events[i], want) {
				t.Errorf("%q lacks %s", events[i], want)
			}
		}
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html#nodejs-handler-setup: CommonJS and ES modules
func TestNodeModules(t *testing.T) {
	each(t, nodejs, func(t *testing.T, r *Runtime) {
		const cjs, esm = "exports.handler = async () => typeof require;\n", "export const handler = async () => typeof require;\n"
		for name, tc := range map[string]struct {
			handler, want string
			files         map[string]string
		}{
			"js":           {"index.handler", `"function"`, one("index.js", cjs)},
			"cjs":          {"index.handler", `"function"`, one("index.cjs", cjs)},
			"mjs":          {"index.handler", `"undefined"`, one("index.mjs", esm)},
			"type module":  {"a/index.handler", `"undefined"`, map[string]string{"task/a/index.js": esm, "task/package.json": `{"type":"module"}`}},
			"type nearest": {"a/index.handler", `"function"`, map[string]string{"task/a/index.js": cjs, "task/a/package.json": `{}`, "task/package.json": `{"type":"module"}`}},
			"await":        {"index.handler", `5`, one("index.mjs", "const x = await new Promise(ok => setTimeout(ok, 5, 5)); export const handler = async () => x;\n")},
			"nested":       {"index.a.b.c", `1`, one("index.js", "exports.a = {b: {c: async () => 1}};\n")},
			"directory":    {"mod.handler", `"function"`, one("mod/index.js", cjs)},
			"package":      {"pkg.handler", `"function"`, one("node_modules/pkg/index.js", cjs)},
			"json":         {"index.handler", `7`, map[string]string{"task/index.mjs": "import { createRequire } from 'node:module'; const d = createRequire(import.meta.url)('./d.json'); export const handler = async () => d.x;\n", "task/d.json": `{"x":7}`}},
		} {
			t.Run(name, func(t *testing.T) {
				f := run(t, r, tc.handler, tc.files)
				f.returns(`{}`, tc.want)
			})
		}
		// https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html#packaging-layers-paths
		layers := map[string]string{
			"opt/nodejs/node_modules/a/index.js":                        "exports.x = 'a-layer'\n",
			"opt/nodejs/node_modules/b/index.js":                        "exports.x = 'b-layer'\n",
			"opt/nodejs/node" + r.major + "/node_modules/b/index.js":    "exports.x = 'b-node'\n",
			"opt/nodejs/node_modules/esm/index.mjs":                     "export const x = 'esm'\n",
			"opt/nodejs/node_modules/esm/package.json":                  `{"exports":"./index.mjs"}`,
			"opt/nodejs/node_modules/@s/p/lib/index.js":                 "exports.x = 'scoped'\n",
			"opt/nodejs/node_modules/@s/p/package.json":                 `{"main":"lib/index.js"}`,
			"task/node_modules/a/index.js":                              "exports.x = 'a-task'\n",
			"task/index.js":                                             "const [a, b, p] = ['a', 'b', '@s/p'].map((m) => require(m).x); exports.handler = async () => [a, b, p, (await import('a')).default.x];\n",
			"task/es.mjs":                                               "import a from 'a'; import b from 'b'; import {x} from 'esm'; import p from '@s/p'; import 'node:fs'; import './local.mjs'; export const handler = async () => [a.x, b.x, x, p.x];\n",
			"task/local.mjs":                                            "export default 1\n",
			"task/missing.mjs":                                          "import 'not-there'; export const handler = 1;\n",
			"task/missinglocal.mjs":                                     "import './not-there.mjs'; export const handler = 1;\n",
			"opt/nodejs/node" + r.major + "/node_modules/@s/q/index.js": "",
		}
		f := run(t, r, "index.handler", layers)
		f.returns(`{}`, `["a-task","b-node","scoped","a-task"]`)
		f = run(t, r, "es.handler", layers)
		f.returns(`{}`, `["a-task","b-node","esm","scoped"]`)
		for _, handler := range []string{"missing.handler", "missinglocal.handler"} {
			f = run(t, r, handler, layers)
			err := f.env.Ready(deadline(t))
			if e, ok := errors.AsType[*runtimeapi.InitError](err); !ok || !strings.Contains(string(e.Payload), `"errorMessage":"Cannot find `) || !strings.Contains(string(e.Payload), "task/"+strings.TrimSuffix(handler, ".handler")+".mjs") {
				t.Errorf("%v\n%s", err, f.stdout)
			}
		}
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/config-rs-write-functions.html
func TestNodeStreaming(t *testing.T) {
	each(t, nodejs, func(t *testing.T, r *Runtime) {
		f := nodeFunction(t, r, `
const { pipeline } = require('node:stream/promises');
const { Readable } = require('node:stream');
exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
  switch (event) {
    case 'plain': stream.setContentType('text/plain'); stream.write('one '); await new Promise(ok => setTimeout(ok, 5)); stream.end('two'); return;
    case 'pipeline': await pipeline(Readable.from([Buffer.from('a'), Buffer.from('b')]), stream); return;
    case 'http': {
      const s = awslambda.HttpResponseStream.from(stream, { statusCode: 201, headers: { a: 'b' } });
      s.write('body'); s.end(); return;
    }
    case 'later': setTimeout(() => stream.end(context.awsRequestId.slice(-1)), 5); return;
    case 'throw': stream.write('x'); throw new TypeError('while streaming');
    case 'open': stream.write('x'); return;
  }
}, { highWaterMark: 1000 });
`)
		for _, tc := range []struct{ event, payload, contentType string }{
			{`"plain"`, "one two", "text/plain"},
			{`"pipeline"`, "ab", "application/octet-stream"},
			{`"http"`, "{\"statusCode\":201,\"headers\":{\"a\":\"b\"}}\x00\x00\x00\x00\x00\x00\x00\x00body", "application/vnd.awslambda.http-integration-response"},
			{`"later"`, "4", "application/octet-stream"},
		} {
			r := f.invoke(tc.event)
			if r.Failed || !r.Streamed || string(r.Payload) != tc.payload || r.ContentType != tc.contentType {
				t.Errorf("%s: %+v %q", tc.event, r, r.Payload)
			}
		}
		f.fails(`"throw"`, "TypeError", "while streaming")
		typ := "string"
		if modernNode(r) {
			typ = "Error"
		}
		f.fails(`"open"`, typ, "Response stream is not finished.")
		if r := f.invoke(`"plain"`); r.Failed || string(r.Payload) != "one two" {
			t.Errorf("%s", r.Payload)
		}
		f = nodeFunction(t, r, "exports.handler = awslambda.streamifyResponse((event, stream) => { stream.end(); });\n")
		f.fails(`1`, typ, "Streaming does not support non-async handlers.")
	})
}

func TestNodeOrphan(t *testing.T) {
	each(t, nodejs, func(t *testing.T, r *Runtime) {
		f := nodeFunction(t, r, "exports.handler = async (e) => e;\n")
		f.returns(`1`, `1`)
		f.env.Close()
		f.exits(1)
	})
}

// A long init, in which nothing is asked of the Runtime API, does not end the process early.
func TestNodeSlowInit(t *testing.T) {
	each(t, nodejs, func(t *testing.T, r *Runtime) {
		f := run(t, r, "index.handler", one("index.mjs", "await new Promise(ok => setTimeout(ok, 300)); export const handler = async () => 1;\n"))
		began := time.Now()
		f.returns(`{}`, `1`)
		if time.Since(began) < 300*time.Millisecond {
			t.Error("the init was not waited for")
		}
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html and
// https://aws.amazon.com/blogs/compute/node-js-24-runtime-now-available-in-aws-lambda/
func TestNodeWithoutCallbacks(t *testing.T) {
	each(t, nodejs, func(t *testing.T, r *Runtime) {
		if !modernNode(r) {
			t.Skip("Node.js before 24 knows callbacks")
		}
		f := nodeFunction(t, r, "exports.handler = (event, context, callback) => callback(null, 1);\n")
		f.failsInit("Runtime.CallbackHandlerDeprecated", "ERROR: AWS Lambda has removed support for callback-based function handlers starting with Node.js 24. You need to modify this function to use a supported handler signature to use Node.js 24 or later. For more information see https://docs.aws.amazon.com/lambda/latest/dg/nodejs-handler.html.")
		if events := f.logs("Init Error"); !strings.Contains(events[0], `"name":"Runtime.CallbackHandlerDeprecated"`) {
			t.Errorf("log %q", events)
		}
		f = nodeFunction(t, r, `
class Odd extends Error { constructor(m) { super(m, { cause: 'c' }); this.name = 'Odd'; } }
exports.handler = (event, context) => {
  switch (event) {
    case 'sync': return 'at once';
    case 'promise': return Promise.resolve('later');
    case 'context': return [context.done, context.succeed, context.fail, context.callbackWaitsForEmptyEventLoop].map((v) => typeof v);
    case 'timer': setTimeout(() => {}, 1e6); return 'not waited for';
    case 'throw': throw new Odd('thrown');
    case 'null': throw null;
    case 'object': return Promise.reject({ a: 1 });
    case 'evil': throw { toString() { throw 1; } };
    case 'pending': return new Promise(() => {});
  }
};
`)
		f.returns(`"sync"`, `"at once"`)
		f.returns(`"promise"`, `"later"`)
		f.returns(`"context"`, `["undefined","undefined","undefined","undefined"]`)
		f.returns(`"undefined"`, `null`)
		f.fails(`"pending"`, "Runtime.NodeJsExit", "The Lambda runtime client detected an unexpected Node.js exit code. This is most commonly caused by a Promise that was never settled. For more information, see https://nodejs.org/docs/latest/api/process.html#exit-codes")
		f.returns(`"timer"`, `"not waited for"`)
		if got := f.fails(`"throw"`, "Odd", "thrown"); len(got.Trace) == 0 || !strings.HasSuffix(got.Trace[0], ": thrown") {
			t.Errorf("trace %q", got.Trace)
		}
		f.fails(`"null"`, "object", "null")
		f.fails(`"object"`, "object", "[object Object]")
		f.fails(`"evil"`, "handled", "callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack")

		// Errors that no handler catches end the process, as Node.js does that.
		for _, body := range []string{"setTimeout(() => { throw new TypeError('later') }, 1); await new Promise((ok) => setTimeout(ok, 9000))",
			"Promise.reject(new TypeError('later')); await new Promise((ok) => setTimeout(ok, 9000))"} {
			f = nodeFunction(t, r, "exports.handler = async () => {"+body+"}")
			if _, err := f.tryInvoke(`1`); err == nil {
				t.Error("no error")
			}
			f.exits(1)
			if !strings.Contains(f.stdout.String(), "TypeError: later") {
				t.Errorf("output %s", f.stdout)
			}
		}
	})
}
