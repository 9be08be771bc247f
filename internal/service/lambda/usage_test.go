package lambda

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	api "brume/internal/api/lambda"
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
	if want := []MeterReading{{region, today, "f", "arm64", Usage{Requests: 801, MemoryMBMillis: 128 * ms, StorageMBMillis: 1000 * ms}}}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if none, err := m.Read(t.Context(), account, "2000-01-01", "2000-12-31"); err != nil || len(none) != 0 {
		t.Errorf("%+v, %v", none, err)
	}
}

// What is kept ready costs from when it is to when it is not, rounded up to five minutes, and what runs there costs less.
// https://aws.amazon.com/lambda/pricing/#Provisioned_Concurrency_Pricing
func TestProvisionedMeter(t *testing.T) {
	f := newFixture(t)
	f.create("f")
	ok[api.FunctionConfiguration](f, "PublishVersion", &api.PublishVersionInput{FunctionName: new("f")})
	put := func(n int32) {
		ok[api.PutProvisionedConcurrencyConfigOutput](f, "PutProvisionedConcurrencyConfig", &api.PutProvisionedConcurrencyConfigInput{
			FunctionName: new("f"), Qualifier: new("1"), ProvisionedConcurrentExecutions: &n})
	}
	meter := f.Service.meter.(*Meter)
	began := time.Now()
	today := began.UTC().Format(time.DateOnly)
	used := func() Usage {
		var u Usage
		readings, err := meter.Read(t.Context(), account, today, time.Now().UTC().Format(time.DateOnly))
		must(t, err)
		for _, r := range readings {
			u.Add(r.Usage)
		}
		return u
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	put(10)
	time.Sleep(20 * time.Millisecond)
	f.MeterProvisions(ctx) // once more at the end
	if n := used().ProvisionedMBMillis; n < 10*128*20 || n > 10*128*time.Since(began).Milliseconds() {
		t.Errorf("%d MB-ms after %v", n, time.Since(began))
	}
	put(4)
	const unit = 128 * 5 * 60 * 1000
	if n := used().ProvisionedMBMillis; n < 6*unit || n > 6*unit+10*128*time.Since(began).Milliseconds() {
		t.Errorf("%d MB-ms after six of ten have ended", n)
	}
	ok[api.DeleteFunctionOutput](f, "DeleteFunction", &api.DeleteFunctionInput{FunctionName: new("f")})
	if n := used().ProvisionedMBMillis; n < 10*unit || n > 10*unit+10*128*time.Since(began).Milliseconds() {
		t.Errorf("%d MB-ms after all have ended", n)
	}
	f.MeterProvisions(ctx)
	before := used()
	meter.Record(&environment.Function{Account: account, Region: region, Name: "f", MemoryMB: 1024}, &environment.Usage{Billed: time.Second, Provisioned: true})
	if after := used(); after.MemoryMBMillis != 0 || after.ProvisionedRunMBMillis != 1024*1000 || after.ProvisionedMBMillis != before.ProvisionedMBMillis || after.Requests != 1 {
		t.Errorf("%+v after %+v", after, before)
	}
}
