package sdk

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
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
