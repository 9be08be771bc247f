package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"brume/internal/obs"
	"brume/internal/wire/sigv4"
)

// BenchmarkHandler measures operations on items from the parsed request to the written response: all but net/http.
func BenchmarkHandler(b *testing.B) {
	log, err := obs.NewLog(io.Discard, "text", slog.LevelInfo)
	if err != nil {
		b.Fatal(err)
	}
	c := config(b)
	s, err := newStack(context.Background(), c, "http://127.0.0.1:1", log.Logger)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.close() })
	known, err := readClient(c.DataDir)
	if err != nil {
		b.Fatal(err)
	}
	root := sigv4.Key{AccessKeyID: known.AccessKeyID, Secret: known.SecretAccessKey}
	create := handled{key: root, service: "iam", contentType: "application/x-www-form-urlencoded"}
	form := func(action string, fields ...string) string {
		v := url.Values{"Action": {action}, "Version": {"2010-05-08"}}
		for i := 0; i < len(fields); i += 2 {
			v.Set(fields[i], fields[i+1])
		}
		return v.Encode()
	}
	create.do(b, s.handler, form("CreateUser", "UserName", "u"))
	create.do(b, s.handler, form("AttachUserPolicy", "UserName", "u", "PolicyArn", "arn:aws:iam::aws:policy/PowerUserAccess"))
	answer := create.do(b, s.handler, form("CreateAccessKey", "UserName", "u"))
	element := func(name string) string {
		_, rest, _ := strings.Cut(answer, "<"+name+">")
		text, _, _ := strings.Cut(rest, "<")
		return text
	}
	user := sigv4.Key{AccessKeyID: element("AccessKeyId"), Secret: element("SecretAccessKey")}
	on := func(operation string) handled {
		return handled{key: user, service: "dynamodb", contentType: "application/x-amz-json-1.0", target: "DynamoDB_20120810." + operation}
	}
	on("CreateTable").do(b, s.handler, `{"TableName":"tab","BillingMode":"PAY_PER_REQUEST",
		"AttributeDefinitions":[{"AttributeName":"p","AttributeType":"S"},{"AttributeName":"s","AttributeType":"N"}],
		"KeySchema":[{"AttributeName":"p","KeyType":"HASH"},{"AttributeName":"s","KeyType":"RANGE"}]}`)
	key := func(s int) string { return fmt.Sprintf(`"p":{"S":"user-1"},"s":{"N":"%d"}`, s) }
	put := func(s int) string {
		return fmt.Sprintf(`{"TableName":"tab","Item":{%s,"age":{"N":"41"},"text":{"S":%q}}}`, key(s), strings.Repeat("x", 340))
	}
	for i := range benchItems {
		on("PutItem").do(b, s.handler, put(i))
	}
	for _, op := range []struct {
		name string
		body func(s int) string
	}{
		{"GetItem", func(s int) string { return `{"TableName":"tab","Key":{` + key(s) + `}}` }},
		{"Query", func(int) string {
			return `{"TableName":"tab","KeyConditionExpression":"p = :p","ExpressionAttributeValues":{":p":{"S":"user-1"}},"Limit":10}`
		}},
		{"PutItem", put},
		{"UpdateItem", func(s int) string {
			return `{"TableName":"tab","Key":{` + key(s) + `},"UpdateExpression":"ADD age :n","ExpressionAttributeValues":{":n":{"N":"1"}}}`
		}},
	} {
		b.Run(op.name, func(b *testing.B) {
			var failed, workers atomic.Int32
			b.SetParallelism(8) // writers share fsyncs
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				w := &discard{header: http.Header{}}
				body := op.body(int(workers.Add(1)) % benchItems)
				reader := strings.NewReader(body)
				r := on(op.name).request(b, body)
				r.Body = io.NopCloser(reader)
				for pb.Next() {
					reader.Reset(body)
					clear(w.header)
					w.status = 0
					s.handler.ServeHTTP(w, r)
					if w.status != http.StatusOK {
						failed.Store(int32(w.status))
					}
				}
			})
			if status := failed.Load(); status != 0 {
				b.Fatal("status", status)
			}
		})
	}
}

// benchItems is how many items there are: enough that no two workers need the same one.
const benchItems = 64

// handled is a kind of request that goes to the handler without a network.
type handled struct {
	key                          sigv4.Key
	service, contentType, target string
}

func (h handled) request(tb testing.TB, body string) *http.Request {
	r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1:1/", strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	r.RequestURI, r.RemoteAddr = "/", "127.0.0.1:2"
	r.Header.Set("Content-Type", h.contentType)
	r.Header.Set("User-Agent", "aws-sdk-go-v2/1.30.3 ua/2.0 os/linux lang/go#1.24 md/GOOS#linux md/GOARCH#amd64 api/dynamodb#1.34.4")
	if h.target != "" {
		r.Header.Set("X-Amz-Target", h.target)
	}
	sigv4.Sign(r, []byte(body), h.key, "us-east-1", h.service, time.Now())
	return r
}

// do sends a request that must succeed, and returns the answer's body.
func (h handled) do(tb testing.TB, handler http.Handler, body string) string {
	var out bytes.Buffer
	w := &discard{header: http.Header{}, body: &out}
	handler.ServeHTTP(w, h.request(tb, body))
	if w.status != http.StatusOK {
		tb.Fatalf("%s: %d %s", body, w.status, out.String())
	}
	return out.String()
}

// A discard is a ResponseWriter that costs nothing.
type discard struct {
	header http.Header
	status int
	body   io.Writer
}

func (d *discard) Header() http.Header    { return d.header }
func (d *discard) WriteHeader(status int) { d.status = status }
func (d *discard) Write(p []byte) (int, error) {
	if d.body != nil {
		return d.body.Write(p)
	}
	return len(p), nil
}
