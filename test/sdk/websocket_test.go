package sdk

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/apigateway"
	apigwtypes "github.com/aws/aws-sdk-go-v2/service/apigateway/types"
	"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi"
	mgmttypes "github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi/types"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2"
	"github.com/aws/aws-sdk-go-v2/service/apigatewayv2/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ddbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/coder/websocket"
)

// chat keeps who is there in a table, and sends what one says to all, by the name and the stage that the event gives.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-chat-app.html
const chat = `
import boto3, json
table = boto3.resource("dynamodb").Table("there")
def handler(e, c):
  r = e["requestContext"]
  me = r["connectionId"]
  if r["routeKey"] == "$connect":
    table.put_item(Item={"id": me})
  elif r["routeKey"] == "$disconnect":
    table.delete_item(Key={"id": me})
  elif r["routeKey"] == "say":
    api = boto3.client("apigatewaymanagementapi", endpoint_url="https://" + r["domainName"] + "/" + r["stage"])
    for item in table.scan()["Items"]:
      try:
        api.post_to_connection(ConnectionId=item["id"], Data=(me + ": " + json.loads(e["body"])["text"]).encode())
      except api.exceptions.GoneException:
        table.delete_item(Key={"id": item["id"]})
  return {"statusCode": 200, "body": "the answer"}
`

// A socketAPI is a WebSocket API that is deployed to the stage "dev".
type socketAPI struct {
	w        *world
	client   *apigatewayv2.Client
	id       string
	host     string // with the port
	function string
}

func (w *world) newSocketAPI() *socketAPI {
	w.t.Helper()
	ctx, client := w.t.Context(), apigatewayv2.NewFromConfig(w.config)
	api := ok(client.CreateApi(ctx, &apigatewayv2.CreateApiInput{Name: aws.String("chat"), ProtocolType: types.ProtocolTypeWebsocket, RouteSelectionExpression: aws.String("$request.body.action")}))(w.t)
	u := ok(url.Parse(*api.ApiEndpoint))(w.t)
	same(w.t, "the endpoint's scheme", u.Scheme, "ws")
	ok(client.CreateStage(ctx, &apigatewayv2.CreateStageInput{ApiId: api.ApiId, StageName: aws.String("dev"), AutoDeploy: aws.Bool(true)}))(w.t)
	return &socketAPI{w: w, client: client, id: *api.ApiId, host: u.Host}
}

// function makes the function of the API's routes, which may call it.
func (a *socketAPI) withFunction(body string) *socketAPI {
	ctx := a.w.t.Context()
	a.w.function("f", body, nil)
	ok(a.w.lambda.AddPermission(ctx, &lambda.AddPermissionInput{
		FunctionName: aws.String("f"), StatementId: aws.String("api"), Action: aws.String("lambda:InvokeFunction"), Principal: aws.String("apigateway.amazonaws.com"),
		SourceArn: aws.String("arn:aws:execute-api:" + region + ":" + a.w.account + ":" + a.id + "/*"),
	}))(a.w.t)
	a.function = "arn:aws:apigateway:" + region + ":lambda:path/2015-03-31/functions/arn:aws:lambda:" + region + ":" + a.w.account + ":function:f/invocations"
	return a
}

// route makes a route to the function.
func (a *socketAPI) route(key string, change ...func(*apigatewayv2.CreateRouteInput)) *apigatewayv2.CreateRouteOutput {
	ctx := a.w.t.Context()
	i := ok(a.client.CreateIntegration(ctx, &apigatewayv2.CreateIntegrationInput{ApiId: &a.id, IntegrationType: types.IntegrationTypeAwsProxy, IntegrationMethod: aws.String("POST"), IntegrationUri: &a.function}))(a.w.t)
	in := &apigatewayv2.CreateRouteInput{ApiId: &a.id, RouteKey: &key, Target: aws.String("integrations/" + *i.IntegrationId)}
	for _, c := range change {
		c(in)
	}
	return ok(a.client.CreateRoute(ctx, in))(a.w.t)
}

