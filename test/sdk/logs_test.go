package sdk

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/protocol/eventstream"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/smithy-go"
)

// logStream makes a group and a stream in it.
func logStream(t *testing.T, client *cloudwatchlogs.Client, group, stream string) {
	t.Helper()
	if _, err := client.CreateLogGroup(t.Context(), &cloudwatchlogs.CreateLogGroupInput{LogGroupName: &group}); err != nil && !strings.Contains(err.Error(), "already exists") {
		t.Fatal(err)
	}
	ok(client.CreateLogStream(t.Context(), &cloudwatchlogs.CreateLogStreamInput{LogGroupName: &group, LogStreamName: &stream}))(t)
}

// putLog puts messages a millisecond apart.
func putLog(t *testing.T, client *cloudwatchlogs.Client, group, stream string, first time.Time, messages ...string) {
	t.Helper()
	in := &cloudwatchlogs.PutLogEventsInput{LogGroupName: &group, LogStreamName: &stream}
	for i, m := range messages {
		in.LogEvents = append(in.LogEvents, types.InputLogEvent{Message: &m, Timestamp: aws.Int64(first.UnixMilli() + int64(i))})
	}
	ok(client.PutLogEvents(t.Context(), in))(t)
}

// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
func TestLogsFilters(t *testing.T) {
	account := newAccount()
	client := cloudwatchlogs.NewFromConfig(rootOf(account))
	logStream(t, client, "app", "s")
	first := time.Now().Add(-time.Minute)
	ok(client.PutMetricFilter(t.Context(), &cloudwatchlogs.PutMetricFilterInput{
		LogGroupName: aws.String("app"), FilterName: aws.String("slow"), FilterPattern: aws.String("{ $.ms > 100 }"),
		MetricTransformations: []types.MetricTransformation{{MetricNamespace: aws.String("App"), MetricName: aws.String("Slow"), MetricValue: aws.String("$.ms"), Unit: types.StandardUnitMilliseconds}},
	}))(t)
	putLog(t, client, "app", "s", first, `{"ms": 50}`, `{"ms": 150, "path": "/a"}`, "ERROR 404 /b", `{"ms": 250, "path": "/c"}`)
	for pattern, want := range map[string]int{
		"": 4, "ERROR": 1, "?ERROR ?path": 3, "-ERROR": 3, "%/[bc]%": 2, "{ $.ms > 100 && $.path = /* }": 0,
		`{ $.ms > 100 && $.path = "/*" }`: 2, "{ $.path NOT EXISTS }": 1, "[level=ERROR, code=4*, ...]": 1,
	} {
		out, err := client.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("app"), FilterPattern: &pattern})
		if strings.Contains(pattern, " /*") {
			is[*types.InvalidParameterException](t, err, "Invalid character(s) in term '/'")
			continue
		}
		if got := ok(out, err)(t); len(got.Events) != want {
			t.Errorf("%s: %d events, want %d", pattern, len(got.Events), want)
		}
	}
	tried := ok(client.TestMetricFilter(t.Context(), &cloudwatchlogs.TestMetricFilterInput{
		FilterPattern: aws.String("[ip, ..., size]"), LogEventMessages: []string{"127.0.0.1 GET 17"},
	}))(t)
	same(t, "extracted values", tried.Matches[0].ExtractedValues, map[string]string{"$ip": "127.0.0.1", "$2": "GET", "$size": "17"})
	filters := ok(client.DescribeMetricFilters(t.Context(), &cloudwatchlogs.DescribeMetricFiltersInput{LogGroupName: aws.String("app")}))(t)
	if len(filters.MetricFilters) != 1 || *filters.MetricFilters[0].MetricTransformations[0].MetricValue != "$.ms" {
		t.Errorf("%+v", filters.MetricFilters)
	}

	// What was counted is read by the account's root.
	read := func(query string) (status int, body []byte) {
		req := ok(http.NewRequestWithContext(t.Context(), http.MethodGet, brume.Endpoint+"/_brume/logs/metrics?"+query, nil))(t)
		creds := ok(rootOf(account).Credentials.Retrieve(t.Context()))(t)
		const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
		if err := v4.NewSigner().SignHTTP(t.Context(), creds, req, empty, "brume", region, time.Now()); err != nil {
			t.Fatal(err)
		}
		resp := ok(http.DefaultClient.Do(req))(t)
		defer resp.Body.Close()
		return resp.StatusCode, ok(io.ReadAll(resp.Body))(t)
	}
	status, body := read("from=2020-01-01T00:00:00Z&namespace=App&name=Slow")
	var got struct {
		Points []struct {
			Unit       string
			Sum, Count float64
		}
	}
	if err := json.Unmarshal(body, &got); err != nil || status != 200 {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	sum, n := 0.0, 0.0 // the events may lie in two minutes
	for _, p := range got.Points {
		same(t, "unit", p.Unit, "Milliseconds")
		sum, n = sum+p.Sum, n+p.Count
	}
	same(t, "the sum of two", []float64{sum, n}, []float64{400, 2})
	if status, _ := read("from=yesterday"); status != 400 {
		t.Errorf("status %d for a bad time", status)
	}
	ok(client.DeleteMetricFilter(t.Context(), &cloudwatchlogs.DeleteMetricFilterInput{LogGroupName: aws.String("app"), FilterName: aws.String("slow")}))(t)
}

// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html#LambdaFunctionExample
func TestLogsSubscriptionToLambda(t *testing.T) {
	w := newWorld(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"dynamodb:PutItem","Resource":"*"}]}`)
	w.newTable("kept")
	taker := *w.function("taker", keeper, func(in *lambda.CreateFunctionInput) { in.MemorySize = aws.Int32(256) }).FunctionArn
	client := cloudwatchlogs.NewFromConfig(w.config)
	logStream(t, client, "app", "s")
	logStream(t, client, "other", "s")
	subscribe := func(group string) error {
		_, err := client.PutSubscriptionFilter(t.Context(), &cloudwatchlogs.PutSubscriptionFilterInput{
			LogGroupName: &group, FilterName: aws.String("f"), FilterPattern: aws.String("ERROR"), DestinationArn: &taker,
		})
		return err
	}
	is[*types.InvalidParameterException](t, subscribe("app"), "Make sure you have given CloudWatch Logs permission to execute your function")
	ok(w.lambda.AddPermission(t.Context(), &lambda.AddPermissionInput{
		FunctionName: &taker, StatementId: aws.String("logs"), Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("logs.amazonaws.com"),
		SourceArn: aws.String(fmt.Sprintf("arn:aws:logs:%s:%s:log-group:app:*", region, w.account)), SourceAccount: &w.account,
	}))(t)
	if err := subscribe("app"); err != nil {
		t.Fatal(err)
	}
	is[*types.InvalidParameterException](t, subscribe("other"), "permission to execute") // its ARN is not the policy's
	putLog(t, client, "app", "s", time.Now(), "fine", "ERROR one", "ERROR two")
	e := w.kept(1)[0]
	data := ok(base64.StdEncoding.DecodeString(e["awslogs"].(map[string]any)["data"].(string)))(t)
	plain := ok(io.ReadAll(ok(gzip.NewReader(bytes.NewReader(data)))(t)))(t)
	var got struct {
		MessageType, Owner, LogGroup, LogStream string
		SubscriptionFilters                     []string
		LogEvents                               []struct{ Message string }
	}
	if err := json.Unmarshal(plain, &got); err != nil {
		t.Fatal(err)
	}
	if got.MessageType != "DATA_MESSAGE" || got.Owner != w.account || got.LogGroup != "app" || got.LogStream != "s" || len(got.LogEvents) != 2 ||
		got.LogEvents[1].Message != "ERROR two" || got.SubscriptionFilters[0] != "f" {
		t.Errorf("%s", plain)
	}
	ok(client.DeleteSubscriptionFilter(t.Context(), &cloudwatchlogs.DeleteSubscriptionFilterInput{LogGroupName: aws.String("app"), FilterName: aws.String("f")}))(t)
}

// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_QuerySyntax.html
func TestLogsInsights(t *testing.T) {
	w := newWorld(t, allow("logs:*", "*"))
	client := cloudwatchlogs.NewFromConfig(w.config)
	logStream(t, client, "/aws/lambda/f", "mine")
	w.function("f", "def handler(e, c):\n  print('{\"level\": \"INFO\", \"n\": %d}' % e)\n  return e", nil)
	for _, n := range []string{"1", "2", "3"} {
		w.invoke("f", n)
	}
	query := func(text string) (lines []string, out *cloudwatchlogs.GetQueryResultsOutput) {
		t.Helper()
		started := ok(client.StartQuery(t.Context(), &cloudwatchlogs.StartQueryInput{
			LogGroupName: aws.String("/aws/lambda/f"), QueryString: &text, StartTime: aws.Int64(time.Now().Add(-time.Hour).Unix()), EndTime: aws.Int64(time.Now().Unix()),
		}))(t)
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			out = ok(client.GetQueryResults(t.Context(), &cloudwatchlogs.GetQueryResultsInput{QueryId: started.QueryId}))(t)
			if out.Status == types.QueryStatusComplete {
				break
			}
			if time.Now().After(end) || out.Status == types.QueryStatusFailed {
				t.Fatalf("the query is %s", out.Status)
			}
		}
		for _, row := range out.Results {
			line := ""
			for _, f := range row {
				if *f.Field != "@ptr" {
					line += *f.Field + "=" + *f.Value + " "
				}
			}
			lines = append(lines, strings.TrimSpace(line))
		}
		return lines, out
	}
	// The function's log arrives a little later than its answers.
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		lines, _ := query("filter @type = 'REPORT' | stats count(*) as calls, max(@memorySize / 1000 / 1000) as mb, min(@billedDuration) >= 1 as billed, count_distinct(@requestId) as ids")
		if len(lines) == 1 && lines[0] == "calls=3 mb=128 billed=1 ids=3" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%q", lines)
		}
	}
	lines, out := query(`filter level = "INFO" | stats sum(n) as total, pct(n, 50) as mid by level | sort total desc`)
	if len(lines) != 1 || lines[0] != "level=INFO total=6 mid=2" || out.Statistics.RecordsMatched != 3 || out.Statistics.RecordsScanned < 9 {
		t.Errorf("%q, %+v", lines, out.Statistics)
	}
	lines, out = query(`fields @message, n | filter n > 2`)
	if len(lines) != 1 {
		t.Fatalf("%q", lines)
	}
	rec := ok(client.GetLogRecord(t.Context(), &cloudwatchlogs.GetLogRecordInput{LogRecordPointer: out.Results[0][2].Value}))(t)
	same(t, "a field of the record", rec.LogRecord["n"], "3")
	_, err := client.StartQuery(t.Context(), &cloudwatchlogs.StartQueryInput{
		LogGroupName: aws.String("/aws/lambda/f"), QueryString: aws.String("fields @message | filtr x"), StartTime: aws.Int64(0), EndTime: aws.Int64(1),
	})
	is[*types.MalformedQueryException](t, err, "unexpected symbol found filtr at line 1 and position 19")
	var bad *types.MalformedQueryException
	if errors.As(err, &bad) && (bad.QueryCompileError == nil || *bad.QueryCompileError.Location.StartCharOffset != 18) {
		t.Errorf("%+v", bad.QueryCompileError)
	}
	saved := ok(client.PutQueryDefinition(t.Context(), &cloudwatchlogs.PutQueryDefinitionInput{Name: aws.String("q"), QueryString: aws.String("fields @message")}))(t)
	list := ok(client.DescribeQueryDefinitions(t.Context(), &cloudwatchlogs.DescribeQueryDefinitionsInput{}))(t)
	if len(list.QueryDefinitions) != 1 || *list.QueryDefinitions[0].QueryDefinitionId != *saved.QueryDefinitionId {
		t.Errorf("%+v", list)
	}
	fields := ok(client.GetLogGroupFields(t.Context(), &cloudwatchlogs.GetLogGroupFieldsInput{LogGroupName: aws.String("/aws/lambda/f")}))(t)
	if len(fields.LogGroupFields) < 8 || fields.LogGroupFields[0].Percent != 100 {
		t.Errorf("%+v", fields.LogGroupFields)
	}
}

// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartLiveTail.html
func TestLogsLiveTail(t *testing.T) {
	account := newAccount()
	client := cloudwatchlogs.NewFromConfig(rootOf(account))
	logStream(t, client, "app", "s")
	arn := fmt.Sprintf("arn:aws:logs:%s:%s:log-group:app", region, account)
	// The SDK's operation puts a prefix before the host, which an address of digits cannot have, and its reader (v1.89.0) now and
	// then closes the connection of any server under itself. So the request is made by hand, and read with the SDK's decoder.
	body := fmt.Sprintf(`{"logGroupIdentifiers":[%q],"logEventFilterPattern":"ERROR"}`, arn)
	req := ok(http.NewRequestWithContext(t.Context(), http.MethodPost, brume.Endpoint, strings.NewReader(body)))(t)
	req.Header.Set("Content-Type", "application/x-amz-json-1.1")
	req.Header.Set("X-Amz-Target", "Logs_20140328.StartLiveTail")
	sum := sha256.Sum256([]byte(body))
	creds := ok(rootOf(account).Credentials.Retrieve(t.Context()))(t)
	if err := v4.NewSigner().SignHTTP(t.Context(), creds, req, hex.EncodeToString(sum[:]), "logs", region, time.Now()); err != nil {
		t.Fatal(err)
	}
	resp := ok(http.DefaultClient.Do(req))(t)
	defer resp.Body.Close()
	same(t, "content type", resp.Header.Get("Content-Type"), "application/vnd.amazon.eventstream")
	decoder := eventstream.NewDecoder()
	next := func() (string, []byte) {
		m := ok(decoder.Decode(resp.Body, nil))(t)
		return m.Headers.Get(":event-type").String(), m.Payload
	}
	kind, _ := next()
	same(t, "the first message", kind, "initial-response")
	kind, payload := next()
	if kind != "sessionStart" || !strings.Contains(string(payload), arn) {
		t.Errorf("%s %s", kind, payload)
	}
	putLog(t, client, "app", "s", time.Now(), "fine", "ERROR live")
	for range 20 {
		kind, payload := next()
		var update struct {
			SessionMetadata struct{ Sampled *bool }
			SessionResults  []struct{ Message, LogStreamName, LogGroupIdentifier string }
		}
		if err := json.Unmarshal(payload, &update); err != nil || kind != "sessionUpdate" || update.SessionMetadata.Sampled == nil {
			t.Fatalf("%s %s: %v", kind, payload, err)
		}
		if len(update.SessionResults) == 0 {
			continue
		}
		if r := update.SessionResults[0]; len(update.SessionResults) != 1 || r.Message != "ERROR live" || r.LogStreamName != "s" || r.LogGroupIdentifier != account+":app" {
			t.Errorf("%s", payload)
		}
		return
	}
	t.Error("the event does not come")
}

// What aws logs tail --follow does: FilterLogEvents again and again, from the last event's time on, by the events' ids.
func TestLogsAreFollowed(t *testing.T) {
	client := cloudwatchlogs.NewFromConfig(rootOf(newAccount()))
	logStream(t, client, "app", "a")
	logStream(t, client, "app", "b")
	first := time.Now().Add(-time.Minute)
	seen, from := map[string]bool{}, first.UnixMilli()
	poll := func() (fresh []string) {
		pages := cloudwatchlogs.NewFilterLogEventsPaginator(client, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("app"), StartTime: &from, Limit: aws.Int32(2)})
		for pages.HasMorePages() {
			for _, e := range ok(pages.NextPage(t.Context()))(t).Events {
				if !seen[*e.EventId] {
					seen[*e.EventId] = true
					fresh = append(fresh, *e.Message)
				}
				from = max(from, *e.Timestamp)
			}
		}
		return fresh
	}
	putLog(t, client, "app", "a", first, "1", "2", "3")
	same(t, "the first poll", poll(), []string{"1", "2", "3"})
	same(t, "nothing new", poll(), []string(nil))
	putLog(t, client, "app", "b", first.Add(2*time.Millisecond), "4", "5")
	same(t, "what came, one event within the same millisecond", poll(), []string{"4", "5"})
}

// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
func TestLogsPages(t *testing.T) {
	client := cloudwatchlogs.NewFromConfig(rootOf(newAccount()))
	logStream(t, client, "app", "s")
	var messages []string
	for i := range 25 {
		messages = append(messages, fmt.Sprint(i))
	}
	putLog(t, client, "app", "s", time.Now().Add(-time.Minute), messages...)
	var got []string
	pages := cloudwatchlogs.NewGetLogEventsPaginator(client, &cloudwatchlogs.GetLogEventsInput{LogGroupName: aws.String("app"), LogStreamName: aws.String("s"),
		StartFromHead: aws.Bool(true), Limit: aws.Int32(10)}, func(o *cloudwatchlogs.GetLogEventsPaginatorOptions) { o.StopOnDuplicateToken = true })
	for n := 0; pages.HasMorePages(); n++ {
		if n > 4 {
			t.Fatal("the paginator does not end")
		}
		for _, e := range ok(pages.NextPage(t.Context()))(t).Events {
			got = append(got, *e.Message)
		}
	}
	same(t, "all events", got, messages)
	// Backwards from the end, until the token stays the same.
	in := &cloudwatchlogs.GetLogEventsInput{LogGroupName: aws.String("app"), LogStreamName: aws.String("s"), Limit: aws.Int32(10)}
	got = nil
	for {
		out := ok(client.GetLogEvents(t.Context(), in))(t)
		var page []string
		for _, e := range out.Events {
			page = append(page, *e.Message)
		}
		got = append(page, got...)
		if in.NextToken != nil && *out.NextBackwardToken == *in.NextToken {
			break
		}
		in.NextToken = out.NextBackwardToken
	}
	same(t, "all events, from the end", got, messages)

	// What CloudWatch Logs has and Brume has not says so by name.
	_, err := client.CreateExportTask(t.Context(), &cloudwatchlogs.CreateExportTaskInput{LogGroupName: aws.String("app"), Destination: aws.String("bucket"), From: aws.Int64(0), To: aws.Int64(1)})
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "NotImplemented" || !strings.Contains(api.ErrorMessage(), "CreateExportTask") {
		t.Errorf("%v", err)
	}
}
