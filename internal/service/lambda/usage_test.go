package lambda

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"brume/internal/service/lambda/environment"
)

func TestMeter(t *testing.T) {
	f := newFixture(t)
	m := NewMeter(f.store, slog.New(slog.DiscardHandler))
	fn := &environment.Function{Account: account, Region: region, Name: "f", Architecture: "arm64", MemoryMB: 128, TmpMB: 1512}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				m.Record(fn, &environment.Usage{Billed: 3 * time.Millisecond})
			}
		})
	}
	must(t, m.Flush(t.Context()))
	wg.Wait()
	m.Record(&environment.Function{Account: "210987654321", Region: region, Name: "f"}, &environment.Usage{Billed: time.Second})
	must(t, m.Flush(t.Context()))
	// Another process adds to what the first one counted.
	m = NewMeter(f.store, slog.New(slog.DiscardHandler))
	m.Record(fn, &environment.Usage{Billed: 7 * time.Millisecond})
	today := time.Now().UTC().Format(time.DateOnly)
	got, err := m.Read(t.Context(), account, today, today)
	must(t, err)
	ms := int64(800*3 + 7)
	if want := []MeterReading{{region, today, "f", "arm64", Usage{801, 128 * ms, 1000 * ms}}}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if none, err := m.Read(t.Context(), account, "2000-01-01", "2000-12-31"); err != nil || len(none) != 0 {
		t.Errorf("%+v, %v", none, err)
	}
}
