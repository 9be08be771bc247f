package sdk

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// petsAPI is an API of mocks: one behind a key, one for signed callers only.
const petsAPI = `{
  "openapi": "3.0.1", "info": {"title": "Pets", "version": "1"},
  "paths": {
    "/pets/{id}": {"get": {
      "operationId": "getPet", "security": [{"api_key": []}],
      "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
      "responses": {"200": {"description": "a pet"}},
      "x-amazon-apigateway-integration": {"type": "mock", "requestTemplates": {"application/json": "{\"statusCode\": 200}"},
        "responses": {"default": {"statusCode": "200", "responseTemplates": {"application/json": "{\"id\":\"$input.params('id')\"}"}}}}
    }},
    "/secret": {"get": {
      "security": [{"sigv4": []}], "responses": {"200": {"description": "who asks"}},
      "x-amazon-apigateway-integration": {"type": "mock", "requestTemplates": {"application/json": "{\"statusCode\": 200}"},
        "responses": {"default": {"statusCode": "200", "responseTemplates": {"application/json": "{\"arn\":\"$context.identity.userArn\"}"}}}}
    }}
  },
  "components": {"securitySchemes": {
    "api_key": {"type": "apiKey", "name": "x-api-key", "in": "header"},
    "sigv4": {"type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "awsSigv4"}
  }}
}`

// The way of the walkthrough: an API from a document, deployed, behind a key; its SDK, generated, reaches it from Node.js
// with the key and with an IAM user's credentials, and is refused without.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-generate-sdk-javascript.html
func TestAPIGatewayDocumentToSDK(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("this machine has no Node.js")
	}
	ctx, account := t.Context(), newAccount()
	root := as(account, "test", "")
	client := apigateway.NewFromConfig(root)
	api := must(client.ImportRestApi(ctx, &apigateway.ImportRestApiInput{Body: []byte(petsAPI), FailOnWarnings: true, Parameters: map[string]string{"endpointConfigurationTypes": "REGIONAL"}}))
	must(client.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: api.Id, StageName: aws.String("dev")}))
	key := must(client.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Name: aws.String("k"), Enabled: true}))
	plan := must(client.CreateUsagePlan(ctx, &apigateway.CreateUsagePlanInput{
		Name: aws.String("p"), ApiStages: []types.ApiStage{{ApiId: api.Id, Stage: aws.String("dev")}}, Throttle: &types.ThrottleSettings{RateLimit: 250, BurstLimit: 500},
	}))
	must(client.CreateUsagePlanKey(ctx, &apigateway.CreateUsagePlanKeyInput{UsagePlanId: plan.Id, KeyId: key.Id, KeyType: aws.String("API_KEY")}))

	users := iam.NewFromConfig(root)
	user := must(users.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("ada")}))
	must(users.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: user.User.UserName, PolicyName: aws.String("p"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"arn:aws:execute-api:*:*:` + *api.Id + `/dev/GET/secret"}}`)}))
	adaKey := must(users.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: user.User.UserName})).AccessKey
	must(users.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("bob")}))
	bobKey := must(users.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("bob")})).AccessKey

	sdk := must(client.GetSdk(ctx, &apigateway.GetSdkInput{RestApiId: api.Id, StageName: aws.String("dev"), SdkType: aws.String("javascript")}))
	program := loadSDK(t, sdk.Body)
	settings := must(json.Marshal([][]string{{*key.Value}, {*adaKey.AccessKeyId, *adaKey.SecretAccessKey}, {*bobKey.AccessKeyId, *bobKey.SecretAccessKey}}))
	program += `
