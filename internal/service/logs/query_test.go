package logs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	api "brume/internal/api/logs"
	"brume/internal/schema"
)

// running has the service work in the background until the test ends.
func running(t *testing.T, s *Service) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
}

func startQuery(s *Service, ctx context.Context, text string, groups ...string) (*api.StartQueryOutput, error) {
	return s.StartQuery(ctx, &api.StartQueryInput{LogGroupNames: groups, QueryString: &text,
		StartTime: new(time.Now().Add(-time.Hour).Unix()), EndTime: new(time.Now().Unix())})
}

// results waits for a query to end.
func results(t *testing.T, s *Service, ctx context.Context, id string) *api.GetQueryResultsOutput {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		out := must(s.GetQueryResults(ctx, &api.GetQueryResultsInput{QueryId: &id}))
		if *out.Status != api.QueryStatusScheduled && *out.Status != api.QueryStatusRunning {
			return out
		}
		if time.Now().After(end) {
			t.Fatalf("the query is still %s", *out.Status)
		}
	}
}

func cells(rows [][]api.ResultField) string {
	var lines []string
	for _, row := range rows {
		var fields []string
		for _, f := range row {
			if *f.Field != "@ptr" {
				fields = append(fields, *f.Field+"="+*f.Value)
			}
		}
		lines = append(lines, strings.Join(fields, " "))
	}
	return strings.Join(lines, "\n")
}

// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartQuery.html
func TestQueriesRun(t *testing.T) {
	s, ctx := newService(t)
	running(t, s)
	makeStream(s, ctx, "g", "s1")
	makeStream(s, ctx, "g", "s2")
	makeStream(s, ctx, "h", "s")
	first := time.Now().Add(-10 * time.Minute)
	must(put(s, ctx, "g", "s1", first, `{"ms": 1}`, `{"ms": 3}`))
	must(put(s, ctx, "g", "s2", first.Add(time.Second), `{"ms": 2}`))
	must(put(s, ctx, "h", "s", first.Add(2*time.Second), `{"ms": 4}`, "noise"))
	must(put(s, ctx, "h", "s", first.Add(-2*time.Hour), `{"ms": 99}`))

	started := must(startQuery(s, ctx, "fields ms, @logStream, @log | filter ms > 1", "g", "h"))
	out := results(t, s, ctx, *started.QueryId)
	want := "ms=4 @logStream=s @log=000000000000:h\nms=2 @logStream=s2 @log=000000000000:g\nms=3 @logStream=s1 @log=000000000000:g"
	if got := cells(out.Results); got != want || *out.Status != api.QueryStatusComplete {
		t.Errorf("%s: %s", *out.Status, got)
	}
	if *out.Statistics.RecordsMatched != 3 || *out.Statistics.RecordsScanned != 5 || *out.Statistics.BytesScanned != 4*9+5 {
		t.Errorf("matched %v, scanned %v, %v bytes", *out.Statistics.RecordsMatched, *out.Statistics.RecordsScanned, *out.Statistics.BytesScanned)
	}
	last := out.Results[0][len(out.Results[0])-1]
	rec := must(s.GetLogRecord(ctx, &api.GetLogRecordInput{LogRecordPointer: last.Value}))
	if rec.LogRecord["ms"] != "4" || rec.LogRecord["@message"] != `{"ms": 4}` || rec.LogRecord["@ptr"] != *last.Value {
		t.Errorf("%v", rec.LogRecord)
	}
	_, err := s.GetLogRecord(ctx, &api.GetLogRecordInput{LogRecordPointer: new("junk")})
	wantCode(t, err, "InvalidParameterException")

	fields := must(s.GetLogGroupFields(ctx, &api.GetLogGroupFieldsInput{LogGroupName: new("h")}))
	found := map[string]int32{}
	for _, f := range fields.LogGroupFields {
		found[*f.Name] = *f.Percent
	}
	if found["@message"] != 100 || found["ms"] != 50 {
		t.Errorf("%v", found)
	}

	_, err = startQuery(s, ctx, "fields", "g")
	var bad *api.MalformedQueryException
	if !errors.As(err, &bad) || *bad.QueryCompileError.Location.StartCharOffset != 6 {
		t.Errorf("%v", err)
	}
	_, err = startQuery(s, ctx, "fields a", "nope")
	wantCode(t, err, "ResourceNotFoundException")
	_, err = startQuery(s, ctx, "fields a")
	wantCode(t, err, "InvalidParameterException")
	_, err = s.GetQueryResults(ctx, &api.GetQueryResultsInput{QueryId: new("nope")})
	wantCode(t, err, "ResourceNotFoundException")
	_, err = s.StopQuery(ctx, &api.StopQueryInput{QueryId: started.QueryId})
	wantCode(t, err, "InvalidParameterException")
	limited := must(s.StartQuery(ctx, &api.StartQueryInput{LogGroupIdentifiers: []string{"arn:aws:logs:us-east-1:000000000000:log-group:g"}, Limit: new(int32(1)),
		QueryString: new("fields ms"), StartTime: new(first.Unix()), EndTime: new(first.Unix() + 1)}))
	if got := cells(results(t, s, ctx, *limited.QueryId).Results); got != "ms=2" {
		t.Errorf("with a limit: %s", got)
	}
	list := must(s.DescribeQueries(ctx, &api.DescribeQueriesInput{MaxResults: new(int32(1))}))
	if len(list.Queries) != 1 || *list.Queries[0].QueryId != *limited.QueryId || list.NextToken == nil {
		t.Errorf("%+v", list)
	}
	list = must(s.DescribeQueries(ctx, &api.DescribeQueriesInput{NextToken: list.NextToken, LogGroupName: new("h"), Status: new(api.QueryStatusComplete)}))
	if len(list.Queries) != 1 || *list.Queries[0].QueryId != *started.QueryId || list.NextToken != nil {
		t.Errorf("%+v", list)
	}
}

