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
