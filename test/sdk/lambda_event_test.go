package sdk

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// newTable makes a table with the key "id", and returns its ARN and that of its stream.
func (w *world) newTable(name string) (arn, stream string) {
	w.t.Helper()
	out := ok(dynamodb.NewFromConfig(w.config).CreateTable(w.t.Context(), &dynamodb.CreateTableInput{
		TableName: &name, BillingMode: ddbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []ddbtypes.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: ddbtypes.ScalarAttributeTypeS}},
		KeySchema:            []ddbtypes.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: ddbtypes.KeyTypeHash}},
		StreamSpecification:  &ddbtypes.StreamSpecification{StreamEnabled: aws.Bool(true), StreamViewType: ddbtypes.StreamViewTypeNewAndOldImages},
	}))(w.t)
	return *out.TableDescription.TableArn, *out.TableDescription.LatestStreamArn
}

// keeper is the body of a function that writes each event into the table "kept".
const keeper = `
import boto3, json
kept = boto3.resource('dynamodb').Table('kept')
def handler(e, c):
  kept.put_item(Item={'id': c.aws_request_id, 'event': json.dumps(e)})
  return e
`

// kept waits until the table "kept" has so many items, and returns their events.
func (w *world) kept(n int) (events []map[string]any) {
	w.t.Helper()
	client := dynamodb.NewFromConfig(w.config)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		out := ok(client.Scan(w.t.Context(), &dynamodb.ScanInput{TableName: aws.String("kept")}))(w.t)
		if len(out.Items) >= n {
			for _, item := range out.Items {
				var e map[string]any
				if err := json.Unmarshal([]byte(item["event"].(*ddbtypes.AttributeValueMemberS).Value), &e); err != nil {
					w.t.Fatal(err)
				}
				events = append(events, e)
			}
			return events
		}
		if time.Now().After(end) {
			w.t.Fatalf("only %d of %d events arrived\n%s", len(out.Items), n, brume.LogTail())
		}
	}
}

// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
func TestLambdaDestinations(t *testing.T) {
	w := newWorld(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"dynamodb:PutItem","Resource":"*"},{"Effect":"Allow","Action":"lambda:InvokeFunction","Resource":"*"}]}`)
	w.newTable("kept")
	target := *w.function("target", keeper, func(in *lambda.CreateFunctionInput) { in.MemorySize = aws.Int32(256) }).FunctionArn
	w.function("f", "def handler(e, c):\n  if e == 'fail': raise ValueError('bad')\n  return {'got': e}", nil)
	poor := newRole(t, w.config, "poor", lambdaService, "")
	w.function("poor", "def handler(e, c): pass", func(in *lambda.CreateFunctionInput) { in.Role = &poor })
	to := &types.DestinationConfig{OnSuccess: &types.OnSuccess{Destination: &target}, OnFailure: &types.OnFailure{Destination: &target}}
	_, err := w.lambda.PutFunctionEventInvokeConfig(t.Context(), &lambda.PutFunctionEventInvokeConfigInput{FunctionName: aws.String("poor"), DestinationConfig: to})
	is[*types.InvalidParameterValueException](t, err, "The function's execution role does not have permissions to call InvokeFunction on "+target)
	_, err = w.lambda.PutFunctionEventInvokeConfig(t.Context(), &lambda.PutFunctionEventInvokeConfigInput{FunctionName: aws.String("f"), MaximumRetryAttempts: aws.Int32(3)})
	hasCode(t, err, 400, "ValidationException", "less than or equal to 2")
	out := ok(w.lambda.PutFunctionEventInvokeConfig(t.Context(), &lambda.PutFunctionEventInvokeConfigInput{
		FunctionName: aws.String("f"), MaximumRetryAttempts: aws.Int32(0), MaximumEventAgeInSeconds: aws.Int32(60), DestinationConfig: to,
	}))(t)
	if time.Since(*out.LastModified).Abs() > time.Minute || *out.DestinationConfig.OnFailure.Destination != target {
		t.Errorf("%+v", out)
	}
	for _, payload := range []string{`"fail"`, `"win"`} {
		sent := ok(w.lambda.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("f"), InvocationType: types.InvocationTypeEvent, Payload: []byte(payload)}))(t)
		same(t, "status", sent.StatusCode, int32(202))
	}
	got := map[string]bool{}
	for _, e := range w.kept(2) {
		rc, resp := e["requestContext"].(map[string]any), e["responseContext"].(map[string]any)
		got[fmt.Sprint(e["requestPayload"], rc["condition"], rc["approximateInvokeCount"], resp["statusCode"], resp["functionError"])] = true
	}
	if !got["failRetriesExhausted1 200Unhandled"] || !got["winSuccess1 200 <nil>"] {
		t.Errorf("%v", got)
	}
}

// https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
func TestLambdaReadsDynamoDBStreams(t *testing.T) {
	w := newWorld(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["dynamodb:PutItem","dynamodb:GetRecords","dynamodb:GetShardIterator","dynamodb:DescribeStream","dynamodb:ListStreams"],"Resource":"*"}]}`)
	w.newTable("kept")
	_, stream := w.newTable("source")
	w.function("f", keeper, func(in *lambda.CreateFunctionInput) { in.MemorySize = aws.Int32(256) })
	poor := newRole(t, w.config, "poor", lambdaService, allow("dynamodb:DescribeStream", "*"))
	w.function("poor", "def handler(e, c): pass", func(in *lambda.CreateFunctionInput) { in.Role = &poor })
	_, err := w.lambda.CreateEventSourceMapping(t.Context(), &lambda.CreateEventSourceMappingInput{FunctionName: aws.String("poor"), EventSourceArn: &stream, StartingPosition: types.EventSourcePositionLatest})
	is[*types.InvalidParameterValueException](t, err, "Please ensure the role can perform the GetRecords")

	tables := dynamodb.NewFromConfig(w.config)
	put := func(id, kind string) {
		ok(tables.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("source"), Item: map[string]ddbtypes.AttributeValue{
			"id": &ddbtypes.AttributeValueMemberS{Value: id}, "kind": &ddbtypes.AttributeValueMemberS{Value: kind},
		}}))(t)
	}
	put("early", "wanted")
	m := ok(w.lambda.CreateEventSourceMapping(t.Context(), &lambda.CreateEventSourceMappingInput{
		FunctionName: aws.String("f"), EventSourceArn: &stream, StartingPosition: types.EventSourcePositionTrimHorizon, BatchSize: aws.Int32(10),
		FilterCriteria: &types.FilterCriteria{Filters: []types.Filter{{Pattern: aws.String(`{"eventName":["INSERT"],"dynamodb":{"NewImage":{"kind":{"S":[{"prefix":"want"}]}}}}`)}}},
	}))(t)
	same(t, "state", *m.State, "Creating")
	first := w.kept(1)[0]["Records"].([]any)[0].(map[string]any)
	same(t, "the record", fmt.Sprint(first["eventName"], first["eventSource"], first["awsRegion"], first["eventSourceARN"], first["dynamodb"].(map[string]any)["Keys"]),
		fmt.Sprint("INSERT", "aws:dynamodb", region, stream, map[string]any{"id": map[string]any{"S": "early"}}))
	put("other", "unwanted")
	put("late", "wanted")
	if events := w.kept(2); len(events) != 2 {
		t.Errorf("%v", events)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		got := ok(w.lambda.GetEventSourceMapping(t.Context(), &lambda.GetEventSourceMappingInput{UUID: m.UUID}))(t)
		if *got.State == "Enabled" && *got.LastProcessingResult == "OK" {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%s, %s", *got.State, *got.LastProcessingResult)
		}
	}
	ok(w.lambda.DeleteEventSourceMapping(t.Context(), &lambda.DeleteEventSourceMappingInput{UUID: m.UUID}))(t)
}
