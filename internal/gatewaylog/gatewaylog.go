// Package gatewaylog takes the log lines of API Gateway to CloudWatch Logs: those of access logs, in the format that a stage
// wants, and of execution logs.
//
// It promises that requests never wait for their lines to be written, that what waits is bounded, and that no value in a line
// begins a line of its own.
package gatewaylog

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
)

// Logs keeps log events in CloudWatch Logs.
type Logs interface {
	// Put writes events of a stream. It makes the stream, and the group where the role may, if they do not exist.
	Put(ctx context.Context, stream Stream, events []Event) error
}

// A Stream names a stream and who writes to it.
type Stream struct {
	Account, Region, Group, Stream string
	// RoleARN is the role that the account has set for API Gateway; empty for the service that delivers the logs of HTTP APIs.
	RoleARN string
}

// An Event is one line.
type Event struct {
	Time    time.Time
	Message string
}

const (
	// maxQueued and maxBytes bound the events that wait to be written. What comes on top is dropped, counted and said.
	maxQueued = 20000
	maxBytes  = 32 << 20
	// every is how often what waits is written.
	every = 250 * time.Millisecond
	// maxLine bounds a line of an access log, in bytes: what CloudWatch Logs takes as one event.
	maxLine = 256<<10 - eventBytes
	// maxBatch bounds the events of one call, in bytes, each with eventBytes on top.
	// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
	maxBatch   = 1 << 20
	eventBytes = 26
	// maxBatchEvents bounds the events of one call.
	maxBatchEvents = 10000
)

// entries are the lines of one request for one stream.
type entries struct {
	stream Stream
	events []Event
}

// A Queue holds what requests have to say until it is written. Create it with NewQueue; Run must run beside it.
type Queue struct {
	logs    Logs
	log     *slog.Logger
	entries chan entries
	events  atomic.Int64
	bytes   atomic.Int64
	dropped atomic.Int64
	name    string
}

// NewQueue returns a Queue. What cannot be written is said in log.
func NewQueue(logs Logs, log *slog.Logger) *Queue {
	var b [16]byte
	rand.Read(b[:])
	return &Queue{logs: logs, log: log, entries: make(chan entries, maxQueued), name: hex.EncodeToString(b[:])}
}

// Add hands over lines for a stream, or drops them if too many wait. A stream without a name is that of this process.
func (q *Queue) Add(stream Stream, events ...Event) {
	n := int64(len(events))
	if n == 0 {
		return
	}
	if stream.Stream == "" {
		stream.Stream = q.name
	}
	if q.events.Add(n) > maxQueued || q.bytes.Load() > maxBytes {
		q.events.Add(-n)
		q.dropped.Add(n)
		return
	}
	q.bytes.Add(sizeOf(events))
	q.entries <- entries{stream, events} // no more entries than events, so there is room
}

// drain takes everything that waits, by stream.
func (q *Queue) drain() map[Stream][]Event {
	out := map[Stream][]Event{}
	for {
		select {
		case e := <-q.entries:
			q.events.Add(-int64(len(e.events)))
			q.bytes.Add(-sizeOf(e.events))
			out[e.stream] = append(out[e.stream], e.events...)
		default:
			return out
		}
	}
}

// Write writes what waits. A stream that cannot be written loses its events, which is said.
func (q *Queue) Write(ctx context.Context) {
	for stream, events := range q.drain() {
		for len(events) > 0 {
			n := batch(events)
			if err := q.logs.Put(ctx, stream, events[:n]); err != nil {
				q.log.WarnContext(ctx, "API Gateway could not write its log", slog.String("group", stream.Group), slog.Int("lost", n), slog.String("error", err.Error()))
			}
			events = events[n:]
		}
	}
	if n := q.dropped.Swap(0); n > 0 {
		q.log.WarnContext(ctx, "API Gateway dropped log events: more came than could be written", slog.Int64("dropped", n))
	}
}

func sizeOf(events []Event) (n int64) {
	for i := range events {
		n += int64(len(events[i].Message)) + eventBytes
	}
	return n
}

// batch is how many events, one at least, go into one call.
func batch(events []Event) int {
	size := 0
	for n := range min(len(events), maxBatchEvents) {
		if size += len(events[n].Message) + eventBytes; size > maxBatch && n > 0 {
			return n
		}
	}
	return min(len(events), maxBatchEvents)
}

// Run writes until ctx ends, and then what is left.
func (q *Queue) Run(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			q.Write(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			q.Write(last)
			return
		}
	}
}

// Line fills the variables of a format in, "$context.name", which variable knows without "context.". One that has no value is "-".
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html
func Line(format string, variable func(name string) (string, bool)) string {
	var b strings.Builder
	format = strings.TrimRight(format, "\n")
	for {
		before, rest, ok := strings.Cut(format, "$context.")
		b.WriteString(before)
		if !ok {
			break
		}
		n := 0
		for n < len(rest) && (rest[n] == '.' && n+1 < len(rest) && isWord(rest[n+1]) || isWord(rest[n])) {
			n++
		}
		v, ok := variable(rest[:n])
		if !ok || v == "" {
			v = "-"
		}
		b.WriteString(strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return ' '
			}
			return r
		}, v))
		format = rest[n:]
	}
	line := b.String()
	if len(line) > maxLine {
		line = strings.ToValidUTF8(line[:maxLine], "")
	}
	return line
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

// GroupOf is the group of an account in a region that the ARN of a destination names.
func GroupOf(arn, account, region string) (string, bool) {
	group, ok := strings.CutPrefix(arn, "arn:aws:logs:"+region+":"+account+":log-group:")
	group = strings.TrimSuffix(group, ":*")
	return group, ok && group != "" && !strings.ContainsAny(group, ":*")
}

// Check says what is wrong with the settings of an access log, in API Gateway's words; nothing if they are fine. Either may be
// empty.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
func Check(destination, format, account, region string) string {
	if destination != "" {
		if _, ok := GroupOf(destination, account, region); !ok {
			return "Invalid ARN specified in the request. ARNs must start with 'arn:' and name a log group of CloudWatch Logs of this account and region: " + clip(destination)
		}
	}
	line := strings.TrimRight(format, "\n")
	if format != "" && (!strings.Contains(line, "$context.requestId") && !strings.Contains(line, "$context.extendedRequestId") || len(line) > 3072 || strings.ContainsAny(line, "\r\n")) {
		return "Access Log format must be single line, new line character is allowed only at end of the format and must include one of $context.requestId or $context.extendedRequestId"
	}
	return ""
}

func clip(s string) string {
	const most = 256
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
