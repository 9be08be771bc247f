package environment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Logs stores what functions write.
type Logs interface {
	// PutLogEvents appends events, whose timestamps never decrease, to a log stream, which it makes if need be, and the
	// group too. It acts with the permissions of the function's role, and fails with ErrLogsDenied if they do not suffice.
	// It must not keep events.
	PutLogEvents(ctx context.Context, stream *LogStream, events []LogEvent) error
}

// ErrLogsDenied says that a function's role does not allow its log to be written. The function runs all the same.
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html
var ErrLogsDenied = errors.New("environment: the role may not write the log")

// A LogStream names a log stream, and the function in whose name it is written.
type LogStream struct {
	Account, Region string
	Role            string // the ARN of the execution role
	FunctionName    string // which is the name of the role session too
	Group, Stream   string
}

// A LogEvent is an event of a log stream.
type LogEvent struct {
	Timestamp int64 // milliseconds since 1970
	Message   string
}

// Bounds of the logs that wait to be stored.
const (
	// One call takes at most so many events and bytes, where each event counts for 26 bytes more than its message.
	// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
	maxBatchEvents = 10_000
	maxBatchBytes  = 1 << 20
	eventOverhead  = 26
	// What one environment, and what all of them together may have waiting. What is over that is dropped, counted, and
	// said in the log stream.
	maxStreamBytes = 4 << 20
	maxTotalBytes  = 64 << 20
	// systemBytes is what the platform's own lines may have waiting beyond that in a stream: a log full of the function's
	// own lines still says when an invocation began and ended.
	systemBytes = 256 << 10

	// batchDelay is how long the first event of a batch waits for more.
	batchDelay = 100 * time.Millisecond
	putTimeout = 10 * time.Second
	// putTries is how often a batch is tried before it is dropped, with a pause that doubles from retryDelay.
	putTries   = 4
	retryDelay = 250 * time.Millisecond
	// maxPuts is how many batches are stored at one time.
	maxPuts = 8
)

// A shipper stores the logs of all environments, off the path of invocations.
type shipper struct {
	logs    Logs
	log     *slog.Logger
	waiting atomic.Int64 // bytes
	turns   chan struct{}
	wg      sync.WaitGroup
	stop    chan struct{} // closed when nothing may wait any more
	stopped sync.Once
	now     func() time.Time
}

func newShipper(logs Logs, log *slog.Logger) *shipper {
	return &shipper{logs: logs, log: log, turns: make(chan struct{}, maxPuts), stop: make(chan struct{}), now: time.Now}
}

// close stores what waits, and returns when that has been tried.
func (s *shipper) close() {
	s.stopped.Do(func() { close(s.stop) })
	s.wg.Wait()
}

// A logWriter collects the log of one environment.
type logWriter struct {
	shipper *shipper
	stream  LogStream
	// phase is the one that an init phase belongs to: "init", or "invoke" if that is the second try.
	phase string

	mu       sync.Mutex
	pending  []LogEvent
	bytes    int // of pending
	shipping bool
	// dropped are the events that found no room since the last one that did, and droppedBytes how long they were.
	dropped, droppedBytes int
	last                  int64 // the latest timestamp
	tail                  *tail // of the invocation under way, if its caller wants it
}

func (s *shipper) writer(stream LogStream) *logWriter {
	return &logWriter{shipper: s, stream: stream, phase: "init"}
}

// write appends an event that the function wrote. It never waits.
func (w *logWriter) write(message string) { w.add(message, 0) }

// writeSystem appends an event of the platform.
func (w *logWriter) writeSystem(message string) { w.add(message, systemBytes) }

func (w *logWriter) add(message string, extra int) {
	now := w.shipper.now().UnixMilli()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tail != nil {
		w.tail.write(message)
	}
	w.last = max(w.last, now)
	size := len(message) + eventOverhead
	if w.reserve(size, extra) {
		w.sayDropped()
		w.append(LogEvent{w.last, message}, size)
	} else {
		w.dropped++
		w.droppedBytes += len(message)
	}
	if !w.shipping {
		w.shipping = true
		w.shipper.wg.Go(w.ship)
	}
}

