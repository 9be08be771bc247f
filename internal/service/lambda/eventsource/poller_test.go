package eventsource

import (
	"context"
	"encoding/json"
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

// fakeStream is a stream of one shard whose records are "0001", "0002"…
type fakeStream struct {
	mu      sync.Mutex
	records []Record
	trimmed int // of these
	ended   bool
	wakes   []func()
	reads   int
	err     error
}

func (s *fakeStream) Shards(context.Context, Reader) ([]Shard, error) {
	return []Shard{{ID: "shard"}}, nil
}

func (s *fakeStream) Read(_ context.Context, _ Reader, _, position string, limit int) (*Batch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	if s.err != nil {
		return nil, s.err
	}
	from := 0
	switch position {
	case FromTrimHorizon:
		from = s.trimmed
	case FromLatest:
		from = len(s.records)
	default:
		fmt.Sscanf(position, "%d", &from)
		from--
		if from < s.trimmed {
			return nil, ErrTrimmed
		}
	}
	to := min(from+limit, len(s.records))
	b := &Batch{Records: slices.Clone(s.records[from:to]), Next: fmt.Sprintf("%04d", to+1)}
	if s.ended && to == len(s.records) {
		b.End, b.Next = true, ""
	}
	return b, nil
}

func (s *fakeStream) readings() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

func (s *fakeStream) Watch(_ context.Context, _ Reader, wake func()) (func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wakes = append(s.wakes, wake)
	return func() {}, nil
}

// put adds records with these keys.
func (s *fakeStream) put(keys ...string) {
	s.mu.Lock()
	for _, k := range keys {
		seq := fmt.Sprintf("%04d", len(s.records)+1)
		s.records = append(s.records, Record{Sequence: seq, Time: time.Now(), Key: k, Event: []byte(`{"k":"` + k + `","n":"` + seq + `"}`)})
	}
	wakes := slices.Clone(s.wakes)
	s.mu.Unlock()
	for _, wake := range wakes {
		wake()
	}
}

// fakeHost keeps what the function is called with.
type fakeHost struct {
	mu        sync.Mutex
	calls     []string // the last digits of the records of each call, or the payload of tumbling ones
	at        []time.Duration
	began     time.Time
	answer    func(payload string) (*Outcome, error)
	saved     map[string]Checkpoint
	discarded []*Discarded
	result    string
	raw       bool
}

func (h *fakeHost) Invoke(_ context.Context, payload []byte) (*Outcome, error) {
	h.mu.Lock()
	name := string(payload)
	if !h.raw {
		var e struct{ Records []struct{ N string } }
		if err := json.Unmarshal(payload, &e); err != nil {
			return nil, err
		}
		name = ""
		for _, r := range e.Records {
			name += strings.TrimLeft(r.N, "0") + " "
		}
		name = strings.TrimSpace(name)
	}
	h.calls, h.at = append(h.calls, name), append(h.at, time.Since(h.began).Round(100*time.Millisecond))
	answer := h.answer
	h.mu.Unlock()
	if answer == nil {
		return &Outcome{}, nil
	}
	return answer(name)
}

func (h *fakeHost) Load(_ context.Context, shard string) (Checkpoint, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := h.saved[shard]
	return c, ok, nil
}

func (h *fakeHost) Save(_ context.Context, shard string, c Checkpoint) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.saved[shard] = c
	return nil
}

func (h *fakeHost) Discard(_ context.Context, d *Discarded) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.discarded = append(h.discarded, d)
	return nil
}

func (h *fakeHost) Processed(_ context.Context, result string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.result = result
}

// pass lets time go by, and all that is to happen in it happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// poll runs a poller in virtual time while during does something.
func poll(t *testing.T, m *Mapping, answer func(payload string) (*Outcome, error), during func(s *fakeStream, h *fakeHost)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &fakeStream{}
		h := &fakeHost{began: time.Now(), saved: map[string]Checkpoint{}, answer: answer, raw: m.Tumbling > 0}
		if m.Start == "" {
			m.Start = FromTrimHorizon
		}
		if m.BatchSize == 0 {
			m.BatchSize = 100
		}
		m.Parallel = max(m.Parallel, 1)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		run := func() {
			defer close(done)
			Run(ctx, m, s, h)
		}
		s.put("a", "b", "c")
		go run()
		synctest.Wait()
		during(s, h)
		cancel()
		<-done
	})
}

func (h *fakeHost) called() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.calls)
}

func (h *fakeHost) expect(t *testing.T, calls ...string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	if fmt.Sprintf("%q", h.calls) != fmt.Sprintf("%q", calls) {
		t.Errorf("the function was called with %q, want %q", h.calls, calls)
	}
}

