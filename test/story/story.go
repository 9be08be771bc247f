// Package story is the walkthrough that Brume exists for, told with the AWS SDK for Go against a running brume: a user
// who may nothing, a role, a table, a function in Python and in Node.js, a REST API, a usage plan with a key, the
// function's log, and a restart after which everything is there. Each step fails unless what came back is right.
package story

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	agtypes "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
)

// Result is where the finished API is found.
type Result struct {
	URL, Key, Curl string
}

// Names of what the story makes.
const (
	userName  = "hacker"
	roleName  = "lambda-microservice"
	tableName = "users"
	apiName   = "DynamoBackend"
	stageName = "dev"
)

// Runtime is a runtime to tell the story with.
type Runtime struct{ Name, Handler, File, Interpreter string }

type teller struct {
	ctx      context.Context
	out      io.Writer
	server   *Server
	examples string
	runtimes []Runtime

	root, user         aws.Config
	account            string
	roleARN            string
	functions          map[string]string // runtime → function name
	functionARN        map[string]string
	apiID, resourceID  string
	planID, keyID, key string
}

// Tell runs the story on a server with an empty data directory. examples is the directory of the example functions.
// The API that it ends with calls the function of the first runtime.
func Tell(ctx context.Context, out io.Writer, server *Server, examples string, runtimes []Runtime) (*Result, error) {
	if len(runtimes) == 0 {
		return nil, errors.New("this machine offers neither Python with boto3 nor Node.js with the AWS SDK")
	}
	t := &teller{ctx: ctx, out: out, server: server, examples: examples, runtimes: runtimes,
		functions: map[string]string{}, functionARN: map[string]string{}}
	t.root = t.config(server.AccessKeyID, server.SecretAccessKey)
	for _, step := range []struct {
		title string
		run   func() error
	}{
		{"An IAM user with an access key, who may nothing", t.makeUser},
		{"PowerUserAccess: everything but IAM", t.grantPowerUser},
		{"A role for Lambda", t.makeRole},
		{"A DynamoDB table with the key username", t.makeTable},
		{"The microservice function", t.makeFunctions},
		{"A REST API in front of it", t.makeAPI},
		{"The TEST button, and a deployment to stage " + stageName, t.testAndDeploy},
		{"A usage plan and an API key", t.protect},
		{"Without the key, with the key, and too fast", t.useKey},
		{"What the function logged", t.readLog},
		{"Stop Brume, start it again: everything is there", t.restart},
	} {
		fmt.Fprintf(out, "\n\033[1m%s\033[0m\n", step.title)
		if err := step.run(); err != nil {
			return nil, fmt.Errorf("%s: %w", step.title, err)
		}
	}
	url := t.url()
	return &Result{URL: url, Key: t.key, Curl: fmt.Sprintf(
		`curl -X POST -H 'x-api-key: %s' -d '{"TableName":"%s","Item":{"username":"you"}}' %s`, t.key, tableName, url)}, nil
}

// say prints what came back.
func (t *teller) say(format string, args ...any) { fmt.Fprintf(t.out, "  "+format+"\n", args...) }

func (t *teller) config(id, secret string) aws.Config {
	return aws.Config{
		Region:       t.server.Region,
		BaseEndpoint: aws.String(t.server.Endpoint),
		Credentials:  credentials.NewStaticCredentialsProvider(id, secret, ""),
	}
}

// wantCode checks that err is the AWS error with this code.
func wantCode(err error, codes ...string) error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return fmt.Errorf("want the error %s, got %v", codes[0], err)
	}
	for _, code := range codes {
		if api.ErrorCode() == code {
			return nil
		}
	}
	return fmt.Errorf("want the error %s, got %w", codes[0], err)
}

func (t *teller) makeUser() error {
	root := iam.NewFromConfig(t.root)
	user, err := root.CreateUser(t.ctx, &iam.CreateUserInput{UserName: aws.String(userName)})
	if err != nil {
		return err
	}
	t.account = strings.Split(*user.User.Arn, ":")[4]
	t.say("created  %s", *user.User.Arn)
	key, err := root.CreateAccessKey(t.ctx, &iam.CreateAccessKeyInput{UserName: aws.String(userName)})
	if err != nil {
		return err
	}
	t.say("key      %s (the secret is shown only now)", *key.AccessKey.AccessKeyId)
	t.user = t.config(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey)
	_, err = dynamodb.NewFromConfig(t.user).ListTables(t.ctx, &dynamodb.ListTablesInput{})
	if err := wantCode(err, "AccessDeniedException"); err != nil {
		return err
	}
	t.say("refused  %s", message(err))
	return nil
}

