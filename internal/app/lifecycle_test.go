package app

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"brume/internal/awserr"
	"brume/internal/service/apigatewayv2"
	"brume/internal/wire/sigv4"
)

// iamCall calls an operation of IAM and returns the status and the body.
func iamCall(t *testing.T, endpoint, id, secret string, form url.Values) (int, string) {
	t.Helper()
	form.Set("Version", "2010-05-08")
	body := form.Encode()
	req, err := http.NewRequest(http.MethodPost, endpoint, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	sigv4.Sign(req, []byte(body), sigv4.Key{AccessKeyID: id, Secret: secret}, "us-east-1", "iam", time.Now())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func TestNothingIsLeftRunning(t *testing.T) {
	http.DefaultClient.CloseIdleConnections()
	before := goleak.IgnoreCurrent()
	c := config(t)
	c.TestCredentials = true
	known, stop := start(t, c)
	if status, body := dynamo(t, known.Endpoint, "test", "test", "CreateTable", createTable); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	for range 2 {
		if status := reset(t, known.Endpoint); status != 200 {
			t.Fatalf("reset: %d", status)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// Nor after a start that fails late.
	c.Listen = "127.0.0.1:0"
	if err := os.WriteFile(filepath.Join(c.DataDir, clientFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), c, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), clientFile) || strings.Contains(err.Error(), "\n") {
		t.Errorf("a damaged %s: %v", clientFile, err)
	}
	http.DefaultClient.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

func TestSecretsAreTheOwnersAlone(t *testing.T) {
	c := config(t)
	start(t, c)
	for name, want := range map[string]os.FileMode{".": 0o700, clientFile: 0o600, masterKey: 0o600} {
		info, err := os.Stat(filepath.Join(c.DataDir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s: %v", name, info.Mode())
		}
	}
}

// A root key that was deleted, because it leaked for instance, does not come back.
func TestADeletedRootKeyStaysDeleted(t *testing.T) {
	for name, revoke := range map[string]url.Values{
		"deleted":  {"Action": {"DeleteAccessKey"}},
		"inactive": {"Action": {"UpdateAccessKey"}, "Status": {"Inactive"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t)
			known, stop := start(t, c)
			revoke.Set("AccessKeyId", known.AccessKeyID)
			if status, body := iamCall(t, known.Endpoint, known.AccessKeyID, known.SecretAccessKey, revoke); status != 200 {
				t.Fatalf("%d %s", status, body)
			}
			list := url.Values{"Action": {"ListUsers"}}
			if status, body := iamCall(t, known.Endpoint, known.AccessKeyID, known.SecretAccessKey, list); status != 403 || !strings.Contains(body, "InvalidClientTokenId") {
				t.Errorf("at once: %d %s", status, body)
			}
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			again, _ := start(t, c)
			if status, body := iamCall(t, again.Endpoint, known.AccessKeyID, known.SecretAccessKey, list); status != 403 || !strings.Contains(body, "InvalidClientTokenId") {
				t.Errorf("after a restart: %d %s", status, body)
			}
			if status, body := iamCall(t, again.Endpoint, again.AccessKeyID, again.SecretAccessKey, list); status != 200 {
				t.Errorf("the new key: %d %s", status, body)
			}
		})
	}
}

func TestUsesAreRecorded(t *testing.T) {
	known, _ := start(t, config(t))
	if status, body := dynamo(t, known.Endpoint, known.AccessKeyID, known.SecretAccessKey, "ListTables", `{}`); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	status, body := iamCall(t, known.Endpoint, known.AccessKeyID, known.SecretAccessKey,
		url.Values{"Action": {"GetAccessKeyLastUsed"}, "AccessKeyId": {known.AccessKeyID}})
	// The call that asks is itself the last use.
	if status != 200 || !strings.Contains(body, "<ServiceName>iam</ServiceName>") || !strings.Contains(body, "<LastUsedDate>") {
		t.Errorf("%d %s", status, body)
	}
}

func TestResetIsNotForBrowsers(t *testing.T) {
	c := config(t)
	c.TestCredentials = true
	known, _ := start(t, c)
	if status, body := dynamo(t, known.Endpoint, "test", "test", "CreateTable", createTable); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	for _, tt := range []struct {
		method, header, value string
		status                int
	}{
		{http.MethodPost, "Origin", "https://example.com", 403},
		{http.MethodPost, "Sec-Fetch-Site", "same-origin", 403},
		{http.MethodGet, "", "", 405},
	} {
		req, err := http.NewRequest(tt.method, known.Endpoint+"/_brume/reset", nil)
		if err != nil {
			t.Fatal(err)
		}
		if tt.header != "" {
			req.Header.Set(tt.header, tt.value)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.status {
			t.Errorf("%s with %s: %s", tt.method, tt.header, resp.Status)
		}
	}
	if status, body := dynamo(t, known.Endpoint, "test", "test", "ListTables", `{}`); !strings.Contains(body, `"table"`) {
		t.Errorf("%d %s", status, body)
	}
}

// A reset ends the requests that take long, and those that come while it happens are served after it.
func TestResetDoesNotWaitForLongRequests(t *testing.T) {
	c := config(t)
	c.TestCredentials = true
	entered, cause := make(chan struct{}), make(chan error, 1)
	old := &stack{stopLoops: func() {}, endpoint: "http://127.0.0.1:1", sockets: apigatewayv2.New(apigatewayv2.Config{})}
	old.requests, old.endRequests = context.WithCancel(t.Context())
	old.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		cause <- context.Cause(r.Context())
	})
	h := &host{config: c, log: slog.New(slog.DiscardHandler), stack: old}
	t.Cleanup(func() {
		if err := h.close(); err != nil {
			t.Error(err)
		}
	})
	var wg sync.WaitGroup
	wg.Go(func() { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/", nil)) })
	<-entered
	begin := time.Now()
	for range 2 {
		wg.Go(func() {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("POST", "/_brume/reset", nil))
			if w.Code != 200 {
				t.Errorf("reset: %d %s", w.Code, w.Body)
			}
		})
	}
	var ended awserr.Error
	if err := <-cause; !errors.As(err, &ended) || ended.HTTPStatus() != 503 {
		t.Errorf("the request ended with %v", err)
	}
	if d := time.Since(begin); d < resetPatience {
		t.Errorf("it had %v", d)
	}
	wg.Wait()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/_brume/health", nil))
	if w.Code != 200 {
		t.Errorf("afterwards: %d %s", w.Code, w.Body)
	}
}

func TestTestCredentialsNeedALoopbackAddress(t *testing.T) {
	for listen, ok := range map[string]bool{
		"127.0.0.1:4566": true, "127.1.2.3:0": true, "[::1]:4566": true, "localhost:4566": true,
		":4566": false, "0.0.0.0:4566": false, "[::]:4566": false, "192.168.1.1:4566": false, "example.com:4566": false,
		"127.0.0.1.example.com:80": false,
	} {
		c := config(t)
		c.Listen, c.TestCredentials = listen, true
		if err := c.check(); (err == nil) != ok {
			t.Errorf("%s: %v", listen, err)
		}
		c.TestCredentials = false
		if err := c.check(); err != nil {
			t.Errorf("%s without them: %v", listen, err)
		}
	}
}

func TestListenAddressesWithoutAPort(t *testing.T) {
	for _, listen := range []string{"", "127.0.0.1", "4566", "::1"} {
		c := config(t)
		c.Listen = listen
		if err := c.check(); err == nil || !strings.Contains(err.Error(), "--listen") {
			t.Errorf("%q: %v", listen, err)
		}
	}
}
