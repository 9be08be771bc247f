package dynamodb

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	api "brume/internal/api/dynamodb"
	"brume/internal/kv"
)

func (b *bench) setTTL(table, attribute string, on bool) error {
	_, err := b.UpdateTimeToLive(b.ctx, &api.UpdateTimeToLiveInput{
		TableName: &table, TimeToLiveSpecification: &api.TimeToLiveSpecification{AttributeName: &attribute, Enabled: &on},
	})
	return err
}

func (b *bench) ttl(table string) *api.TimeToLiveDescription {
	b.Helper()
	return must(b.DescribeTimeToLive(b.ctx, &api.DescribeTimeToLiveInput{TableName: &table}))(b).TimeToLiveDescription
}

// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTimeToLive.html
func TestUpdateTimeToLive(t *testing.T) {
	b := newBench(t)
	wantError(t, b.setTTL("table", "ttl", true), "ResourceNotFoundException: Requested resource not found: Table: table not found")
	b.create("table", "pk:S")
	if d := b.ttl("table"); *d.TimeToLiveStatus != "DISABLED" || d.AttributeName != nil {
		t.Errorf("%+v", d)
	}
	wantError(t, b.setTTL("table", "ttl", false), "ValidationException: TimeToLive is already disabled")
	if err := b.setTTL("table", "ttl", true); err != nil {
		t.Fatal(err)
	}
	if d := b.ttl("table"); *d.TimeToLiveStatus != "ENABLED" || *d.AttributeName != "ttl" {
		t.Errorf("%+v", d)
	}
	wantError(t, b.setTTL("table", "ttl", true), "ValidationException: TimeToLive is already enabled")
	wantError(t, b.setTTL("table", "other", true), "ValidationException: TimeToLive is active on a different AttributeName: current AttributeName is ttl")
	b.put("table", M{"pk": api.S("a"), "ttl": api.N("9999999999")})
	if err := b.setTTL("table", "ttl", false); err != nil {
		t.Fatal(err)
	}
	if err := b.emptyTrash(b.ctx); err != nil {
		t.Fatal(err)
	}
	if n := b.rowsUnder(rows(tagTTL)) + b.rowsUnder(rows(tagTTLTable)); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	// A large table takes a while.
	b.fill("table", 3*jobStep, func(i int) M { return M{"pk": api.S(fmt.Sprint(i)), "other": api.N("9999999999")} })
	if err := b.setTTL("table", "other", true); err != nil {
		t.Fatal(err)
	}
	if d := b.ttl("table"); *d.TimeToLiveStatus != "ENABLING" || *d.AttributeName != "other" {
		t.Errorf("%+v", d)
	}
	if err := b.finishJobs(b.ctx); err != nil {
		t.Fatal(err)
	}
	if n := b.rowsUnder(rows(tagTTL)); *b.ttl("table").TimeToLiveStatus != "ENABLED" || n != 3*jobStep {
		t.Errorf("%+v, %d rows", b.ttl("table"), n)
	}
	must(b.DeleteTable(b.ctx, &api.DeleteTableInput{TableName: new("table")}))(t)
	if err := b.emptyTrash(b.ctx); err != nil || b.rowsUnder(nil) != 0 {
		t.Errorf("%d rows are left, %v", b.rowsUnder(nil), err)
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/howitworks-ttl.html
func TestItemsExpire(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := newBenchAt(t, func() time.Time { return now })
	b.create("table", "pk:S", "gsi g:S ALL")
	at := func(d time.Duration) api.N { return api.N(fmt.Sprint(now.Add(d).Unix())) }
	old := now.AddDate(-expireYears, 0, 0).Unix()
	b.put("table", M{"pk": api.S("before"), "ttl": at(time.Minute), "g": api.S("g")})
	if err := b.setTTL("table", "ttl", true); err != nil {
		t.Fatal(err)
	}
	arn := b.stream("table", "OLD_IMAGE")
	b.put("table",
		M{"pk": api.S("soon"), "ttl": at(time.Minute)}, M{"pk": api.S("later"), "ttl": at(time.Hour)}, M{"pk": api.S("past"), "ttl": at(-time.Hour)},
		M{"pk": api.S("text"), "ttl": api.S(at(time.Minute))}, M{"pk": api.S("none")}, M{"pk": api.S("ancient"), "ttl": api.N(fmt.Sprint(old))},
		M{"pk": api.S("five years"), "ttl": api.N(fmt.Sprint(old + 1))}, M{"pk": api.S("milliseconds"), "ttl": api.N(fmt.Sprint(now.UnixMilli()))},
		M{"pk": api.S("fraction"), "ttl": at(time.Minute) + ".9"}, M{"pk": api.S("huge"), "ttl": api.N("1E+60")}, M{"pk": api.S("negative"), "ttl": api.N("-5")},
		M{"pk": api.S("moved"), "ttl": at(time.Minute)}, M{"pk": api.S("saved"), "ttl": at(time.Minute)},
	)
	b.put("table", M{"pk": api.S("moved"), "ttl": at(time.Hour)}, M{"pk": api.S("saved")})
	it := b.iterator(arn, "LATEST", nil)
	expire := func(want string) {
		t.Helper()
		if any, err := b.sweep(b.ctx); err != nil || !any {
			t.Fatal(any, err)
		}
		records, next := b.records(it)
		it = *next
		got := ""
		for _, r := range records {
			if *r.EventName != "REMOVE" || r.UserIdentity == nil || *r.UserIdentity.Type != "Service" || *r.UserIdentity.PrincipalId != "dynamodb.amazonaws.com" ||
				r.Dynamodb.OldImage["pk"] != r.Dynamodb.Keys["pk"] {
				t.Errorf("%+v", r)
			}
			got += string(r.Dynamodb.Keys["pk"].(api.S)) + " "
		}
		if got != want {
			t.Errorf("expired: %q, want %q", got, want)
		}
	}
	expire("five years past ")
	now = now.Add(time.Minute)
	expire("") // to the second
	now = now.Add(time.Second)
	records := map[string]bool{"before": true, "soon": true, "fraction": true}
	if _, err := b.sweep(b.ctx); err != nil {
		t.Fatal(err)
	}
	out, next := b.records(it)
	it = *next
	for _, r := range out {
		delete(records, string(r.Dynamodb.Keys["pk"].(api.S)))
	}
	if len(out) != 3 || len(records) != 0 {
		t.Errorf("%s", showRecords(out))
	}
	if n := b.rowsUnder(rows(tagIndex)); n != 0 {
		t.Errorf("%d index entries are left", n)
	}
	now = now.Add(time.Hour)
	if _, err := b.sweep(b.ctx); err != nil {
		t.Fatal(err)
	}
	if n := len(b.scanAll(api.ScanInput{TableName: new("table")})); n != 7 {
		t.Errorf("%d items are left", n)
	}
	// Those that are expired for longer, because nobody was there to remove them, stay.
	b.put("table", M{"pk": api.S("unseen"), "ttl": at(time.Minute)})
	now = now.AddDate(expireYears, 0, 1)
	if _, err := b.sweep(b.ctx); err != nil || b.get("table", M{"pk": api.S("unseen")}) == "none" {
		t.Errorf("unseen: %s, %v", b.get("table", M{"pk": api.S("unseen")}), err)
	}
}

// The running service removes expired items within seconds, more than one step's worth of them.
func TestRunExpiresItems(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(b.ctx)
	done := make(chan struct{})
	go func() { defer close(done); b.Run(ctx) }()
	b.create("table", "pk:S")
	if err := b.setTTL("table", "ttl", true); err != nil {
		t.Fatal(err)
	}
	past := api.N(fmt.Sprint(time.Now().Unix() - 10))
	b.fill("table", 2*expireStep+1, func(i int) M { return M{"pk": api.S(fmt.Sprint(i)), "ttl": past} })
	for deadline := time.Now().Add(20 * time.Second); b.rowsUnder(rows(tagItem)) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d items are left", b.rowsUnder(rows(tagItem)))
		}
	}
	cancel()
	<-done
}

