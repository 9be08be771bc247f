package apigateway

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	api "brume/internal/api/apigateway"
	"brume/internal/kv"
	"brume/internal/kv/memkv"
)

func date(s string) day {
	d, err := parseDay(s)
	if err != nil {
		panic(err)
	}
	return d
}

func TestQuotaPeriods(t *testing.T) {
	tests := []struct {
		period    string
		offset    int
		day, want string
	}{
		{"DAY", 0, "2024-02-29", "2024-02-29"},
		{"WEEK", 0, "2024-03-03", "2024-03-03"}, // a Sunday
		{"WEEK", 0, "2024-03-09", "2024-03-03"},
		{"WEEK", 0, "2024-03-10", "2024-03-10"},
		{"WEEK", 2, "2024-03-04", "2024-02-27"},
		{"WEEK", 2, "2024-03-05", "2024-03-05"},
		{"WEEK", 0, "1970-01-01", "1969-12-28"},
		{"MONTH", 0, "2024-03-31", "2024-03-01"},
		{"MONTH", 0, "2024-03-01", "2024-03-01"},
		{"MONTH", 14, "2024-03-14", "2024-02-15"},
		{"MONTH", 14, "2024-03-15", "2024-03-15"},
		{"MONTH", 27, "2024-01-05", "2023-12-28"},
	}
	for _, tt := range tests {
		q := quota{period: tt.period, offset: tt.offset}
		got := q.start(date(tt.day))
		if got.String() != tt.want {
			t.Errorf("%s+%d on %s begins %s, want %s", tt.period, tt.offset, tt.day, got, tt.want)
		}
		if d := date(tt.day) - got; d < 0 || d >= historyDays {
			t.Errorf("%s+%d on %s began %d days before", tt.period, tt.offset, tt.day, d)
		}
	}
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-api-usage-plans.html
func TestQuota(t *testing.T) {
	for _, tt := range []struct {
		period string
		length time.Duration
	}{{"DAY", 24 * time.Hour}, {"WEEK", 7 * 24 * time.Hour}, {"MONTH", 31 * 24 * time.Hour}} {
		t.Run(tt.period, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // begins on 2000-01-01, a Saturday
				store := memkv.New()
				g := newGatewayOn(t, store)
				id, _ := g.api()
				g.proxy(id, "/", "GET", true)
				g.deploy(id, "dev")
				keyValue, keyID, planID := g.key(id, "dev", nil, &api.QuotaSettings{Limit: new(int32(5)), Period: &tt.period})
				count := func(n int) (ok int) {
					for range n {
						r := g.Invoke(t.Context(), request(id, "dev", "GET", "/", Field{"X-Api-Key", keyValue}))
						switch {
						case r.Status == 200:
							ok++
						case r.Status != 429 || string(r.Body) != `{"message":"Limit Exceeded"}` || headerOf(r, "x-amzn-ErrorType") != "LimitExceededException":
							t.Fatalf("%d %s %v", r.Status, r.Body, r.Header)
						}
					}
					return ok
				}
				if n := count(3); n != 3 {
					t.Errorf("%d of 3", n)
				}
				// The count outlives the process.
				if err := g.flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				g = newGatewayOn(t, store)
				if n := count(4); n != 2 {
					t.Errorf("%d of 4 after a restart", n)
				}
				time.Sleep(tt.length)
				if n := count(7); n != 5 {
					t.Errorf("%d of 7 in the next period", n)
				}
				if n := count(1); n != 0 {
					t.Errorf("%d over the quota", n)
				}
				// More quota counts at once.
				must(g.UpdateUsagePlan(g.ctx, &api.UpdateUsagePlanInput{UsagePlanId: &planID, PatchOperations: []api.PatchOperation{{Op: new("replace"), Path: new("/quota/limit"), Value: new("6")}}}))
				if n := count(2); n != 1 {
					t.Errorf("%d after the quota was raised by one", n)
				}
				today := dayOf(time.Now()).String()
				u := must(g.GetUsage(g.ctx, &api.GetUsageInput{UsagePlanId: &planID, StartDate: &today, EndDate: &today}))
				if !reflect.DeepEqual(u.Items, map[string][][]int64{keyID: {{6, 0}}}) {
					t.Errorf("usage %v", u.Items)
				}
			})
		})
	}
}

