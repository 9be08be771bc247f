package apigateway_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/apigateway"
	"github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/smithy-go"
	"github.com/cockroachdb/pebble/v2/vfs"

	api "brume/internal/api/apigateway"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/customdomain"
	"brume/internal/dispatch"
	"brume/internal/edge"
	"brume/internal/kv/pebblekv"
	"brume/internal/obs"
	"brume/internal/policy"
	"brume/internal/schema"
	"brume/internal/service/apigateway"
	"brume/internal/wire"
	"brume/internal/wire/executeapi"
)

const (
	account = "123456789012"
	lambda  = "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:123456789012:function:f/invocations"
)

// root owns the account; whoever signs as "AKIANOBODY" is a user without permissions.
type principals struct{}

func (principals) ResolveAccessKey(_ context.Context, id, _ string) (string, call.Principal, error) {
	p := call.Principal{Type: call.Account, Account: account, ARN: "arn:aws:iam::" + account + ":root", ID: account, AccessKeyID: id}
	switch id {
	case "AKIAROOT":
		return "secret", p, nil
	case "AKIANOBODY":
		p.Type, p.ARN, p.ID, p.Name = call.User, "arn:aws:iam::"+account+":user/nobody", "AIDANOBODY", "nobody"
		return "secret", p, nil
	}
	return "", call.Principal{}, awserr.New("InvalidClientTokenId", "unknown")
}

func (principals) PoliciesFor(context.Context, *call.Principal) (*policy.Policies, error) {
	return &policy.Policies{}, nil
}

func (principals) RecordUse(*call.Info) {}

type ok struct{}

func (ok) Invoke(context.Context, *apigateway.LambdaInvocation) (*apigateway.LambdaResult, error) {
	return &apigateway.LambdaResult{Payload: []byte(`{"body":"ok"}`)}, nil
}

// noHTTP has no HTTP APIs.
type noHTTP struct{}

func (noHTTP) Invoke(context.Context, *edge.Request) (*edge.Response, bool) { return nil, false }

func (noHTTP) IsSocket(context.Context, string) bool { return false }

func (noHTTP) Connect(context.Context, *edge.Request) (edge.Session, *edge.Response, bool) {
	return nil, nil, false
}

