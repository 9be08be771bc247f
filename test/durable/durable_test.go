// Package durable holds a brume process to what it acknowledges: through crashes, and through many clients at once.
package durable

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"brume/internal/wire/sigv4"
	"brume/test/story"
)

var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "brume-durable-")
	if err == nil {
		defer os.RemoveAll(dir)
		binary, err = story.BuildIn(context.Background(), filepath.Join("..", ".."), dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func startServer(t *testing.T) *story.Server {
	t.Helper()
	server, err := story.StartServer(t.Context(), binary, filepath.Join(t.TempDir(), "data"), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
	})
	return server
}

// A client calls operations without trying anything twice, so that what it is told is what happened.
type client struct {
	server *story.Server
	http   *http.Client
}

func newClient(server *story.Server) *client {
	return &client{server, &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

// A refusal is an answer that is not 200. No other error says whether an operation was carried out.
type refusal struct {
	Type    string `json:"__type"`
	Message string
	status  int
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.status, r.Type, r.Message) }

// object is JSON.
type object = map[string]any

// do calls an operation of DynamoDB, or of its streams, and decodes the answer into out, which may be nil.
func (c *client) do(prefix, operation string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodPost, c.server.Endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", prefix+operation)
	sigv4.Sign(req, body, sigv4.Key{AccessKeyID: c.server.AccessKeyID, Secret: c.server.SecretAccessKey}, c.server.Region, "dynamodb", time.Now())
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		r := &refusal{status: resp.StatusCode}
		if err := json.Unmarshal(answer, r); err != nil {
			return fmt.Errorf("%d %s: %w", resp.StatusCode, answer, err)
		}
		return r
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer, out)
}

func (c *client) table(operation string, in, out any) error {
	return c.do("DynamoDB_20120810.", operation, in, out)
}

func (c *client) stream(operation string, in, out any) error {
	return c.do("DynamoDBStreams_20120810.", operation, in, out)
}

// s and n are attribute values.
func s(v string) object { return object{"S": v} }
func n(v int) object    { return object{"N": fmt.Sprint(v)} }

// An item as it is decoded: values by type by name.
type item map[string]map[string]any

func (i item) s(name string) string {
	text, _ := i[name]["S"].(string)
	return text
}

// n returns a number, and 0 for one that is not there.
func (i item) n(name string) int {
	var v int
	if text, ok := i[name]["N"].(string); ok {
		fmt.Sscan(text, &v)
	}
	return v
}
