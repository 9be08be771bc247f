package apigatewayv2

import (
	"context"
	"encoding/base64"
	"strings"
	"time"

	mgmt "brume/internal/api/apigatewaymanagementapi"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/edge"
	"brume/internal/kv"
	"brume/internal/kv/jsonrow"
	"brume/internal/policy"
	"brume/internal/schema"
)

// Connections is the API by which backends reach the clients of a WebSocket API. Its calls are sent to a stage (edge.StageOf).
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html
type Connections struct {
	mgmt.Unimplemented
	s *Service
}

var _ mgmt.Service = (*Connections)(nil)

// Connections returns the API of the service's connections.
func (s *Service) Connections() *Connections { return &Connections{s: s} }

// IsSocket says whether an API is a WebSocket API.
func (s *Service) IsSocket(ctx context.Context, apiID string) bool {
	d, err := s.deployedAPI(ctx, apiID)
	return err == nil && d != nil && d.socket
}

// HasStage says whether a WebSocket API has a stage.
func (s *Service) HasStage(r kv.Reader, account, region, apiID, stage string) (bool, error) {
	row, err := jsonrow.Get[apiRow](r, apiKey(scope{account, region}, apiID))
	if err != nil || row == nil || !row.isSocket() {
		return false, err
	}
	_, found := find(row.Stages, stage, stageName)
	return found, nil
}

// Checks maps the calls to the permission that they need: execute-api:ManageConnections on the connection of a stage.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-control-access-iam.html
func (m *Connections) Checks(ctx context.Context, operation string, in schema.Struct) ([]policy.Check, bool, error) {
	var method string
	var id *string
	switch in := in.(type) {
	case *mgmt.PostToConnectionInput:
		method, id = "POST", in.ConnectionId
	case *mgmt.GetConnectionInput:
		method, id = "GET", in.ConnectionId
	case *mgmt.DeleteConnectionInput:
		method, id = "DELETE", in.ConnectionId
	default:
		return nil, false, nil
	}
	info := call.From(ctx)
	account, region := info.Account, info.Region
	at, _ := edge.StageOf(ctx)
	d, err := m.s.deployedAPI(ctx, at.API)
	if err != nil {
		return nil, true, err
	}
	if d != nil {
		account, region = d.account, d.region
	}
	return []policy.Check{{
		Action:          "execute-api:ManageConnections",
		Resource:        "arn:aws:execute-api:" + region + ":" + account + ":" + at.API + "/" + at.Stage + "/" + method + "/@connections/" + value(id),
		ResourceAccount: account,
	}}, true, nil
}

// connection finds the connection of a call, which must be made in the account and the region of its API.
func (m *Connections) connection(ctx context.Context, id string) (*connection, error) {
	at, ok := edge.StageOf(ctx)
	if !ok {
		return nil, &mgmt.ForbiddenException{}
	}
	d, err := m.s.deployedAPI(ctx, at.API)
	if err != nil {
		return nil, err
	}
	info := call.From(ctx)
	if d == nil || !d.socket || d.stages[at.Stage] == nil || d.account != info.Account || d.region != info.Region {
		return nil, &mgmt.ForbiddenException{}
	}
	if !m.s.Buckets.Take(edge.BucketID{Kind: "account", Owner: d.account, Key: d.region}, edge.AccountLimit(), time.Now()) {
		return nil, &mgmt.LimitExceededException{}
	}
	if _, err := base64.URLEncoding.DecodeString(strings.TrimSuffix(id, "=") + "="); err != nil || len(id) != 16 {
		return nil, awserr.New("BadRequestException", "Invalid connectionId: %s", clip(id))
	}
	c := m.s.connections.get(at, id)
	if c == nil {
		return nil, &mgmt.GoneException{}
	}
	return c, nil
}

// PostToConnection sends a message to a client.
// https://docs.aws.amazon.com/apigatewaymanagementapi/latest/APIReference/API_PostToConnection.html
func (m *Connections) PostToConnection(ctx context.Context, in *mgmt.PostToConnectionInput) (*mgmt.PostToConnectionOutput, error) {
	if len(in.Data) > edge.MaxMessage {
		return nil, &mgmt.PayloadTooLargeException{Message: new("Message too long")}
	}
	c, err := m.connection(ctx, *in.ConnectionId)
	if err != nil {
		return nil, err
	}
	if err := c.send(ctx, in.Data); err != nil {
		return nil, &mgmt.GoneException{}
	}
	return new(mgmt.PostToConnectionOutput), nil
}

// GetConnection tells of a connection.
// https://docs.aws.amazon.com/apigatewaymanagementapi/latest/APIReference/API_GetConnection.html
func (m *Connections) GetConnection(ctx context.Context, in *mgmt.GetConnectionInput) (*mgmt.GetConnectionOutput, error) {
	c, err := m.connection(ctx, *in.ConnectionId)
	if err != nil {
		return nil, err
	}
	t := c.turn("", "", c.connectedAt)
	c.mu.Lock()
	active := c.lastActive
	c.mu.Unlock()
	return &mgmt.GetConnectionOutput{
		ConnectedAt: &c.connectedAt, LastActiveAt: &active, Identity: &mgmt.Identity{SourceIp: new(t.sourceIP()), UserAgent: new(t.userAgent())},
	}, nil
}

// DeleteConnection closes a connection.
// https://docs.aws.amazon.com/apigatewaymanagementapi/latest/APIReference/API_DeleteConnection.html
func (m *Connections) DeleteConnection(ctx context.Context, in *mgmt.DeleteConnectionInput) (*mgmt.DeleteConnectionOutput, error) {
	c, err := m.connection(ctx, *in.ConnectionId)
	if err != nil {
		return nil, err
	}
	c.end(closedNormal, "Connection Closed Normally")
	return new(mgmt.DeleteConnectionOutput), nil
}