// Without anyone who works on them queries wait: up to the limit, and stopped ones never run.
func TestQueriesWaitAndStop(t *testing.T) {
	s, ctx := newService(t)
	makeStream(s, ctx, "g", "s")
	var ids []string
	for range maxActiveQueries {
		ids = append(ids, *must(startQuery(s, ctx, "fields a", "g")).QueryId)
	}
	_, err := startQuery(s, ctx, "fields a", "g")
	wantCode(t, err, "LimitExceededException")
	if out := must(s.StopQuery(ctx, &api.StopQueryInput{QueryId: &ids[0]})); !*out.Success {
		t.Error("it was not stopped")
	}
	must(startQuery(s, ctx, "fields a", "g"))
	running(t, s)
	if out := results(t, s, ctx, ids[0]); *out.Status != api.QueryStatusCancelled {
		t.Errorf("the stopped one is %s", *out.Status)
	}
	if out := results(t, s, ctx, ids[1]); *out.Status != api.QueryStatusComplete {
		t.Errorf("another one is %s", *out.Status)
	}
	// What ended is forgotten when there is too much of it.
	s.queries.mu.Lock()
	s.queries.bytes = maxResultBytes + 1
	s.queries.mu.Unlock()
	must(startQuery(s, ctx, "fields a", "g"))
	_, err = s.GetQueryResults(ctx, &api.GetQueryResultsInput{QueryId: &ids[0]})
	wantCode(t, err, "ResourceNotFoundException")
}

// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutQueryDefinition.html
func TestQueryDefinitions(t *testing.T) {
	s, ctx := newService(t)
	save := func(name, token string, id *string) (string, error) {
		out, err := s.PutQueryDefinition(ctx, &api.PutQueryDefinitionInput{Name: &name, QueryString: new("fields a"), ClientToken: &token, QueryDefinitionId: id})
		if err != nil {
			return "", err
		}
		return *out.QueryDefinitionId, nil
	}
	a := must(save("team/a", "1", nil))
	if again := must(save("team/a", "1", nil)); again != a {
		t.Error("the same request made another definition")
	}
	must(save("team/b", "2", nil))
	must(save("other", "3", nil))
	if id := must(save("team/c", "4", &a)); id != a {
		t.Error("replacing gave another id")
	}
	_, err := save("x", "5", new("nope"))
	wantCode(t, err, "ResourceNotFoundException")
	var names []string
	in := &api.DescribeQueryDefinitionsInput{QueryDefinitionNamePrefix: new("team/"), MaxResults: new(int32(1))}
	for {
		out := must(s.DescribeQueryDefinitions(ctx, in))
		for _, d := range out.QueryDefinitions {
			names = append(names, *d.Name)
		}
		if in.NextToken = out.NextToken; in.NextToken == nil {
			break
		}
	}
	if len(names) != 2 || names[0] == names[1] || strings.Contains(fmt.Sprint(names), "team/a") {
		t.Errorf("%v", names)
	}
	if out := must(s.DeleteQueryDefinition(ctx, &api.DeleteQueryDefinitionInput{QueryDefinitionId: &a})); !*out.Success {
		t.Error("not deleted")
	}
	_, err = s.DeleteQueryDefinition(ctx, &api.DeleteQueryDefinitionInput{QueryDefinitionId: &a})
	wantCode(t, err, "ResourceNotFoundException")
	sc := scope{"000000000000", "us-east-1"}
	if gotScope, id, err := parseDefinitionKey(definitionKey(sc, "x")); err != nil || gotScope != sc || id != "x" {
		t.Errorf("%v %q %v", gotScope, id, err)
	}
}

// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartLiveTail.html
func TestLiveTail(t *testing.T) {
	s, ctx := newService(t)
	makeStream(s, ctx, "g", "s1")
	makeStream(s, ctx, "g", "s2")
	const arn = "arn:aws:logs:us-east-1:000000000000:log-group:g"
	for _, in := range []*api.StartLiveTailInput{
		{LogGroupIdentifiers: []string{"g"}},
		{LogGroupIdentifiers: []string{arn + ":*"}},
		{LogGroupIdentifiers: []string{arn}, LogStreamNames: []string{"a"}, LogStreamNamePrefixes: []string{"b"}},
		{LogGroupIdentifiers: []string{arn, arn}, LogStreamNames: []string{"a"}},
		{LogGroupIdentifiers: []string{arn}, LogEventFilterPattern: new("{")},
	} {
		_, err := s.StartLiveTail(ctx, in)
		wantCode(t, err, "InvalidParameterException")
	}
	_, err := s.StartLiveTail(ctx, &api.StartLiveTailInput{LogGroupIdentifiers: []string{arn + "x"}})
	wantCode(t, err, "ResourceNotFoundException")

	watching, stop := context.WithCancel(ctx)
	out := must(s.StartLiveTail(watching, &api.StartLiveTailInput{LogGroupIdentifiers: []string{arn}, LogStreamNamePrefixes: []string{"s1"}, LogEventFilterPattern: new("ERROR")}))
	var seen []string
	sampled := false
	err = out.ResponseStream(func(e *schema.Event) error {
		switch m := e.Members.(type) {
		case *api.LiveTailSessionStart:
			must(put(s, ctx, "g", "s1", time.Now(), "ERROR 1", "fine"))
			must(put(s, ctx, "g", "s2", time.Now(), "ERROR elsewhere"))
		case *api.LiveTailSessionUpdate:
			for _, event := range m.SessionResults {
				seen = append(seen, *event.Message)
			}
			sampled = *m.SessionMetadata.Sampled
			if len(seen) == 1 {
				must(put(s, ctx, "g", "s1", time.Now(), strings.Split(strings.Repeat("ERROR,", maxTailEvents+1), ",")[:maxTailEvents+1]...))
			} else {
				stop()
			}
		}
		return nil
	})
	if err != nil || len(seen) != 1+maxTailEvents || seen[0] != "ERROR 1" || !sampled || s.tails.n.Load() != 0 {
		t.Errorf("%v, %d events, sampled %v, %d sessions left", err, len(seen), sampled, s.tails.n.Load())
	}
}

func TestLiveTailSessionsAreFew(t *testing.T) {
	var s tails
	for i := range maxTails {
		if err := s.add(&tail{scope: scope{account: "a"}}); err != nil {
			t.Fatalf("session %d: %v", i, err)
		}
	}
	last := &tail{scope: scope{account: "a"}}
	wantCode(t, s.add(last), "LimitExceededException")
	if err := s.add(&tail{scope: scope{account: "b"}}); err != nil {
		t.Error(err)
	}
	s.remove(s.list[0])
	if err := s.add(last); err != nil {
		t.Error(err)
	}
}

// Sessions end when the server does.
func TestLiveTailEndsWithTheServer(t *testing.T) {
	s, tl := new(Service), &tail{scope: scope{account: "a"}}
	err := s.tailEvents(t.Context(), tl, new(api.LiveTailSessionStart), func(*schema.Event) error {
		s.EndLiveTail()
		return nil
	})
	wantCode(t, err, "SessionStreamingException")
	if n := s.tails.n.Load(); n != 0 || len(s.tails.list) != 0 {
		t.Errorf("%d sessions are left", n)
	}
}

// A session ends after three hours.
func TestLiveTailEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, tl := new(Service), &tail{scope: scope{account: "a"}}
		begin, updates := time.Now(), 0
		err := s.tailEvents(t.Context(), tl, new(api.LiveTailSessionStart), func(e *schema.Event) error {
			if e.Name == "sessionUpdate" {
				updates++
			}
			return nil
		})
		wantCode(t, err, "SessionTimeoutException")
		if d := time.Since(begin); d != tailLifetime || updates < 3*60*60-1 {
			t.Errorf("it ended after %v and %d updates", d, updates)
		}
	})
}
