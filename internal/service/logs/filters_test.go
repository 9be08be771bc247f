package logs

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	api "brume/internal/api/logs"
	"brume/internal/awserr"
	"brume/internal/kv"
	"brume/internal/outbox"
)

// functions are those that subscriptions invoke.
type functions struct {
	mu     sync.Mutex
	err    error
	events []*FunctionEvent
}

func (f *functions) Invoke(_ context.Context, e *FunctionEvent) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil && !e.DryRun {
		f.events = append(f.events, e)
	}
	return f.err
}

func (f *functions) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func points(t *testing.T, s *Service, ctx context.Context) (list []string) {
	t.Helper()
	err := s.MetricPoints(ctx, "000000000000", time.Time{}, func(p *MetricPoint) bool {
		list = append(list, fmt.Sprint(p.Namespace, "/", p.Name, p.Dimensions, " ", p.Count, " ", p.Sum, " ", p.Min, " ", p.Max, p.Unit))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/MonitoringLogData.html
func TestMetricFiltersCount(t *testing.T) {
	s, ctx := newService(t)
	makeStream(s, ctx, "g", "s1")
	makeStream(s, ctx, "g", "s2")
	filter := func(name, pattern string, change func(*api.MetricTransformation)) error {
		m := api.MetricTransformation{MetricNamespace: new("N"), MetricName: &name, MetricValue: new("1")}
		if change != nil {
			change(&m)
		}
		_, err := s.PutMetricFilter(ctx, &api.PutMetricFilterInput{LogGroupName: new("g"), FilterName: &name, FilterPattern: &pattern,
			MetricTransformations: []api.MetricTransformation{m}})
		return err
	}
	for _, err := range []error{
		filter("errors", "ERROR", nil),
		filter("latency", "{ $.latency = * }", func(m *api.MetricTransformation) {
			m.MetricValue, m.Unit, m.Dimensions = new("$.latency"), new("Milliseconds"), map[string]string{"Path": "$.path"}
		}),
		filter("size", "[a, size]", func(m *api.MetricTransformation) { m.MetricValue = new("$size") }),
		filter("none", "NOTHING", func(m *api.MetricTransformation) { m.DefaultValue = new(0.5) }),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	first := time.Now().Add(-time.Hour).Truncate(time.Minute)
	must(put(s, ctx, "g", "s1", first, "ERROR one", "ERROR two", "fine 17", `{"latency": 2.5, "path": "/a"}`))
	must(put(s, ctx, "g", "s2", first, "ERROR three", `{"latency": 1.5, "path": "/a"}`, `{"latency": 9, "path": "/b"}`, `{"latency": 9}`, "size 3"))
	want := []string{"N/errorsmap[] 3 3 1 1", "N/latencymap[Path:/a] 2 4 1.5 2.5Milliseconds", "N/latencymap[Path:/b] 1 9 9 9Milliseconds",
		"N/nonemap[] 1 0.5 0.5 0.5", "N/sizemap[] 2 20 3 17"}
	if got := points(t, s, ctx); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}

	for _, bad := range []func(*api.MetricTransformation){
		func(m *api.MetricTransformation) { m.MetricValue = new("x") },
		func(m *api.MetricTransformation) { m.MetricValue = new("$.a") },
		func(m *api.MetricTransformation) { m.Dimensions = map[string]string{"D": "x"} },
		func(m *api.MetricTransformation) {
			m.Dimensions, m.DefaultValue = map[string]string{"D": "$a"}, new(1.0)
		},
	} {
		wantCode(t, filter("bad", "[a, b]", bad), "InvalidParameterException")
	}
	wantCode(t, filter("bad", "a:b", nil), "InvalidParameterException")

	out := must(s.DescribeMetricFilters(ctx, &api.DescribeMetricFiltersInput{Limit: new(int32(3))}))
	if len(out.MetricFilters) != 3 || out.NextToken == nil || *out.MetricFilters[0].FilterName != "errors" {
		t.Errorf("%+v", out)
	}
	out = must(s.DescribeMetricFilters(ctx, &api.DescribeMetricFiltersInput{Limit: new(int32(3)), NextToken: out.NextToken}))
	if len(out.MetricFilters) != 1 || out.NextToken != nil || *out.MetricFilters[0].FilterName != "size" {
		t.Errorf("%+v", out)
	}
	out = must(s.DescribeMetricFilters(ctx, &api.DescribeMetricFiltersInput{MetricName: new("none"), MetricNamespace: new("N")}))
	if len(out.MetricFilters) != 1 || *out.MetricFilters[0].MetricTransformations[0].DefaultValue != 0.5 {
		t.Errorf("%+v", out)
	}
	if g := must(s.DescribeLogGroups(ctx, &api.DescribeLogGroupsInput{})); *g.LogGroups[0].MetricFilterCount != 4 {
		t.Errorf("%d filters", *g.LogGroups[0].MetricFilterCount)
	}
	must(s.DeleteMetricFilter(ctx, &api.DeleteMetricFilterInput{LogGroupName: new("g"), FilterName: new("none")}))
	_, err := s.DeleteMetricFilter(ctx, &api.DeleteMetricFilterInput{LogGroupName: new("g"), FilterName: new("none")})
	wantCode(t, err, "ResourceNotFoundException")

	// The limits: 100 filters, five of them with regular expressions.
	for i := range maxRegexFilters {
		if err := filter(fmt.Sprint("r", i), "%x%", nil); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, filter("r6", "%x%", nil), "LimitExceededException")
	if err := filter("r0", "%y%", nil); err != nil {
		t.Errorf("replacing one: %v", err)
	}
	for i := range maxMetricFilters - 3 - maxRegexFilters {
		if err := filter(fmt.Sprint("m", i), "x", nil); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, filter("more", "x", nil), "LimitExceededException")

	// What is too old or too much goes.
	if err := s.forgetPoints(ctx, 100); err != nil || len(points(t, s, ctx)) != 5 {
		t.Errorf("%v, %q", err, points(t, s, ctx))
	}
	if err := s.forgetPoints(ctx, 2); err != nil || len(points(t, s, ctx)) != 0 {
		t.Errorf("%v, %q", err, points(t, s, ctx))
	}
	must(s.DeleteLogGroup(ctx, &api.DeleteLogGroupInput{LogGroupName: new("g")}))
	if err := s.emptyTrash(ctx); err != nil || count(t, s, tagMetricFilter) != 0 {
		t.Errorf("filters of a deleted group are left: %v", err)
	}
}

const subscriber = "arn:aws:lambda:us-east-1:000000000000:function:taker"

func subscribe(s *Service, ctx context.Context, group, name, pattern, destination string) error {
	_, err := s.PutSubscriptionFilter(ctx, &api.PutSubscriptionFilterInput{LogGroupName: &group, FilterName: &name,
		FilterPattern: &pattern, DestinationArn: &destination})
	return err
}

// unpack reads the payload of a subscription.
func unpack(t *testing.T, payload []byte) (out struct {
	MessageType, Owner, LogGroup, LogStream string
	SubscriptionFilters                     []string
	LogEvents                               []subscribedEvent
}) {
	t.Helper()
	var in struct{ AWSLogs struct{ Data []byte } }
	if err := json.Unmarshal(payload, &in); err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(in.AWSLogs.Data))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(r).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html
func TestSubscriptions(t *testing.T) {
	s, ctx := newService(t)
	f := s.functions.(*functions)
	makeStream(s, ctx, "g", "s")
	makeStream(s, ctx, "g", "2026/01/01/taker[$LATEST]abc")
	wantCode(t, subscribe(s, ctx, "nope", "f", "", subscriber), "ResourceNotFoundException")
	for _, destination := range []string{"x", "arn:aws:kinesis:us-east-1:000000000000:stream/s", strings.Replace(subscriber, "us-east-1", "eu-west-1", 1)} {
		wantCode(t, subscribe(s, ctx, "g", "f", "", destination), "InvalidParameterException")
	}
	f.fail(awserr.New("AccessDeniedException", "no"))
	wantCode(t, subscribe(s, ctx, "g", "f", "", subscriber), "InvalidParameterException")
	f.fail(nil)
	makeStream(s, ctx, "/aws/lambda/taker", "s")
	wantCode(t, subscribe(s, ctx, "/aws/lambda/taker", "f", "", subscriber), "InvalidParameterException")
	for _, name := range []string{"f", "fields", "f"} {
		if err := subscribe(s, ctx, "g", name, map[string]string{"f": "ERROR", "fields": "[level, rest]"}[name], subscriber); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, subscribe(s, ctx, "g", "third", "", subscriber), "LimitExceededException")
	list := must(s.DescribeSubscriptionFilters(ctx, &api.DescribeSubscriptionFiltersInput{LogGroupName: new("g"), Limit: new(int32(1))}))
	if len(list.SubscriptionFilters) != 1 || list.NextToken == nil || *list.SubscriptionFilters[0].DestinationArn != subscriber {
		t.Errorf("%+v", list)
	}

	run := make(chan struct{})
	jobs := outbox.New(outbox.Options{Store: s.store.(outbox.Store)})
	jobs.Handle(SubscriptionQueue, SubscriptionConcurrency, s.Deliver)
	running, stop := context.WithCancel(ctx)
	go func() {
		defer close(run)
		if err := jobs.Run(running); err != nil {
			t.Error(err)
		}
	}()
	defer func() { stop(); <-run }()
	arrived := func(n int) []*FunctionEvent {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			f.mu.Lock()
			events := slices.Clone(f.events)
			f.mu.Unlock()
			if len(events) >= n {
				return events
			}
			if time.Now().After(end) {
				t.Fatalf("%d deliveries, want %d", len(events), n)
			}
		}
	}
	first := time.Now()
	must(put(s, ctx, "g", "s", first, "ERROR it broke", "INFO all well", "single"))
	must(put(s, ctx, "g", "2026/01/01/taker[$LATEST]abc", first, "ERROR of its own"))
	seen := map[string]bool{}
	for _, e := range arrived(2) {
		got := unpack(t, e.Payload)
		if got.MessageType != "DATA_MESSAGE" || got.Owner != "000000000000" || got.LogGroup != "g" || got.LogStream != "s" ||
			e.FunctionARN != subscriber || e.SourceARN != "arn:aws:logs:us-east-1:000000000000:log-group:g:*" || e.SourceAccount != "000000000000" {
			t.Errorf("%+v of %+v", got, e)
		}
		name := got.SubscriptionFilters[0]
		seen[name] = true
		switch {
		case name == "f" && (len(got.LogEvents) != 1 || got.LogEvents[0].Message != "ERROR it broke" || got.LogEvents[0].Extracted != nil):
			t.Errorf("%+v", got.LogEvents)
		case name == "fields" && (len(got.LogEvents) != 2 || got.LogEvents[0].Extracted["rest"] != "it broke" || got.LogEvents[0].ID == ""):
			t.Errorf("%+v", got.LogEvents)
		}
	}
	if len(seen) != 2 {
		t.Errorf("deliveries of %v", seen)
	}

	// A throttle is tried again.
	must(s.DeleteSubscriptionFilter(ctx, &api.DeleteSubscriptionFilterInput{LogGroupName: new("g"), FilterName: new("fields")}))
	f.fail(awserr.New("TooManyRequestsException", "wait"))
	must(put(s, ctx, "g", "s", first.Add(time.Second), "ERROR two"))
	time.Sleep(50 * time.Millisecond)
	f.fail(nil)
	if got := unpack(t, arrived(3)[2].Payload); got.LogEvents[0].Message != "ERROR two" || s.dropped.Load() != 0 {
		t.Errorf("%+v, %d dropped", got, s.dropped.Load())
	}
	// A refusal is not, and what comes in the next minutes is dropped too.
	f.fail(awserr.New("AccessDeniedException", "no"))
	for i := range 2 {
		must(put(s, ctx, "g", "s", first.Add(2*time.Second), "ERROR lost"))
		for end := time.Now().Add(20 * time.Second); s.dropped.Load() <= int64(i); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d events dropped", s.dropped.Load())
			}
		}
		f.fail(nil)
	}
	if err := subscribe(s, ctx, "g", "f", "ERROR", subscriber); err != nil {
		t.Fatal(err)
	}
	must(put(s, ctx, "g", "s", first.Add(3*time.Second), "ERROR again"))
	arrived(4)
	if n := s.pending.Load(); n < 0 || n > 1 {
		t.Errorf("%d deliveries wait", n)
	}

	// What does not fit one delivery is split; what waits is bounded.
	s.pending.Store(maxPending)
	must(put(s, ctx, "g", "s", first.Add(4*time.Second), "ERROR too many"))
	if s.dropped.Load() != 3 {
		t.Errorf("%d events dropped, want 3", s.dropped.Load())
	}
}