// dial connects by the name of the API.
func (a *socketAPI) dial(header http.Header) (*websocket.Conn, *http.Response, error) {
	c, resp, err := websocket.Dial(a.w.t.Context(), "ws"+strings.TrimPrefix(brume.Endpoint, "http")+"/dev", &websocket.DialOptions{Host: a.host, HTTPHeader: header})
	if err == nil {
		c.SetReadLimit(-1)
		a.w.t.Cleanup(func() { c.CloseNow() })
	}
	return c, resp, err
}

func (a *socketAPI) mustDial() *websocket.Conn {
	a.w.t.Helper()
	c, resp, err := a.dial(nil)
	if err != nil {
		a.w.t.Fatalf("%v %+v", err, resp)
	}
	return c
}

// refused is the status that a handshake is answered with.
func (a *socketAPI) refused(header http.Header) int {
	a.w.t.Helper()
	c, resp, err := a.dial(header)
	if err == nil {
		c.CloseNow()
		return 101
	}
	if resp == nil {
		a.w.t.Fatal(err)
	}
	return resp.StatusCode
}

func heard(t *testing.T, c *websocket.Conn) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_, m, err := c.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return string(m)
}

func say(t *testing.T, c *websocket.Conn, m string) {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageText, []byte(m)); err != nil {
		t.Fatal(err)
	}
}

// connections is a client of the connections' API, as a backend makes one.
func (a *socketAPI) connections(cfg aws.Config, endpoint string) *apigatewaymanagementapi.Client {
	return apigatewaymanagementapi.NewFromConfig(cfg, func(o *apigatewaymanagementapi.Options) { o.BaseEndpoint = &endpoint })
}

