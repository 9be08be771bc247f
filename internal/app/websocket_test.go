package app

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"brume/internal/wire/sigv4"
)

// dialNew connects to a WebSocket API that it makes.
func dialNew(t *testing.T, known client) *websocket.Conn {
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
	c, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(known.Endpoint, "http")+"/_aws/execute-api/"+id+"/dev", nil)
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
