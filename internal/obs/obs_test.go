package obs

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

type syncBuffer struct {
	mu  sync.Mutex
	b   bytes.Buffer
	err error
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestRecordsAreWrittenWithinTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out syncBuffer
		log, err := NewLog(&out, "text", slog.LevelInfo)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("first")
		if got := out.String(); got != "" {
			t.Errorf("written at once: %q", got)
		}
		time.Sleep(FlushInterval + time.Millisecond)
		synctest.Wait()
		if got := out.String(); !strings.Contains(got, "msg=first") {
			t.Errorf("after the interval: %q", got)
		}
		log.Error("second")
		if got := out.String(); !strings.Contains(got, "msg=second") {
			t.Errorf("an error waits: %q", got)
		}
		log.With("a", 1).Info("third")
		if err := log.Close(); err != nil {
			t.Error(err)
		}
		log.Info("fourth")
		if got := out.String(); !strings.Contains(got, "msg=third a=1") || !strings.Contains(got, "msg=fourth") {
			t.Errorf("after Close: %q", got)
		}
		time.Sleep(FlushInterval + time.Millisecond)
	})
}

func TestConcurrentRecordsStayWhole(t *testing.T) {
	var out syncBuffer
	log, err := NewLog(&out, "json", slog.LevelInfo)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				log.Info("a record that is long enough to fill the buffer many times over", "key", "value")
			}
		})
	}
	wg.Wait()
	log.Close()
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 8000 {
		t.Errorf("%d records, want 8000", len(lines))
	}
	for _, l := range lines {
		if !strings.HasPrefix(l, "{") || !strings.HasSuffix(l, "}") {
			t.Fatalf("torn record %q", l)
		}
	}
}

func TestCloseReportsALogThatCannotBeWritten(t *testing.T) {
	full := errors.New("disk full")
	log, err := NewLog(&syncBuffer{err: full}, "text", slog.LevelInfo)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("x")
	if err := log.Close(); !errors.Is(err, full) {
		t.Errorf("Close: %v", err)
	}
	if _, err := NewLog(nil, "yaml", slog.LevelInfo); err == nil {
		t.Error("no error for an unknown format")
	}
}

func TestMetricsCountByOperation(t *testing.T) {
	m := NewMetrics()
	m.Call("dynamodb", "PutItem", 200, "", time.Millisecond)
	m.Call("dynamodb", "PutItem", 400, "ValidationException", time.Millisecond)
	families, err := m.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			labels := ""
			for _, l := range metric.GetLabel() {
				labels += l.GetValue() + " "
			}
			if c := metric.GetCounter(); c != nil {
				got[f.GetName()+" "+labels] = c.GetValue()
			}
			if h := metric.GetHistogram(); h != nil {
				got[f.GetName()+" "+labels] = float64(h.GetSampleCount())
			}
		}
	}
	for name, want := range map[string]float64{
		"brume_calls_total PutItem dynamodb 200 ":                  1,
		"brume_calls_total PutItem dynamodb 400 ":                  1,
		"brume_errors_total ValidationException PutItem dynamodb ": 1,
		"brume_call_duration_seconds PutItem dynamodb ":            2,
	} {
		if got[name] != want {
			t.Errorf("%s= %v, want %v", name, got[name], want)
		}
	}
}