func TestChat(t *testing.T) {
	w := newWorld(t, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"execute-api:ManageConnections","Resource":"arn:aws:execute-api:*:*:*/dev/POST/@connections/*"},{"Effect":"Allow","Action":"dynamodb:*","Resource":"*"}]}`)
	ctx := t.Context()
	tables := dynamodb.NewFromConfig(w.config)
	ok(tables.CreateTable(ctx, &dynamodb.CreateTableInput{TableName: aws.String("there"), BillingMode: ddbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []ddbtypes.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: ddbtypes.ScalarAttributeTypeS}},
		KeySchema:            []ddbtypes.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: ddbtypes.KeyTypeHash}}}))(t)
	there := func(n int) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			out := ok(tables.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String("there"), ConsistentRead: aws.Bool(true)}))(t)
			if len(out.Items) == n {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%d are there, want %d", len(out.Items), n)
			}
		}
	}
	a := w.newSocketAPI().withFunction(chat)
	for _, key := range []string{"$connect", "$disconnect", "say"} {
		a.route(key)
	}
	echo := a.route("ask")
	ok(a.client.CreateRouteResponse(ctx, &apigatewayv2.CreateRouteResponseInput{ApiId: &a.id, RouteId: echo.RouteId, RouteResponseKey: aws.String("$default")}))(t)

	alice := a.mustDial()
	// The other way in, for clients without wildcard names.
	bob, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(brume.Endpoint, "http")+"/_aws/execute-api/"+a.id+"/dev", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer bob.CloseNow()
	there(2)
	say(t, alice, `{"action":"say","text":"hello, héllo"}`)
	var ids [2]string
	for i, c := range []*websocket.Conn{alice, bob} {
		got := heard(t, c)
		id, text, _ := strings.Cut(got, ": ")
		if ids[i] = id; text != "hello, héllo" || id == "" {
			t.Errorf("%d heard %q", i, got)
		}
	}
	same(t, "who spoke", ids[0], ids[1])
	say(t, bob, `{"action":"ask"}`)
	same(t, "two ways", heard(t, bob), "the answer")
	say(t, bob, `{"action":"nothing"}`)
	var frame map[string]string
	if got := heard(t, bob); json.Unmarshal([]byte(got), &frame) != nil || frame["message"] != "Forbidden" || frame["connectionId"] == "" || frame["requestId"] == "" {
		t.Errorf("got %s", got)
	}
	if err := bob.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	there(1)
	say(t, alice, `{"action":"say","text":"alone"}`)
	if got := heard(t, alice); !strings.HasSuffix(got, ": alone") {
		t.Errorf("got %s", got)
	}
}

// The API of connections, with a client of the SDK that has nothing set but its endpoint.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
func TestConnectionsAPI(t *testing.T) {
	w := newWorld(t, "")
	ctx := t.Context()
	a := w.newSocketAPI()
	c := a.mustDial()
	say(t, c, "x")
	var frame map[string]string
	if err := json.Unmarshal([]byte(heard(t, c)), &frame); err != nil {
		t.Fatal(err)
	}
	id := aws.String(frame["connectionId"])
	byPath := brume.Endpoint + "/_aws/execute-api/" + a.id + "/dev"
	arn := "arn:aws:execute-api:" + region + ":" + w.account + ":" + a.id + "/dev/POST/@connections/"
	root := a.connections(w.config, byPath)

	ok(root.PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: id, Data: []byte("hello")}))(t)
	same(t, "the message", heard(t, c), "hello")
	got := ok(root.GetConnection(ctx, &apigatewaymanagementapi.GetConnectionInput{ConnectionId: id}))(t)
	if time.Since(*got.ConnectedAt) > time.Minute || got.LastActiveAt.Before(*got.ConnectedAt) || *got.Identity.SourceIp != "127.0.0.1" || *got.Identity.UserAgent == "" {
		t.Errorf("%+v %+v", got, got.Identity)
	}
	// 128 KB, and a byte more. Long messages come in frames of 32 KB.
	long := strings.Repeat("x", 128<<10)
	ok(root.PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: id, Data: []byte(long)}))(t)
	same(t, "a long message", len(heard(t, c)), len(long))
	_, err := root.PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: id, Data: []byte(long + "x")})
	is[*mgmttypes.PayloadTooLargeException](t, err, "413")

	_, may := newUser(t, w.config, "may", allow("execute-api:ManageConnections", arn+"*"))
	_, one := newUser(t, w.config, "one", allow("execute-api:ManageConnections", arn+*id))
	_, not := newUser(t, w.config, "not", allow("execute-api:Invoke", "*"))
	for _, cfg := range []aws.Config{may, one} {
		ok(a.connections(cfg, byPath).PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: id, Data: []byte("a")}))(t)
		same(t, "the message", heard(t, c), "a")
		_, err = a.connections(cfg, byPath).DeleteConnection(ctx, &apigatewaymanagementapi.DeleteConnectionInput{ConnectionId: id})
		hasCode(t, err, 403, "AccessDeniedException", "execute-api:ManageConnections on resource: "+strings.Replace(arn, "POST", "DELETE", 1))
	}
	_, err = a.connections(not, byPath).PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: id, Data: []byte("a")})
	hasCode(t, err, 403, "AccessDeniedException", "execute-api:ManageConnections")
	_, err = a.connections(rootOf(newAccount()), byPath).PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: id, Data: []byte("a")})
	hasCode(t, err, 403, "AccessDeniedException", "")
	_, err = a.connections(w.config, strings.Replace(byPath, "/dev", "/prod", 1)).PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: id, Data: []byte("a")})
	is[*mgmttypes.ForbiddenException](t, err, "403")
	_, err = root.PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: aws.String("R1kmxc2VNjMCFIA="), Data: []byte("a")})
	is[*mgmttypes.GoneException](t, err, "410")
	_, err = root.PostToConnection(ctx, &apigatewaymanagementapi.PostToConnectionInput{ConnectionId: aws.String("x"), Data: []byte("a")})
	hasCode(t, err, 400, "BadRequestException", "Invalid connectionId")

	// By the name of the API, with the sign escaped, as command-line clients send it; unsigned, nobody gets in.
	for _, signed := range []bool{true, false} {
		req := ok(http.NewRequestWithContext(ctx, "POST", brume.Endpoint+"/dev/%40connections/"+strings.Replace(*id, "=", "%3D", 1), strings.NewReader("by name")))(t)
		req.Host = a.host
		if signed {
			sum := sha256.Sum256([]byte("by name"))
			if err := v4.NewSigner().SignHTTP(ctx, ok(w.config.Credentials.Retrieve(ctx))(t), req, hex.EncodeToString(sum[:]), "execute-api", region, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		resp, body := send(t, req)
		if signed {
			if resp.StatusCode != 200 {
				t.Errorf("%s %s", resp.Status, body)
			}
			same(t, "the message", heard(t, c), "by name")
		} else if resp.StatusCode != 403 || !strings.Contains(body, "Missing Authentication Token") {
			t.Errorf("%s %s", resp.Status, body)
		}
	}

	ok(root.DeleteConnection(ctx, &apigatewaymanagementapi.DeleteConnectionInput{ConnectionId: id}))(t)
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != websocket.StatusNormalClosure {
		t.Errorf("%v", err)
	}
	_, err = root.GetConnection(ctx, &apigatewaymanagementapi.GetConnectionInput{ConnectionId: id})
	is[*mgmttypes.GoneException](t, err, "410")
}

// Who may connect.
func TestWebSocketAuthorization(t *testing.T) {
	w := newWorld(t, "")
	ctx := t.Context()
	a := w.newSocketAPI().withFunction(`
