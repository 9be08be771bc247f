package main

import (
	"archive/zip"
	"bytes"
	"context"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agtypes "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
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

func (b *bench) functions(ctx context.Context) error {
	runtimes, err := story.Runtimes(ctx, b.server.Binary())
	if err != nil {
		return err
	}
	role, err := iam.NewFromConfig(b.cfg).CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: aws.String("bench"),
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` +
			`"Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`),
	})
	if err != nil {
		return err
	}
	for _, rt := range runtimes {
		kind := strings.TrimRight(rt.Name, "0123456789.x")
		arn, err := b.createFunction(ctx, kind, rt.Name, *role.Role.Arn)
		if err != nil {
			return err
		}
		invoke, err := b.signed(b.cfg, "lambda", http.MethodPost, "/2015-03-31/functions/bench-"+kind+"/invocations", "", []byte(`{}`))
		if err != nil {
			return err
		}
		if err := b.measure("Lambda Invoke, "+rt.Name, 0, [][]byte{invoke}); err != nil {
			return err
		}
		api, err := b.createAPI(ctx, "bench-"+kind, &apigateway.PutIntegrationInput{Type: agtypes.IntegrationTypeAwsProxy,
			IntegrationHttpMethod: aws.String("POST"),
			Uri:                   aws.String("arn:aws:apigateway:" + b.server.Region + ":lambda:path/2015-03-31/functions/" + arn + "/invocations"),
		})
		if err != nil {
			return err
		}
		if _, err := lambda.NewFromConfig(b.cfg).AddPermission(ctx, &lambda.AddPermissionInput{
			FunctionName: &arn, StatementId: aws.String("api"), Action: aws.String("lambda:InvokeFunction"),
			Principal: aws.String("apigateway.amazonaws.com"),
		}); err != nil {
			return err
		}
		req, err := b.keyed(ctx, api, "bench-"+kind, nil)
		if err != nil {
			return err
		}
		if err := b.measure("API Gateway, key, "+rt.Name, gatewayRate, [][]byte{req}); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) createFunction(ctx context.Context, kind, runtime, role string) (arn string, err error) {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	f, err := w.Create(source[kind].file)
	if err != nil {
		return "", err
	}
	if _, err := f.Write([]byte(source[kind].source)); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	out, err := lambda.NewFromConfig(b.cfg).CreateFunction(ctx, &lambda.CreateFunctionInput{
		FunctionName: aws.String("bench-" + kind), Role: &role, Runtime: lambdatypes.Runtime(runtime),
		Handler: aws.String(source[kind].handler), Code: &lambdatypes.FunctionCode{ZipFile: buf.Bytes()},
	})
	if err != nil {
		return "", err
	}
	return *out.FunctionArn, nil
}
