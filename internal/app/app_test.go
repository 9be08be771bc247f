package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"brume/internal/runtimes"
	"brume/internal/sandbox"
	"brume/internal/seal"
	"brume/internal/wire/sigv4"
)

func TestMain(m *testing.M) {
	if sandbox.IsInit(os.Args) {
		sandbox.Init()
		return
	}
	os.Exit(m.Run())
}

func config(t testing.TB) Config {
	dir := t.TempDir()
	return Config{
		Listen: "127.0.0.1:0", DataDir: filepath.Join(dir, "data"), AccountID: "000000000000", Region: "us-east-1",
		LogFormat: "text", Version: "test", Runtimes: runtimes.NewCatalog(filepath.Join(dir, "runtimes"), os.Getenv("PATH"), ""),
	}
}

// start runs a server until the returned function is called, which reports what Run returned.
func start(t *testing.T, c Config) (known client, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	var out lockedBuffer
	go func() { done <- Run(ctx, c, &out, io.Discard) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() { stop() })
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(out.String(), "is ready at"); time.Sleep(time.Millisecond) {
		select {
		case err := <-done:
			t.Fatalf("Run: %v", err)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("not ready")
		}
	}
	known, err := readClient(c.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	return known, stop
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// dynamo calls an operation of DynamoDB and returns the status and the body.
func dynamo(t *testing.T, endpoint, id, secret, operation, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, endpoint, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	sigv4.Sign(req, []byte(body), sigv4.Key{AccessKeyID: id, Secret: secret}, "us-east-1", "dynamodb", time.Now())
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

const createTable = `{"TableName":"table","BillingMode":"PAY_PER_REQUEST","KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],` +
	`"AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}]}`

func reset(t *testing.T, endpoint string) int {
	t.Helper()
	resp, err := http.Post(endpoint+"/_brume/reset", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

func TestStateOutlivesARestart(t *testing.T) {
	c := config(t)
	known, stop := start(t, c)
	if status, body := dynamo(t, known.Endpoint, known.AccessKeyID, known.SecretAccessKey, "CreateTable", createTable); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if status := reset(t, known.Endpoint); status == http.StatusOK {
		t.Errorf("reset without --test-credentials: %d", status)
	}
	if status, body := dynamo(t, known.Endpoint, "test", "test", "ListTables", `{}`); status != 400 || !strings.Contains(body, "UnrecognizedClientException") {
		t.Errorf("test/test without --test-credentials: %d %s", status, body)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	again, stop := start(t, c)
	if again.AccessKeyID != known.AccessKeyID || again.SecretAccessKey != known.SecretAccessKey {
		t.Error("the root key is another one after a restart")
	}
	if status, body := dynamo(t, again.Endpoint, known.AccessKeyID, known.SecretAccessKey, "ListTables", `{}`); status != 200 || !strings.Contains(body, `"table"`) {
		t.Errorf("%d %s", status, body)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestResetEmptiesEverything(t *testing.T) {
	c := config(t)
	c.TestCredentials = true
	known, stop := start(t, c)
	for _, key := range [][2]string{{"test", "test"}, {"111111111111", "test"}} {
		if status, body := dynamo(t, known.Endpoint, key[0], key[1], "CreateTable", createTable); status != 200 {
			t.Fatalf("%s: %d %s", key[0], status, body)
		}
	}
	if status, _ := dynamo(t, known.Endpoint, "test", "wrong", "ListTables", `{}`); status != 400 {
		t.Errorf("a wrong secret: %d", status)
	}
	// Requests go on while the reset happens: each is answered, by the old state or the new one.
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if status, body := dynamo(t, known.Endpoint, "test", "test", "ListTables", `{}`); status != 200 {
					t.Errorf("during a reset: %d %s", status, body)
					return
				}
			}
		})
	}
	if status := reset(t, known.Endpoint); status != 200 {
		t.Errorf("reset: %d", status)
	}
	cancel()
	wg.Wait()
	for _, key := range [][2]string{{"test", "test"}, {"111111111111", "test"}, {known.AccessKeyID, known.SecretAccessKey}} {
		if status, body := dynamo(t, known.Endpoint, key[0], key[1], "ListTables", `{}`); status != 200 || body != `{"TableNames":[]}` {
			t.Errorf("%s after the reset: %d %s", key[0], status, body)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestHealth(t *testing.T) {
	known, _ := start(t, config(t))
	resp, err := http.Get(known.Endpoint + "/_brume/health")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var health struct{ Status string }
	if err := json.NewDecoder(resp.Body).Decode(&health); err != nil || resp.StatusCode != 200 || health.Status != "ready" {
		t.Errorf("%d %+v %v", resp.StatusCode, health, err)
	}
}

// What is wrong with a start is said in one line.
func TestRefusedStarts(t *testing.T) {
	running := config(t)
	known, _ := start(t, running)
	taken := strings.TrimPrefix(known.Endpoint, "http://")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"port in use":         {func(c *Config) { c.Listen = taken }, "address already in use"},
		"directory in use":    {func(c *Config) { c.DataDir = running.DataDir }, "another Brume runs on the data directory"},
		"a file as directory": {func(c *Config) { c.DataDir = file }, "the data directory cannot be made"},
		"account":             {func(c *Config) { c.AccountID = "1" }, "is not 12 digits"},
		"region":              {func(c *Config) { c.Region = "here" }, "is not a region"},
		"network":             {func(c *Config) { c.Functions.Network = "lan" }, "--function-network"},
		"allowed network":     {func(c *Config) { c.Functions.NetworkAllow = []string{"10.0.0.0/33"} }, "--function-network-allow"},
		"denied network":      {func(c *Config) { c.Functions.NetworkDeny = []string{"example.org"} }, "--function-network-deny"},
		"open to all":         {func(c *Config) { c.TestCredentials, c.Listen = true, ":0" }, "loopback"},
		"log format":          {func(c *Config) { c.LogFormat = "xml" }, "unknown log format"},
		"lost master key": {func(c *Config) {
			if err := os.MkdirAll(filepath.Join(c.DataDir, storeDir), 0o700); err != nil {
				t.Fatal(err)
			}
		}, "master.key is not there, and without it no secret"},
		"damaged store": {func(c *Config) {
			for _, dir := range []string{c.DataDir, filepath.Join(c.DataDir, storeDir)} {
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := seal.LoadMaster(filepath.Join(c.DataDir, masterKey)); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(c.DataDir, storeDir, "MANIFEST-000001"), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(c.DataDir, storeDir, "marker.manifest.000001.MANIFEST-000001"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "cannot be opened"},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t)
			tc.change(&c)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			err := Run(ctx, c, io.Discard, io.Discard)
			if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, want one line with %q", err, tc.want)
			}
		})
	}
}

// Where a protection is missing, --require-sandbox keeps Brume from starting, and otherwise changes nothing.
func TestRequireSandbox(t *testing.T) {
	driver, err := sandbox.New(sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	missing := ""
	for _, p := range driver.Protections() {
		if !p.Active && missing == "" {
			missing = p.Name
		}
	}
	if err := driver.Close(); err != nil {
		t.Fatal(err)
	}
	c := config(t)
	c.Functions.RequireSandbox = true
	if missing == "" {
		_, stop := start(t, c)
		if err := stop(); err != nil {
			t.Error(err)
		}
		return
	}
	err = Run(t.Context(), c, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "--require-sandbox: functions would run without "+missing) {
		t.Errorf("%v", err)
	}
}

// A request that was begun before the end is answered.
func TestStopDrains(t *testing.T) {
	c := config(t)
	known, stop := start(t, c)
	conn, err := net.Dial("tcp", strings.TrimPrefix(known.Endpoint, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The server is reading the body when it is told to stop.
	io.WriteString(conn, "POST / HTTP/1.1\r\nHost: dynamodb.localhost\r\nContent-Length: 2\r\nX-Amz-Target: DynamoDB_20120810.ListTables\r\nExpect: 100-continue\r\n\r\n")
	const goOn = "HTTP/1.1 100 Continue\r\n\r\n"
	reads := make([]byte, len(goOn))
	if _, err := io.ReadFull(conn, reads); err != nil || string(reads) != goOn {
		t.Fatalf("%q %v", reads, err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	time.Sleep(50 * time.Millisecond)
	io.WriteString(conn, "{}")
	answer := make([]byte, 12)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "HTTP/1.1 400" {
		t.Errorf("%q %v", answer, err)
	}
	if err := <-stopped; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