def handler(e, c):
  if e.get("type") == "REQUEST":
    token = e["queryStringParameters"].get("token") or e["headers"].get("Token")
    if token == "nobody": raise Exception("Unauthorized")
    return {"principalId": token, "policyDocument": {"Version": "2012-10-17", "Statement": [{"Action": "execute-api:Invoke", "Effect": "Allow" if token == "good" else "Deny", "Resource": e["methodArn"]}]}}
  if e["requestContext"]["eventType"] == "CONNECT":
    return {"statusCode": 200, "headers": {"Sec-WebSocket-Protocol": "v2"}} if e["headers"].get("Room") != "full" else {"statusCode": 409}
  return {"statusCode": 200, "body": e["requestContext"]["authorizer"]["principalId"] if "authorizer" in e["requestContext"] else e["requestContext"]["identity"]["userArn"]}
`)
	connect := a.route("$connect")
	fallback := a.route("$default")
	ok(a.client.CreateRouteResponse(ctx, &apigatewayv2.CreateRouteResponseInput{ApiId: &a.id, RouteId: fallback.RouteId, RouteResponseKey: aws.String("$default")}))(t)
	same(t, "open to all", a.refused(nil), 101)
	same(t, "the function refuses", a.refused(http.Header{"Room": {"full"}}), 409)
	c, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(brume.Endpoint, "http")+"/_aws/execute-api/"+a.id+"/dev", &websocket.DialOptions{Subprotocols: []string{"v1", "v2"}})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "the subprotocol", c.Subprotocol(), "v2")
	c.CloseNow()

	authorizer := ok(a.client.CreateAuthorizer(ctx, &apigatewayv2.CreateAuthorizerInput{ApiId: &a.id, Name: aws.String("a"), AuthorizerType: types.AuthorizerTypeRequest, AuthorizerUri: &a.function, IdentitySource: []string{"route.request.header.Token"}}))(t)
	ok(a.client.UpdateRoute(ctx, &apigatewayv2.UpdateRouteInput{ApiId: &a.id, RouteId: connect.RouteId, AuthorizationType: types.AuthorizationTypeCustom, AuthorizerId: authorizer.AuthorizerId}))(t)
	for token, want := range map[string]int{"": 401, "nobody": 401, "bad": 403, "good": 101} {
		header := http.Header{}
		if token != "" {
			header.Set("Token", token)
		}
		same(t, "with the token "+token, a.refused(header), want)
	}
	c, _, err = a.dial(http.Header{"Token": {"good"}})
	if err != nil {
		t.Fatal(err)
	}
	say(t, c, "who am I?")
	same(t, "what the authorizer said", heard(t, c), "good")

	ok(a.client.UpdateRoute(ctx, &apigatewayv2.UpdateRouteInput{ApiId: &a.id, RouteId: connect.RouteId, AuthorizationType: types.AuthorizationTypeAwsIam}))(t)
	arn, may := newUser(t, w.config, "may", allow("execute-api:Invoke", "arn:aws:execute-api:"+region+":"+w.account+":"+a.id+"/dev/$connect"))
	_, not := newUser(t, w.config, "not", allow("execute-api:ManageConnections", "*"))
	signed := func(cfg aws.Config) http.Header {
		req := ok(http.NewRequestWithContext(ctx, "GET", brume.Endpoint+"/dev", nil))(t)
		req.Host = a.host
		sum := sha256.Sum256(nil)
		if err := v4.NewSigner().SignHTTP(ctx, ok(cfg.Credentials.Retrieve(ctx))(t), req, hex.EncodeToString(sum[:]), "execute-api", region, time.Now()); err != nil {
			t.Fatal(err)
		}
		return req.Header
	}
	same(t, "unsigned", a.refused(nil), 403)
	same(t, "without permission", a.refused(signed(not)), 403)
	c, _, err = a.dial(signed(may))
	if err != nil {
		t.Fatal(err)
	}
	say(t, c, "who am I?")
	same(t, "who signed", heard(t, c), arn)
}

// What a connection must not carry, and what ends it.
func TestWebSocketLimits(t *testing.T) {
	w := newWorld(t, "")
	ctx := t.Context()
	a := w.newSocketAPI()
	mock := ok(a.client.CreateIntegration(ctx, &apigatewayv2.CreateIntegrationInput{ApiId: &a.id, IntegrationType: types.IntegrationTypeMock, RequestTemplates: map[string]string{"$default": `{"statusCode":200}`}}))(t)
	ok(a.client.CreateIntegrationResponse(ctx, &apigatewayv2.CreateIntegrationResponseInput{ApiId: &a.id, IntegrationId: mock.IntegrationId, IntegrationResponseKey: aws.String("$default"),
		ResponseTemplates: map[string]string{"$default": `{"you":"$context.connectionId","at":"$context.stage"}`}}))(t)
	r := ok(a.client.CreateRoute(ctx, &apigatewayv2.CreateRouteInput{ApiId: &a.id, RouteKey: aws.String("$default"), Target: aws.String("integrations/" + *mock.IntegrationId), RouteResponseSelectionExpression: aws.String("$default")}))(t)
	ok(a.client.CreateRouteResponse(ctx, &apigatewayv2.CreateRouteResponseInput{ApiId: &a.id, RouteId: r.RouteId, RouteResponseKey: aws.String("$default")}))(t)
	c := a.mustDial()
	say(t, c, strings.Repeat("x", 32<<10))
	if got := heard(t, c); !strings.HasSuffix(got, `=","at":"dev"}`) {
		t.Errorf("got %s", got)
	}
	say(t, c, strings.Repeat("x", 32<<10+1))
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Errorf("%v", err)
	}
	c = a.mustDial()
	if err := c.Write(ctx, websocket.MessageBinary, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != websocket.StatusUnsupportedData {
		t.Errorf("%v", err)
	}
	c = a.mustDial()
	ok(a.client.UpdateStage(ctx, &apigatewayv2.UpdateStageInput{ApiId: &a.id, StageName: aws.String("dev"), DefaultRouteSettings: &types.RouteSettings{ThrottlingBurstLimit: aws.Int32(1), ThrottlingRateLimit: aws.Float64(0.001)}}))(t)
	say(t, c, "x")
	say(t, c, "x")
	if one, two := heard(t, c), heard(t, c); strings.Contains(one, "Too Many Requests") == strings.Contains(two, "Too Many Requests") {
		t.Errorf("got %s and %s", one, two)
	}
	// What has no WebSocket to it is not for this API.
	resp, body := send(t, apiRequest(t, "GET", "http://"+a.host, "/dev", ""))
	if resp.StatusCode != 403 || body != `{"message":"Missing Authentication Token"}` {
		t.Errorf("%s %s", resp.Status, body)
	}
	ok(a.client.DeleteApi(ctx, &apigatewayv2.DeleteApiInput{ApiId: &a.id}))(t)
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("%v", err)
	}
}

