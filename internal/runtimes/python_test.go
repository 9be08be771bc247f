package runtimes

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"brume/internal/runtimeapi"
)

func pythonFunction(t *testing.T, r *Runtime, code string, env ...string) *function {
	return run(t, r, "lambda_function.lambda_handler", one("lambda_function.py", code), env...)
}

// What a handler returns is serialized to JSON: https://docs.aws.amazon.com/lambda/latest/dg/python-handler.html
func TestPythonResponses(t *testing.T) {
	each(t, python, func(t *testing.T, r *Runtime) {
		f := pythonFunction(t, r, `
import collections, datetime, decimal
Point = collections.namedtuple("Point", "x y")
class AsDict:
    def _asdict(self): return {"p": Point(5, None)}
cycle = []; cycle.append(cycle)
def lambda_handler(event, context):
    if isinstance(event, dict) and "expr" in event:
        return eval(event["expr"])
    return event
`)
		for _, v := range []string{`{}`, `[1, 2.5, "x", null, true]`, `"text"`, `null`, `{"a": {"b": []}}`} {
			f.returns(v, v)
		}
		f.returns(`{"expr": "None"}`, `null`)
		f.returns(`{"expr": "{'n': decimal.Decimal('3.10'), 'm': [decimal.Decimal('1E+2')]}"}`, `{"n": 3.10, "m": [1E+2]}`)
		f.returns(`{"expr": "(1, 2)"}`, `[1, 2]`)
		f.returns(`{"expr": "{1: 2, None: 3}"}`, `{"1": 2, "null": 3}`)
		f.returns(`{"expr": "b'\\x00raw'"}`, "\x00raw")
		// https://docs.aws.amazon.com/lambda/latest/dg/lambda-python.html: text is not escaped from 3.12 on
		want := `"\u00fc\ud83d\ude00"`
		if compareVersions(r.Version, "3.12") >= 0 {
			want = `"ü😀"`
		}
		f.returns(`"ü😀"`, want)

		const set = "Unable to marshal response: Object of type set is not JSON serializable"
		f.fails(`{"expr": "{1}"}`, "Runtime.MarshalError", set)
		f.fails(`{"expr": "[datetime.datetime.now()]"}`, "Runtime.MarshalError", "Unable to marshal response: Object of type datetime is not JSON serializable")
		f.fails(`{"expr": "{'f': open}"}`, "Runtime.MarshalError", "Unable to marshal response: Object of type builtin_function_or_method is not JSON serializable")
		f.fails(`{"expr": "[cycle]"}`, "Runtime.MarshalError", "Unable to marshal response: Circular reference detected")
		if r := f.invoke(`{"expr": "{(1,): 2}"}`); r.ErrorType != "Runtime.MarshalError" {
			t.Errorf("%s", r.Payload)
		}
		// What the runtime interface client's encoder does beyond the standard library's: its tests have the first.
		// https://github.com/aws/aws-lambda-python-runtime-interface-client/blob/main/tests/test_lambda_runtime_marshaller.py
		f.returns(`{"expr": "{'pi': decimal.Decimal('-NaN')}"}`, `{"pi": NaN}`)
		f.returns(`{"expr": "[float('nan'), float('-inf')]"}`, `[NaN, -Infinity]`)
		f.returns(`{"expr": "{'a': [Point(1, (Point(2, decimal.Decimal('3.50')),))], 'b': (4,)}"}`, `{"a": [{"x": 1, "y": [{"x": 2, "y": 3.50}]}], "b": [4]}`)
		f.returns(`{"expr": "Point(1, 2)"}`, `{"x": 1, "y": 2}`)
		f.returns(`{"expr": "[AsDict()]"}`, `[{"p": {"x": 5, "y": null}}]`)
		f.returns(`{"expr": "[b'bytes', {b'key': b'value'}]"}`, `["bytes", {"key": "value"}]`)
		// The one after an error works.
		f.returns(`1`, `1`)
		// Large ones, larger than any buffer, in both directions.
		big := `"` + strings.Repeat("0123456789abcdef", 300<<10) + `"`
		f.returns(big, big)
		f.returns(`2`, `2`)
		if r := f.invoke(`{"expr": "'x' * 6291556"}`); r.ErrorType != "Function.ResponseSizeTooLarge" {
			t.Errorf("%s", r.ErrorType)
		}
		f.returns(`3`, `3`)
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html
func TestPythonErrors(t *testing.T) {
	each(t, python, func(t *testing.T, r *Runtime) {
		f := pythonFunction(t, r, `
class Odd(Exception):
    def __str__(self): raise KeyError("no")
def inner(x):
    raise ValueError(x)
def lambda_handler(event, context):
    if event == "odd": raise Odd()
    if event == "surrogate": raise ValueError("\ud800")
    inner("two\nlines")
`)
		got := f.fails(`1`, "ValueError", "two\nlines")
		if got.RequestID != "00000000-0000-4000-8000-000000000001" {
			t.Errorf("request id %q", got.RequestID)
		}
		if len(got.StackTrace) != 2 || !strings.HasSuffix(got.StackTrace[0], "lambda_function.py\", line 9, in lambda_handler\n    inner(\"two\\nlines\")\n") ||
			!strings.HasPrefix(got.StackTrace[1], `  File "`) || !strings.Contains(got.StackTrace[1], `line 5, in inner`) {
			t.Errorf("stack trace %q", got.StackTrace)
		}
		events := f.logs("in inner")
		if !strings.HasPrefix(events[0], "[ERROR] ValueError: two\nlines\nTraceback (most recent call last):\n\u00a0\u00a0File \"") {
			t.Errorf("log %q", events)
		}
		f.fails(`"odd"`, "Odd", "<exception str() failed>")
		f.fails(`"surrogate"`, "ValueError", "\ufffd")
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html and …/troubleshooting-deployment.html
func TestPythonInitErrors(t *testing.T) {
	each(t, python, func(t *testing.T, r *Runtime) {
		const good = "def lambda_handler(event, context): pass\n"
		for _, tc := range []struct{ handler, code, typ, message string }{
			{"nowhere.lambda_handler", good, "Runtime.ImportModuleError", "Unable to import module 'nowhere': No module named 'nowhere'"},
			{"lambda_function.lambda_handler", "import requests_that_is_not_there\n", "Runtime.ImportModuleError",
				"Unable to import module 'lambda_function': No module named 'requests_that_is_not_there'"},
			{"lambda_function.other", good, "Runtime.HandlerNotFound", "Handler 'other' missing on module 'lambda_function'"},
			{"lambda_handler", good, "Runtime.MalformedHandlerName", "Bad handler 'lambda_handler': not enough values to unpack (expected 2, got 1)"},
			{"sys.exit", good, "Runtime.BuiltInModuleConflict", "Cannot use built-in module sys as a handler module"},
			{"lambda_function.lambda_handler", "raise KeyError('x')\n", "KeyError", "'x'"},
		} {
			f := run(t, r, tc.handler, one("lambda_function.py", tc.code))
			got := f.failsInit(tc.typ, tc.message)
			f.exits(1)
			events := f.logs("Traceback")
			if len(events) != 2 || !strings.HasPrefix(events[0], "[WARNING]\t") || !strings.Contains(events[0], "Z\t\tLAMBDA_WARNING: Unhandled exception. The most likely cause is an issue in the function code. ") {
				t.Errorf("log %q", events)
			}
			if !strings.HasPrefix(events[len(events)-1], "[ERROR] "+tc.typ+": "+tc.message+"\nTraceback") {
				t.Errorf("log %q", events)
			}
			if tc.typ == "KeyError" && (len(got.StackTrace) == 0 || !strings.Contains(got.StackTrace[len(got.StackTrace)-1], "lambda_function.py\", line 1, in <module>")) {
				t.Errorf("stack trace %q", got.StackTrace)
			}
			if got.RequestID != "" {
				t.Errorf("request id %q", got.RequestID)
			}
		}
		f := pythonFunction(t, r, "def lambda_handler(event, context:\n  pass\n")
		err := f.env.Ready(deadline(t))
		e, ok := errors.AsType[*runtimeapi.InitError](err)
		if !ok || e.Type != "Runtime.UserCodeSyntaxError" || !strings.Contains(string(e.Payload), "Syntax error in module 'lambda_function': ") {
			t.Fatalf("%v\n%s", err, f.stdout)
		}
		f.exits(1)
	})
}

func TestPythonExit(t *testing.T) {
	each(t, python, func(t *testing.T, r *Runtime) {
		f := pythonFunction(t, r, "import sys\ndef lambda_handler(event, context): print('bye', end=''); sys.exit(event)\n")
		if _, err := f.tryInvoke(`3`); err == nil {
			t.Error("no error")
		}
		f.exits(3)
		if got := f.stdout.String(); got != "bye" {
			t.Errorf("output %q", got)
		}
		// Nothing that was printed is lost with the process.
		f = pythonFunction(t, r, "import os, sys\ndef lambda_handler(event, context): print('.', end=''); sys.stderr.write('!'); os._exit(4)\n")
		if _, err := f.tryInvoke(`3`); err == nil {
			t.Error("no error")
		}
		f.exits(4)
		if got := f.stdout.String(); got != ".!" {
			t.Errorf("output %q", got)
		}
		f = pythonFunction(t, r, "import os\nos._exit(7)\n")
		if _, ok := errors.AsType[*runtimeapi.ExitError](f.env.Ready(deadline(t))); !ok {
			t.Error("no exit error")
		}
		f.exits(7)
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/python-context.html
func TestPythonContext(t *testing.T) {
	each(t, python, func(t *testing.T, r *Runtime) {
		f := pythonFunction(t, r, `
import os
def lambda_handler(event, c):
    left = c.get_remaining_time_in_millis()
    assert isinstance(left, int) and 0 < left <= 30000, left
    repr(c)
    cc = c.client_context
    return [c.function_name, c.function_version, c.invoked_function_arn, c.memory_limit_in_mb, c.aws_request_id,
            c.log_group_name, c.log_stream_name, c.identity.cognito_identity_id, c.identity.cognito_identity_pool_id,
            c.tenant_id, c.w3c(), cc and [cc.client.installation_id, cc.client.app_title, cc.client.app_version_name, cc.client.app_version_code,
                    cc.client.app_package_name, cc.custom, cc.env],
            os.environ.get("_X_AMZN_TRACE_ID")]
`)
		const fixed = `["f", "$LATEST", "` + functionARN + `", "128", "00000000-0000-4000-8000-00000000000N", "/aws/lambda/f", "2024/01/01/[$LATEST]0", `
		check := func(n, rest string, with ...func(*runtimeapi.Invocation)) {
			t.Helper()
			got := f.invoke(`{}`, with...)
			if want := strings.Replace(fixed, "N", n, 1) + rest; string(got.Payload) != want {
				t.Errorf("got  %s\nwant %s", got.Payload, want)
			}
		}
		check("1", `null, null, null, {}, null, null]`)
		check("2", pythonText(r, `"i", "p", null, {"traceparent": "00-1"}, ["id", "title", null, null, null, {"a": "ü"}, null], "Root=1"]`), func(inv *runtimeapi.Invocation) {
			inv.TraceID = "Root=1"
			inv.CognitoIdentity = `{"cognitoIdentityId":"i","cognitoIdentityPoolId":"p"}`
			inv.ClientContext = "{\"client\":\n{\"installation_id\":\"id\",\"app_title\":\"title\"},\"custom\":{\"a\":\"ü\"},\"w3c\":{\"traceparent\":\"00-1\",\"baggage\":1,\"x\":\"y\"}}"
		})
		check("3", `null, null, null, {}, null, "Root=2"]`, func(inv *runtimeapi.Invocation) { inv.TraceID = "Root=2" })
		check("4", `null, null, null, {}, null, null]`)
		got := f.invoke(`{}`, func(inv *runtimeapi.Invocation) { inv.ClientContext = "{" })
		if got.ErrorType != "Runtime.LambdaContextUnmarshalError" {
			t.Errorf("%s", got.Payload)
		}
		f.fails(`{`, "Runtime.UnmarshalError", "Unable to unmarshal input: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)")
	})
}

// pythonText returns JSON as a runtime writes text that is not ASCII.
func pythonText(r *Runtime, s string) string {
	if compareVersions(r.Version, "3.12") >= 0 {
		return s
	}
	return strings.ReplaceAll(s, "ü", `\u00fc`)
}

// https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
func TestPythonLogging(t *testing.T) {
	each(t, python, func(t *testing.T, r *Runtime) {
		code := `
import logging, sys
logger = logging.getLogger()
logger.setLevel("INFO") if not logger.level or logger.level == 30 else None
logging.warning("at init")
def lambda_handler(event, context):
    print("print ü", 1)
    sys.stderr.write("to stderr\n")
    logger.info("two\nlines")
    logger.debug("hidden")
    try: 1/0
    except ZeroDivisionError: logging.getLogger("x.y").exception("oops %d", 5, extra={"more": 1})
`
		f := pythonFunction(t, r, code)
		f.returns(`{}`, `null`)
		events := f.logs("ZeroDivisionError")
		const ts = `\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t`
		for i, want := range []string{
			`^\[WARNING\]` + ts + `\tat init$`,
			`^print ü 1$`,
			`^to stderr$`,
			`^\[INFO\]` + ts + `00000000-0000-4000-8000-000000000001\ttwo\nlines$`,
			`(?s)^\[ERROR\]` + ts + `00000000-0000-4000-8000-000000000001\toops 5\nTraceback \(most.*ZeroDivisionError: division by zero$`,
		} {
			if i >= len(events) || !regexp.MustCompile(want).MatchString(events[i]) {
				t.Errorf("event %d of %q does not match %s", i, events, want)
			}
		}
		if len(events) != 5 {
			t.Errorf("events %q", events)
		}

		f = pythonFunction(t, r, code, "AWS_LAMBDA_LOG_FORMAT=JSON", "AWS_LAMBDA_LOG_LEVEL=ERROR")
		f.returns(`{}`, `null`)
		events = f.logs("ZeroDivisionError")
		var record map[string]any
		if err := json.Unmarshal([]byte(events[len(events)-1]), &record); err != nil {
			t.Fatalf("%v in %q", err, events)
		}
		if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`).MatchString(record["timestamp"].(string)) {
			t.Errorf("timestamp %v", record["timestamp"])
		}
		for name, want := range map[string]any{
			"level": "ERROR", "message": "oops 5", "logger": "x.y", "errorType": "ZeroDivisionError", "more": 1.0,
			"errorMessage": "division by zero", "requestId": "00000000-0000-4000-8000-000000000001",
		} {
			if record[name] != want {
				t.Errorf("%s: %v, want %v", name, record[name], want)
			}
		}
		if len(record) != 10 || len(events) != 3 {
			t.Errorf("%q", events)
		}
		f = pythonFunction(t, r, "def lambda_handler(event, context): raise ValueError('v')\n", "AWS_LAMBDA_LOG_FORMAT=JSON")
		f.fails(`{}`, "ValueError", "v")
		if err := json.Unmarshal([]byte(f.logs("ValueError")[0]), &record); err != nil || record["level"] != "ERROR" || record["errorType"] != "ValueError" {
			t.Errorf("%v: %v", err, record)
		}
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/python-package.html#python-package-searchpath
func TestPythonPath(t *testing.T) {
	each(t, python, func(t *testing.T, r *Runtime) {
		f := run(t, r, "deep/er/mod.handle", map[string]string{
			"task/deep/er/mod.py": `
import sys, os, __main__
import a, b, c
def handle(event, context):
    return [a.x, b.x, c.x, sys.path[0] == os.environ["LAMBDA_TASK_ROOT"] == os.getcwd(), sys.flags.dont_write_bytecode, len(sys.argv)]
`,
			"task/a.py":       "x = 'task'\n",
			"opt/python/a.py": "x = 'layer'\n",
			"opt/python/b.py": "x = 'layer'\n",
			"opt/python/lib/python" + r.major + "/site-packages/b.py": "x = 'layer-site'\n",
			"opt/python/lib/python" + r.major + "/site-packages/c.py": "x = 'layer-site'\n",
		})
		f.returns(`{}`, `["task", "layer-site", "layer-site", true, 1, 1]`)
	})
}

// The platform answers nothing any more: the process must not stay behind.
func TestPythonOrphan(t *testing.T) {
	each(t, python, func(t *testing.T, r *Runtime) {
		f := pythonFunction(t, r, "def lambda_handler(event, context): return event\n")
		f.returns(`1`, `1`)
		f.env.Close()
		f.exits(1)
	})
}

// AWS_LAMBDA_EXEC_WRAPPER: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-modify.html#runtime-wrapper
func TestWrapper(t *testing.T) {
	each(t, python, func(t *testing.T, r *Runtime) {
		f := run(t, r, "m.h", map[string]string{
			"task/m.py":    "import os\ndef h(event, context): return os.environ['WRAPPED']\n",
			"opt/wrapper":  "#!/bin/sh\nWRAPPED=yes exec \"$@\"\n",
			"task/nothing": "",
		}, "AWS_LAMBDA_EXEC_WRAPPER=/opt/wrapper")
		f.returns(`{}`, `"yes"`)
	})
}

// What the bootstrap needs to start is what a cold start waits for.
func TestPythonImportsLittle(t *testing.T) {
	each(t, python, func(t *testing.T, r *Runtime) {
		f := pythonFunction(t, r, "import sys\ndef lambda_handler(event, context): return sorted(sys.modules)\n")
		var modules []string
		if err := json.Unmarshal(f.invoke(`{}`).Payload, &modules); err != nil {
			t.Fatal(err)
		}
		for _, m := range []string{"logging", "traceback", "socket", "decimal", "importlib.metadata"} {
			if slices.Contains(modules, m) {
				t.Errorf("%s is loaded", m)
			}
		}
	})
}

// A function's own files do not stand in for what Lambda has loaded before it.
func TestPythonStandardLibrary(t *testing.T) {
	each(t, python, func(t *testing.T, r *Runtime) {
		files := one("lambda_function.py", "import logging\ndef lambda_handler(event, context):\n  logging.error('logged')\n  raise ValueError(1)\n")
		for _, name := range []string{"logging", "traceback", "token", "string"} {
			files["task/"+name+".py"] = "raise RuntimeError('the function\\'s own " + name + "')\n"
		}
		f := run(t, r, "lambda_function.lambda_handler", files)
		f.fails(`1`, "ValueError", "1")
		if events := f.logs("in lambda_handler"); len(events) != 2 || !strings.HasSuffix(events[0], "\tlogged") {
			t.Errorf("log %q", events)
		}
	})
}

// A record that cannot be formatted is an error of the function, as in Lambda, whose handler hides no exceptions.
func TestPythonBadLogRecords(t *testing.T) {
	each(t, python, func(t *testing.T, r *Runtime) {
		const code = `
import logging
def lambda_handler(event, context):
    if event == "custom":
        logging.addLevelName(45, "ALMOST")
        logging.getLogger("l").log(45, "custom level", extra={"n": [1]})
    elif event == "args": logging.error("%s", 1, 2)
    elif event == "log": context.log("first\nsecond"); context.log("third")
    else: logging.error("%s")
`
		f := pythonFunction(t, r, code)
		f.returns(`1`, `null`) // without arguments there is nothing to format
		f.fails(`"args"`, "TypeError", "not all arguments converted during string formatting")
		f.returns(`"log"`, `null`)
		if events := f.logs("third"); !slices.Equal(events[len(events)-2:], []string{"first\nsecond", "third"}) {
			t.Errorf("log %q", events)
		}
		f = pythonFunction(t, r, code, "AWS_LAMBDA_LOG_FORMAT=JSON")
		f.returns(`"custom"`, `null`)
		if events := f.logs("custom level"); !strings.Contains(events[0], `"level": "ERROR", "message": "custom level", "logger": "l", "requestId": "00000000-0000-4000-8000-000000000001", "n": [1]}`) {
			t.Errorf("log %q", events)
		}
	})
}