const [[apiKey], ada, bob] = ` + string(settings) + `;
const status = p => p.then(r => r.status + ' ' + JSON.stringify(r.data), e => e.response ? e.response.status + ' ' + JSON.stringify(e.response.data) : 'failed ' + e);
const signed = k => apigClientFactory.newClient({accessKey: k[0], secretKey: k[1], region: '` + region + `'});
(async () => {
	console.log(await status(apigClientFactory.newClient({apiKey}).petsIdGet({id: 'a b/ü'})));
	console.log(await status(apigClientFactory.newClient({}).petsIdGet({id: '1'})));
	console.log(await status(signed(ada).secretGet({}, undefined, {queryParams: {q: ["it's", 'ä b']}})));
	console.log(await status(signed([ada[0], bob[1]]).secretGet()));
	console.log(await status(signed(bob).secretGet()));
	console.log(await status(apigClientFactory.newClient({}).secretGet()));
})();`
	cmd := exec.CommandContext(ctx, node, "-")
	cmd.Stdin = strings.NewReader(program)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	want := []string{
		`200 {"id":"a%20b%2F%C3%BC"}`,
		`403 {"message":"Forbidden"}`,
		`200 {"arn":"arn:aws:iam::` + account + `:user/ada"}`,
		`403 {"message":"The request signature we calculated does not match the signature you provided.`,
		`403 {"Message":"User: arn:aws:iam::` + account + `:user/bob is not authorized to perform: execute-api:Invoke on resource: arn:aws:execute-api:` + region + `:********`,
		`403 {"message":"Missing Authentication Token"}`,
	}
	if len(lines) != len(want) {
		t.Fatalf("printed\n%s", out)
	}
	for i := range want {
		if !strings.HasPrefix(lines[i], want[i]) {
			t.Errorf("got  %s\nwant %s", lines[i], want[i])
		}
	}

	// What is exported imports again, and says the same.
	export := must(client.GetExport(ctx, &apigateway.GetExportInput{
		RestApiId: api.Id, StageName: aws.String("dev"), ExportType: aws.String("swagger"), Parameters: map[string]string{"extensions": "apigateway"},
	}))
	again := must(client.ImportRestApi(ctx, &apigateway.ImportRestApiInput{Body: export.Body, FailOnWarnings: true}))
	if *again.Name != "Pets" || *export.ContentType != "application/json" {
		t.Errorf("%s %s", *again.Name, *export.ContentType)
	}
}

// loadSDK unpacks an SDK and returns a program for Node.js that loads it as the README tells pages to.
func loadSDK(t *testing.T, data []byte) string {
	t.Helper()
	archive := must(zip.NewReader(bytes.NewReader(data), int64(len(data))))
	dir := t.TempDir()
	var readme string
	for _, f := range archive.File {
		r := must(f.Open())
		content := must(io.ReadAll(r))
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(f.Name, "README.md") {
			readme = string(content)
		}
	}
	var b strings.Builder
	b.WriteString("const vm = require('vm'), fs = require('fs');\n")
	for line := range strings.Lines(readme) {
		if _, rest, ok := strings.Cut(line, `src="`); ok {
			name, _, _ := strings.Cut(rest, `"`)
			path := string(must(json.Marshal(filepath.Join(dir, "apiGateway-js-sdk", name))))
			b.WriteString("vm.runInThisContext(fs.readFileSync(" + path + ", 'utf8'));\n")
		}
	}
	return b.String()
}