// reserve makes room for size bytes, if there is some within the limits and extra bytes. w.mu is held.
func (w *logWriter) reserve(size, extra int) bool {
	if w.bytes+size > maxStreamBytes+extra {
		return false
	}
	if w.shipper.waiting.Add(int64(size)) > int64(maxTotalBytes+extra) {
		w.shipper.waiting.Add(-int64(size))
		return false
	}
	return true
}

func (w *logWriter) append(e LogEvent, size int) {
	w.pending = append(w.pending, e)
	w.bytes += size
}

// sayDropped puts into the stream that something is missing there. w.mu is held.
func (w *logWriter) sayDropped() {
	if w.dropped == 0 {
		return
	}
	message := fmt.Sprintf("[brume] %d log events (%d bytes) were dropped here: they came faster than they could be stored.\n",
		w.dropped, w.droppedBytes)
	w.dropped, w.droppedBytes = 0, 0
	size := len(message) + eventOverhead
	w.shipper.waiting.Add(int64(size))
	w.append(LogEvent{w.last, message}, size)
}

// startTail begins to keep the end of the log for an invocation, unless that has begun with the init phase.
func (w *logWriter) startTail() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tail == nil {
		w.tail = &tail{}
	}
}

// endTail returns it.
func (w *logWriter) endTail() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tail == nil {
		return nil
	}
	t := w.tail.bytes()
	w.tail = nil
	return t
}

// ship stores batches until nothing waits.
func (w *logWriter) ship() {
	s := w.shipper
	for {
		select {
		case <-time.After(batchDelay):
		case <-s.stop:
		}
		for {
			batch, bytes := w.next()
			if len(batch) == 0 {
				break
			}
			s.turns <- struct{}{}
			s.put(w, batch)
			<-s.turns
			s.waiting.Add(-int64(bytes))
		}
		w.mu.Lock()
		if len(w.pending) == 0 && w.dropped == 0 {
			w.shipping = false
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
	}
}

// next takes the next batch.
func (w *logWriter) next() (batch []LogEvent, bytes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pending) == 0 {
		w.sayDropped()
	}
	n := 0
	for n < len(w.pending) && n < maxBatchEvents {
		size := len(w.pending[n].Message) + eventOverhead
		if bytes+size > maxBatchBytes {
			break
		}
		bytes += size
		n++
	}
	batch = w.pending[:n:n]
	if w.pending = w.pending[n:]; len(w.pending) == 0 {
		w.pending = nil // what is stored must not stay in memory
	}
	w.bytes -= bytes
	return batch, bytes
}

// put stores a batch, or drops it: a log that cannot be written must not fill the memory.
func (s *shipper) put(w *logWriter, batch []LogEvent) {
	delay := retryDelay
	for try := 1; ; try++ {
		ctx, cancel := context.WithTimeout(context.Background(), putTimeout)
		err := s.logs.PutLogEvents(ctx, &w.stream, batch)
		cancel()
		if err == nil || errors.Is(err, ErrLogsDenied) {
			return
		}
		if try == putTries || s.stopping() {
			s.log.Error("the log of a function could not be stored",
				"group", w.stream.Group, "stream", w.stream.Stream, "events", len(batch), "error", err)
			return
		}
		select {
		case <-time.After(delay):
			delay *= 2
		case <-s.stop:
		}
	}
}

func (s *shipper) stopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// tailSize is how much of its log an invocation may return, in bytes.
// https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#lambda-Invoke-response-LogResult
const tailSize = 4 << 10

// A tail keeps the last tailSize bytes that were written to it.
type tail struct {
	ring [tailSize]byte
	n    int // bytes written in all
}

func (t *tail) write(s string) {
	t.n += max(len(s)-tailSize, 0)
	s = s[max(len(s)-tailSize, 0):]
	at := t.n % tailSize
	copied := copy(t.ring[at:], s)
	copy(t.ring[:], s[copied:])
	t.n += len(s)
}

func (t *tail) bytes() []byte {
	if t.n <= tailSize {
		return t.ring[:t.n:t.n]
	}
	at := t.n % tailSize
	return append(append(make([]byte, 0, tailSize), t.ring[at:]...), t.ring[:at]...)
}