func TestBatches(t *testing.T) {
	poll(t, &Mapping{BatchSize: 2}, nil, func(s *fakeStream, h *fakeHost) {
		h.expect(t, "1 2", "3")
		s.put("d", "e", "f")
		synctest.Wait()
		h.expect(t, "1 2", "3", "4 5", "6")
		if c := h.saved["shard"]; c.Position != "0007" || h.result != ResultOK {
			t.Errorf("%+v, %s", c, h.result)
		}
		reads := s.readings()
		pass(10 * time.Minute)
		if n := s.readings() - reads; n > 25 {
			t.Errorf("an empty stream was read %d times in ten minutes", n)
		}
	})
	poll(t, &Mapping{Start: FromLatest}, nil, func(s *fakeStream, h *fakeHost) {
		h.expect(t)
		if h.saved["shard"].Position != "0004" {
			t.Error("where LATEST is was not kept")
		}
		s.put("d")
		synctest.Wait()
		h.expect(t, "4")
	})
	// A batching window gathers.
	poll(t, &Mapping{BatchSize: 5, Window: 10 * time.Second}, nil, func(s *fakeStream, h *fakeHost) {
		pass(4 * time.Second)
		s.put("d")
		pass(4 * time.Second)
		h.expect(t)
		pass(3 * time.Second)
		h.expect(t, "1 2 3 4")
		s.put("e", "f", "g", "h", "i", "j")
		synctest.Wait()
		h.expect(t, "1 2 3 4", "5 6 7 8 9")
	})
	// What was trimmed is gone; the end is the end.
	poll(t, &Mapping{}, nil, func(s *fakeStream, h *fakeHost) {
		s.mu.Lock()
		s.records = append(s.records, Record{}, Record{})
		s.trimmed, s.ended = 5, true
		s.mu.Unlock()
		s.put("z")
		synctest.Wait()
		h.expect(t, "1 2 3", "6")
		if !h.saved["shard"].Ended {
			t.Error("the end was not kept")
		}
	})
}

