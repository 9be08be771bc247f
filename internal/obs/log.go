// Package obs makes what Brume tells its operator: structured log records and metrics. A log record is written soon, not
// at once: records are buffered for at most FlushInterval, so that logging a call costs no system call. Records of level
// Error and above, and everything at shutdown, are written through.
package obs

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"
)

// FlushInterval is how long a log record may wait in the buffer.
const FlushInterval = 100 * time.Millisecond

// maxBuffer is how many bytes of records may wait before the writer that adds more writes them itself.
const maxBuffer = 64 << 10

// A Log is a logger with its buffer. Close writes what is left.
type Log struct {
	*slog.Logger
	w *bufferedWriter
}

// NewLog returns a logger that writes to w in format "text" or "json".
func NewLog(w io.Writer, format string, level slog.Leveler) (*Log, error) {
	bw := &bufferedWriter{w: w}
	opts := &slog.HandlerOptions{Level: level}
	h := flushOnError{w: bw}
	switch format {
	case "text":
		h.Handler, h.calls = slog.NewTextHandler(bw, opts), asText
	case "json":
		h.Handler, h.calls = slog.NewJSONHandler(bw, opts), asJSON
	default:
		return nil, fmt.Errorf("unknown log format %q: want text or json", format)
	}
	return &Log{Logger: slog.New(h), w: bw}, nil
}

// Close writes the waiting records. Records logged later are written at once.
func (l *Log) Close() error { return l.w.close() }

// flushOnError writes errors through.
type flushOnError struct {
	slog.Handler
	w     *bufferedWriter
	calls callForm
}

func (h flushOnError) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelError {
		h.w.flush()
	}
	return err
}

func (h flushOnError) WithAttrs(attrs []slog.Attr) slog.Handler {
	return flushOnError{Handler: h.Handler.WithAttrs(attrs), w: h.w}
}

func (h flushOnError) WithGroup(name string) slog.Handler {
	return flushOnError{Handler: h.Handler.WithGroup(name), w: h.w}
}

// bufferedWriter collects writes. The first write into an empty buffer arms a timer, so an idle logger costs nothing.
// buf takes records while out is being written, so that a slow terminal holds up the flusher and not the callers.
type bufferedWriter struct {
	mu     sync.Mutex
	buf    bytes.Buffer
	armed  bool
	closed bool

	writing sync.Mutex
	w       io.Writer
	out     bytes.Buffer
	err     error
}

func (b *bufferedWriter) Write(p []byte) (int, error) {
	b.mu.Lock()
	b.buf.Write(p)
	b.unlock()
	return len(p), nil
}

// unlock unlocks mu after something was added to buf, and sees to it that it is written.
func (b *bufferedWriter) unlock() {
	full := b.closed || b.buf.Len() > maxBuffer
	if !full && !b.armed {
		b.armed = true
		time.AfterFunc(FlushInterval, b.flush)
	}
	b.mu.Unlock()
	if full {
		b.flush()
	}
}

func (b *bufferedWriter) flush() {
	b.writing.Lock()
	defer b.writing.Unlock()
	b.mu.Lock()
	b.armed = false
	b.buf, b.out = b.out, b.buf
	b.mu.Unlock()
	if b.out.Len() > 0 {
		// There is nowhere left to report a log that cannot be written, but Close.
		if _, err := b.w.Write(b.out.Bytes()); err != nil && b.err == nil {
			b.err = err
		}
		b.out.Reset()
	}
}

func (b *bufferedWriter) close() error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.flush()
	b.writing.Lock()
	defer b.writing.Unlock()
	return b.err
}
