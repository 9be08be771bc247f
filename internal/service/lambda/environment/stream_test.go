package environment

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

// A taker is a Stream that a test controls.
type taker struct {
	contentType string
	bytes.Buffer
	pieces chan string
	hold   chan struct{} // if it is set, each Write waits for it
}

func (s *taker) Begin(contentType string) { s.contentType = contentType }

func (s *taker) Write(p []byte) (int, error) {
	if s.pieces != nil {
		s.pieces <- string(p)
	}
	if s.hold != nil {
		<-s.hold
	}
	return s.Buffer.Write(p)
}

func (h *harness) stream(ctx context.Context, f *Function, id string, s Stream) (*Result, error) {
	return h.manager.Invoke(ctx, f, &Invocation{RequestID: id, FunctionARN: f.ARN, Payload: []byte(`{}`), Stream: s, Limits: noLimits})
}

// https://docs.aws.amazon.com/lambda/latest/dg/config-rs-write-functions.html
const streamer = `exports.handler = awslambda.streamifyResponse(async (event, stream, context) => {
	stream.setContentType("text/plain");
	stream.write("one");
	await new Promise((r) => setTimeout(r, 300));
	stream.write("two");
	stream.end();
});`

func TestStreamWhileItIsWritten(t *testing.T) {
	t.Parallel()
	drivers(t, nil, func(t *testing.T, h *harness) {
		f := h.node(streamer)
		for range 2 { // in a new environment and in the same again
			s := &taker{pieces: make(chan string, 2)}
			done := make(chan error, 1)
			go func() {
				r, err := h.stream(t.Context(), f, "a", s)
				if err == nil && (r.Failed || len(r.Payload) != 0) {
					err = errors.New(string(r.Payload))
				}
				done <- err
			}()
			if p := <-s.pieces; p != "one" {
				t.Errorf("the first piece is %q", p)
			}
			select {
			case <-done:
				t.Error("the first piece came with the end")
			default:
			}
			must(t, <-done)
			if s.contentType != "text/plain" || s.String() != "onetwo" {
				t.Errorf("%s: %q", s.contentType, s.String())
			}
		}
		// The same function without a stream.
		if got := h.invoke(f, "{}"); got != "onetwo" {
			t.Errorf("buffered: %q", got)
		}
	})
}

func TestStreamOfABufferedFunction(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	s := &taker{}
	r, err := h.stream(t.Context(), h.python("def handler(e, c): return [1, 2]"), "a", s)
	must(t, err)
	if r.Failed || s.contentType != "application/json" || s.String() != "[1, 2]" {
		t.Errorf("%s %q %+v", s.contentType, s.String(), r)
	}
}

// An error before the first byte is an ordinary one; after it, it comes behind what was streamed.
func TestStreamErrors(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	generation := int64(0)
	loose, unfinished := "RangeError", "string" // what the runtimes before Node.js 24 make of their own text
	if h.node("").Runtime >= "nodejs24" {
		loose, unfinished = "Runtime.ExitError", "Error"
	}
	for name, c := range map[string]struct{ source, streamed, typ string }{
		"before": {`throw new TypeError("early")`, "", "TypeError"},
		"after":  {`stream.write("x"); await new Promise((r) => setTimeout(r, 50)); throw new TypeError("late")`, "x", "TypeError"},
		"crash":  {`stream.write("x"); setTimeout(() => { throw new RangeError("loose") }, 50); await new Promise(() => setTimeout(() => {}, 5000))`, "x", loose},
		"open":   {`stream.write("x")`, "x", unfinished},
		"exit":   {`stream.write("x"); setTimeout(() => process.exit(3), 50); await new Promise(() => setTimeout(() => {}, 5000))`, "x", "Runtime.ExitError"},
	} {
		f := h.node("exports.handler = awslambda.streamifyResponse(async (event, stream) => {" + c.source + "})")
		generation++
		f.Generation = generation
		s := &taker{}
		r, err := h.stream(t.Context(), f, "a", s)
		must(t, err)
		var e struct{ ErrorType, ErrorMessage string }
		must(t, json.Unmarshal(r.Payload, &e))
		if !r.Failed || s.String() != c.streamed || e.ErrorType != c.typ {
			t.Errorf("%s: streamed %q, %s", name, s.String(), r.Payload)
		}
	}
}

// A stream that nobody takes from holds up its function until the timeout, and nobody else. One whose caller has gone does
// not hold it up at all.
func TestStreamNobodyTakes(t *testing.T) {
	t.Parallel()
	h := newHarness(t, false, nil)
	big := `exports.handler = awslambda.streamifyResponse(async (event, stream) => {
		const { pipeline } = require("node:stream/promises");
		await pipeline(require("node:stream").Readable.from(Array(160).fill(Buffer.alloc(64 << 10))), stream);
		console.log("written");
	});`
	f := h.node(big)
	f.Timeout = 3 * time.Second
	s := &taker{pieces: make(chan string, 1000), hold: make(chan struct{})}
	type ended struct {
		r   *Result
		err error
	}
	done := make(chan ended, 1)
	go func() {
		r, err := h.stream(context.Background(), f, "a", s)
		done <- ended{r, err}
	}()
	<-s.pieces
	for i := 0; ; i++ { // the environment ends although the stream does not return
		if all, _ := h.manager.Environments(); all == 0 {
			break
		}
		if i == 1000 {
			t.Fatal("the function outlives its timeout")
		}
		time.Sleep(10 * time.Millisecond)
	}
	close(s.hold)
	if e := <-done; e.err != nil || !e.r.Failed || !strings.Contains(string(e.r.Payload), "Task timed out") {
		t.Errorf("%+v", e)
	}

	f = h.node(big)
	f.Generation++
	ctx, cancel := context.WithCancel(t.Context())
	s = &taker{pieces: make(chan string, 1000), hold: make(chan struct{})}
	go func() {
		r, err := h.stream(ctx, f, "b", s)
		done <- ended{r, err}
	}()
	<-s.pieces
	cancel()
	close(s.hold)
	if e := <-done; !errors.Is(e.err, context.Canceled) {
		t.Errorf("%+v", e)
	}
	for i := 0; ; i++ {
		if _, idle := h.manager.Environments(); idle == 1 {
			break // it has come to its end
		}
		if i == 1000 {
			t.Fatal("the function did not go on")
		}
		time.Sleep(10 * time.Millisecond)
	}
}
