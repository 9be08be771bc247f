package apigateway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	api "brume/internal/api/apigateway"
	"brume/internal/kv"
	"brume/internal/vtl"
)

// Logs keeps log events in CloudWatch Logs.
type Logs interface {
	// Put writes events of a stream, in the order of their times, as the role that the account has set for API Gateway. It
	// makes the stream, and the group of execution logs, where they do not exist.
	Put(ctx context.Context, stream LogStream, events []LogEvent) error
}

// A LogStream names a stream and who writes to it.
type LogStream struct{ Account, Region, Group, Stream, RoleARN string }

// A LogEvent is one line.
type LogEvent struct {
	Time    time.Time
	Message string
}

const (
	// maxQueued bounds the events that wait to be written. What comes on top is dropped, counted and said.
	maxQueued = 20000
	// logEvery is how often what waits is written.
	logEvery = 250 * time.Millisecond
	// maxLogBatch is how many events go into one call, which must stay below 1 MB of them.
	maxLogBatch = 500
	// maxLogLine bounds one line, in bytes.
	maxLogLine = 1024
)

// logEntries are the lines of one request for one stream.
type logEntries struct {
	stream LogStream
	events []LogEvent
}

// A logQueue holds what requests have to say until it is written. Requests never wait for it.
type logQueue struct {
	entries chan logEntries
	events  atomic.Int64
	dropped atomic.Int64
	stream  string // of this process
}

func newLogQueue() *logQueue {
	var b [16]byte
	rand.Read(b[:])
	return &logQueue{entries: make(chan logEntries, maxQueued), stream: hex.EncodeToString(b[:])}
}

func (q *logQueue) add(e logEntries) {
	n := int64(len(e.events))
	if n == 0 {
		return
	}
	if q.events.Add(n) > maxQueued {
		q.events.Add(-n)
		q.dropped.Add(n)
		return
	}
	q.entries <- e // no more entries than events, so there is room
}

// drain takes everything that waits, by stream.
func (q *logQueue) drain() map[LogStream][]LogEvent {
	out := map[LogStream][]LogEvent{}
	for {
		select {
		case e := <-q.entries:
			q.events.Add(-int64(len(e.events)))
			out[e.stream] = append(out[e.stream], e.events...)
		default:
			return out
		}
	}
}

// writeLogs writes what waits. A stream that cannot be written loses its events, which is said.
func (s *Service) writeLogs(ctx context.Context) {
	for stream, events := range s.logQueue.drain() {
		for len(events) > 0 {
			n := min(len(events), maxLogBatch)
			if err := s.logs.Put(ctx, stream, events[:n]); err != nil {
				s.log.WarnContext(ctx, "API Gateway could not write its log", slog.String("group", stream.Group), slog.Int("lost", n), slog.String("error", err.Error()))
			}
			events = events[n:]
		}
	}
	if n := s.logQueue.dropped.Swap(0); n > 0 {
		s.log.WarnContext(ctx, "API Gateway dropped log events: more came than could be written", slog.Int64("dropped", n))
	}
}

// runLogs writes logs until ctx ends, and then what is left.
func (s *Service) runLogs(ctx context.Context) {
	tick := time.NewTicker(logEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.writeLogs(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			s.writeLogs(last)
			return
		}
	}
}

// A stageLog says what a stage logs.
type stageLog struct {
	roleARN string
	group   string // of the access log; empty for none
	format  string
}

// executionGroup is the log group of a stage's execution log.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
func (s *stage) executionGroup() string {
	return "API-Gateway-Execution-Logs_" + s.apiID + "/" + s.name
}

// beginLog starts the execution log of a request whose method is to be logged.
func (s *Service) beginLog(x *exchange) {
	if x.method == nil || x.method.logLevel == "" || x.stage.logging.roleARN == "" || x.log != nil {
		return
	}
	x.log = newExecutionLog(x.requestID)
	x.log.quiet = !x.method.dataTrace
	x.log.printf("Starting execution for request: %s", x.requestID)
	x.log.printf("HTTP Method: %s, Resource Path: %s", x.httpMethod, x.method.resource.path)
	x.log.trace("Method request path: %s", logFields(x.params))
	x.log.trace("Method request query string: %s", logFields(x.req.Query))
	x.log.trace("Method request headers: %s", logFields(x.req.Header))
	x.log.trace("Method request body before transformations: %s", clip(string(x.req.Body)))
}

