package gatewaylog

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// kept keeps lines by group, unless it fails.
type kept struct {
	lines map[string][]string
	fail  error
}

func (k *kept) Put(_ context.Context, stream Stream, events []Event) error {
	if k.fail != nil {
		return k.fail
	}
	for _, e := range events {
		k.lines[stream.Group] = append(k.lines[stream.Group], e.Message)
	}
	return nil
}

func newQueue() (*Queue, *kept) {
	k := &kept{lines: map[string][]string{}}
	return NewQueue(k, slog.New(slog.DiscardHandler)), k
}

// Requests never wait for the log: what is too much is dropped.
func TestQueueIsBounded(t *testing.T) {
	q, k := newQueue()
	for range maxQueued + 10 {
		q.Add(Stream{Group: "g"}, Event{})
	}
	q.Add(Stream{Group: "g"}, make([]Event, 5)...)
	if n := q.dropped.Load(); n != 15 {
		t.Errorf("dropped %d", n)
	}
	q.Write(t.Context())
	if n := len(k.lines["g"]); n != maxQueued {
		t.Errorf("%d waited", n)
	}
	q.Add(Stream{Group: "g"}, Event{})
	if n := q.dropped.Load(); n != 0 {
		t.Errorf("dropped %d after there was room", n)
	}
}

// What is queued when the queue stops is written; what cannot be written is lost.
func TestLastLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, k := newQueue()
		k.fail = errors.New("not yet")
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			q.Run(ctx)
		}()
		q.Add(Stream{Group: "g"}, Event{Message: "lost"})
		time.Sleep(every)
		synctest.Wait()
		k.fail = nil
		q.Add(Stream{Group: "g"}, Event{Message: "last"})
		stop()
		<-done
		if got := k.lines["g"]; !slices.Equal(got, []string{"last"}) {
			t.Errorf("%q", got)
		}
	})
}

func TestLine(t *testing.T) {
	variables := map[string]string{"requestId": "r1", "identity.userAgent": "a\r\nb\tc", "authorizer.claims.sub": "ada", "status": "200", "long": strings.Repeat("ü", maxLine)}
	for format, want := range map[string]string{
		`$context.requestId $context.status.`: "r1 200.",
		`{"id":"$context.requestId","sub":"$context.authorizer.claims.sub","x":"$context.authorizer.x"}`: `{"id":"r1","sub":"ada","x":"-"}`,
		"$context.requestId $context.identity.userAgent\n":                                               "r1 a  b c",
		"$context. $contextx plain": "- $contextx plain",
	} {
		if got := Line(format, func(name string) (string, bool) { v, ok := variables[name]; return v, ok }); got != want {
			t.Errorf("%s: %q", format, got)
		}
	}
	if got := Line("$context.long", func(name string) (string, bool) { return variables[name], true }); len(got) > maxLine || !strings.HasSuffix(got, "ü") {
		t.Errorf("%d bytes", len(got))
	}
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging.html
func TestCheck(t *testing.T) {
	const arn = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/vendedlogs/api"
	for _, tt := range []struct{ destination, format, want string }{
		{arn, "$context.requestId", ""},
		{arn + ":*", "$context.extendedRequestId\n", ""},
		{"", "", ""},
		{"arn:aws:s3:::x", "", "Invalid ARN"},
		{strings.Replace(arn, "us-east-1", "eu-west-1", 1), "", "Invalid ARN"},
		{strings.Replace(arn, "123456789012", "999999999999", 1), "", "Invalid ARN"},
		{"arn:aws:logs:us-east-1:123456789012:log-group:", "", "Invalid ARN"},
		{arn, "$context.status", "must include one of $context.requestId"},
		{arn, "a\n$context.requestId", "single line"},
		{arn, "$context.requestId" + strings.Repeat("x", 3072), "single line"},
	} {
		if got := Check(tt.destination, tt.format, "123456789012", "us-east-1"); !strings.Contains(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%q %q: %q", tt.destination, tt.format, got)
		}
	}
}

// A call holds at most 1 MB and 10,000 events, and what waits is bounded in bytes too.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
func TestBatches(t *testing.T) {
	large := Event{Message: strings.Repeat("x", maxLine)}
	for _, tt := range []struct {
		events []Event
		want   int
	}{
		{[]Event{{}}, 1}, {make([]Event, 10000), 10000}, {make([]Event, 10001), 10000}, {[]Event{large, large, large, large}, 4}, {[]Event{large, large, large, large, {}}, 4},
		{[]Event{{Message: strings.Repeat("x", 2<<20)}, {}}, 1},
	} {
		if got := batch(tt.events); got != tt.want {
			t.Errorf("%d of %d", got, len(tt.events))
		}
	}
	q, k := newQueue()
	for range 200 {
		q.Add(Stream{Group: "g"}, large)
	}
	if n := q.dropped.Load(); n != 71 { // 129 lines of 256 KiB are more than 32 MiB
		t.Errorf("dropped %d", n)
	}
	q.Write(t.Context())
	if n := len(k.lines["g"]); n != 129 || q.bytes.Load() != 0 {
		t.Errorf("%d lines, %d bytes", n, q.bytes.Load())
	}
}

// Whatever the format and the values are, a line is one line, and not too long.
func FuzzLine(f *testing.F) {
	f.Add(`{"id":"$context.requestId","x":"$context.a.b"}`, "v")
	f.Add("$context.$context..x.", "a\nb\x7f")
	f.Fuzz(func(t *testing.T, format, value string) {
		if Check("", format, "1", "r") != "" {
			return
		}
		line := Line(format, func(name string) (string, bool) {
			if name != strings.Trim(name, ".") || strings.Contains(name, "..") {
				t.Errorf("the name %q", name)
			}
			return value, true
		})
		if len(line) > maxLine || strings.ContainsAny(line, "\r\n") {
			t.Errorf("%q", line)
		}
	})
}
