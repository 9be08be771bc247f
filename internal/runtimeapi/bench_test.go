package runtimeapi

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

const smallEvent = `{"httpMethod":"POST","path":"/DynamoBackend","body":"{\"TableName\":\"t\",\"Item\":{\"username\":\"bob\"}}"}`

// BenchmarkInvoke is one warm invocation against a runtime in the same process that does nothing: beside
// BenchmarkNetHTTPEcho it shows what the API costs. The runtime sends its next request behind its response, as Brume's
// own do.
func BenchmarkInvoke(b *testing.B) {
	e, addr := start(b)
	go func() {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		defer nc.Close()
		reply := []byte("POST " + prefix + "invocation/1/response HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}" +
			"GET " + prefix + "invocation/next HTTP/1.1\r\nHost: x\r\n\r\n")
		nc.Write(reply[bytes.Index(reply, []byte("GET")):])
		buf := make([]byte, 64<<10)
		for {
			if _, err := nc.Read(buf); err != nil {
				return
			}
			if _, err := nc.Write(reply); err != nil {
				return
			}
		}
	}()
	inv := &Invocation{
		RequestID:   "1",
		Deadline:    time.Now().Add(time.Hour),
		FunctionARN: "arn:aws:lambda:us-east-1:000000000000:function:f",
		TraceID:     "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1",
		Payload:     []byte(smallEvent),
	}
	ctx, cancel := context.WithTimeout(b.Context(), time.Hour)
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Ready(ctx); err != nil {
			b.Fatal(err)
		}
		if _, err := e.Invoke(ctx, inv); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkNetHTTPEcho is a round trip of the same event between net/http's client and its server.
func BenchmarkNetHTTPEcho(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })}
	go server.Serve(l)
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	url := "http://" + l.Addr().String() + "/"
	b.ReportAllocs()
	for b.Loop() {
		resp, err := client.Post(url, "application/json", bytes.NewReader([]byte(smallEvent)))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
	}
}
