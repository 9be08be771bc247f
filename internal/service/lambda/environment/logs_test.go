package environment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memoryLogs keeps the streams that functions write.
type memoryLogs struct {
	mu      sync.Mutex
	streams map[string][]LogEvent
	batches int
	fail    func(batch int) error
}

func (m *memoryLogs) PutLogEvents(_ context.Context, s *LogStream, events []LogEvent) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.batches++
	if m.fail != nil {
		if err := m.fail(m.batches); err != nil {
			return err
		}
	}
	if m.streams == nil {
		m.streams = make(map[string][]LogEvent)
	}
	key := s.Group + " " + s.Stream
	m.streams[key] = append(m.streams[key], events...)
	return nil
}

// count returns how many batches came.
func (m *memoryLogs) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.batches
}

// from begins to count anew, and lets batches fail.
func (m *memoryLogs) from(fail func(batch int) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.batches, m.fail = 0, fail
}

// idle says whether nothing of w waits to be stored.
func (w *logWriter) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.shipping && w.bytes == 0
}

// text returns everything that was written to a group, stream after stream.
func (m *memoryLogs) text(group string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var keys []string
	for k := range m.streams {
		if strings.HasPrefix(k, group+" ") {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	var b strings.Builder
	for _, k := range keys {
		for _, e := range m.streams[k] {
			b.WriteString(e.Message)
		}
	}
	return b.String()
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func TestShipperBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logs := &memoryLogs{}
		s := newShipper(logs, discard())
		w := s.writer(LogStream{Group: "g", Stream: "s"})
		for i := range 10 {
			w.write(fmt.Sprintf("%d\n", i))
		}
		synctest.Wait()
		if logs.count() != 0 {
			t.Error("stored at once")
		}
		time.Sleep(batchDelay + time.Millisecond)
		synctest.Wait()
		if got := logs.text("g"); got != "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n" || logs.count() != 1 {
			t.Errorf("%q in %d batches", got, logs.count())
		}
		if !w.idle() || s.waiting.Load() != 0 {
			t.Errorf("%d bytes wait", s.waiting.Load())
		}
		w.write("late\n")
		s.close() // does not wait for the delay
		if got := logs.text("g"); !strings.HasSuffix(got, "late\n") {
			t.Errorf("%q", got)
		}
	})
}

func TestShipperHoldsToTheLimitsOfABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sizes := []int{}
		logs := &memoryLogs{}
		s := newShipper(logs, discard())
		w := s.writer(LogStream{Group: "g"})
		big := strings.Repeat("x", maxLine)
		for range 5 { // four of them, with their overhead, are exactly a batch
			w.write(big)
		}
		for range maxBatchEvents + 1 {
			w.write("")
		}
		for {
			batch, bytes := w.next()
			if len(batch) == 0 {
				break
			}
			if len(batch) > maxBatchEvents || bytes > maxBatchBytes {
				t.Errorf("a batch of %d events, %d bytes", len(batch), bytes)
			}
			sizes = append(sizes, len(batch))
		}
		if !slices.Equal(sizes, []int{4, maxBatchEvents, 2}) {
			t.Errorf("batches of %v", sizes)
		}
		s.close()
	})
}

func TestShipperDropsCountsAndSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logs := &memoryLogs{}
		s := newShipper(logs, discard())
		w := s.writer(LogStream{Group: "g"})
		line := strings.Repeat("x", 1<<20-eventOverhead)
		for range 4 {
			w.write(line)
		}
		w.write("lost\n")
		w.write("lost too\n")
		time.Sleep(batchDelay * 3)
		synctest.Wait()
		w.write("after\n")
		s.close()
		got := strings.ReplaceAll(logs.text("g"), line, "L")
		if got != "LLLL[brume] 2 log events (14 bytes) were dropped here: they came faster than they could be stored.\nafter\n" {
			t.Errorf("%q", got)
		}
		if s.waiting.Load() != 0 {
			t.Errorf("%d bytes wait", s.waiting.Load())
		}
	})
}

func TestShipperBoundsAllStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShipper(&memoryLogs{}, discard())
		line := strings.Repeat("x", 1<<20-eventOverhead)
		dropped := 0
		for i := range 17 {
			w := s.writer(LogStream{Group: "g", Stream: fmt.Sprint(i)})
			for range 4 {
				w.write(line)
			}
			dropped += w.dropped
		}
		if s.waiting.Load() != maxTotalBytes || dropped != 4 {
			t.Errorf("%d bytes wait, %d events were dropped", s.waiting.Load(), dropped)
		}
		s.close()
		if s.waiting.Load() != 0 {
			t.Errorf("%d bytes wait after the end", s.waiting.Load())
		}
	})
}

func TestShipperTriesAgainAndGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logs := &memoryLogs{fail: func(n int) error {
			if n < 3 {
				return errors.New("the disk is slow")
			}
			return nil
		}}
		s := newShipper(logs, discard())
		w := s.writer(LogStream{Group: "g"})
		w.write("kept\n")
		time.Sleep(5 * time.Second)
		if got := logs.text("g"); got != "kept\n" || logs.count() != 3 {
			t.Errorf("%q after %d tries", got, logs.count())
		}
		logs.from(func(int) error { return errors.New("no") })
		w.write("gone\n")
		time.Sleep(time.Minute)
		if logs.count() != putTries {
			t.Errorf("%d tries", logs.count())
		}
		logs.from(func(int) error { return fmt.Errorf("put: %w", ErrLogsDenied) })
		w.write("denied\n")
		time.Sleep(time.Minute)
		if logs.count() != 1 {
			t.Errorf("what is denied was tried %d times", logs.count())
		}
		if !w.idle() || s.waiting.Load() != 0 {
			t.Error("something still waits")
		}
		s.close()
	})
}

func TestTimestampsNeverDecrease(t *testing.T) {
	now := time.UnixMilli(1000)
	s := newShipper(&memoryLogs{}, discard())
	s.now = func() time.Time { return now }
	defer s.close()
	w := s.writer(LogStream{})
	w.write("a")
	now = now.Add(-time.Second)
	w.write("b")
	if w.pending[1].Timestamp < w.pending[0].Timestamp {
		t.Errorf("%v", w.pending)
	}
}

func TestTail(t *testing.T) {
	for _, writes := range [][]int{{}, {10}, {tailSize}, {tailSize + 1}, {tailSize - 1, 1}, {4000, 97}, {4000, 96}, {1, 3*tailSize + 5, 7}, {5000, 5000}, {100, 4096, 1}} {
		var all strings.Builder
		tl := &tail{}
		for i, n := range writes {
			s := strings.Repeat(string(rune('a'+i)), n/2) + strings.Repeat(string(rune('A'+i)), n-n/2)
			all.WriteString(s)
			tl.write(s)
		}
		want := all.String()
		want = want[max(len(want)-tailSize, 0):]
		if got := string(tl.bytes()); got != want {
			t.Errorf("%v: %d bytes are not the last %d", writes, len(got), len(want))
		}
	}
}
