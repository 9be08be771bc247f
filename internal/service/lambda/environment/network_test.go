package environment

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"brume/internal/sandboxnet"
)

// newNetworkHarness is a harness whose functions reach handler behind the names of AWS.
func newNetworkHarness(t *testing.T, handler http.HandlerFunc) *harness {
	return newOutsideHarness(t, handler, nil, nil)
}

// newOutsideHarness is one whose functions reach the world too, as far as egress permits, with names that lookup knows.
func newOutsideHarness(t *testing.T, handler http.HandlerFunc, egress *sandboxnet.Egress, lookup sandboxnet.Lookup) *harness {
	t.Helper()
	dir := t.TempDir()
	ca, err := sandboxnet.OpenCA(dir, sandboxnet.Names{})
	must(t, err)
	host, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		host = nil
	}
	bundle, own := filepath.Join(dir, "bundle.pem"), filepath.Join(dir, "ca.pem")
	must(t, os.WriteFile(bundle, ca.Bundle(host), 0o644))
	must(t, os.WriteFile(own, ca.Certificate(), 0o644))
	var world *sandboxnet.World
	if lookup != nil {
		world = &sandboxnet.World{Egress: egress, Lookup: lookup}
	}
	resolver := sandboxnet.NewResolver(sandboxnet.Names{}, netip.MustParseAddr("127.0.0.1"), world)
	server := sandboxnet.NewServer(ca, resolver, egress, handler, slog.New(slog.DiscardHandler))
	h := newHarness(t, false, func(c *Config) {
		c.CABundle, c.CACertificate, c.Outside = bundle, own, egress != nil
	})
	h.gateway.attach = func(s Sockets, id Identity) func() {
		return server.Attach(sandboxnet.Sockets(s), sandboxnet.Identity(id))
	}
	t.Cleanup(func() { server.Close() })
	return h
}

// echoRequest answers with where a request came to, and from whom.
func echoRequest(w http.ResponseWriter, r *http.Request) {
	id, ok := sandboxnet.From(r.Context())
	fmt.Fprintf(w, "%s %s tls=%v sandbox=%v %s", r.Host, r.URL.Path, r.TLS != nil, ok, id.FunctionARN)
}

func TestNamesOfAWSFromPython(t *testing.T) {
	t.Parallel()
	h := newNetworkHarness(t, echoRequest)
	f := h.python(`
import os, socket, urllib.request
def get(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as r:
            return r.read().decode()
    except Exception as e:
        return "error: %s" % e
def handler(event, context):
    return [get(u) for u in event]
`)
	got := h.invoke(f, `["https://dynamodb.us-east-1.amazonaws.com/a", "http://127.0.0.1:4566/b", "http://localhost:4566/c", "https://example.org/", "https://bucket.s3.eu-west-1.amazonaws.com/"]`)
	who := "sandbox=true " + f.ARN
	for _, want := range []string{
		`"dynamodb.us-east-1.amazonaws.com /a tls=true ` + who + `"`, `"127.0.0.1:4566 /b tls=false ` + who + `"`,
		`"localhost:4566 /c tls=false ` + who + `"`, `"error: `, `"bucket.s3.eu-west-1.amazonaws.com / tls=true ` + who + `"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
}

func TestNamesOfAWSFromNode(t *testing.T) {
	t.Parallel()
	h := newNetworkHarness(t, echoRequest)
	f := h.node(`
const https = require("https")
exports.handler = (url) => new Promise((done, fail) => https.get(url, r => {
	let body = ""
	r.on("data", d => body += d)
	r.on("end", () => done(body))
}).on("error", fail))`)
	if got := h.invoke(f, `"https://lambda.eu-central-1.amazonaws.com/x"`); got != `"lambda.eu-central-1.amazonaws.com /x tls=true sandbox=true `+f.ARN+`"` {
		t.Errorf("%s", got)
	}
}

// An SDK that does not know AWS_ENDPOINT_URL finds its way as well.
func TestSDKFromPython(t *testing.T) {
	t.Parallel()
	var plain, secure atomic.Int32
	h := newNetworkHarness(t, func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Authorization"), "Credential=ASIA") || r.Header.Get("X-Amz-Security-Token") == "" {
			http.Error(w, "unsigned", http.StatusForbidden)
			return
		}
		if r.TLS != nil {
			secure.Add(1)
		} else {
			plain.Add(1)
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		fmt.Fprint(w, `{"TableNames":["t"]}`)
	})
	f := h.python(`
import os
try:
    import boto3
except ImportError:
    boto3 = None
def handler(old, context):
    if boto3 is None:
        return "no boto3"
    if old:
        os.environ.pop("AWS_ENDPOINT_URL", None)
    return boto3.client("dynamodb").list_tables()["TableNames"]
`)
	f.MemoryMB = 512
	for _, old := range []string{"false", "true"} {
		if got := h.invoke(f, old); got == `"no boto3"` {
			t.Skip(got)
		} else if got != `["t"]` {
			t.Errorf("%s", got)
		}
	}
	if secure.Load() == 0 {
		t.Errorf("%d requests over TLS, %d without", secure.Load(), plain.Load())
	}
}