// A quota that is used up is so until the last second of its period, and full again in the next; a restart changes nothing.
// https://docs.aws.amazon.com/apigateway/latest/api/API_QuotaSettings.html
func TestQuotaEdges(t *testing.T) {
	for _, tt := range []struct {
		period string
		offset int32
		from   string // from when on it is used
		edge   string
	}{
		{"DAY", 0, "2000-01-01T00:00:00Z", "2000-01-02T00:00:00Z"},
		{"DAY", 0, "2000-02-28T23:59:58Z", "2000-02-29T00:00:00Z"},
		{"WEEK", 0, "2000-01-01T12:00:00Z", "2000-01-02T00:00:00Z"},
		{"WEEK", 3, "2000-01-05T00:00:00Z", "2000-01-12T00:00:00Z"},
		{"WEEK", 6, "2000-01-07T23:00:00Z", "2000-01-08T00:00:00Z"},
		{"MONTH", 0, "2000-01-01T00:00:00Z", "2000-02-01T00:00:00Z"},
		{"MONTH", 0, "2000-02-29T23:59:58Z", "2000-03-01T00:00:00Z"},
		{"MONTH", 27, "2000-01-28T00:00:00Z", "2000-02-28T00:00:00Z"},
		{"MONTH", 14, "2000-01-14T23:00:00Z", "2000-01-15T00:00:00Z"},
	} {
		synctest.Test(t, func(t *testing.T) {
			at := func(s string) time.Time { return must(time.Parse(time.RFC3339, s)) }
			time.Sleep(time.Until(at(tt.from)))
			store := memkv.New()
			g := newGatewayOn(t, store)
			id, _ := g.api()
			g.proxy(id, "/", "GET", true)
			g.deploy(id, "dev")
			key, _, _ := g.key(id, "dev", nil, &api.QuotaSettings{Limit: new(int32(2)), Period: &tt.period, Offset: &tt.offset})
			count := func() (ok int) {
				for range 5 {
					if status, _ := g.send(request(id, "dev", "GET", "/", Field{"X-Api-Key", key})); status == 200 {
						ok++
					}
				}
				return ok
			}
			first := count()
			must(0, g.flush(t.Context()))
			time.Sleep(time.Until(at(tt.edge).Add(-time.Second)))
			g = newGatewayOn(t, store)
			last := count()
			time.Sleep(time.Second)
			if next := count(); first != 2 || last != 0 || next != 2 {
				t.Errorf("%s+%d: %d at %s, %d a second before %s, %d then", tt.period, tt.offset, first, tt.from, last, tt.edge, next)
			}
		})
	}
}

func TestGetUsage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		id, _ := g.api()
		g.proxy(id, "/", "GET", true)
		g.deploy(id, "dev")
		keyValue, keyID, planID := g.key(id, "dev", nil, &api.QuotaSettings{Limit: new(int32(10)), Period: new("MONTH")})
		for day := range 3 {
			for range day + 1 {
				g.want(request(id, "dev", "GET", "/", Field{"X-Api-Key", keyValue}), 200, "ok")
			}
			time.Sleep(24 * time.Hour)
		}
		usage := func(first, last string) (*api.Usage, error) {
			return g.GetUsage(g.ctx, &api.GetUsageInput{UsagePlanId: &planID, StartDate: &first, EndDate: &last})
		}
		u, err := usage("2000-01-02", "2000-01-04")
		if err != nil || fmt.Sprint(u.Items[keyID]) != "[[2 7] [3 4] [0 4]]" || *u.StartDate != "2000-01-02" || *u.EndDate != "2000-01-04" {
			t.Errorf("%+v %v", u, err)
		}
		u, err = usage("1999-12-31", "2000-01-01")
		if err != nil || fmt.Sprint(u.Items[keyID]) != "[[0 10] [1 9]]" {
			t.Errorf("%+v %v", u, err)
		}
		for _, r := range [][2]string{{"2000-01-02", "2000-01-01"}, {"x", "2000-01-01"}, {"2000-01-01", "2000-13-01"}, {"2000-01-01", "2000-06-01"}} {
			_, err := usage(r[0], r[1])
			wantError(t, err, "BadRequestException", "Usage")
		}
		_, err = g.GetUsage(g.ctx, &api.GetUsageInput{UsagePlanId: new("none"), StartDate: new("2000-01-01"), EndDate: new("2000-01-01")})
		wantError(t, err, "NotFoundException", "Invalid Usage Plan ID specified")
		_, err = g.GetUsage(g.ctx, &api.GetUsageInput{UsagePlanId: &planID, KeyId: new("none"), StartDate: new("2000-01-01"), EndDate: new("2000-01-01")})
		wantError(t, err, "NotFoundException", "Invalid Usage Plan Key identifier specified")
	})
}

