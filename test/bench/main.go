// Command bench measures a brume process from outside: how fast it starts, what it weighs, and how much CPU its
// operations cost. The machines are noisy, so CPU is given beside that of a bare net/http echo server in the same run,
// under the same load, by the same client.
package main

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agtypes "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"brume/internal/wire/sigv4"
	"brume/test/story"
)

const echoArg = "echo-server"

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	if len(os.Args) == 2 && os.Args[1] == echoArg {
		log.Fatal(serveEcho())
	}
	brume := flag.String("brume", "bin/brume", "the brume binary")
	duration := flag.Duration("duration", 3*time.Second, "how long each load runs")
	workers := flag.Int("workers", 16, "connections that load at once")
	flag.Parse()
	if err := run(context.Background(), *brume, *duration, *workers); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, brume string, duration time.Duration, workers int) (err error) {
	dir, err := os.MkdirTemp("", "brume-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := measureStart(ctx, brume, dir); err != nil {
		return err
	}

	echo, echoAddr, err := startEcho()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, echo.Process.Kill(), ignoreKilled(echo.Wait())) }()
	server, err := story.StartServer(ctx, brume, filepath.Join(dir, "load"), "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	b := &bench{server: server, duration: duration, workers: workers}
	b.cfg = aws.Config{Region: server.Region, BaseEndpoint: aws.String(server.Endpoint),
		Credentials: credentials.NewStaticCredentialsProvider(server.AccessKeyID, server.SecretAccessKey, "")}

	body := []byte(`{"TableName":"bench","Item":` + item("0") + `}`)
	echoRequest, err := http.NewRequest(http.MethodPost, "http://"+echoAddr+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	base, err := b.load("echo", echo.Process.Pid, [][]byte{rawRequest(echoRequest, body)}, echoAddr)
	if err != nil {
		return err
	}
	fmt.Printf("\n%-34s %10s %12s %10s %9s %9s\n", "16 workers, 400 B items", "per second", "CPU per op", "× echo", "p50", "p99")
	print := func(r result) {
		fmt.Printf("%-34s %10.0f %9.1f µs %10.2f %6.2f ms %6.2f ms\n", r.name, r.perSecond, r.cpu.Seconds()*1e6,
			r.cpu.Seconds()/base.cpu.Seconds(), r.p50.Seconds()*1e3, r.p99.Seconds()*1e3)
	}
	print(base)
	for _, measure := range []func(context.Context) ([]result, error){b.dynamoDB, b.functions} {
		results, err := measure(ctx)
		if err != nil {
			return fmt.Errorf("%w\n%s", err, server.LogTail())
		}
		for _, r := range results {
			print(r)
		}
	}
	return nil
}

func ignoreKilled(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

// measureStart prints the size of the binary, the time from exec to the first 200, and the memory of an idle server.
func measureStart(ctx context.Context, brume, dir string) error {
	info, err := os.Stat(brume)
	if err != nil {
		return err
	}
	fmt.Printf("binary                              %6.1f MB\n", float64(info.Size())/1e6)
	best := time.Hour
	var server *story.Server
	for i := range 5 {
		listen, err := story.FreeAddress()
		if err != nil {
			return err
		}
		begin := time.Now()
		// StartServer polls brume env; here nothing but the server is to be timed.
		server, err = story.StartServerAt(ctx, brume, filepath.Join(dir, fmt.Sprint("start", i)), listen)
		if err != nil {
			return err
		}
		best = min(best, time.Since(begin))
		if i < 4 {
			if err := server.Stop(); err != nil {
				return err
			}
		}
	}
	fmt.Printf("start to first 200, empty directory %6.1f ms (best of 5)\n", best.Seconds()*1e3)
	time.Sleep(2 * time.Second)
	rss, err := rssBytes(server.PID())
	if err != nil {
		return err
	}
	fmt.Printf("idle RSS                            %6.1f MiB\n", float64(rss)/(1<<20))
	return server.Stop()
}

type bench struct {
	server   *story.Server
	cfg      aws.Config
	duration time.Duration
	workers  int
}

func item(username string) string {
	return fmt.Sprintf(`{"username":{"S":"user-%s"},"age":{"N":"41"},"text":{"S":%q}}`, username, strings.Repeat("x", 340))
}

// signed is a request to Brume, signed by root, as bytes.
func (b *bench) signed(service, method, path, target string, body []byte) ([]byte, error) {
	req, err := http.NewRequest(method, b.server.Endpoint+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if target != "" {
		req.Header.Set("Content-Type", "application/x-amz-json-1.0")
		req.Header.Set("X-Amz-Target", target)
	}
	sigv4.Sign(req, body, sigv4.Key{AccessKeyID: b.server.AccessKeyID, Secret: b.server.SecretAccessKey},
		b.server.Region, service, time.Now())
	return rawRequest(req, body), nil
}

func (b *bench) measure(name string, requests [][]byte) (result, error) {
	return b.load(name, b.server.PID(), requests, strings.TrimPrefix(b.server.Endpoint, "http://"))
}

func (b *bench) dynamoDB(ctx context.Context) ([]result, error) {
	client := dynamodb.NewFromConfig(b.cfg)
	if _, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName:            aws.String("bench"),
		AttributeDefinitions: []ddbtypes.AttributeDefinition{{AttributeName: aws.String("username"), AttributeType: "S"}},
		KeySchema:            []ddbtypes.KeySchemaElement{{AttributeName: aws.String("username"), KeyType: "HASH"}},
		BillingMode:          "PAY_PER_REQUEST",
	}); err != nil {
		return nil, err
	}
	if err := dynamodb.NewTableExistsWaiter(client).Wait(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("bench")}, time.Minute); err != nil {
		return nil, err
	}
	var puts, gets [][]byte
	for i := range 1000 {
		put, err := b.signed("dynamodb", http.MethodPost, "/", "DynamoDB_20120810.PutItem",
			[]byte(`{"TableName":"bench","Item":`+item(fmt.Sprint(i))+`}`))
		if err != nil {
			return nil, err
		}
		get, err := b.signed("dynamodb", http.MethodPost, "/", "DynamoDB_20120810.GetItem",
			fmt.Appendf(nil, `{"TableName":"bench","Key":{"username":{"S":"user-%d"}}}`, i))
		if err != nil {
			return nil, err
		}
		puts, gets = append(puts, put), append(gets, get)
	}
	put, err := b.measure("DynamoDB PutItem (durable)", puts)
	if err != nil {
		return nil, err
	}
	get, err := b.measure("DynamoDB GetItem", gets)
	return []result{put, get}, err
}