// endLog hands the logs of a request over: its execution log, if it is kept at the level of its method, and its line in the
// access log.
func (s *Service) endLog(x *exchange, r *Response, begin time.Time, refusal *gatewayResponse) {
	if x.stage == nil || x.caller != nil || s.logs == nil || x.stage.logging.roleARN == "" {
		return
	}
	stream := LogStream{Account: x.stage.account, Region: x.stage.region, Stream: s.logQueue.stream, RoleARN: x.stage.logging.roleARN}
	if x.log != nil && (x.method.logLevel == "INFO" || r.Status >= 400) {
		x.log.printf("Method completed with status: %d", r.Status)
		stream.Group = x.stage.executionGroup()
		s.logQueue.add(logEntries{stream, x.log.events("(" + x.requestID + ") ")})
	}
	if x.stage.logging.group == "" {
		return
	}
	vars := x.contextMap()
	vars.Set("status", strconv.Itoa(r.Status))
	vars.Set("responseLength", strconv.Itoa(len(r.Body)))
	vars.Set("responseLatency", strconv.FormatInt(time.Since(begin).Milliseconds(), 10))
	if x.integrated {
		vars.Set("integrationLatency", strconv.FormatInt(x.integrationLatency.Milliseconds(), 10))
		vars.Set("integrationStatus", strconv.Itoa(x.integrationStatus))
	}
	if refusal != nil {
		vars.Set("error", lenientMap([]Field{{"message", refusal.message}, {"messageString", refusal.messageJSON()}, {"responseType", refusal.kind}, {"validationErrorString", x.validationErrors}}))
	}
	stream.Group = x.stage.logging.group
	s.logQueue.add(logEntries{stream, []LogEvent{{time.Now(), accessLine(x.stage.logging.format, vars)}}})
}

// accessLine fills the variables of a format in. One that has no value is "-".
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html
func accessLine(format string, vars *vtl.Map) string {
	var b strings.Builder
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
		v, ok := contextText(vars, rest[:n])
		if !ok || v == "" {
			v = "-"
		}
		b.WriteString(strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f {
				return ' ' // a value cannot begin a line of its own
			}
			return r
		}, v))
		format = rest[n:]
	}
	if line := b.String(); len(line) <= 4*maxLogLine {
		return line
	}
	return b.String()[:4*maxLogLine]
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

// logGroupOf is the group that the ARN of a destination names.
func logGroupOf(arn string) (string, bool) {
	part := strings.SplitN(arn, ":", 7)
	if len(part) != 7 || part[0] != "arn" || part[2] != "logs" || part[5] != "log-group" {
		return "", false
	}
	group := strings.TrimSuffix(part[6], ":*")
	return group, group != "" && !strings.Contains(group, ":")
}

// checkLogging checks that what a stage logs can be logged.
func checkLogging(r kv.Reader, sc scope, st *api.Stage) error {
	logs := false
	if l := st.AccessLogSettings; l != nil && (value(l.DestinationArn) != "" || value(l.Format) != "") {
		logs = true
		if arn := value(l.DestinationArn); arn != "" {
			if _, ok := logGroupOf(arn); !ok {
				return invalid("Invalid ARN specified in the request. ARNs must start with 'arn:' and name a log group of CloudWatch Logs: %s", clip(arn))
			}
		}
		if f := value(l.Format); f != "" && (!strings.Contains(f, "$context.requestId") && !strings.Contains(f, "$context.extendedRequestId") || len(f) > 3072 || strings.ContainsAny(f, "\r\n")) {
			return invalid("Access Log format must be single line, new line character is allowed only at end of the format and must include one of $context.requestId or $context.extendedRequestId")
		}
	}
	for _, m := range st.MethodSettings {
		logs = logs || value(m.LoggingLevel) != "" && *m.LoggingLevel != "OFF"
	}
	if !logs {
		return nil
	}
	row, err := get[accountRow](r, accountKey(sc))
	if err != nil {
		return err
	}
	if row == nil || value(row.CloudwatchRoleArn) == "" {
		return invalid("CloudWatch Logs role ARN must be set in account settings to enable logging")
	}
	return nil
}
