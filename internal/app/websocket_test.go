package app

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"brume/internal/wire/sigv4"
)

// newSocketAPI makes a WebSocket API without routes, and its stage "dev".
func newSocketAPI(t *testing.T, known client) string {
	t.Helper()
	call := func(path, body string) map[string]any {
		req, err := http.NewRequest("POST", known.Endpoint+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		sigv4.Sign(req, []byte(body), sigv4.Key{AccessKeyID: known.AccessKeyID, Secret: known.SecretAccessKey}, "us-east-1", "apigateway", time.Now())
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		var out map[string]any
		if err != nil || resp.StatusCode != 201 || json.Unmarshal(text, &out) != nil {
			t.Fatalf("%s: %s %s %v", path, resp.Status, text, err)
		}
		return out
	}
	id := call("/v2/apis", `{"name":"x","protocolType":"WEBSOCKET","routeSelectionExpression":"$request.body.action"}`)["apiId"].(string)
	call("/v2/apis/"+id+"/stages", `{"stageName":"dev","autoDeploy":true}`)
	return id
}

// dialNew connects to a WebSocket API that it makes.
func dialNew(t *testing.T, known client) *websocket.Conn {
	t.Helper()
	c, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(known.Endpoint, "http")+"/_aws/execute-api/"+newSocketAPI(t, known)+"/dev", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow() })
	return c
}

// Connections of WebSocket APIs end with the server and with a reset, are told so, and leave nothing running.
func TestConnectionsEndWithTheServer(t *testing.T) {
	http.DefaultClient.CloseIdleConnections()
	before := goleak.IgnoreCurrent()
	c := config(t)
	c.TestCredentials = true
	known, stop := start(t, c)
	ended := func(conn *websocket.Conn) {
		t.Helper()
		if _, _, err := conn.Read(t.Context()); websocket.CloseStatus(err) != websocket.StatusGoingAway {
			t.Errorf("%v", err)
		}
	}
	conn := dialNew(t, known)
	done := make(chan int)
	go func() { done <- reset(t, known.Endpoint) }()
	ended(conn)
	if status := <-done; status != 200 {
		t.Errorf("reset: %d", status)
	}
	conn = dialNew(t, known)
	begin := time.Now()
	stopped := make(chan error)
	go func() { stopped <- stop() }()
	ended(conn)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if d := time.Since(begin); d > socketTime {
		t.Errorf("stopping took %v", d)
	}
	http.DefaultClient.CloseIdleConnections()
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

// Many connections take little memory each, and leave none behind: 4,000 with BRUME_SOAK=1.
func TestManyConnections(t *testing.T) {
	n := 50
	if os.Getenv("BRUME_SOAK") != "" {
		n = 4000
	}
	c := config(t)
	known, _ := start(t, c)
	id := newSocketAPI(t, known)
	http.DefaultClient.CloseIdleConnections()
	memory := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	routines, before := runtime.NumGoroutine(), memory()
	conns := make([]net.Conn, n)
	for i := range conns {
		if i%400 == 399 {
			time.Sleep(time.Second) // an account opens 500 a second
		}
		conn, err := net.Dial("tcp", strings.TrimPrefix(known.Endpoint, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns[i] = conn
		fmt.Fprintf(conn, "GET /_aws/execute-api/%s/dev HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", id)
		answer := make([]byte, 4096)
		if k, err := conn.Read(answer); err != nil || !strings.HasPrefix(string(answer[:k]), "HTTP/1.1 101") {
			t.Fatalf("connection %d: %s %v", i, answer[:k], err)
		}
	}
	each := (int64(memory()) - int64(before)) / int64(n)
	t.Logf("%d connections, %d bytes each", n, each)
	if n > 1000 && each > 64<<10 {
		t.Errorf("a connection takes %d bytes", each)
	}
	for _, conn := range conns {
		conn.Close()
	}
	for deadline := time.Now().Add(30 * time.Second); runtime.NumGoroutine() > routines+10; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), routines)
		}
	}
}

func TestListingNamesWebSocketAPIs(t *testing.T) {
	c := config(t)
	known, _ := start(t, c)
	id := newSocketAPI(t, known)
	all, err := ListAPIs(t.Context(), c.DataDir)
	if err != nil || len(all) != 1 || all[0] != (API{ID: id, Name: "x", Kind: "WEBSOCKET", Stage: "dev", URL: "ws" + strings.TrimPrefix(known.Endpoint, "http") + "/_aws/execute-api/" + id + "/dev"}) {
		t.Errorf("%+v %v", all, err)
	}
}