// Functions that subscribe to each other's logs are told of; a function cannot subscribe to its own.
// https://github.com/amplify-education/serverless-log-forwarding/issues/13
func TestSubscriptionLoops(t *testing.T) {
	s, ctx := newService(t)
	var said bytes.Buffer
	s.log = slog.New(slog.NewTextHandler(&said, nil))
	arn := func(name string) string { return "arn:aws:lambda:us-east-1:000000000000:function:" + name }
	for _, name := range []string{"a", "b", "c"} {
		makeStream(s, ctx, "/aws/lambda/"+name, "s")
	}
	err := subscribe(s, ctx, "/aws/lambda/a", "f", "", arn("a:live"))
	if err == nil || !strings.HasSuffix(err.Error(), "The log group provided is reserved for the function logs of the destination function.") {
		t.Errorf("%v", err)
	}
	for _, edge := range [][2]string{{"a", "b"}, {"b", "c"}, {"a", "nobody"}, {"b", "nobody"}} {
		if err := subscribe(s, ctx, "/aws/lambda/"+edge[0], edge[1], "", arn(edge[1])); err != nil {
			t.Fatal(err)
		}
	}
	if said.Len() != 0 {
		t.Errorf("%s", said.String())
	}
	if err := subscribe(s, ctx, "/aws/lambda/c", "f", "ERROR", arn("a:live")); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), `groups="[/aws/lambda/a /aws/lambda/b /aws/lambda/c]"`) {
		t.Errorf("%s", said.String())
	}
}