func TestFilters(t *testing.T) {
	p, err := eventpattern.Parse([]byte(`{"k":["b",{"prefix":"y"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	poll(t, &Mapping{Filters: []*eventpattern.Pattern{p}}, nil, func(s *fakeStream, h *fakeHost) {
		h.expect(t, "2")
		s.put("x", "x")
		synctest.Wait()
		h.expect(t, "2")
		if h.saved["shard"].Position != "0006" {
			t.Error("what is filtered out is not behind the checkpoint")
		}
		s.put("yy")
		synctest.Wait()
		h.expect(t, "2", "6")
	})
}

func failing(marks ...string) func(string) (*Outcome, error) {
	return func(payload string) (*Outcome, error) {
		for _, m := range marks {
			if slices.Contains(strings.Fields(payload), m) {
				return &Outcome{Failed: true, Version: "1", RequestID: "r"}, nil
			}
		}
		return &Outcome{}, nil
	}
}

// https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
func TestFailures(t *testing.T) {
	poll(t, &Mapping{Retries: 2}, failing("2"), func(s *fakeStream, h *fakeHost) {
		pass(time.Minute)
		h.expect(t, "1 2 3", "1 2 3", "1 2 3")
		if fmt.Sprint(h.at) != "[0s 200ms 600ms]" {
			t.Errorf("%v", h.at)
		}
		if len(h.discarded) != 1 || h.discarded[0].Condition != RetryAttemptsExhausted || h.discarded[0].Count != 3 || len(h.discarded[0].Records) != 3 || h.discarded[0].Outcome.RequestID != "r" {
			t.Errorf("%+v", h.discarded)
		}
		s.put("d")
		synctest.Wait()
		h.expect(t, "1 2 3", "1 2 3", "1 2 3", "4")
	})
	poll(t, &Mapping{Retries: -1}, failing("2"), func(s *fakeStream, h *fakeHost) {
		pass(time.Hour)
		if n := len(h.calls); n < 100 || n > 140 || len(h.discarded) != 0 {
			t.Errorf("%d calls in an hour: the pauses grow to 30 s", n)
		}
		if h.result != ResultFailed {
			t.Error(h.result)
		}
	})
	poll(t, &Mapping{Retries: 0, Bisect: true}, failing("2"), func(s *fakeStream, h *fakeHost) {
		pass(time.Minute)
		h.expect(t, "1 2 3", "1", "2 3", "2", "3")
		if len(h.discarded) != 1 || h.discarded[0].Records[0].Sequence != "0002" {
			t.Errorf("%+v", h.discarded)
		}
	})
	poll(t, &Mapping{Retries: -1, Age: time.Minute}, failing("2"), func(s *fakeStream, h *fakeHost) {
		pass(2 * time.Minute)
		if len(h.discarded) != 1 || h.discarded[0].Condition != RecordAgeExceeded || len(h.discarded[0].Records) != 3 {
			t.Errorf("%+v", h.discarded)
		}
	})
	throttles := 0
	poll(t, &Mapping{Retries: 0}, func(string) (*Outcome, error) {
		if throttles++; throttles < 4 {
			return nil, errors.New("throttled")
		}
		return &Outcome{}, nil
	}, func(s *fakeStream, h *fakeHost) {
		pass(time.Minute)
		h.expect(t, "1 2 3", "1 2 3", "1 2 3", "1 2 3")
		if len(h.discarded) != 0 {
			t.Error("what was throttled was given up")
		}
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
func TestReports(t *testing.T) {
	reports := func(first string) func(string) (*Outcome, error) {
		done := false
		return func(payload string) (*Outcome, error) {
			if done {
				return &Outcome{Response: []byte(`{"batchItemFailures":[]}`)}, nil
			}
			done = true
			return &Outcome{Response: []byte(first)}, nil
		}
	}
	for report, want := range map[string][]string{
		`null`:                     {"1 2 3"},
		`{}`:                       {"1 2 3"},
		`{"batchItemFailures":[]}`: {"1 2 3"},
		`{"batchItemFailures":[{"itemIdentifier":"0003"},{"itemIdentifier":"0002"}]}`: {"1 2 3", "2 3"},
		`{"batchItemFailures":[{"itemIdentifier":"9"}]}`:                              {"1 2 3", "1 2 3"},
		`{"batchItemFailures":[{"itemIdentifier":""}]}`:                               {"1 2 3", "1 2 3"},
		`{"batchItemFailures":[{"other":1}]}`:                                         {"1 2 3", "1 2 3"},
		`[]`:                                                                          {"1 2 3", "1 2 3"},
	} {
		poll(t, &Mapping{Report: true, Retries: 5}, reports(report), func(s *fakeStream, h *fakeHost) {
			pass(time.Minute)
			h.expect(t, want...)
		})
	}
	// A batch that failed in part is cut where it failed, also if others are halved; one that failed as a whole is halved.
	poll(t, &Mapping{Report: true, Bisect: true, Retries: 5}, reports(`{"batchItemFailures":[{"itemIdentifier":"0002"}]}`), func(s *fakeStream, h *fakeHost) {
		pass(time.Minute)
		h.expect(t, "1 2 3", "2 3")
	})
	poll(t, &Mapping{Report: true, Bisect: true, Retries: 5}, reports(`{"batchItemFailures":[{"itemIdentifier":"0001"}]}`), func(s *fakeStream, h *fakeHost) {
		pass(time.Minute)
		h.expect(t, "1 2 3", "1", "2 3")
	})
	poll(t, &Mapping{Retries: 5}, reports(`{"batchItemFailures":[{"itemIdentifier":"0002"}]}`), func(s *fakeStream, h *fakeHost) {
		pass(time.Minute)
		h.expect(t, "1 2 3") // nobody asked for reports
	})
}

// Batches run at one time, those of one item never.
func TestParallel(t *testing.T) {
	var mu sync.Mutex
	busy, most := 0, 0
	answer := func(payload string) (*Outcome, error) {
		mu.Lock()
		busy++
		most = max(most, busy)
		mu.Unlock()
		time.Sleep(time.Second)
		mu.Lock()
		busy--
		mu.Unlock()
		return &Outcome{}, nil
	}
	poll(t, &Mapping{BatchSize: 10, Parallel: 4}, answer, func(s *fakeStream, h *fakeHost) {
		var keys []string
		for i := range 100 {
			keys = append(keys, fmt.Sprint("k", i%20))
		}
		s.put(keys...)
		pass(2 * time.Minute)
		last := map[string]int{}
		seen := 0
		for _, call := range h.calls {
			for _, f := range strings.Fields(call) {
				var n int
				fmt.Sscan(f, &n)
				seen++
				key := s.records[n-1].Key
				if n <= last[key] {
					t.Errorf("record %d of %s came after %d", n, key, last[key])
				}
				last[key] = n
			}
		}
		if seen != 103 || most < 2 || most > 4 {
			t.Errorf("%d records, up to %d at one time", seen, most)
		}
	})
}

// A failing item holds up the others neither for ever nor from the checkpoint on; what is behind it is read only so far.
func TestParallelFailure(t *testing.T) {
	answer := func(payload string) (*Outcome, error) {
		return &Outcome{Failed: slices.Contains(strings.Fields(payload), "1")}, nil
	}
	poll(t, &Mapping{BatchSize: 1, Parallel: 10, Retries: -1}, answer, func(s *fakeStream, h *fakeHost) {
		for i := range 60 {
			s.put(fmt.Sprint("k", i))
		}
		pass(time.Second)
		seen := map[string]bool{}
		for _, c := range h.called() {
			seen[c] = true
		}
		if len(seen) < 40 { // all but those in the lane of the first record
			t.Errorf("%d records of 63 came past a failing one", len(seen))
		}
		if at, saved, err := h.Load(t.Context(), "shard"); err != nil || saved && at.Position != "0001" {
			t.Errorf("the checkpoint is at %s", at.Position)
		}
		for i := range 3000 { // no more than a few of these share the lane of the first record
			s.put(fmt.Sprint("k", i))
		}
		pass(time.Hour)
		read := 0
		for _, c := range h.called() {
			var n int
			fmt.Sscan(c, &n)
			read = max(read, n)
		}
		if read < minAhead/2 || read > 2*minAhead {
			t.Errorf("read up to record %d past a failing one", read)
		}
	})
}

// https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-windows.html
func TestTumblingWindows(t *testing.T) {
	type event struct {
		Records []struct{ N string }
		State   map[string]int
		Window  struct{ Start, End string }
		IsFinal bool `json:"isFinalInvokeForWindow"`
		Early   bool `json:"isWindowTerminatedEarly"`
	}
	var events []event
	answer := func(payload string) (*Outcome, error) {
		var e event
		if err := json.Unmarshal([]byte(payload), &e); err != nil {
			return nil, err
		}
		events = append(events, e)
		return &Outcome{Response: fmt.Appendf(nil, `{"state":{"n":%d}}`, e.State["n"]+len(e.Records))}, nil
	}
	poll(t, &Mapping{BatchSize: 2, Tumbling: time.Minute, Retries: -1}, answer, func(s *fakeStream, h *fakeHost) {
		pass(20 * time.Second)
		s.put("d")
		pass(50 * time.Second)
		s.put("e")
		pass(2 * time.Minute)
		var got []string
		for _, e := range events {
			got = append(got, fmt.Sprintf("%d+%d %v", e.State["n"], len(e.Records), e.IsFinal))
			if start, err := time.Parse(time.RFC3339, e.Window.Start); err != nil || start.Second() != 0 || e.Early {
				t.Errorf("%+v", e)
			}
		}
		if fmt.Sprint(got) != "[0+2 false 2+1 false 3+1 false 4+0 true 0+1 false 1+0 true]" {
			t.Errorf("%v", got)
		}
		if c := h.saved["shard"]; !c.Window.IsZero() || c.State != nil || c.Position != "0006" {
			t.Errorf("%+v", c)
		}
	})
	big := strings.Repeat("x", maxState)
	var early []string
	poll(t, &Mapping{Tumbling: time.Minute, Retries: -1}, func(payload string) (*Outcome, error) {
		if strings.Contains(payload, `"isWindowTerminatedEarly":true`) {
			early = append(early, payload[:20])
		}
		return &Outcome{Response: []byte(`{"state":{"x":"` + big + `"}}`)}, nil
	}, func(s *fakeStream, h *fakeHost) {
		synctest.Wait()
		if len(early) != 1 {
			t.Errorf("%q", early)
		}
	})
}

// What a window's function has counted before it failed in part stays counted.
func TestTumblingReport(t *testing.T) {
	calls := 0
	var states []string
	poll(t, &Mapping{Tumbling: time.Minute, Report: true, Retries: 5}, func(payload string) (*Outcome, error) {
		var e struct {
			State   json.RawMessage
			Records []struct{ N string }
		}
		if err := json.Unmarshal([]byte(payload), &e); err != nil {
			return nil, err
		}
		states = append(states, fmt.Sprintf("%s+%d", e.State, len(e.Records)))
		if calls++; calls == 1 {
			return &Outcome{Response: []byte(`{"state":{"n":1},"batchItemFailures":[{"itemIdentifier":"0002"}]}`)}, nil
		}
		return &Outcome{Response: []byte(`{"state":{"n":3},"batchItemFailures":[]}`)}, nil
	}, func(s *fakeStream, h *fakeHost) {
		pass(2 * time.Minute)
		if want := `[{}+3 {"n":1}+2 {"n":3}+0]`; fmt.Sprint(states) != want {
			t.Errorf("%v, want %s", states, want)
		}
	})
}
