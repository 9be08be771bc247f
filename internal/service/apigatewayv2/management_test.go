package apigatewayv2

import (
	"bytes"
	"context"
	"reflect"
	"testing"
	"time"

	mgmt "brume/internal/api/apigatewaymanagementapi"
	"brume/internal/call"
	"brume/internal/edge"
)

// https://docs.aws.amazon.com/apigatewaymanagementapi/latest/APIReference/API_Operations.html
func TestConnectionsAPI(t *testing.T) {
	quiet(t, func(t *testing.T, g *tester) {
		id := g.socketAPI()
		g.route(id, "$connect", toFunction())
		m := g.Connections()
		ctx := edge.WithStage(g.ctx, edge.StageID{API: id, Stage: "dev"})
		// Until the handshake is over there is no connection. https://repost.aws/knowledge-center/410-gone-api-gateway
		g.lambda.run = func(_ context.Context, in *edge.LambdaInvocation) (*edge.LambdaResult, error) {
			id := g.event()["requestContext"].(map[string]any)["connectionId"].(string)
			_, err := m.PostToConnection(ctx, &mgmt.PostToConnectionInput{ConnectionId: &id, Data: []byte("x")})
			wantError(t, err, "GoneException", "")
			return &edge.LambdaResult{Payload: []byte(`{"statusCode":200}`)}, nil
		}
		cl := g.dial(toSocket(id, edge.Field{"User-Agent", "test"}))
		connected := time.Now()
		time.Sleep(time.Minute)
		post := func(ctx context.Context, id string, data []byte) error {
			_, err := m.PostToConnection(ctx, &mgmt.PostToConnectionInput{ConnectionId: &id, Data: data})
			return err
		}
		if err := post(ctx, cl.id, []byte("hello")); err != nil || string(<-cl.out) != "hello" {
			t.Error(err)
		}
		active := time.Now()
		time.Sleep(time.Minute)
		got, err := m.GetConnection(ctx, &mgmt.GetConnectionInput{ConnectionId: &cl.id})
		if err != nil || !got.ConnectedAt.Equal(connected) || !got.LastActiveAt.Equal(active) || *got.Identity.SourceIp != "192.0.2.7" || *got.Identity.UserAgent != "test" {
			t.Errorf("%+v %v", got, err)
		}
		if err := post(ctx, cl.id, bytes.Repeat([]byte("x"), edge.MaxMessage)); err != nil || len(<-cl.out) != edge.MaxMessage {
			t.Error(err)
		}
		wantError(t, post(ctx, cl.id, bytes.Repeat([]byte("x"), edge.MaxMessage+1)), "PayloadTooLargeException", "")
		wantError(t, post(ctx, "R1kmxc2VNjMCFIA=", nil), "GoneException", "")
		wantError(t, post(ctx, "nonsense", nil), "BadRequestException", "Invalid connectionId: nonsense")
		wantError(t, post(g.ctx, cl.id, nil), "ForbiddenException", "")
		wantError(t, post(edge.WithStage(g.ctx, edge.StageID{API: id, Stage: "prod"}), cl.id, nil), "ForbiddenException", "")
		wantError(t, post(edge.WithStage(g.ctx, edge.StageID{API: g.socketAPI(), Stage: "dev"}), cl.id, nil), "GoneException", "")
		wantError(t, post(edge.WithStage(g.ctx, edge.StageID{API: g.api(nil), Stage: "$default"}), cl.id, nil), "ForbiddenException", "")
		for _, other := range []call.Info{{Account: "999999999999", Region: testRegion}, {Account: testAccount, Region: "eu-west-1"}} {
			wantError(t, post(call.With(ctx, &other), cl.id, nil), "ForbiddenException", "")
		}

		if _, err := m.DeleteConnection(ctx, &mgmt.DeleteConnectionInput{ConnectionId: &cl.id}); err != nil {
			t.Error(err)
		}
		<-cl.served
		if cl.how.Status != 1000 {
			t.Errorf("%+v", cl.how)
		}
		wantError(t, post(ctx, cl.id, nil), "GoneException", "")
		_, err = m.GetConnection(ctx, &mgmt.GetConnectionInput{ConnectionId: &cl.id})
		wantError(t, err, "GoneException", "")
		_, err = m.DeleteConnection(ctx, &mgmt.DeleteConnectionInput{ConnectionId: &cl.id})
		wantError(t, err, "GoneException", "")

		limit := edge.AccountLimit()
		for range limit.Burst {
			g.Buckets.Take(edge.BucketID{Kind: "account", Owner: testAccount, Key: testRegion}, limit, time.Now())
		}
		wantError(t, post(ctx, cl.id, nil), "LimitExceededException", "")
	})
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-control-access-iam.html
func TestConnectionsAPIIsAuthorized(t *testing.T) {
	g := newTester(t)
	id := g.socketAPI()
	m := g.Connections()
	ctx := edge.WithStage(g.ctx, edge.StageID{API: id, Stage: "dev"})
	for i, op := range mgmt.Schema().Operations {
		in := mgmt.Handlers(m)[i].New()
		reflect.ValueOf(in).Elem().FieldByName("ConnectionId").Set(reflect.ValueOf(new("R1kmxc2VNjMCFIA=")))
		checks, mapped, err := m.Checks(ctx, op.Name, in)
		if err != nil || !mapped || len(checks) != 1 || checks[0].Action != "execute-api:ManageConnections" || checks[0].ResourceAccount != testAccount ||
			checks[0].Resource != "arn:aws:execute-api:us-east-1:123456789012:"+id+"/dev/"+op.Method+"/@connections/R1kmxc2VNjMCFIA=" {
			t.Errorf("%s: %+v, %v, %v", op.Name, checks, mapped, err)
		}
	}
}
