package sdk

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	v2types "github.com/aws/aws-sdk-go-v2/service/apigatewayv2/types"

	"brume/test/npm"
)

// newman runs what Postman's users click.
const newman = "newman@6.2.2"

// An exported API runs in Postman's own runner: with the key it answers, without it is refused.
func TestPostmanCollection(t *testing.T) {
	ctx := t.Context()
	// The command speaks for the root whose key is in the data directory.
	root := as(brume.AccessKeyID, brume.SecretAccessKey, "")
	root.Region = brume.Region
	client := apigateway.NewFromConfig(root)
	api := ok(client.ImportRestApi(ctx, &apigateway.ImportRestApiInput{Body: []byte(petsAPI), Parameters: map[string]string{"endpointConfigurationTypes": "REGIONAL"}}))(t)
	ok(client.CreateDeployment(ctx, &apigateway.CreateDeploymentInput{RestApiId: api.Id, StageName: aws.String("dev")}))(t)
	key := ok(client.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Name: aws.String("k"), Enabled: true}))(t)
	plan := ok(client.CreateUsagePlan(ctx, &apigateway.CreateUsagePlanInput{Name: aws.String("p"), ApiStages: []types.ApiStage{{ApiId: api.Id, Stage: aws.String("dev")}}}))(t)
	ok(client.CreateUsagePlanKey(ctx, &apigateway.CreateUsagePlanKeyInput{UsagePlanId: plan.Id, KeyId: key.Id, KeyType: aws.String("API_KEY")}))(t)
	backend := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer backend.Close()
	v2 := ok(apigatewayv2.NewFromConfig(root).CreateApi(ctx, &apigatewayv2.CreateApiInput{Name: aws.String("quick"), ProtocolType: v2types.ProtocolTypeHttp, Target: &backend.URL, RouteKey: aws.String("GET /things/{id}")}))(t)

	list := command(t, "apis")
	for _, want := range []string{brume.Endpoint + "/restapis/" + *api.Id + "/dev/_user_request_", brume.Endpoint + "/_aws/execute-api/" + *v2.ApiId} {
		if !strings.Contains(list, want) {
			t.Errorf("no %s in\n%s", want, list)
		}
	}
	if doc := command(t, "apis", "export", *v2.ApiId, "$default"); !json.Valid([]byte(doc)) || !strings.Contains(doc, `"openapi": "3.0.1"`) {
		t.Error(doc)
	}
	collection := command(t, "apis", "export", "--postman", *api.Id, "dev")
	if strings.Contains(collection, *key.Value) || strings.Contains(collection, brume.SecretAccessKey) {
		t.Error("the collection holds a secret")
	}
	second := command(t, "apis", "export", "--postman", *v2.ApiId, "$default")

	modules := npm.Install(t, newman)
	run := func(collection string, variables ...string) map[string]int {
		dir := t.TempDir()
		file, report := filepath.Join(dir, "collection.json"), filepath.Join(dir, "report.json")
		if err := os.WriteFile(file, []byte(collection), 0o600); err != nil {
			t.Fatal(err)
		}
		args := []string{filepath.Join(modules, "newman", "bin", "newman.js"), "run", file, "--reporters", "json", "--reporter-json-export", report}
		for _, v := range variables {
			args = append(args, "--env-var", v)
		}
		if out, err := exec.CommandContext(ctx, "node", args...).CombinedOutput(); err != nil {
			t.Fatalf("newman: %v\n%s", err, out)
		}
		var got struct {
			Run struct {
				Executions []struct {
					Item     struct{ Name string }
					Response struct{ Code int }
				}
			}
		}
		if err := json.Unmarshal(ok(os.ReadFile(report))(t), &got); err != nil {
			t.Fatal(err)
		}
		codes := map[string]int{}
		for _, e := range got.Run.Executions {
			codes[e.Item.Name] = e.Response.Code
		}
		return codes
	}
	same(t, "with the key", run(collection, "apiKey="+*key.Value, "accessKey="+brume.AccessKeyID, "secretKey="+brume.SecretAccessKey), map[string]int{"getPet": 200, "GET /secret": 200})
	same(t, "without", run(collection), map[string]int{"getPet": 403, "GET /secret": 403})
	same(t, "an HTTP API", run(second), map[string]int{"GET /things/{id}": 200})
}

// command runs a command of brume's on the data directory of the server, and returns what it prints.
func command(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), brume.Binary(), append(args, "--data-dir", brume.DataDir())...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("brume %v: %v %s", args, err, cmd.Stderr)
	}
	return string(out)
}
