package obs

import (
	"context"
	"log/slog"
	"net/netip"
	"strconv"
	"time"
)

// A Call is what the log says of a call.
type Call struct {
	Service, Operation string
	Status             int
	Start              time.Time
	Duration           time.Duration
	Bytes              int // of the response's body
	RequestID          string
	Principal          string // its ARN
	Region             string
	Source             netip.Addr
	Error              string // the AWS error code, empty for success
}

// A callForm is how a handler writes the records of calls.
type callForm uint8

const (
	bySlog callForm = iota // with the handler's own attributes
	asText
	asJSON
)

// LogCall logs a call. Calls are nearly all that is logged, so a Log itself, one without attributes of its own, writes their
// records without what package slog does to be general.
func LogCall(ctx context.Context, log *slog.Logger, c *Call) {
	source := c.Source.String()
	if h, ok := log.Handler().(flushOnError); ok && h.calls != bySlog && h.Enabled(ctx, slog.LevelInfo) {
		asTheyAre := c.Error == "" || plain(c.Error)
		for _, s := range [...]string{c.Service, c.Operation, c.RequestID, c.Principal, c.Region, source} {
			asTheyAre = asTheyAre && plain(s)
		}
		if asTheyAre {
			h.w.mu.Lock()
			if b := h.w.buf.AvailableBuffer(); h.calls == asText {
				h.w.buf.Write(appendCallText(b, c, source))
			} else {
				h.w.buf.Write(appendCallJSON(b, c, source))
			}
			h.w.unlock()
			return
		}
	}
	attrs := [...]slog.Attr{
		slog.String("service", c.Service), slog.String("operation", c.Operation), slog.Int("status", c.Status),
		slog.Duration("duration", c.Duration), slog.Int("bytes", c.Bytes), slog.String("request_id", c.RequestID),
		slog.String("principal", c.Principal), slog.String("region", c.Region),
		slog.String("source", source), slog.String("error", c.Error),
	}
	n := len(attrs)
	if c.Error == "" {
		n--
	}
	log.LogAttrs(ctx, slog.LevelInfo, "call", attrs[:n]...)
}

// plain reports whether s stands in a record of either format as it is.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '"' || c == '=' || c == '\\' {
			return false
		}
	}
	return s != ""
}

// appendCallText appends the record that slog.TextHandler makes of a call.
func appendCallText(b []byte, c *Call, source string) []byte {
	b = append(b, "time="...)
	n := len(b) + len("2006-01-02T15:04:05.000")
	b = c.Start.Add(c.Duration).Truncate(time.Millisecond).Add(time.Millisecond/10).AppendFormat(b, time.RFC3339Nano)
	b = append(b[:n], b[n+1:]...) // the tenth kept the zeros before it
	b = append(append(b, " level=INFO msg=call service="...), c.Service...)
	b = append(append(b, " operation="...), c.Operation...)
	b = strconv.AppendInt(append(b, " status="...), int64(c.Status), 10)
	b = append(append(b, " duration="...), c.Duration.String()...)
	b = strconv.AppendInt(append(b, " bytes="...), int64(c.Bytes), 10)
	b = append(append(b, " request_id="...), c.RequestID...)
	b = append(append(b, " principal="...), c.Principal...)
	b = append(append(b, " region="...), c.Region...)
	b = append(append(b, " source="...), source...)
	if c.Error != "" {
		b = append(append(b, " error="...), c.Error...)
	}
	return append(b, '\n')
}

// appendCallJSON appends the record that slog.JSONHandler makes of a call.
func appendCallJSON(b []byte, c *Call, source string) []byte {
	b = c.Start.Add(c.Duration).AppendFormat(append(b, `{"time":"`...), time.RFC3339Nano)
	b = append(append(b, `","level":"INFO","msg":"call","service":"`...), c.Service...)
	b = append(append(b, `","operation":"`...), c.Operation...)
	b = strconv.AppendInt(append(b, `","status":`...), int64(c.Status), 10)
	b = strconv.AppendInt(append(b, `,"duration":`...), int64(c.Duration), 10)
	b = strconv.AppendInt(append(b, `,"bytes":`...), int64(c.Bytes), 10)
	b = append(append(b, `,"request_id":"`...), c.RequestID...)
	b = append(append(b, `","principal":"`...), c.Principal...)
	b = append(append(b, `","region":"`...), c.Region...)
	b = append(append(b, `","source":"`...), source...)
	if c.Error != "" {
		b = append(append(b, `","error":"`...), c.Error...)
	}
	return append(b, "\"}\n"...)
}