// serve starts the service behind the real wire layer, and returns its address and a client of an access key.
func serve(t *testing.T) (address string, client func(accessKeyID string) *sdk.Client) {
	log := slog.New(slog.DiscardHandler)
	store, err := pebblekv.Open(t.Context(), pebblekv.Options{Dir: "store", FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	service := apigateway.New(apigateway.Config{Store: store, Lambda: ok{}, Buckets: edge.NewBuckets(), Endpoint: &url.URL{Scheme: "http", Host: "127.0.0.1:4566"}, Log: log})
	metrics := obs.NewMetrics()
	d := dispatch.New(principals{}, metrics)
	d.Add(api.Schema(), api.Handlers(service), service.Checks)
	server, err := wire.NewServer(wire.Config{
		Services: []*schema.Service{api.Schema()}, Dispatcher: d, Credentials: principals{}, Uses: principals{},
		DataPlane: executeapi.New(service, noHTTP{}, noHTTP{}, &customdomain.Names{Store: store, Log: log}, principals{}), Region: "us-east-1", Metrics: metrics, Log: log, Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(server)
	t.Cleanup(srv.Close)
	return srv.URL, func(id string) *sdk.Client {
		return sdk.New(sdk.Options{Region: "us-east-1", BaseEndpoint: &srv.URL, RetryMaxAttempts: 1, Credentials: aws.CredentialsProviderFunc(
			func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: id, SecretAccessKey: "secret"}, nil
			})})
	}
}

func replace(path, value string) types.PatchOperation {
	return types.PatchOperation{Op: types.OpReplace, Path: &path, Value: &value}
}

// TestSDK runs the real SDK through every kind of resource, over HTTP, signed.
func TestSDK(t *testing.T) {
	address, client := serve(t)
	ctx, c := t.Context(), client("AKIAROOT")
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	rest, err := c.CreateRestApi(ctx, &sdk.CreateRestApiInput{Name: aws.String("pets"), Tags: map[string]string{"a": "b"}, BinaryMediaTypes: []string{"image/png"}})
	check(err)
	if time.Since(*rest.CreatedDate).Abs() > time.Minute || rest.ApiKeySource != types.ApiKeySourceTypeHeader || rest.EndpointConfiguration.Types[0] != types.EndpointTypeEdge {
		t.Errorf("%+v", rest)
	}
	up, err := c.UpdateRestApi(ctx, &sdk.UpdateRestApiInput{RestApiId: rest.Id, PatchOperations: []types.PatchOperation{replace("/name", "animals"),
		{Op: types.OpAdd, Path: aws.String("/binaryMediaTypes/application~1x")}}})
	check(err)
	if *up.Name != "animals" || !slices.Equal(up.BinaryMediaTypes, []string{"image/png", "application/x"}) {
		t.Errorf("%+v", up)
	}
	var ids []*string
	for _, method := range []string{"GET", "ANY"} {
		res, err := c.CreateResource(ctx, &sdk.CreateResourceInput{RestApiId: rest.Id, ParentId: rest.RootResourceId, PathPart: aws.String("r" + method)})
		check(err)
		ids = append(ids, res.Id)
		_, err = c.PutMethod(ctx, &sdk.PutMethodInput{RestApiId: rest.Id, ResourceId: res.Id, HttpMethod: &method, AuthorizationType: aws.String("NONE"), ApiKeyRequired: method == "GET"})
		check(err)
	}
	_, err = c.PutIntegration(ctx, &sdk.PutIntegrationInput{RestApiId: rest.Id, ResourceId: ids[0], HttpMethod: aws.String("GET"), Type: types.IntegrationTypeAwsProxy, IntegrationHttpMethod: aws.String("POST"), Uri: aws.String(lambda)})
	check(err)
	in, err := c.PutIntegration(ctx, &sdk.PutIntegrationInput{RestApiId: rest.Id, ResourceId: ids[1], HttpMethod: aws.String("ANY"), Type: types.IntegrationTypeMock, RequestTemplates: map[string]string{"application/json": `{"statusCode": 418}`}})
	check(err)
	if in.TimeoutInMillis != 29000 || *in.PassthroughBehavior != "WHEN_NO_MATCH" {
		t.Errorf("%+v", in)
	}
	_, err = c.PutMethodResponse(ctx, &sdk.PutMethodResponseInput{RestApiId: rest.Id, ResourceId: ids[1], HttpMethod: aws.String("ANY"), StatusCode: aws.String("418"), ResponseParameters: map[string]bool{"method.response.header.X-Tea": true}})
	check(err)
	_, err = c.PutIntegrationResponse(ctx, &sdk.PutIntegrationResponseInput{RestApiId: rest.Id, ResourceId: ids[1], HttpMethod: aws.String("ANY"), StatusCode: aws.String("418"),
		ResponseParameters: map[string]string{"method.response.header.X-Tea": "'pot'"}, ResponseTemplates: map[string]string{"application/json": "short and stout"}})
	check(err)
	tested, err := c.TestInvokeMethod(ctx, &sdk.TestInvokeMethodInput{RestApiId: rest.Id, ResourceId: ids[1], HttpMethod: aws.String("PATCH")})
	check(err)
	if tested.Status != 418 || *tested.Body != "short and stout" || tested.Headers["X-Tea"] != "pot" || !strings.HasSuffix(*tested.Log, "Method completed with status: 418\n") {
		t.Errorf("%+v", tested)
	}
	list, err := c.GetResources(ctx, &sdk.GetResourcesInput{RestApiId: rest.Id, Embed: []string{"methods"}})
	check(err)
	if len(list.Items) != 3 {
		t.Errorf("%d resources", len(list.Items))
	}
	for _, r := range list.Items {
		if m, ok := r.ResourceMethods["ANY"]; ok && *m.MethodIntegration.IntegrationResponses["418"].StatusCode != "418" {
			t.Errorf("%+v", m)
		}
	}
	dep, err := c.CreateDeployment(ctx, &sdk.CreateDeploymentInput{RestApiId: rest.Id, StageName: aws.String("dev"), Variables: map[string]string{"v": "1"}})
	check(err)
	_, err = c.CreateStage(ctx, &sdk.CreateStageInput{RestApiId: rest.Id, StageName: aws.String("prod"), DeploymentId: dep.Id})
	check(err)
	st, err := c.UpdateStage(ctx, &sdk.UpdateStageInput{RestApiId: rest.Id, StageName: aws.String("dev"), PatchOperations: []types.PatchOperation{
		replace("/~1rANY/GET/throttling/rateLimit", "12.5"), replace("/*/*/throttling/burstLimit", "9"), replace("/variables/w", "2")}})
	check(err)
	if st.MethodSettings["~1rANY/GET"].ThrottlingRateLimit != 12.5 || st.MethodSettings["*/*"].ThrottlingBurstLimit != 9 || st.Variables["w"] != "2" {
		t.Errorf("%+v", st)
	}
	stages, err := c.GetStages(ctx, &sdk.GetStagesInput{RestApiId: rest.Id})
	check(err)
	if len(stages.Item) != 2 {
		t.Errorf("%+v", stages)
	}

	key, err := c.CreateApiKey(ctx, &sdk.CreateApiKeyInput{Name: aws.String("key"), Enabled: true})
	check(err)
	plan, err := c.CreateUsagePlan(ctx, &sdk.CreateUsagePlanInput{Name: aws.String("plan"), ApiStages: []types.ApiStage{{ApiId: rest.Id, Stage: aws.String("dev")}},
		Throttle: &types.ThrottleSettings{RateLimit: 250, BurstLimit: 500}, Quota: &types.QuotaSettings{Limit: 2, Period: types.QuotaPeriodTypeMonth}})
	check(err)
	_, err = c.CreateUsagePlanKey(ctx, &sdk.CreateUsagePlanKeyInput{UsagePlanId: plan.Id, KeyId: key.Id, KeyType: aws.String("API_KEY")})
	check(err)
	send := func(path, key string) string {
		r, err := http.NewRequestWithContext(ctx, "GET", address+"/_aws/execute-api/"+*rest.Id+path, nil)
		check(err)
		if key != "" {
			r.Header.Set("x-api-key", key)
		}
		res, err := http.DefaultClient.Do(r)
		check(err)
		defer res.Body.Close()
		return fmt.Sprint(res.StatusCode, res.Header.Get("X-Amzn-Errortype"))
	}
	for _, tt := range [][3]string{
		{"/dev/rGET", "", "403ForbiddenException"}, {"/dev/rGET", *key.Value, "200"}, {"/prod/rGET", *key.Value, "403ForbiddenException"}, {"/dev/rGET", *key.Value, "200"},
		{"/dev/rGET", *key.Value, "429LimitExceededException"}, {"/dev/rANY", "", "418"}, {"/dev/nope", "", "403MissingAuthenticationTokenException"},
	} {
		if got := send(tt[0], tt[1]); got != tt[2] {
			t.Errorf("%s: got %s, want %s", tt[0], got, tt[2])
		}
	}
	today := time.Now().UTC().Format(time.DateOnly)
	usage, err := c.GetUsage(ctx, &sdk.GetUsageInput{UsagePlanId: plan.Id, StartDate: &today, EndDate: &today})
	check(err)
	if fmt.Sprint(usage.Items) != "map["+*key.Id+":[[2 0]]]" {
		t.Errorf("%v", usage.Items)
	}

	arn := "arn:aws:apigateway:us-east-1::/restapis/" + *rest.Id
	_, err = c.TagResource(ctx, &sdk.TagResourceInput{ResourceArn: &arn, Tags: map[string]string{"c": "d"}})
	check(err)
	_, err = c.UntagResource(ctx, &sdk.UntagResourceInput{ResourceArn: &arn, TagKeys: []string{"a"}})
	check(err)
	tags, err := c.GetTags(ctx, &sdk.GetTagsInput{ResourceArn: &arn})
	check(err)
	if fmt.Sprint(tags.Tags) != "map[c:d]" {
		t.Errorf("%v", tags.Tags)
	}
	acct, err := c.GetAccount(ctx, &sdk.GetAccountInput{})
	check(err)
	if acct.ThrottleSettings.RateLimit != 10000 {
		t.Errorf("%+v", acct)
	}

	// Pages, with the SDK's own paginator.
	for i := range 30 {
		_, err := c.CreateApiKey(ctx, &sdk.CreateApiKeyInput{Name: aws.String(fmt.Sprint("k", i))})
		check(err)
	}
	n := 0
	for p := sdk.NewGetApiKeysPaginator(c, &sdk.GetApiKeysInput{Limit: aws.Int32(10)}); p.HasMorePages(); {
		out, err := p.NextPage(ctx)
		check(err)
		n += len(out.Items)
	}
	if n != 31 {
		t.Errorf("%d keys", n)
	}

	// Errors by their types.
	_, err = c.GetRestApi(ctx, &sdk.GetRestApiInput{RestApiId: aws.String("nope")})
	if e := new(types.NotFoundException); !errors.As(err, &e) || *e.Message != "Invalid API identifier specified "+account+":nope" {
		t.Errorf("got %v", err)
	}
	_, err = c.CreateResource(ctx, &sdk.CreateResourceInput{RestApiId: rest.Id, ParentId: rest.RootResourceId, PathPart: aws.String("rGET")})
	if e := new(types.ConflictException); !errors.As(err, &e) {
		t.Errorf("got %v", err)
	}
	_, err = c.UpdateRestApi(ctx, &sdk.UpdateRestApiInput{RestApiId: rest.Id, PatchOperations: []types.PatchOperation{replace("/nope", "x")}})
	if e := new(types.BadRequestException); !errors.As(err, &e) {
		t.Errorf("got %v", err)
	}
	_, err = c.CreateVpcLink(ctx, &sdk.CreateVpcLinkInput{Name: aws.String("l"), TargetArns: []string{"arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/x/1"}})
	if e := smithy.APIError(nil); !errors.As(err, &e) || e.ErrorCode() != "NotImplemented" || !strings.Contains(e.ErrorMessage(), "CreateVpcLink") {
		t.Errorf("got %v", err)
	}
	_, err = client("AKIANOBODY").GetRestApis(ctx, &sdk.GetRestApisInput{})
	if e := smithy.APIError(nil); !errors.As(err, &e) || !strings.HasPrefix(e.ErrorCode(), "AccessDenied") {
		t.Errorf("got %v", err)
	}

	_, err = c.DeleteStage(ctx, &sdk.DeleteStageInput{RestApiId: rest.Id, StageName: aws.String("dev")})
	check(err)
	_, err = c.DeleteUsagePlan(ctx, &sdk.DeleteUsagePlanInput{UsagePlanId: plan.Id})
	check(err)
	_, err = c.DeleteRestApi(ctx, &sdk.DeleteRestApiInput{RestApiId: rest.Id})
	check(err)
	if got := send("/prod/rANY", ""); got != "403ForbiddenException" {
		t.Errorf("after the end: %s", got)
	}
}