func message(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode() + ": " + api.ErrorMessage()
	}
	return err.Error()
}

func (t *teller) grantPowerUser() error {
	root := iam.NewFromConfig(t.root)
	arn, total := "", 0
	pages := iam.NewListPoliciesPaginator(root, &iam.ListPoliciesInput{Scope: "AWS"})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.ctx)
		if err != nil {
			return err
		}
		for _, p := range page.Policies {
			if total++; *p.PolicyName == "PowerUserAccess" {
				arn = *p.Arn
			}
		}
	}
	if arn == "" {
		return fmt.Errorf("no PowerUserAccess among %d managed policies", total)
	}
	t.say("found    %s among %d AWS managed policies", arn, total)
	if _, err := root.AttachUserPolicy(t.ctx, &iam.AttachUserPolicyInput{UserName: aws.String(userName), PolicyArn: &arn}); err != nil {
		return err
	}
	tables, err := dynamodb.NewFromConfig(t.user).ListTables(t.ctx, &dynamodb.ListTablesInput{})
	if err != nil {
		return err
	}
	functions, err := lambda.NewFromConfig(t.user).ListFunctions(t.ctx, &lambda.ListFunctionsInput{})
	if err != nil {
		return err
	}
	t.say("allowed  DynamoDB (%d tables) and Lambda (%d functions)", len(tables.TableNames), len(functions.Functions))
	_, err = iam.NewFromConfig(t.user).CreateUser(t.ctx, &iam.CreateUserInput{UserName: aws.String("another")})
	if err := wantCode(err, "AccessDenied"); err != nil {
		return err
	}
	t.say("refused  %s", message(err))
	return nil
}

func (t *teller) makeRole() error {
	root := iam.NewFromConfig(t.root)
	role, err := root.CreateRole(t.ctx, &iam.CreateRoleInput{
		RoleName: aws.String(roleName),
		AssumeRolePolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",` +
			`"Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}`),
	})
	if err != nil {
		return err
	}
	t.roleARN = *role.Role.Arn
	t.say("created  %s", t.roleARN)
	for _, name := range []string{"AmazonDynamoDBFullAccess", "CloudWatchLogsFullAccess"} {
		if _, err := root.AttachRolePolicy(t.ctx, &iam.AttachRolePolicyInput{
			RoleName: aws.String(roleName), PolicyArn: aws.String("arn:aws:iam::aws:policy/" + name),
		}); err != nil {
			return err
		}
		t.say("attached %s", name)
	}
	return nil
}

func (t *teller) makeTable() error {
	client := dynamodb.NewFromConfig(t.user)
	if _, err := client.CreateTable(t.ctx, &dynamodb.CreateTableInput{
		TableName:            aws.String(tableName),
		AttributeDefinitions: []ddbtypes.AttributeDefinition{{AttributeName: aws.String("username"), AttributeType: "S"}},
		KeySchema:            []ddbtypes.KeySchemaElement{{AttributeName: aws.String("username"), KeyType: "HASH"}},
		BillingMode:          "PAY_PER_REQUEST",
	}); err != nil {
		return err
	}
	waiter := dynamodb.NewTableExistsWaiter(client, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 10*time.Millisecond, time.Second
	})
	out, err := waiter.WaitForOutput(t.ctx, &dynamodb.DescribeTableInput{TableName: aws.String(tableName)}, 30*time.Second)
	if err != nil {
		return err
	}
	t.say("%-8s %s", strings.ToLower(string(out.Table.TableStatus)), *out.Table.TableArn)
	return nil
}