// source is the cheapest function: what is measured is the way to it.
var source = map[string]struct{ file, handler, source string }{
	"python": {"f.py", "f.handler", "def handler(event, context):\n    return {'statusCode': 200, 'body': 'ok'}\n"},
	"nodejs": {"f.mjs", "f.handler", "export const handler = async () => ({ statusCode: 200, body: 'ok' });\n"},
}

func (b *bench) functions(ctx context.Context) ([]result, error) {
	runtimes, err := story.Runtimes(ctx, b.server.Binary())
	if err != nil {
		return nil, err
	}
	role, err := iam.NewFromConfig(b.cfg).CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: aws.String("bench"),
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` +
			`"Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`),
	})
	if err != nil {
		return nil, err
	}
	var results []result
	for _, rt := range runtimes {
		kind := strings.TrimRight(rt.Name, "0123456789.x")
		arn, err := b.createFunction(ctx, kind, rt.Name, *role.Role.Arn)
		if err != nil {
			return nil, err
		}
		invoke, err := b.signed("lambda", http.MethodPost, "/2015-03-31/functions/bench-"+kind+"/invocations", "", []byte(`{}`))
		if err != nil {
			return nil, err
		}
		r, err := b.measure("Lambda Invoke, "+rt.Name, [][]byte{invoke})
		if err != nil {
			return nil, err
		}
		results = append(results, r)
		path, key, err := b.createAPI(ctx, kind, arn)
		if err != nil {
			return nil, err
		}
		req, err := http.NewRequest(http.MethodPost, b.server.Endpoint+path, nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("x-api-key", key)
		r, err = b.measure("API Gateway, key, "+rt.Name, [][]byte{rawRequest(req, []byte(`{}`))})
		if err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	return results, nil
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

// createAPI puts a function behind a method that needs a key, in a plan that does not hold the load up.
func (b *bench) createAPI(ctx context.Context, kind, function string) (path, key string, err error) {
	client := apigateway.NewFromConfig(b.cfg)
	restAPI, err := client.CreateRestApi(ctx, &apigateway.CreateRestApiInput{Name: aws.String("bench-" + kind)})
	if err != nil {
		return "", "", err
	}
	if _, err := client.PutMethod(ctx, &apigateway.PutMethodInput{RestApiId: restAPI.Id, ResourceId: restAPI.RootResourceId,
		HttpMethod: aws.String("POST"), AuthorizationType: aws.String("NONE"), ApiKeyRequired: true}); err != nil {
		return "", "", err
	}
	if _, err := client.PutIntegration(ctx, &apigateway.PutIntegrationInput{RestApiId: restAPI.Id, ResourceId: restAPI.RootResourceId,
		HttpMethod: aws.String("POST"), Type: agtypes.IntegrationTypeAwsProxy, IntegrationHttpMethod: aws.String("POST"),
		Uri: aws.String("arn:aws:apigateway:" + b.server.Region + ":lambda:path/2015-03-31/functions/" + function + "/invocations"),
	}); err != nil {
		return "", "", err
	}
	if _, err := lambda.NewFromConfig(b.cfg).AddPermission(ctx, &lambda.AddPermissionInput{
		FunctionName: &function, StatementId: aws.String("api"), Action: aws.String("lambda:InvokeFunction"),
		Principal: aws.String("apigateway.amazonaws.com"),
	}); err != nil {
		return "", "", err
	}
	if _, err := client.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: restAPI.Id, StageName: aws.String("b")}); err != nil {
		return "", "", err
	}
	plan, err := client.CreateUsagePlan(ctx, &apigateway.CreateUsagePlanInput{
		Name: aws.String("bench-" + kind), ApiStages: []agtypes.ApiStage{{ApiId: restAPI.Id, Stage: aws.String("b")}},
	})
	if err != nil {
		return "", "", err
	}
	apiKey, err := client.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Name: aws.String("bench-" + kind), Enabled: true})
	if err != nil {
		return "", "", err
	}
	if _, err := client.CreateUsagePlanKey(ctx, &apigateway.CreateUsagePlanKeyInput{
		UsagePlanId: plan.Id, KeyId: apiKey.Id, KeyType: aws.String("API_KEY"),
	}); err != nil {
		return "", "", err
	}
	return "/restapis/" + *restAPI.Id + "/b/_user_request_/", *apiKey.Value, nil
}
