package eventsource

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"brume/internal/eventpattern"
)

// fakeQueue gives out messages, and takes them back after a minute.
type fakeQueue struct {
	mu       sync.Mutex
	messages []Message
	hidden   map[string]time.Time
	deleted  []string
	err      error
	receives int
}

func (q *fakeQueue) Check(context.Context, Reader) error { return nil }

func (q *fakeQueue) Receive(ctx context.Context, _ Reader, limit int, wait time.Duration) ([]Message, error) {
	for end := time.Now().Add(wait); ; {
		q.mu.Lock()
		q.receives++
		err := q.err
		var out []Message
		for _, m := range q.messages {
			if len(out) < limit && !slices.Contains(q.deleted, m.ID) && !time.Now().Before(q.hidden[m.ID]) {
				q.hidden[m.ID] = time.Now().Add(time.Minute)
				out = append(out, m)
			}
		}
		q.mu.Unlock()
		if err != nil || len(out) > 0 || !time.Now().Before(end) {
			return out, err
		}
		if !sleep(ctx, min(time.Until(end), time.Second)) {
			return nil, ctx.Err()
		}
	}
}

func (q *fakeQueue) Delete(_ context.Context, _ Reader, messages []Message) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range messages {
		q.deleted = append(q.deleted, m.ID)
	}
	return nil
}

func (q *fakeQueue) put(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for range n {
		id := fmt.Sprint(len(q.messages) + 1)
		q.messages = append(q.messages, Message{ID: id, Event: []byte(`{"n":"` + id + `","k":"` + strings.Repeat("x", len(q.messages)%2) + `"}`)})
	}
}

// https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
func TestQueues(t *testing.T) {
	run := func(m *Mapping, answer func(string) (*Outcome, error), during func(q *fakeQueue, h *fakeHost)) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			q := &fakeQueue{hidden: map[string]time.Time{}}
			h := &fakeHost{began: time.Now(), answer: answer}
			m.Parallel = max(m.Parallel, 1)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			q.put(3)
			go func() {
				defer close(done)
				RunQueue(ctx, m, q, h)
			}()
			synctest.Wait()
			during(q, h)
			cancel()
			<-done
		})
	}
	run(&Mapping{BatchSize: 2}, nil, func(q *fakeQueue, h *fakeHost) {
		pass(time.Second)
		h.expect(t, "1 2", "3")
		if fmt.Sprint(q.deleted) != "[1 2 3]" || h.result != ResultOK {
			t.Errorf("%v, %s", q.deleted, h.result)
		}
	})
	run(&Mapping{BatchSize: 10, Window: 5 * time.Second}, nil, func(q *fakeQueue, h *fakeHost) {
		pass(2 * time.Second)
		q.put(1)
		h.expect(t)
		pass(4 * time.Second)
		h.expect(t, "1 2 3 4")
	})
	// A batch that fails comes back when the queue says so.
	run(&Mapping{BatchSize: 10}, failing("2"), func(q *fakeQueue, h *fakeHost) {
		pass(150 * time.Second)
		h.expect(t, "1 2 3", "1 2 3", "1 2 3")
		if len(q.deleted) != 0 || h.result != ResultFailed {
			t.Errorf("%v, %s", q.deleted, h.result)
		}
	})
	for report, want := range map[string]string{
		`{"batchItemFailures":[{"itemIdentifier":"2"}]}`:                           "[1 3]",
		`{"batchItemFailures":[]}`:                                                 "[1 2 3]",
		`{"batchItemFailures":[{"itemIdentifier":"2"},{"itemIdentifier":"none"}]}`: "[]",
		`{"batchItemFailures":[{"itemIdentifier":""}]}`:                            "[]",
		`"text"`: "[]",
		`null`:   "[1 2 3]",
	} {
		run(&Mapping{BatchSize: 10, Report: true}, func(string) (*Outcome, error) { return &Outcome{Response: []byte(report)}, nil }, func(q *fakeQueue, h *fakeHost) {
			pass(time.Second)
			if fmt.Sprint(q.deleted) != want {
				t.Errorf("%s: deleted are %v, want %s", report, q.deleted, want)
			}
		})
	}
	filter, err := eventpattern.Parse([]byte(`{"k":["x"]}`))
	if err != nil {
		t.Fatal(err)
	}
	run(&Mapping{BatchSize: 10, Filters: []*eventpattern.Pattern{filter}}, nil, func(q *fakeQueue, h *fakeHost) {
		pass(time.Second)
		h.expect(t, "2")
		if fmt.Sprint(q.deleted) != "[1 3 2]" {
			t.Errorf("%v", q.deleted)
		}
	})
	// What cannot be called, or read, is no hot loop.
	run(&Mapping{BatchSize: 10}, func(string) (*Outcome, error) { return nil, errors.New("throttled") }, func(q *fakeQueue, h *fakeHost) {
		pass(10 * time.Minute)
		if n := len(h.calls); n < 5 || n > 11 {
			t.Errorf("%d calls", n)
		}
		q.mu.Lock()
		q.err, q.receives = errors.New("denied"), 0
		q.mu.Unlock()
		pass(10 * time.Minute)
		if q.receives > 40 {
			t.Errorf("a queue that cannot be read was asked %d times", q.receives)
		}
	})
}