// zipOf packs files, by name, as the console would.
func zipOf(files map[string][]byte) ([]byte, error) {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for name, data := range files {
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
		if err != nil {
			return nil, err
		}
		if _, err := f.Write(data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func (t *teller) makeFunctions() error {
	client := lambda.NewFromConfig(t.user)
	for i, rt := range t.runtimes {
		source, err := os.ReadFile(filepath.Join(t.examples, rt.File))
		if err != nil {
			return err
		}
		code, err := zipOf(map[string][]byte{filepath.Base(rt.File): source})
		if err != nil {
			return err
		}
		name := "microservice-" + strings.TrimRight(rt.Name, "0123456789.x")
		create := &lambda.CreateFunctionInput{
			FunctionName: &name, Role: &t.roleARN, Runtime: lambdatypes.Runtime(rt.Name), Handler: aws.String(rt.Handler),
			Code: &lambdatypes.FunctionCode{ZipFile: code}, Timeout: aws.Int32(10),
		}
		if i == 0 {
			_, err := client.CreateFunction(t.ctx, create)
			if err := wantCode(err, "AccessDeniedException"); err != nil {
				return fmt.Errorf("passing a role without iam:PassRole: %w", err)
			}
			t.say("refused  %s", message(err))
			if _, err := iam.NewFromConfig(t.root).PutUserPolicy(t.ctx, &iam.PutUserPolicyInput{
				UserName: aws.String(userName), PolicyName: aws.String("pass-the-lambda-role"),
				PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:PassRole",` +
					`"Resource":"` + t.roleARN + `","Condition":{"StringEquals":{"iam:PassedToService":"lambda.amazonaws.com"}}}]}`),
			}); err != nil {
				return err
			}
			t.say("allowed  iam:PassRole on that role, to Lambda only")
		}
		fn, err := client.CreateFunction(t.ctx, create)
		if err != nil {
			return err
		}
		t.functions[rt.Name], t.functionARN[rt.Name] = name, *fn.FunctionArn
		t.say("created  %s (%s)", *fn.FunctionArn, rt.Name)
		if err := lambda.NewFunctionActiveV2Waiter(client, func(o *lambda.FunctionActiveV2WaiterOptions) {
			o.MinDelay, o.MaxDelay = 10*time.Millisecond, time.Second
		}).Wait(t.ctx, &lambda.GetFunctionInput{FunctionName: &name}, 30*time.Second); err != nil {
			return err
		}
		if err := t.callFunction(client, rt); err != nil {
			return err
		}
	}
	return t.tryElsewhere(client)
}

// callFunction puts, scans, updates and deletes through a function.
func (t *teller) callFunction(client *lambda.Client, rt Runtime) error {
	bob := "bob-" + rt.Name
	for _, call := range []struct{ method, body, query, want string }{
		{"POST", fmt.Sprintf(`{"TableName":%q,"Item":{"username":%q}}`, tableName, bob), "", ""},
		{"PUT", fmt.Sprintf(`{"TableName":%q,"Key":{"username":%q},"UpdateExpression":"SET age = :a","ExpressionAttributeValues":{":a":41}}`,
			tableName, bob), "", ""},
		{"GET", "", tableName, bob},
		{"DELETE", fmt.Sprintf(`{"TableName":%q,"Key":{"username":%q}}`, tableName, bob), "", ""},
	} {
		event := map[string]any{"httpMethod": call.method}
		if call.body != "" {
			event["body"] = call.body
		}
		if call.query != "" {
			event["queryStringParameters"] = map[string]string{"TableName": call.query}
		}
		payload, err := json.Marshal(event)
		if err != nil {
			return err
		}
		start := time.Now()
		out, err := client.Invoke(t.ctx, &lambda.InvokeInput{FunctionName: aws.String(t.functions[rt.Name]), Payload: payload})
		if err != nil {
			return err
		}
		var reply struct {
			StatusCode any    `json:"statusCode"`
			Body       string `json:"body"`
		}
		if out.FunctionError != nil {
			return fmt.Errorf("%s: %s", call.method, out.Payload)
		}
		if err := json.Unmarshal(out.Payload, &reply); err != nil {
			return fmt.Errorf("%s: %w in %s", call.method, err, out.Payload)
		}
		if status := fmt.Sprint(reply.StatusCode); status != "200" || !strings.Contains(reply.Body, call.want) {
			return fmt.Errorf("%s: want 200 and %q, got %s", call.method, call.want, out.Payload)
		}
		t.say("%-8s %s  (%d ms)", call.method, out.Payload, time.Since(start).Milliseconds())
	}
	return nil
}

// elsewhere is a function that tries what its role does not allow.
var elsewhere = map[string]struct{ file, handler, source string }{
	"python": {"f.py", "f.handler", `import boto3
def handler(event, context):
    try:
        boto3.client("iam").list_users()
        return "allowed"
    except Exception as e:
        return str(e)
`},
	"nodejs": {"f.mjs", "f.handler", `import { IAMClient, ListUsersCommand } from "@aws-sdk/client-iam";
export const handler = async () => {
  try { await new IAMClient({}).send(new ListUsersCommand({})); return "allowed"; }
  catch (e) { return e.name + ": " + e.message; }
};
`},
}

func (t *teller) tryElsewhere(client *lambda.Client) error {
	for _, rt := range t.runtimes {
		probe := elsewhere[strings.TrimRight(rt.Name, "0123456789.x")]
		code, err := zipOf(map[string][]byte{probe.file: []byte(probe.source)})
		if err != nil {
			return err
		}
		name := "elsewhere-" + strings.TrimRight(rt.Name, "0123456789.x")
		if _, err := client.CreateFunction(t.ctx, &lambda.CreateFunctionInput{
			FunctionName: &name, Role: &t.roleARN, Runtime: lambdatypes.Runtime(rt.Name), Handler: &probe.handler,
			Code: &lambdatypes.FunctionCode{ZipFile: code}, Timeout: aws.Int32(10),
		}); err != nil {
			return err
		}
		out, err := client.Invoke(t.ctx, &lambda.InvokeInput{FunctionName: &name})
		if err != nil {
			return err
		}
		if !bytes.Contains(out.Payload, []byte("AccessDenied")) {
			return fmt.Errorf("%s: the function should be denied iam:ListUsers, but got %s", rt.Name, out.Payload)
		}
		t.say("denied   %s", out.Payload)
		if _, err := client.DeleteFunction(t.ctx, &lambda.DeleteFunctionInput{FunctionName: &name}); err != nil {
			return err
		}
	}
	return nil
}

func (t *teller) makeAPI() error {
	client := apigateway.NewFromConfig(t.user)
	restAPI, err := client.CreateRestApi(t.ctx, &apigateway.CreateRestApiInput{Name: aws.String(apiName)})
	if err != nil {
		return err
	}
	t.apiID = *restAPI.Id
	resources, err := client.GetResources(t.ctx, &apigateway.GetResourcesInput{RestApiId: &t.apiID})
	if err != nil {
		return err
	}
	resource, err := client.CreateResource(t.ctx, &apigateway.CreateResourceInput{
		RestApiId: &t.apiID, ParentId: resources.Items[0].Id, PathPart: aws.String(apiName),
	})
	if err != nil {
		return err
	}
	t.resourceID = *resource.Id
	if _, err := client.PutMethod(t.ctx, &apigateway.PutMethodInput{
		RestApiId: &t.apiID, ResourceId: &t.resourceID, HttpMethod: aws.String("POST"), AuthorizationType: aws.String("NONE"),
	}); err != nil {
		return err
	}
	function := t.runtimes[0].Name
	if _, err := client.PutIntegration(t.ctx, &apigateway.PutIntegrationInput{
		RestApiId: &t.apiID, ResourceId: &t.resourceID, HttpMethod: aws.String("POST"),
		Type: agtypes.IntegrationTypeAwsProxy, IntegrationHttpMethod: aws.String("POST"),
		Uri: aws.String(fmt.Sprintf("arn:aws:apigateway:%s:lambda:path/2015-03-31/functions/%s/invocations",
			t.server.Region, t.functionARN[function])),
	}); err != nil {
		return err
	}
	t.say("created  API %s: POST %s → %s", t.apiID, *resource.Path, t.functions[function])
	sourceARN := fmt.Sprintf("arn:aws:execute-api:%s:%s:%s/*/POST/%s", t.server.Region, t.account, t.apiID, apiName)
	if _, err := lambda.NewFromConfig(t.user).AddPermission(t.ctx, &lambda.AddPermissionInput{
		FunctionName: aws.String(t.functions[function]), StatementId: aws.String("api"), Action: aws.String("lambda:InvokeFunction"),
		Principal: aws.String("apigateway.amazonaws.com"), SourceArn: &sourceARN,
	}); err != nil {
		return err
	}
	t.say("allowed  API Gateway to invoke it, from %s", sourceARN)
	return nil
}

func item(username string) string {
	return fmt.Sprintf(`{"TableName":%q,"Item":{"username":%q}}`, tableName, username)
}

func (t *teller) testAndDeploy() error {
	client := apigateway.NewFromConfig(t.user)
	out, err := client.TestInvokeMethod(t.ctx, &apigateway.TestInvokeMethodInput{
		RestApiId: &t.apiID, ResourceId: &t.resourceID, HttpMethod: aws.String("POST"), Body: aws.String(item("tested")),
	})
	if err != nil {
		return err
	}
	if out.Status != http.StatusOK {
		return fmt.Errorf("the test answered %d %s\n%s", out.Status, *out.Body, aws.ToString(out.Log))
	}
	t.say("test     %d in %d ms", out.Status, out.Latency)
	for line := range strings.Lines(aws.ToString(out.Log)) {
		t.say("         | %.150s", strings.TrimRight(line, "\n"))
	}
	if err := t.hasItem("tested"); err != nil {
		return err
	}
	if _, err := client.CreateDeployment(t.ctx, &apigateway.CreateDeploymentInput{
		RestApiId: &t.apiID, StageName: aws.String(stageName),
	}); err != nil {
		return err
	}
	status, body, err := t.post(item("open"), "")
	if err != nil {
		return err
	}
	t.say("deployed %s answers %d %s", t.url(), status, body)
	return wantStatus(status, body, http.StatusOK)
}

func wantStatus(status int, body string, want int) error {
	if status != want {
		return fmt.Errorf("want %d, got %d %s", want, status, body)
	}
	return nil
}

func (t *teller) url() string {
	return fmt.Sprintf("%s/restapis/%s/%s/_user_request_/%s", t.server.Endpoint, t.apiID, stageName, apiName)
}

func (t *teller) post(body, key string) (int, string, error) {
	req, err := http.NewRequestWithContext(t.ctx, http.MethodPost, t.url(), strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	if key != "" {
		req.Header.Set("x-api-key", key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, string(answer), err
}

func (t *teller) hasItem(username string) error {
	out, err := dynamodb.NewFromConfig(t.user).GetItem(t.ctx, &dynamodb.GetItemInput{
		TableName: aws.String(tableName), Key: map[string]ddbtypes.AttributeValue{"username": &ddbtypes.AttributeValueMemberS{Value: username}},
	})
	if err != nil {
		return err
	}
	if len(out.Item) == 0 {
		return fmt.Errorf("the table has no item %q", username)
	}
	return nil
}

func (t *teller) protect() error {
	client := apigateway.NewFromConfig(t.user)
	plan, err := client.CreateUsagePlan(t.ctx, &apigateway.CreateUsagePlanInput{
		Name:      aws.String("walkthrough"),
		Throttle:  &agtypes.ThrottleSettings{RateLimit: 250, BurstLimit: 500},
		ApiStages: []agtypes.ApiStage{{ApiId: &t.apiID, Stage: aws.String(stageName)}},
	})
	if err != nil {
		return err
	}
	t.planID = *plan.Id
	key, err := client.CreateApiKey(t.ctx, &apigateway.CreateApiKeyInput{Name: aws.String("walkthrough"), Enabled: true})
	if err != nil {
		return err
	}
	t.keyID, t.key = *key.Id, *key.Value
	if _, err := client.CreateUsagePlanKey(t.ctx, &apigateway.CreateUsagePlanKeyInput{
		UsagePlanId: &t.planID, KeyId: &t.keyID, KeyType: aws.String("API_KEY"),
	}); err != nil {
		return err
	}
	t.say("plan     %s: rate 250 per second, burst 500; key %s in it", t.planID, t.keyID)
	if _, err := client.UpdateMethod(t.ctx, &apigateway.UpdateMethodInput{
		RestApiId: &t.apiID, ResourceId: &t.resourceID, HttpMethod: aws.String("POST"),
		PatchOperations: []agtypes.PatchOperation{{Op: agtypes.OpReplace, Path: aws.String("/apiKeyRequired"), Value: aws.String("true")}},
	}); err != nil {
		return err
	}
	status, body, err := t.post(item("open"), "")
	if err != nil {
		return err
	}
	if err := wantStatus(status, body, http.StatusOK); err != nil {
		return fmt.Errorf("an edit changes nothing before it is deployed: %w", err)
	}
	if _, err := client.CreateDeployment(t.ctx, &apigateway.CreateDeploymentInput{
		RestApiId: &t.apiID, StageName: aws.String(stageName),
	}); err != nil {
		return err
	}
	t.say("deployed with the key required")
	return nil
}

func (t *teller) useKey() error {
	status, body, err := t.post(item("nobody"), "")
	if err != nil {
		return err
	}
	t.say("without the key  %d %s", status, body)
	if status != http.StatusForbidden || body != `{"message":"Forbidden"}` {
		return fmt.Errorf(`want 403 {"message":"Forbidden"}`)
	}
	if status, body, err = t.post(item("keyed"), t.key); err != nil {
		return err
	}
	t.say("with the key     %d %s", status, body)
	if err := wantStatus(status, body, http.StatusOK); err != nil {
		return err
	}
	if err := t.hasItem("keyed"); err != nil {
		return err
	}
	return t.flood()
}

// flood sends faster than the plan allows, for as long as it takes to be refused.
func (t *teller) flood() error {
	const workers, limit = 32, 20_000
	var sent, passed, refused atomic.Int64
	var firstError atomic.Pointer[error]
	var wg sync.WaitGroup
	start := time.Now()
	for range workers {
		wg.Go(func() {
			for sent.Add(1) <= limit && refused.Load() < 100 && firstError.Load() == nil {
				// A body without a table is answered by the function, and costs it little.
				status, body, err := t.post(`{}`, t.key)
				switch {
				case err == nil && status == http.StatusTooManyRequests && body == `{"message":"Too Many Requests"}`:
					refused.Add(1)
				case err == nil && status != http.StatusTooManyRequests:
					passed.Add(1)
				case err == nil:
					err = fmt.Errorf("refused with %s", body)
					fallthrough
				default:
					firstError.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	if err := firstError.Load(); err != nil {
		return *err
	}
	t.say("too fast         %d passed and %d got 429 {\"message\":\"Too Many Requests\"} in %.1f s",
		passed.Load(), refused.Load(), time.Since(start).Seconds())
	if refused.Load() == 0 {
		return errors.New("nothing was refused")
	}
	if ideal := 500 + 250*time.Since(start).Seconds(); float64(passed.Load()) > ideal+1 {
		return fmt.Errorf("%d requests passed, more than the %.0f of the plan", passed.Load(), ideal)
	}
	return nil
}

var logLines = []*regexp.Regexp{
	regexp.MustCompile(`^START RequestId: [0-9a-f-]{36} Version: \$LATEST\s*$`),
	regexp.MustCompile(`^END RequestId: [0-9a-f-]{36}\s*$`),
	regexp.MustCompile(`^REPORT RequestId: [0-9a-f-]{36}\tDuration: [0-9.]+ ms\tBilled Duration: [0-9]+ ms\tMemory Size: 128 MB\t` +
		`Max Memory Used: [0-9]+ MB\tInit Duration: [0-9.]+ ms\s*$`),
}

var streamName = regexp.MustCompile(`^\d{4}/\d{2}/\d{2}/\[\$LATEST\][0-9a-f]{32}$`)

func (t *teller) readLog() error {
	group := "/aws/lambda/" + t.functions[t.runtimes[0].Name]
	client := cloudwatchlogs.NewFromConfig(t.user)
	// Lines reach the log a moment after the invocation.
	deadline := time.Now().Add(10 * time.Second)
	for {
		missing, err := t.findLogLines(client, group)
		if err == nil && missing == "" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no line like %s in %s: %v", missing, group, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (t *teller) findLogLines(client *cloudwatchlogs.Client, group string) (missing string, err error) {
	streams, err := client.DescribeLogStreams(t.ctx, &cloudwatchlogs.DescribeLogStreamsInput{LogGroupName: &group})
	if err != nil {
		return "", err
	}
	for _, stream := range streams.LogStreams {
		if !streamName.MatchString(*stream.LogStreamName) {
			return "", fmt.Errorf("odd stream name %q", *stream.LogStreamName)
		}
		events, err := client.GetLogEvents(t.ctx, &cloudwatchlogs.GetLogEventsInput{
			LogGroupName: &group, LogStreamName: stream.LogStreamName, StartFromHead: aws.Bool(true), Limit: aws.Int32(20),
		})
		if err != nil {
			return "", err
		}
		missing = ""
		for _, re := range logLines {
			found := false
			for _, e := range events.Events {
				found = found || re.MatchString(*e.Message)
			}
			if !found {
				missing = re.String()
				break
			}
		}
		if missing == "" {
			t.say("%s  %s", group, *stream.LogStreamName)
			for _, e := range events.Events[:min(5, len(events.Events))] {
				t.say("         | %s", strings.TrimSpace(*e.Message))
			}
			return "", nil
		}
	}
	return missing, nil
}

func (t *teller) restart() error {
	start := time.Now()
	if err := t.server.Restart(t.ctx); err != nil {
		return err
	}
	t.say("stopped and started in %d ms", time.Since(start).Milliseconds())
	if err := t.hasItem("keyed"); err != nil {
		return err
	}
	status, body, err := t.post(item("again"), "")
	if err != nil {
		return err
	}
	if err := wantStatus(status, body, http.StatusForbidden); err != nil {
		return err
	}
	if status, body, err = t.post(item("again"), t.key); err != nil {
		return err
	}
	t.say("with the key     %d %s", status, body)
	if err := wantStatus(status, body, http.StatusOK); err != nil {
		return err
	}
	return t.hasItem("again")
}
