// Command subscriber is an external extension that subscribes to the Telemetry API, and says in the end what it got.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

var (
	mu  sync.Mutex
	got []json.RawMessage
)

func take(w http.ResponseWriter, r *http.Request) {
	var events []json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&events); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	mu.Lock()
	defer mu.Unlock()
	got = append(got, events...)
}

func main() {
	api := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API")
	l, err := net.Listen("tcp", "sandbox.localdomain:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(http.Serve(l, http.HandlerFunc(take))) }()

	var id string
	ask := func(method, path, body string) []byte {
		req, err := http.NewRequest(method, api+path, bytes.NewReader([]byte(body)))
		if err != nil {
			log.Fatal(err)
		}
		req.Header.Set("Lambda-Extension-Name", filepath.Base(os.Args[0]))
		req.Header.Set("Lambda-Extension-Identifier", id)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			log.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			log.Fatalf("%s: %s %s %v", path, resp.Status, b, err)
		}
		if id == "" {
			id = resp.Header.Get("Lambda-Extension-Identifier")
		}
		return b
	}
	ask("POST", "/2020-01-01/extension/register", `{"events":["INVOKE","SHUTDOWN"]}`)
	ask("PUT", "/2022-07-01/telemetry", fmt.Sprintf(`{"schemaVersion":"2022-12-13","types":["platform","function"],"buffering":{"timeoutMs":25},`+
		`"destination":{"protocol":"HTTP","URI":"http://sandbox.localdomain:%d"}}`, l.Addr().(*net.TCPAddr).Port))
	for {
		var event struct{ EventType string }
		if err := json.Unmarshal(ask("GET", "/2020-01-01/extension/event/next", ""), &event); err != nil {
			log.Fatal(err)
		}
		if event.EventType == "SHUTDOWN" {
			break
		}
	}
	time.Sleep(300 * time.Millisecond)
	mu.Lock()
	defer mu.Unlock()
	for _, e := range got {
		fmt.Printf("got %s\n", e)
	}
}