// Clients with API keys, whose coming and going a table keeps without any function.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-integration-requests.html
func TestWebSocketServicesAndKeys(t *testing.T) {
	w := newWorld(t, "")
	ctx := t.Context()
	tables := dynamodb.NewFromConfig(w.config)
	ok(tables.CreateTable(ctx, &dynamodb.CreateTableInput{TableName: aws.String("there"), BillingMode: ddbtypes.BillingModePayPerRequest,
		AttributeDefinitions: []ddbtypes.AttributeDefinition{{AttributeName: aws.String("id"), AttributeType: ddbtypes.ScalarAttributeTypeS}},
		KeySchema:            []ddbtypes.KeySchemaElement{{AttributeName: aws.String("id"), KeyType: ddbtypes.KeyTypeHash}}}))(t)
	role := newRole(t, w.config, "gateway", `{"Service":"apigateway.amazonaws.com"}`, allow("dynamodb:*Item", "*"))
	a := w.newSocketAPI()
	route := func(key, action, template string, change ...func(*apigatewayv2.CreateRouteInput)) string {
		i := ok(a.client.CreateIntegration(ctx, &apigatewayv2.CreateIntegrationInput{ApiId: &a.id, IntegrationType: types.IntegrationTypeAws, IntegrationMethod: aws.String("POST"), CredentialsArn: &role,
			IntegrationUri: aws.String("arn:aws:apigateway:" + region + ":dynamodb:action/" + action), RequestTemplates: map[string]string{"$default": template}}))(t)
		in := &apigatewayv2.CreateRouteInput{ApiId: &a.id, RouteKey: &key, Target: aws.String("integrations/" + *i.IntegrationId)}
		for _, c := range change {
			c(in)
		}
		r := ok(a.client.CreateRoute(ctx, in))(t)
		ok(a.client.CreateIntegrationResponse(ctx, &apigatewayv2.CreateIntegrationResponseInput{ApiId: &a.id, IntegrationId: i.IntegrationId, IntegrationResponseKey: aws.String("$default"),
			ResponseTemplates: map[string]string{"$default": `{"name":$input.json('$.Item.name.S')}`}}))(t)
		return *r.RouteId
	}
	route("$connect", "PutItem", `{"TableName":"there","Item":{"id":{"S":"$context.connectionId"},"name":{"S":"$context.identity.apiKeyId"}}}`, func(in *apigatewayv2.CreateRouteInput) { in.ApiKeyRequired = aws.Bool(true) })
	route("$disconnect", "DeleteItem", `{"TableName":"there","Key":{"id":{"S":"$context.connectionId"}}}`)
	who := route("who", "GetItem", `{"TableName":"there","Key":{"id":{"S":"$context.connectionId"}}}`)
	ok(a.client.CreateRouteResponse(ctx, &apigatewayv2.CreateRouteResponseInput{ApiId: &a.id, RouteId: &who, RouteResponseKey: aws.String("$default")}))(t)

	rest := apigateway.NewFromConfig(w.config)
	key := ok(rest.CreateApiKey(ctx, &apigateway.CreateApiKeyInput{Enabled: true}))(t)
	header := http.Header{"X-Api-Key": {*key.Value}}
	same(t, "without a plan", a.refused(header), 403)
	plan := ok(rest.CreateUsagePlan(ctx, &apigateway.CreateUsagePlanInput{Name: aws.String("p"), ApiStages: []apigwtypes.ApiStage{{ApiId: &a.id, Stage: aws.String("dev")}}}))(t)
	ok(rest.CreateUsagePlanKey(ctx, &apigateway.CreateUsagePlanKeyInput{UsagePlanId: plan.Id, KeyId: key.Id, KeyType: aws.String("API_KEY")}))(t)
	same(t, "without a key", a.refused(nil), 403)
	c, resp, err := a.dial(header)
	if err != nil {
		t.Fatalf("%v %+v", err, resp)
	}
	say(t, c, `{"action":"who"}`)
	same(t, "what the table keeps", heard(t, c), `{"name":"`+*key.Id+`"}`)
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if out := ok(tables.Scan(ctx, &dynamodb.ScanInput{TableName: aws.String("there"), ConsistentRead: aws.Bool(true)}))(t); len(out.Items) == 0 {
			break
		} else if time.Now().After(end) {
			t.Fatalf("%v are left", out.Items)
		}
	}
	// Keys that a plan throttles.
	ok(rest.UpdateUsagePlan(ctx, &apigateway.UpdateUsagePlanInput{UsagePlanId: plan.Id, PatchOperations: []apigwtypes.PatchOperation{
		{Op: apigwtypes.OpAdd, Path: aws.String("/throttle/rateLimit"), Value: aws.String("0.001")}, {Op: apigwtypes.OpAdd, Path: aws.String("/throttle/burstLimit"), Value: aws.String("1")}}}))(t)
	same(t, "the first", a.refused(header), 101)
	same(t, "the second", a.refused(header), 429)
}