// Deliveries that a start has left count at the next one.
func TestPendingAfterRestart(t *testing.T) {
	s, ctx := newService(t)
	makeStream(s, ctx, "g", "s")
	if err := subscribe(s, ctx, "g", "f", "", subscriber); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		must(put(s, ctx, "g", "s", time.Now(), fmt.Sprint(i)))
	}
	again := New(Options{Store: s.store, Log: s.log, Functions: s.functions})
	if err := again.CountPending(ctx); err != nil || again.pending.Load() != 3 || s.pending.Load() != 3 {
		t.Errorf("%d and %d wait, %v", s.pending.Load(), again.pending.Load(), err)
	}
	jobs := outbox.New(outbox.Options{Store: s.store.(outbox.Store)})
	jobs.Handle(SubscriptionQueue, SubscriptionConcurrency, again.Deliver)
	running, stop := context.WithCancel(ctx)
	run := make(chan error)
	go func() { run <- jobs.Run(running) }()
	for end := time.Now().Add(20 * time.Second); again.pending.Load() != 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d wait", again.pending.Load())
		}
	}
	stop()
	if err := <-run; err != nil {
		t.Error(err)
	}
	if err := again.CountPending(ctx); err != nil || again.pending.Load() != 0 {
		t.Errorf("%d wait, %v", again.pending.Load(), err)
	}
}

