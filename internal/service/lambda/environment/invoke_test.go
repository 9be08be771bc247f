package environment

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
)

const echo = `
import os
count = 0
def handler(event, context):
    global count
    count += 1
    print("hello", flush=True)
    return {"event": event, "count": count, "id": context.aws_request_id}
`

func TestInvokePython(t *testing.T) {
	t.Parallel()
	drivers(t, nil, func(t *testing.T, h *harness) {
		f := h.python(echo)
		for i, want := range []string{`{"event": {"a": 1}, "count": 1, "id": "00000000-0000-4000-8000-000000000001"}`, `{"event": null, "count": 2, "id": "00000000-0000-4000-8000-000000000002"}`} {
			if got := h.invoke(f, []string{`{"a":1}`, `null`}[i]); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
		if all, idle := h.manager.Environments(); all != 1 || idle != 1 {
			t.Errorf("%d environments, %d idle", all, idle)
		}
	})
}

func TestInvokeNode(t *testing.T) {
	t.Parallel()
	drivers(t, nil, func(t *testing.T, h *harness) {
		f := h.node(`let n = 0; exports.handler = async (event) => { console.log("hi"); return {event, n: ++n} }`)
		for _, want := range []string{`{"event":{"a":1},"n":1}`, `{"event":{"a":1},"n":2}`} {
			if got := h.invoke(f, `{"a":1}`); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		}
	})
}

func TestLogOfAnInvocation(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	f := h.python(echo)
	r, err := h.try(f, "1")
	must(t, err)
	want := regexp.MustCompile(`^INIT_START Runtime Version: python:3\.\d+\.\d+\tRuntime Version ARN: arn:aws:lambda:us-east-1::runtime:0\n` +
		`START RequestId: 00000000-0000-4000-8000-000000000001 Version: \$LATEST\n` +
		`hello\n` +
		`END RequestId: 00000000-0000-4000-8000-000000000001\n` +
		`REPORT RequestId: 00000000-0000-4000-8000-000000000001\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\tMax Memory Used: \d+ MB\tInit Duration: \d+\.\d\d ms\t\n$`)
	_, err = h.try(f, "2")
	must(t, err)
	h.manager.shipper.close()
	text := h.logs.text("/aws/lambda/f")
	first, second, _ := strings.Cut(text, "START RequestId: 00000000-0000-4000-8000-000000000002")
	if !want.MatchString(first) {
		t.Errorf("the log is %q", first)
	}
	if strings.Contains(second, "Init Duration") || !strings.Contains(second, "\tMax Memory Used: ") {
		t.Errorf("the second invocation logs %q", second)
	}
	if tail := string(r.LogTail); !strings.HasPrefix(tail, "START") || !strings.HasSuffix(tail, "ms\t\n") {
		t.Errorf("the tail is %q", tail)
	}
	if u := r.Usage; u.Billed < u.Init || u.Init == 0 || u.MaxMemory <= 0 || u.MaxMemory > 128<<20 {
		t.Errorf("%+v", u)
	}
	for name := range h.logs.streams {
		if !regexp.MustCompile(`^/aws/lambda/f \d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}$`).MatchString(name) {
			t.Errorf("stream %q", name)
		}
	}
}

func TestEnvironmentVariables(t *testing.T) {
	t.Parallel()
	drivers(t, nil, func(t *testing.T, h *harness) {
		f := h.python("import os\ndef handler(e, c): return dict(os.environ)")
		f.Variables = map[string]string{"MINE": "ä b", "LANG": "C.UTF-8", "AWS_REGION": "not mine"}
		var env map[string]string
		must(t, json.Unmarshal([]byte(h.invoke(f, "{}")), &env))
		for k, want := range map[string]string{
			"MINE": "ä b", "LANG": "C.UTF-8", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1", "_HANDLER": "index.handler",
			"AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
			"AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand", "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/f", "TZ": ":UTC",
			"AWS_ACCESS_KEY_ID": "ASIA1", "AWS_SECRET_ACCESS_KEY": "secret1", "AWS_SESSION_TOKEN": "token of arn:aws:iam::000000000000:role/r f",
			"AWS_EXECUTION_ENV": "AWS_Lambda_" + f.Runtime, "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
		} {
			if env[k] != want {
				t.Errorf("%s is %q, want %q", k, env[k], want)
			}
		}
		if h.manager.features.PrivateRoot {
			for k, want := range map[string]string{
				"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001", "AWS_ENDPOINT_URL": "http://127.0.0.1:4566", "LAMBDA_TASK_ROOT": "/var/task",
				"SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt", "NODE_EXTRA_CA_CERTS": "/etc/ssl/certs/brume.pem",
			} {
				if env[k] != want {
					t.Errorf("%s is %q, want %q", k, env[k], want)
				}
			}
		} else if env["AWS_ENDPOINT_URL"] != h.config.Endpoint {
			t.Errorf("AWS_ENDPOINT_URL is %q", env["AWS_ENDPOINT_URL"])
		}
		for k := range env {
			if k == "HOME" || k == "USER" || strings.HasPrefix(k, "GO") {
				t.Errorf("%s got in", k)
			}
		}
	})
}

// The directory of layers is there without layers too, whether the sandbox was ready or not.
// https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html#packaging-layers-paths
func TestLayerDirectory(t *testing.T) {
	t.Parallel()
	for _, prebooted := range []int{-1, 1} {
		h := newHarness(t, false, func(c *Config) { c.Prebooted = prebooted })
		if !h.manager.features.Attach {
			t.Skip("sandboxes have no file system of their own")
		}
		f := h.python("import os\ndef handler(e, c): return [os.listdir('/opt'), os.access('/opt', os.W_OK)]")
		for range 2 {
			if got := h.invoke(f, "{}"); got != "[[], false]" {
				t.Errorf("/opt holds %s", got)
			}
			f.Generation++
		}
	}
}