// A custom domain name leads to a WebSocket API and to the API of its connections.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-custom-domain-names.html
func TestWebSocketDomainName(t *testing.T) {
	w := newWorld(t, "")
	ctx := t.Context()
	a := w.newSocketAPI()
	name := "chat-" + w.account + ".example.com"
	ok(a.client.CreateDomainName(ctx, &apigatewayv2.CreateDomainNameInput{DomainName: &name, DomainNameConfigurations: []types.DomainNameConfiguration{{
		CertificateArn: aws.String("arn:aws:acm:" + region + ":" + w.account + ":certificate/x"), EndpointType: types.EndpointTypeRegional}}}))(t)
	ok(a.client.CreateApiMapping(ctx, &apigatewayv2.CreateApiMappingInput{DomainName: &name, ApiId: &a.id, Stage: aws.String("dev"), ApiMappingKey: aws.String("live")}))(t)
	ok(a.client.UpdateApi(ctx, &apigatewayv2.UpdateApiInput{ApiId: &a.id, DisableExecuteApiEndpoint: aws.Bool(true)}))(t)
	same(t, "the disabled endpoint", a.refused(nil), 403)
	c, resp, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(brume.Endpoint, "http")+"/live", &websocket.DialOptions{Host: name})
	if err != nil {
		t.Fatalf("%v %+v", err, resp)
	}
	defer c.CloseNow()
	say(t, c, "x")
	var frame map[string]string
	if err := json.Unmarshal([]byte(heard(t, c)), &frame); err != nil {
		t.Fatal(err)
	}
	req := ok(http.NewRequestWithContext(ctx, "POST", brume.Endpoint+"/live/@connections/"+frame["connectionId"], strings.NewReader("by its own name")))(t)
	req.Host = name
	sum := sha256.Sum256([]byte("by its own name"))
	if err := v4.NewSigner().SignHTTP(ctx, ok(w.config.Credentials.Retrieve(ctx))(t), req, hex.EncodeToString(sum[:]), "execute-api", region, time.Now()); err != nil {
		t.Fatal(err)
	}
	if resp, body := send(t, req); resp.StatusCode != 200 {
		t.Errorf("%s %s", resp.Status, body)
	}
	same(t, "the message", heard(t, c), "by its own name")
}