func TestDeliveriesAreSplit(t *testing.T) {
	s, ctx := newService(t)
	b := &batch{group: new(groupRow), scope: scope{"000000000000", "us-east-1"}}
	noise := func(n int) string {
		var text strings.Builder
		for x := uint64(1); text.Len() < n; x = x*6364136223846793005 + 1442695040888963407 {
			fmt.Fprintf(&text, "%c", rune(0x4e00+x>>50))
		}
		return text.String()
	}
	for _, c := range []struct {
		events        []subscribedEvent
		jobs, dropped int
	}{
		{[]subscribedEvent{{Message: noise(600 << 10)}, {Message: noise(600 << 10)}}, 2, 0},
		{[]subscribedEvent{{Message: noise(2 << 20)}, {Message: "small"}}, 1, 1},
	} {
		err := s.store.Update(ctx, func(tx kv.Tx) error {
			jobs, dropped, err := enqueueDelivery(tx, b, "f", new(subscriptionRow), c.events)
			if jobs != c.jobs || dropped != int64(c.dropped) {
				t.Errorf("%d jobs, %d dropped", jobs, dropped)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestRetryableCodes(t *testing.T) {
	for code, want := range map[string]bool{
		"TooManyRequestsException": true, "ServiceException": true, "AccessDeniedException": false, "ResourceNotFoundException": false,
	} {
		if got := retryable(code); got != want {
			t.Errorf("%s: %v", code, got)
		}
	}
}