// Run writes once a second what was counted, keeps what it could not write, and writes the rest before it ends.
func TestRunWritesUsage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		g := newGatewayOn(t, store)
		id, _ := g.api()
		g.proxy(id, "/", "GET", true)
		g.deploy(id, "dev")
		keyValue, keyID, planID := g.key(id, "dev", nil, nil)
		stored := func() int64 {
			var n int64
			err := store.View(t.Context(), func(r kv.Reader) error {
				v, ok, err := r.Get(usageKey(usageID{scope{testAccount, testRegion}, planID, keyID}, dayOf(time.Now())))
				if err == nil && ok {
					n, err = parseCount(v)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.Service.Run(ctx) }()
		synctest.Wait() // its ticker stands
		send := func() { g.want(request(id, "dev", "GET", "/", Field{"X-Api-Key", keyValue}), 200, "ok") }
		send()
		send()
		if n := stored(); n != 0 {
			t.Errorf("%d written at once", n)
		}
		time.Sleep(1500 * time.Millisecond)
		if n := stored(); n != 2 {
			t.Errorf("%d written after a second", n)
		}
		store.Fail(errors.New("disk full"))
		send()
		time.Sleep(2 * time.Second)
		store.Fail(nil)
		send()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if n := stored(); n != 4 {
			t.Errorf("%d written at the end", n)
		}
	})
}

func TestRunStops(t *testing.T) {
	defer goleak.VerifyNone(t)
	g := newGateway(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Service.Run(ctx); err != nil {
		t.Error(err)
	}
}

func TestIdleCountersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t)
		id, _ := g.api()
		g.proxy(id, "/", "GET", true)
		g.deploy(id, "dev")
		keyValue, _, _ := g.key(id, "dev", nil, nil)
		g.want(request(id, "dev", "GET", "/", Field{"X-Api-Key", keyValue}), 200, "ok")
		size := func() (n int) {
			g.counters.m.Range(func(any, any) bool { n++; return true })
			return n
		}
		for _, want := range []int{1, 0} {
			if err := g.flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Hour)
			if n := size(); n != 1 && want == 1 {
				t.Errorf("%d counters", n)
			}
		}
		if n := size(); n != 0 {
			t.Errorf("%d idle counters stay", n)
		}
	})
}

// https://docs.aws.amazon.com/apigateway/latest/api/API_UpdateUsage.html
func TestUpdateUsageExtendsTheQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memkv.New()
		g := newGatewayOn(t, store)
		id, _ := g.api()
		g.proxy(id, "/", "GET", true)
		g.deploy(id, "dev")
		keyValue, keyID, planID := g.key(id, "dev", nil, &api.QuotaSettings{Limit: new(int32(2)), Period: new("DAY")})
		get := func() int {
			status, _ := g.send(request(id, "dev", "GET", "/", Field{"x-api-key", keyValue}))
			return status
		}
		update := func(patch string) (*api.Usage, error) {
			return g.UpdateUsage(g.ctx, &api.UpdateUsageInput{UsagePlanId: &planID, KeyId: &keyID, PatchOperations: ops(patch)})
		}
		if got := []int{get(), get(), get()}; fmt.Sprint(got) != "[200 200 429]" {
			t.Fatal(got)
		}
		usage := must(update("replace /remaining 1"))
		if fmt.Sprint(usage.Items[keyID]) != "[[2 1]]" {
			t.Errorf("%v", usage.Items)
		}
		// Another process on the same store knows it too.
		g2 := newGatewayOn(t, store)
		if fmt.Sprint(must(g2.GetUsage(g2.ctx, &api.GetUsageInput{UsagePlanId: &planID, StartDate: usage.StartDate, EndDate: usage.EndDate})).Items[keyID]) != "[[2 1]]" {
			t.Error("the extension is not stored")
		}
		if got := []int{get(), get()}; fmt.Sprint(got) != "[200 429]" {
			t.Error(got)
		}
		must(update("replace /remaining 0"))
		if get() != 429 {
			t.Error("nothing remains")
		}
		// The extension ends with its period.
		time.Sleep(24 * time.Hour)
		if got := []int{get(), get(), get()}; fmt.Sprint(got) != "[200 200 429]" {
			t.Error(got)
		}
		_, err := update("replace /remaining -1")
		wantError(t, err, "BadRequestException", "remaining")
		_, err = update("add /remaining 1")
		wantError(t, err, "BadRequestException", "Invalid patch path")
	})
}
