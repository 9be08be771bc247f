package main

import (
	"archive/zip"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agtypes "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"brume/test/story"
)

// source is the cheapest function: what is measured is the way to it.
var source = map[string]struct{ file, handler, source string }{
	"python": {"f.py", "f.handler", "def handler(event, context):\n    return {'statusCode': 200, 'body': 'ok'}\n"},
	"nodejs": {"f.mjs", "f.handler", "export const handler = async () => ({ statusCode: 200, body: 'ok' });\n"},
}

// putSource puts one item into the table bench-put: the whole path from a client with a key to DynamoDB and back.
var putSource = map[string]string{
	"python": `import boto3

table = boto3.client("dynamodb")

def handler(event, context):
    table.put_item(TableName="bench-put", Item={"username": {"S": "u"}, "at": {"N": str(len(event["body"]))}})
    return {"statusCode": 200, "body": "{}"}
`,
	"nodejs": `import { DynamoDBClient, PutItemCommand } from "@aws-sdk/client-dynamodb";

const table = new DynamoDBClient({});

export const handler = async (event) => {
  await table.send(new PutItemCommand({ TableName: "bench-put", Item: { username: { S: "u" }, at: { N: String(event.body.length) } } }));
  return { statusCode: 200, body: "{}" };
};
`,
}

// proxyRate is how often a second a function is asked through API Gateway and without it, so that both find it equally warm.
const proxyRate = 2000

// functions measures functions alone, behind API Gateway, and as a part of the whole path.
func (b *bench) functions(ctx context.Context) error {
	runtimes, err := story.Runtimes(ctx, b.server.Binary())
	if err != nil {
		return err
	}
	client := iam.NewFromConfig(b.cfg)
	role, err := client.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: aws.String("bench"),
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` +
			`"Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`),
	})
	if err != nil {
		return err
	}
	if _, err := client.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{
		RoleName: aws.String("bench"), PolicyArn: aws.String("arn:aws:iam::aws:policy/AmazonDynamoDBFullAccess"),
	}); err != nil {
		return err
	}
	if err := createTable(ctx, dynamodb.NewFromConfig(b.cfg), "bench-put"); err != nil {
		return err
	}
	for _, rt := range runtimes {
		kind := strings.TrimRight(rt.Name, "0123456789.x")
		plain, err := b.behindKey(ctx, "bench-"+kind, kind, rt.Name, source[kind].source, *role.Role.Arn)
		if err != nil {
			return err
		}
		invoke, err := b.signed(b.cfg, "lambda", http.MethodPost, "/2015-03-31/functions/bench-"+kind+"/invocations", "", []byte(`{}`))
		if err != nil {
			return err
		}
		if err := b.warm(invoke); err != nil {
			return err
		}
		if err := b.measure("Lambda Invoke, "+rt.Name, 0, [][]byte{invoke}); err != nil {
			return err
		}
		if err := b.proxy(rt.Name, invoke, plain); err != nil {
			return err
		}
		put, err := b.behindKey(ctx, "bench-put-"+kind, kind, rt.Name, putSource[kind], *role.Role.Arn)
		if err != nil {
			return err
		}
		if err := b.wholePath("key, "+rt.Name+", PutItem", put); err != nil {
			return err
		}
	}
	return nil
}

// proxy measures what API Gateway adds to a function.
func (b *bench) proxy(runtime string, invoke, proxied []byte) error {
	without, with, err := b.compare(proxyRate, "Lambda Invoke, "+runtime+", as often", "API Gateway, key, "+runtime, [][]byte{invoke}, [][]byte{proxied})
	if err == nil && with > 0 {
		fmt.Printf("%-40s %10s %9.1f µs\n", "  what API Gateway adds to Invoke", "", (with-without).Seconds()*1e6)
	}
	return err
}

// wholePath measures a request that goes all the way, by one worker and by all of them. CPU time is Brume's, without the
// functions' own.
func (b *bench) wholePath(name string, request []byte) error {
	all := b.workers
	defer func() { b.workers = all }()
	if err := b.warm(request); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	for _, b.workers = range []int{1, all} {
		if err := b.measure(fmt.Sprintf("%s, %d at once", name, b.workers), 0, [][]byte{request}); err != nil {
			return err
		}
	}
	return nil
}

// warm sends requests by all workers at once, until each has had a few answers: loading an SDK takes a function seconds.
func (b *bench) warm(request []byte) error {
	connect := b.raw(b.address(), [][]byte{request})
	errs := make(chan error, b.workers)
	for range b.workers {
		go func() {
			send, closeIt, err := connect()
			if err == nil {
				for i := 0; i < 20 && err == nil; i++ {
					err = send(i)
				}
				err = errors.Join(err, closeIt())
			}
			errs <- err
		}()
	}
	var failed error
	for range b.workers {
		failed = cmp.Or(failed, <-errs)
	}
	return failed
}

// behindKey makes a function and an API that leads to it, and returns a request with a key.
func (b *bench) behindKey(ctx context.Context, name, kind, runtime, code, role string) ([]byte, error) {
	arn, err := b.createFunction(ctx, name, kind, runtime, code, role)
	if err != nil {
		return nil, err
	}
	api, err := b.createAPI(ctx, name, &apigateway.PutIntegrationInput{Type: agtypes.IntegrationTypeAwsProxy,
		IntegrationHttpMethod: aws.String("POST"),
		Uri:                   aws.String("arn:aws:apigateway:" + b.server.Region + ":lambda:path/2015-03-31/functions/" + arn + "/invocations"),
	})
	if err != nil {
		return nil, err
	}
	if _, err := lambda.NewFromConfig(b.cfg).AddPermission(ctx, &lambda.AddPermissionInput{
		FunctionName: &arn, StatementId: aws.String("api"), Action: aws.String("lambda:InvokeFunction"),
		Principal: aws.String("apigateway.amazonaws.com"),
	}); err != nil {
		return nil, err
	}
	return b.keyed(ctx, api, name, nil)
}

func (b *bench) createFunction(ctx context.Context, name, kind, runtime, code, role string) (arn string, err error) {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	f, err := w.Create(source[kind].file)
	if err != nil {
		return "", err
	}
	if _, err := f.Write([]byte(code)); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	out, err := lambda.NewFromConfig(b.cfg).CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: &name, Role: &role, Runtime: lambdatypes.Runtime(runtime),
		Handler: aws.String(source[kind].handler), Timeout: aws.Int32(30), Code: &lambdatypes.FunctionCode{ZipFile: buf.Bytes()},
	})
	if err != nil {
		return "", err
	}
	return *out.FunctionArn, nil
}