// Looking for expired items reads none of those that have not expired.
func TestSweepReadsOnlyWhatExpired(t *testing.T) {
	b := newBench(t)
	b.create("table", "pk:S")
	if err := b.setTTL("table", "ttl", true); err != nil {
		t.Fatal(err)
	}
	b.fill("table", 1000, func(i int) M { return M{"pk": api.S(fmt.Sprint(i)), "ttl": api.N("9999999999")} })
	counting := &countingStore{Store: b.store}
	if any, err := New(counting, b.log).sweep(b.ctx); err != nil || !any || counting.read > 3 {
		t.Errorf("%d rows were read, %v", counting.read, err)
	}
}

// A countingStore counts the rows that views read.
type countingStore struct {
	kv.Store
	read int
}

func (s *countingStore) View(ctx context.Context, fn func(kv.Reader) error) error {
	return s.Store.View(ctx, func(r kv.Reader) error { return fn(&countingReader{r, s}) })
}

type countingReader struct {
	kv.Reader
	store *countingStore
}

func (r *countingReader) Scan(rng kv.Range) iter.Seq2[kv.Pair, error] {
	return func(yield func(kv.Pair, error) bool) {
		for pair, err := range r.Reader.Scan(rng) {
			r.store.read++
			if !yield(pair, err) {
				return
			}
		}
	}
}

// Many items that expire at once go in steps of bounded size.
func TestManyItemsExpire(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := newBenchAt(t, func() time.Time { return now })
	b.create("table", "pk:S")
	if err := b.setTTL("table", "ttl", true); err != nil {
		t.Fatal(err)
	}
	big := api.B(make([]byte, 390_000))
	b.fill("table", 3*expireStep, func(i int) M {
		m := M{"pk": api.S(fmt.Sprint(i)), "ttl": api.N(fmt.Sprint(now.Unix() + int64(i)))}
		if i < 25 {
			m["x"] = big
		}
		return m
	})
	now = now.Add(time.Hour)
	steps := 0
	for from := ttlPrefix(b.table("table").TTL.ID); from != nil; steps++ {
		var err error
		if from, err = b.removeExpired(b.ctx, b.table("table").TTL.ID, from); err != nil {
			t.Fatal(err)
		}
	}
	// The large items fill two steps with 4 MB each and begin the third.
	if n := b.rowsUnder(rows(tagItem)) + b.rowsUnder(rows(tagTTL)); n != 0 || steps != 5 {
		t.Errorf("%d rows are left after %d steps", n, steps)
	}
}
