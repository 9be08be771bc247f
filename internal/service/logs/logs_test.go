package logs

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	api "brume/internal/api/logs"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/kv"
	"brume/internal/kv/pebblekv"
)

func newService(t testing.TB) (*Service, context.Context) {
	t.Helper()
	store, err := pebblekv.Open(t.Context(), pebblekv.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	ctx := call.With(t.Context(), &call.Info{Account: "000000000000", Region: "us-east-1"})
	return New(Options{Store: store, Log: slog.New(slog.DiscardHandler), Functions: new(functions)}), ctx
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var known awserr.Error
	if !errors.As(err, &known) || known.ErrorCode() != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

// makeStream makes group g with stream s.
func makeStream(s *Service, ctx context.Context, group, stream string) {
	if _, err := s.CreateLogGroup(ctx, &api.CreateLogGroupInput{LogGroupName: &group}); err != nil {
		var exists *api.ResourceAlreadyExistsException
		if !errors.As(err, &exists) {
			panic(err)
		}
	}
	must(s.CreateLogStream(ctx, &api.CreateLogStreamInput{LogGroupName: &group, LogStreamName: &stream}))
}

func put(s *Service, ctx context.Context, group, stream string, first time.Time, messages ...string) (*api.PutLogEventsOutput, error) {
	in := &api.PutLogEventsInput{LogGroupName: &group, LogStreamName: &stream}
	for i, m := range messages {
		in.LogEvents = append(in.LogEvents, api.InputLogEvent{
			Message: new(m), Timestamp: new(first.Add(time.Duration(i) * time.Millisecond).UnixMilli()),
		})
	}
	return s.PutLogEvents(ctx, in)
}

func messages[T any](events []T, message func(T) *string) []string {
	var list []string
	for _, e := range events {
		list = append(list, *message(e))
	}
	return list
}

func TestGroupsAreListedInPages(t *testing.T) {
	s, ctx := newService(t)
	for i := range 5 {
		must(s.CreateLogGroup(ctx, &api.CreateLogGroupInput{LogGroupName: new(fmt.Sprintf("/aws/lambda/f%d", i))}))
	}
	must(s.CreateLogGroup(ctx, &api.CreateLogGroupInput{LogGroupName: new("other")}))
	_, err := s.CreateLogGroup(ctx, &api.CreateLogGroupInput{LogGroupName: new("other")})
	wantCode(t, err, "ResourceAlreadyExistsException")

	var names []string
	in := &api.DescribeLogGroupsInput{LogGroupNamePrefix: new("/aws/"), Limit: new(int32(2))}
	for pages := 1; ; pages++ {
		out := must(s.DescribeLogGroups(ctx, in))
		for _, g := range out.LogGroups {
			names = append(names, *g.LogGroupName)
			if want := "arn:aws:logs:us-east-1:000000000000:log-group:" + *g.LogGroupName + ":*"; *g.Arn != want {
				t.Errorf("ARN %s, want %s", *g.Arn, want)
			}
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			if pages != 3 {
				t.Errorf("%d pages, want 3", pages)
			}
			break
		}
	}
	if want := []string{"/aws/lambda/f0", "/aws/lambda/f1", "/aws/lambda/f2", "/aws/lambda/f3", "/aws/lambda/f4"}; !slices.Equal(names, want) {
		t.Errorf("got %v", names)
	}
	elsewhere := call.With(ctx, &call.Info{Account: "000000000000", Region: "eu-west-1"})
	if out := must(s.DescribeLogGroups(elsewhere, &api.DescribeLogGroupsInput{})); len(out.LogGroups) != 0 {
		t.Errorf("another region has %d of our groups", len(out.LogGroups))
	}
	_, err = s.DescribeLogGroups(ctx, &api.DescribeLogGroupsInput{NextToken: new("junk")})
	wantCode(t, err, "InvalidParameterException")
}

// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
func TestEventsArePagedInBothDirections(t *testing.T) {
	s, ctx := newService(t)
	makeStream(s, ctx, "g", "s")
	first := time.Now().Add(-time.Minute)
	must(put(s, ctx, "g", "s", first, "a", "b", "c"))
	must(put(s, ctx, "g", "s", first.Add(10*time.Millisecond), "d", "e"))
	get := func(in api.GetLogEventsInput) (*api.GetLogEventsOutput, string) {
		in.LogGroupName, in.LogStreamName = new("g"), new("s")
		out := must(s.GetLogEvents(ctx, &in))
		return out, strings.Join(messages(out.Events, func(e api.OutputLogEvent) *string { return e.Message }), "")
	}
	out, text := get(api.GetLogEventsInput{StartFromHead: new(true), Limit: new(int32(2))})
	if text != "ab" {
		t.Errorf("from the head: %q", text)
	}
	out, text = get(api.GetLogEventsInput{NextToken: out.NextForwardToken, Limit: new(int32(2))})
	if text != "cd" {
		t.Errorf("forward: %q", text)
	}
	if _, text := get(api.GetLogEventsInput{NextToken: out.NextBackwardToken, Limit: new(int32(2))}); text != "ab" {
		t.Errorf("back again: %q", text)
	}
	out, text = get(api.GetLogEventsInput{NextToken: out.NextForwardToken})
	if text != "e" {
		t.Errorf("the rest: %q", text)
	}
	end, text := get(api.GetLogEventsInput{NextToken: out.NextForwardToken})
	if text != "" || *end.NextForwardToken != *out.NextForwardToken {
		t.Errorf("at the end: %q, and the token must be the same", text)
	}
	must(put(s, ctx, "g", "s", first.Add(20*time.Millisecond), "f"))
	if _, text := get(api.GetLogEventsInput{NextToken: end.NextForwardToken}); text != "f" {
		t.Errorf("what came later: %q", text)
	}
	out, text = get(api.GetLogEventsInput{Limit: new(int32(2))})
	if text != "ef" {
		t.Errorf("from the tail: %q", text)
	}
	if _, text = get(api.GetLogEventsInput{NextToken: out.NextBackwardToken, Limit: new(int32(3))}); text != "bcd" {
		t.Errorf("backward: %q", text)
	}
	// StartTime is inclusive, EndTime exclusive.
	if _, text = get(api.GetLogEventsInput{StartTime: new(first.UnixMilli() + 1), EndTime: new(first.UnixMilli() + 10)}); text != "bc" {
		t.Errorf("in a window: %q", text)
	}
	// A poll of an empty stream goes on with what comes.
	makeStream(s, ctx, "g", "empty")
	none := must(s.GetLogEvents(ctx, &api.GetLogEventsInput{LogGroupName: new("g"), LogStreamName: new("empty"), StartFromHead: new(true)}))
	must(put(s, ctx, "g", "empty", first, "x"))
	later := must(s.GetLogEvents(ctx, &api.GetLogEventsInput{LogGroupName: new("g"), LogStreamName: new("empty"), NextToken: none.NextForwardToken}))
	if len(later.Events) != 1 {
		t.Errorf("the token of an empty stream leads to %d events, want 1", len(later.Events))
	}
	_, err := s.GetLogEvents(ctx, &api.GetLogEventsInput{LogGroupName: new("g"), LogStreamName: new("s"), NextToken: new("f/zz")})
	wantCode(t, err, "InvalidParameterException")
	_, err = s.GetLogEvents(ctx, &api.GetLogEventsInput{LogGroupName: new("g"), LogStreamName: new("nope")})
	wantCode(t, err, "ResourceNotFoundException")
}

// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
func TestPutLogEventsKeepsItsLimits(t *testing.T) {
	s, ctx := newService(t)
	makeStream(s, ctx, "g", "s")
	now := time.Now()
	// The limit is 1,048,576 bytes, with 26 for each event.
	_, err := put(s, ctx, "g", "s", now, strings.Repeat("x", maxBatchBytes-eventOverhead))
	if err != nil {
		t.Errorf("a batch of exactly the limit: %v", err)
	}
	_, err = put(s, ctx, "g", "s", now, strings.Repeat("x", maxBatchBytes-eventOverhead+1))
	wantCode(t, err, "InvalidParameterException")

	event := func(at time.Time) api.InputLogEvent {
		return api.InputLogEvent{Message: new("m"), Timestamp: new(at.UnixMilli())}
	}
	send := func(events ...api.InputLogEvent) (*api.PutLogEventsOutput, error) {
		return s.PutLogEvents(ctx, &api.PutLogEventsInput{LogGroupName: new("g"), LogStreamName: new("s"), LogEvents: events})
	}
	_, err = send(event(now), event(now.Add(-time.Second)))
	wantCode(t, err, "InvalidParameterException")
	if _, err = send(event(now.Add(-24*time.Hour)), event(now)); err != nil {
		t.Errorf("a span of exactly 24 hours: %v", err)
	}
	_, err = send(event(now.Add(-24*time.Hour-time.Millisecond)), event(now))
	wantCode(t, err, "InvalidParameterException")

	if out, err := send(event(now.Add(-15*24*time.Hour)), event(now)); err != nil || *out.RejectedLogEventsInfo.TooOldLogEventEndIndex != 1 {
		t.Errorf("what is rejected counts for the span: %v", err)
	}
	out := must(send(event(now.Add(-15*24*time.Hour)), event(now.Add(-14*24*time.Hour-time.Minute))))
	if out.RejectedLogEventsInfo == nil || *out.RejectedLogEventsInfo.TooOldLogEventEndIndex != 2 {
		t.Errorf("too old: %+v", out.RejectedLogEventsInfo)
	}
	out = must(send(event(now), event(now.Add(2*time.Hour-time.Minute)), event(now.Add(2*time.Hour+time.Minute))))
	if out.RejectedLogEventsInfo == nil || *out.RejectedLogEventsInfo.TooNewLogEventStartIndex != 2 {
		t.Errorf("too new: %+v", out.RejectedLogEventsInfo)
	}
	must(s.PutRetentionPolicy(ctx, &api.PutRetentionPolicyInput{LogGroupName: new("g"), RetentionInDays: new(int32(1))}))
	out = must(send(event(now.Add(-25*time.Hour)), event(now.Add(-23*time.Hour))))
	if out.RejectedLogEventsInfo == nil || *out.RejectedLogEventsInfo.ExpiredLogEventEndIndex != 1 {
		t.Errorf("expired: %+v", out.RejectedLogEventsInfo)
	}
	_, err = s.PutRetentionPolicy(ctx, &api.PutRetentionPolicyInput{LogGroupName: new("g"), RetentionInDays: new(int32(2))})
	wantCode(t, err, "InvalidParameterException")
}

// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
func TestFilterMergesStreams(t *testing.T) {
	s, ctx := newService(t)
	makeStream(s, ctx, "g", "s1")
	makeStream(s, ctx, "g", "s2")
	makeStream(s, ctx, "g", "other")
	first := time.Now().Add(-time.Minute)
	for i := range 6 {
		must(put(s, ctx, "g", []string{"s1", "s2"}[i%2], first.Add(time.Duration(i)*time.Second), fmt.Sprintf("event %d", i)))
	}
	// One timestamp in both streams: neither may be lost between pages.
	must(put(s, ctx, "g", "s1", first.Add(6*time.Second), "event 6"))
	must(put(s, ctx, "g", "s2", first.Add(6*time.Second), "event 6"))
	must(put(s, ctx, "g", "other", first, "stray"))
	for _, limit := range []int32{1, 2, 3, 100} {
		var got []string
		in := &api.FilterLogEventsInput{LogGroupName: new("g"), LogStreamNamePrefix: new("s"), Limit: new(limit), FilterPattern: new("event")}
		for {
			out := must(s.FilterLogEvents(ctx, in))
			for _, e := range out.Events {
				got = append(got, strings.TrimPrefix(*e.Message, "event "))
			}
			if in.NextToken = out.NextToken; in.NextToken == nil {
				break
			}
		}
		if want := "0 1 2 3 4 5 6 6"; strings.Join(got, " ") != want {
			t.Errorf("limit %d: got %v, want %s", limit, got, want)
		}
	}
	out := must(s.FilterLogEvents(ctx, &api.FilterLogEventsInput{LogGroupName: new("g"), LogStreamNames: []string{"s2"},
		StartTime: new(first.Add(3 * time.Second).UnixMilli()), EndTime: new(first.Add(5 * time.Second).UnixMilli())}))
	if got := messages(out.Events, func(e api.FilteredLogEvent) *string { return e.Message }); !slices.Equal(got, []string{"event 3"}) {
		t.Errorf("in a window: %v", got)
	}
}

// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_TestMetricFilter.html
func TestPatternsAreTried(t *testing.T) {
	s, ctx := newService(t)
	out := must(s.TestMetricFilter(ctx, &api.TestMetricFilterInput{FilterPattern: new("[ip, ..., status = 4*]"),
		LogEventMessages: []string{"127.0.0.1 GET 200", "127.0.0.2 GET 404"}}))
	if len(out.Matches) != 1 || *out.Matches[0].EventNumber != 1 || *out.Matches[0].EventMessage != "127.0.0.2 GET 404" ||
		out.Matches[0].ExtractedValues["$status"] != "404" || out.Matches[0].ExtractedValues["$2"] != "GET" {
		t.Errorf("%+v", out.Matches)
	}
	_, err := s.TestMetricFilter(ctx, &api.TestMetricFilterInput{FilterPattern: new("a:b"), LogEventMessages: []string{"x"}})
	wantCode(t, err, "InvalidParameterException")
	_, err = s.FilterLogEvents(ctx, &api.FilterLogEventsInput{LogGroupName: new("g"), FilterPattern: new("{")})
	wantCode(t, err, "InvalidParameterException")
}

// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CloudWatch_Logs_Log_Classes.html
func TestInfrequentAccessGroupsAreForQueries(t *testing.T) {
	s, ctx := newService(t)
	running(t, s)
	must(s.CreateLogGroup(ctx, &api.CreateLogGroupInput{LogGroupName: new("g"), LogGroupClass: new(api.LogGroupClassInfrequentAccess)}))
	must(s.CreateLogStream(ctx, &api.CreateLogStreamInput{LogGroupName: new("g"), LogStreamName: new("s")}))
	must(put(s, ctx, "g", "s", time.Now().Add(-time.Minute), "one"))
	_, err := s.GetLogEvents(ctx, &api.GetLogEventsInput{LogGroupName: new("g"), LogStreamName: new("s")})
	wantCode(t, err, "InvalidParameterException")
	_, err = s.FilterLogEvents(ctx, &api.FilterLogEventsInput{LogGroupName: new("g")})
	wantCode(t, err, "InvalidParameterException")
	_, err = s.PutMetricFilter(ctx, &api.PutMetricFilterInput{LogGroupName: new("g"), FilterName: new("f"), FilterPattern: new("")})
	wantCode(t, err, "InvalidOperationException")
	wantCode(t, subscribe(s, ctx, "g", "f", "", subscriber), "InvalidOperationException")
	_, err = s.StartLiveTail(ctx, &api.StartLiveTailInput{LogGroupIdentifiers: []string{"arn:aws:logs:us-east-1:000000000000:log-group:g"}})
	wantCode(t, err, "InvalidOperationException")
	if got := cells(results(t, s, ctx, *must(startQuery(s, ctx, "fields @message", "g")).QueryId).Results); got != "@message=one" {
		t.Errorf("a query finds %q", got)
	}
}

func FuzzTokens(f *testing.F) {
	f.Add(eventToken(position{1, 2}, true))
	f.Add(cursor{position{-1, 2}, 3}.text())
	f.Fuzz(func(t *testing.T, token string) {
		if at, forward, err := parseEventToken(token); err == nil && !strings.EqualFold(eventToken(at, forward), token) {
			t.Errorf("%q reads as %v and is written %q", token, at, eventToken(at, forward))
		}
		if c, err := parseCursor(token); err == nil && !strings.EqualFold(c.text(), token) {
			t.Errorf("%q reads as %v and is written %q", token, c, c.text())
		}
	})
}

func count(t *testing.T, s *Service, tag byte) int {
	t.Helper()
	n := 0
	err := s.store.View(t.Context(), func(tx kv.Reader) error {
		for _, err := range tx.Scan(kv.Prefix(table(tag))) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestDeletedAndExpiredEventsAreRemoved(t *testing.T) {
	s, ctx := newService(t)
	now := time.Now()
	for _, g := range []string{"kept", "deleted", "expiring"} {
		makeStream(s, ctx, g, "s")
		must(put(s, ctx, g, "s", now.Add(-48*time.Hour), "old"))
		must(put(s, ctx, g, "s", now, "new"))
	}
	makeStream(s, ctx, "kept", "gone")
	must(put(s, ctx, "kept", "gone", now, "x"))
	must(s.DeleteLogGroup(ctx, &api.DeleteLogGroupInput{LogGroupName: new("deleted")}))
	must(s.DeleteLogStream(ctx, &api.DeleteLogStreamInput{LogGroupName: new("kept"), LogStreamName: new("gone")}))
	must(s.PutRetentionPolicy(ctx, &api.PutRetentionPolicyInput{LogGroupName: new("expiring"), RetentionInDays: new(int32(1))}))

	// A new group of the same name is empty at once.
	makeStream(s, ctx, "deleted", "s")
	out := must(s.GetLogEvents(ctx, &api.GetLogEventsInput{LogGroupName: new("deleted"), LogStreamName: new("s")}))
	if len(out.Events) != 0 {
		t.Errorf("a new group has the old one's %d events", len(out.Events))
	}
	if err := s.clean(ctx); err != nil {
		t.Fatal(err)
	}
	if n := count(t, s, tagEvent); n != 3 {
		t.Errorf("%d events are left, want 3: two kept, one not expired", n)
	}
	if n := count(t, s, tagTrash); n != 0 {
		t.Errorf("%d rows of trash are left", n)
	}
	streams := must(s.DescribeLogStreams(ctx, &api.DescribeLogStreamsInput{LogGroupName: new("expiring")})).LogStreams
	if want := now.UnixMilli(); *streams[0].FirstEventTimestamp != want || *streams[0].StoredBytes != int64(3+eventOverhead) {
		t.Errorf("after expiry: %+v", streams[0])
	}
}

func TestRunStops(t *testing.T) {
	s, ctx := newService(t)
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	makeStream(s, ctx, "g", "s")
	must(put(s, ctx, "g", "s", time.Now(), "x"))
	must(s.DeleteLogGroup(ctx, &api.DeleteLogGroupInput{LogGroupName: new("g")}))
	for deadline := time.Now().Add(5 * time.Second); count(t, s, tagEvent) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("Run did not remove the deleted group's events")
		}
	}
	cancel()
	<-done
}

func TestTags(t *testing.T) {
	s, ctx := newService(t)
	must(s.CreateLogGroup(ctx, &api.CreateLogGroupInput{LogGroupName: new("g"), Tags: map[string]string{"a": "1"}}))
	arn := new("arn:aws:logs:us-east-1:000000000000:log-group:g")
	must(s.TagResource(ctx, &api.TagResourceInput{ResourceArn: new(*arn + ":*"), Tags: map[string]string{"b": "2"}}))
	must(s.UntagResource(ctx, &api.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a"}}))
	if got := must(s.ListTagsForResource(ctx, &api.ListTagsForResourceInput{ResourceArn: arn})).Tags; len(got) != 1 || got["b"] != "2" {
		t.Errorf("tags %v", got)
	}
	many := map[string]string{}
	for i := range maxTags {
		many[fmt.Sprint(i)] = ""
	}
	_, err := s.TagResource(ctx, &api.TagResourceInput{ResourceArn: arn, Tags: many})
	wantCode(t, err, "TooManyTagsException")
	delete(many, "0")
	must(s.TagResource(ctx, &api.TagResourceInput{ResourceArn: arn, Tags: many}))
	_, err = s.ListTagsForResource(ctx, &api.ListTagsForResourceInput{ResourceArn: new("arn:aws:logs:eu-west-1:000000000000:log-group:g")})
	wantCode(t, err, "ResourceNotFoundException")
}

func TestKeysRoundTrip(t *testing.T) {
	sc := scope{"000000000000", "us-east-1"}
	for _, name := range []string{"", "a", "/aws/lambda/f", "x\x00y", strings.Repeat("n", 512)} {
		if gotScope, got, err := parseGroupKey(groupKey(sc, name)); err != nil || gotScope != sc || got != name {
			t.Errorf("group %q: %v %q %v", name, gotScope, got, err)
		}
		if id, got, err := parseStreamKey(streamKey(7, name)); err != nil || id != 7 || got != name {
			t.Errorf("stream %q: %d %q %v", name, id, got, err)
		}
		if id, got, err := parseFilterKey(tagMetricFilter, metricFilterKey(7, name)); err != nil || id != 7 || got != name {
			t.Errorf("metric filter %q: %d %q %v", name, id, got, err)
		}
		if id, got, err := parseFilterKey(tagSubscription, subscriptionKey(7, name)); err != nil || id != 7 || got != name {
			t.Errorf("subscription %q: %d %q %v", name, id, got, err)
		}
		k := pointKey{name, "m", -60, name}
		if gotScope, got, stream, err := parsePointKey(pointRowKey(sc, k, 9)); err != nil || gotScope != sc || got != k || stream != 9 {
			t.Errorf("point %q: %v %v %d %v", name, gotScope, got, stream, err)
		}
		if got, err := parseTrashKey(trashKey([]byte(name))); err != nil || string(got) != name {
			t.Errorf("trash %q: %q %v", name, got, err)
		}
	}
	for _, at := range []position{{}, {-5, 1}, {1 << 62, 1<<64 - 1}} {
		if g, st, got, err := parseEventKey(eventKey(3, 4, at)); err != nil || g != 3 || st != 4 || got != at {
			t.Errorf("event %v: %d %d %v %v", at, g, st, got, err)
		}
		if got, err := parsePosition(at.text()); err != nil || got != at {
			t.Errorf("position %v: %v %v", at, got, err)
		}
	}
	if _, _, err := parseGroupKey([]byte("logs")); err == nil {
		t.Error("no error for a torn key")
	}
}

// Every operation that Service implements must be mapped to permissions, or it could not be called.
func TestEveryOperationIsAuthorised(t *testing.T) {
	s, ctx := newService(t)
	implemented := methodsOfService(t)
	handlers := api.Handlers(s)
	for i, op := range api.Schema().Operations {
		mapped := func() (mapped bool) {
			// A mapping reads required members, which an empty input lacks: whoever gets that far has one.
			defer func() { mapped = recover() != nil || mapped }()
			_, mapped, _ = s.Checks(ctx, op.Name, handlers[i].New())
			return mapped
		}()
		if mapped != implemented[op.Name] {
			t.Errorf("%s: implemented %v, mapped to permissions %v", op.Name, implemented[op.Name], mapped)
		}
	}
}

func methodsOfService(t *testing.T) map[string]bool {
	t.Helper()
	methods := map[string]bool{}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv != nil {
				if star, ok := fn.Recv.List[0].Type.(*ast.StarExpr); ok {
					if id, ok := star.X.(*ast.Ident); ok && id.Name == "Service" {
						methods[fn.Name.Name] = true
					}
				}
			}
		}
	}
	return methods
}