// must returns v, or ends the test.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A method that writes to a table without a function in between, with the credentials of a role.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/getting-started-aws-proxy.html
func TestAPIGatewayToDynamoDB(t *testing.T) {
	ctx, account := t.Context(), newAccount()
	root := as(account, "test", "")
	tables := dynamodb.NewFromConfig(root)
	must(tables.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: aws.String("users"), BillingMode: ddbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []ddbtypes.AttributeDefinition{{AttributeName: aws.String("username"), AttributeType: ddbtypes.ScalarAttributeTypeS}},
		KeySchema:            []ddbtypes.KeySchemaElement{{AttributeName: aws.String("username"), KeyType: ddbtypes.KeyTypeHash}},
	}))
	if err := dynamodb.NewTableExistsWaiter(tables).Wait(ctx, &dynamodb.DescribeTableInput{TableName: aws.String("users")}, time.Minute); err != nil {
		t.Fatal(err)
	}
	roles := iam.NewFromConfig(root)
	role := must(roles.CreateRole(ctx, &iam.CreateRoleInput{RoleName: aws.String("api"), AssumeRolePolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"apigateway.amazonaws.com"},"Action":"sts:AssumeRole"}}`)})).Role
	must(roles.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: role.RoleName, PolicyName: aws.String("p"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"dynamodb:PutItem","Resource":"*"}}`)}))
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Path", r.RequestURI)
		w.WriteHeader(http.StatusTeapot)
	}))
	defer backend.Close()

	method := func(action, template string) string {
		return `{"parameters":[{"name":"name","in":"path","required":true,"type":"string"}],"responses":{"200":{"description":"ok"},"400":{"description":"bad"}},"x-amazon-apigateway-integration":{"type":"aws","httpMethod":"POST",
			"uri":"arn:aws:apigateway:` + region + `:dynamodb:action/` + action + `","credentials":"` + *role.Arn + `","requestTemplates":{"application/json":` + string(must(json.Marshal(template))) + `},
			"responses":{"default":{"statusCode":"200"},"4\\d{2}":{"statusCode":"400","responseTemplates":{"application/json":"$input.path('$.__type') $input.path('$.message')$input.path('$.Message')"}}}}}`
	}
	client := apigateway.NewFromConfig(root)
	api := must(client.ImportRestApi(ctx, &apigateway.ImportRestApiInput{Body: []byte(`{"swagger":"2.0","info":{"title":"users","version":"1"},"paths":{
		"/users/{name}":{"put":` + method("PutItem", `{"TableName":"users","Item":{"username":{"S":"$input.params('name')"},"age":{"N":"$input.path('$.age')"}}}`) + `,
			"delete":` + method("DeleteItem", `{"TableName":"users","Key":{"username":{"S":"$input.params('name')"}}}`) + `},
		"/out/{rest+}":{"x-amazon-apigateway-any-method":{"parameters":[{"name":"rest","in":"path","required":true,"type":"string"}],"responses":{},"x-amazon-apigateway-integration":{"type":"http_proxy","httpMethod":"ANY","uri":"` + backend.URL + `/up/{rest}",
			"requestParameters":{"integration.request.path.rest":"method.request.path.rest"}}}}}}`)}))
	must(client.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: api.Id, StageName: aws.String("dev")}))
	send := func(verb, path, body string) *http.Response {
		req := must(http.NewRequestWithContext(ctx, verb, brume.Endpoint+"/restapis/"+*api.Id+"/dev/_user_request_"+path, strings.NewReader(body)))
		return must(http.DefaultClient.Do(req))
	}
	res := send(http.MethodPut, "/users/ada", `{"age":36}`)
	if body := must(io.ReadAll(res.Body)); res.StatusCode != 200 || string(body) != "{}" {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	item := must(tables.GetItem(ctx, &dynamodb.GetItemInput{TableName: aws.String("users"), Key: map[string]ddbtypes.AttributeValue{"username": &ddbtypes.AttributeValueMemberS{Value: "ada"}}})).Item
	if age, ok := item["age"].(*ddbtypes.AttributeValueMemberN); !ok || age.Value != "36" {
		t.Errorf("%v", item)
	}
	// What the role may not do, the method may not either; and DynamoDB's own refusals come through.
	res = send(http.MethodDelete, "/users/ada", "")
	if body := must(io.ReadAll(res.Body)); res.StatusCode != 400 || !strings.Contains(string(body), "AccessDeniedException") || !strings.Contains(string(body), "assumed-role/api/") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	res = send(http.MethodPut, "/users/ada", `{"age":"old"}`)
	if body := must(io.ReadAll(res.Body)); res.StatusCode != 400 || !strings.Contains(string(body), "ValidationException") {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	res = send(http.MethodPost, "/out/a/b%20c?q=1", "")
	if res.StatusCode != http.StatusTeapot || res.Header.Get("X-Path") != "/up/a/b%20c?q=1" {
		t.Errorf("%d %v", res.StatusCode, res.Header)
	}
}
