package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"

	lambdaapi "brume/internal/api/lambda"
	logsapi "brume/internal/api/logs"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/dispatch"
	"brume/internal/edge"
	"brume/internal/gatewaylog"
	"brume/internal/service/apigateway"
	"brume/internal/service/iam"
	"brume/internal/service/sts"
	"brume/internal/wire"
)

const gatewayPrincipal = "apigateway.amazonaws.com"

// lambdaIntegration lets API Gateway invoke functions: as its service principal, which the function's policy must allow,
// or as the role that the integration names.
type lambdaIntegration struct {
	dispatcher *dispatch.Dispatcher
	iam        *iam.Service
	sts        *sts.Service
}

func (l lambdaIntegration) Invoke(ctx context.Context, in *apigateway.LambdaInvocation) (*apigateway.LambdaResult, error) {
	// The ARN has been parsed by API Gateway: arn:aws:lambda:REGION:ACCOUNT:function:NAME.
	arn := strings.SplitN(in.FunctionARN, ":", 6)
	if len(arn) < 6 {
		return nil, awserr.Validation("%q is not the ARN of a function.", in.FunctionARN)
	}
	principal := call.Principal{Type: call.Service, ARN: gatewayPrincipal}
	if in.RoleARN != "" {
		var err error
		if principal, err = l.assume(ctx, in); err != nil {
			return nil, err
		}
	}
	info := &call.Info{
		RequestID: call.NewRequestID(), Account: arn[4], Region: arn[3], Principal: principal, Secure: true, Time: time.Now(),
		ViaService: gatewayPrincipal, SourceARN: in.SourceARN, SourceAccount: in.SourceAccount, TraceID: in.TraceID,
	}
	request := &lambdaapi.InvokeInput{FunctionName: &in.FunctionARN, Payload: in.Payload}
	if in.Qualifier != "" {
		request.Qualifier = &in.Qualifier
	}
	if in.Async {
		request.InvocationType = new("Event")
	}
	out, err := dispatch.Run[lambdaapi.InvokeOutput](call.With(ctx, info), l.dispatcher, "lambda", "Invoke", request)
	if err != nil {
		return nil, err
	}
	result := &apigateway.LambdaResult{Payload: out.Payload, RequestID: info.RequestID}
	if out.FunctionError != nil {
		result.FunctionError = *out.FunctionError
	}
	if out.ExecutedVersion != nil {
		result.ExecutedVersion = *out.ExecutedVersion
	}
	return result, nil
}

// assume is the principal of the integration's role, if API Gateway may assume that.
func (l lambdaIntegration) assume(ctx context.Context, in *apigateway.LambdaInvocation) (call.Principal, error) {
	return assumeForGateway(ctx, l.iam, l.sts, in.RoleARN, in.SourceARN, in.SourceAccount)
}

func assumeForGateway(ctx context.Context, identities *iam.Service, tokens *sts.Service, roleARN, sourceARN, sourceAccount string) (call.Principal, error) {
	const session = "BackplaneAssumeRoleSession"
	if err := tokens.MayAssume(ctx, sts.ServiceSession{
		Service: gatewayPrincipal, RoleARN: roleARN, Name: session, SourceARN: sourceARN, SourceAccount: sourceAccount,
	}); err != nil {
		return call.Principal{}, err
	}
	role, err := identities.Role(ctx, roleARN)
	if err != nil {
		return call.Principal{}, err
	}
	if role == nil {
		return call.Principal{}, awserr.New("AccessDenied", "The role %s does not exist.", roleARN)
	}
	return sessionOf(role, session), nil
}

// serviceIntegration lets API Gateway call the other services, as the role that the integration names or as its own caller.
type serviceIntegration struct {
	iam *iam.Service
	sts *sts.Service
	// server is set once it is there: it serves API Gateway in its turn.
	server *wire.Server
}

func (s *serviceIntegration) Has(service string) bool { return s.server.Has(service) }

func (s *serviceIntegration) Call(ctx context.Context, c *apigateway.ServiceCall) (*apigateway.HTTPResult, error) {
	principal := c.Principal
	if principal == nil {
		p, err := assumeForGateway(ctx, s.iam, s.sts, c.RoleARN, c.SourceARN, c.SourceAccount)
		if err != nil {
			return nil, err
		}
		principal = &p
	}
	header := http.Header{}
	for _, f := range c.Header {
		header.Add(f.Name, f.Value)
	}
	res := s.server.Do(ctx, call.Info{
		RequestID: call.NewRequestID(), Account: principal.Account, Region: c.Region, Principal: *principal, Secure: true, Time: time.Now(),
		ViaService: gatewayPrincipal, SourceARN: c.SourceARN, SourceAccount: c.SourceAccount,
	}, &wire.Call{Service: c.Service, Action: c.Action, Method: c.Method, Path: c.Path, Query: c.Query, Header: header, Body: c.Body})
	return &apigateway.HTTPResult{Status: res.Status, Header: fieldsOf(res.Header), Body: res.Body}, nil
}

func fieldsOf(h http.Header) []apigateway.Field {
	var out []apigateway.Field
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[name] {
			out = append(out, apigateway.Field{Name: name, Value: v})
		}
	}
	return out
}

// httpIntegration reaches the endpoints of HTTP integrations. Connections are kept and used again.
type httpIntegration struct{ strict, lenient *http.Client }

func newHTTPIntegration() *httpIntegration {
	client := func(insecure bool) *http.Client {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost, t.DisableCompression = 64, true
		t.DialContext = (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second, Control: keepFromMetadata}).DialContext
		if insecure {
			t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // the integration's tlsConfig asks for it
		}
		return &http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return &httpIntegration{client(false), client(true)}
}

// metadata are the addresses besides the link-local ones under which clouds tell a machine its credentials.
var metadata = [...]netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("192.0.0.192"),
}

// keepFromMetadata refuses connections to where the credentials of this machine are. Whoever may make an integration may use
// what this machine reaches, its loopback included, but must not become the machine.
func keepFromMetadata(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	if ip := at.Addr().Unmap().WithZone(""); ip.IsLinkLocalUnicast() || slices.Contains(metadata[:], ip) {
		return fmt.Errorf("%s is not for integrations", ip)
	}
	return nil
}

func (h *httpIntegration) Close() error {
	h.strict.CloseIdleConnections()
	h.lenient.CloseIdleConnections()
	return nil
}

func (h *httpIntegration) Send(ctx context.Context, c *apigateway.HTTPCall) (*apigateway.HTTPResult, error) {
	req, err := http.NewRequestWithContext(ctx, c.Method, c.URL, bytes.NewReader(c.Body))
	if err != nil {
		return nil, err
	}
	for _, f := range c.Header {
		if strings.EqualFold(f.Name, "Host") {
			req.Host = f.Value
			continue
		}
		req.Header.Add(f.Name, f.Value)
	}
	client := h.strict
	if c.InsecureTLS {
		client = h.lenient
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, edge.MaxBody+1))
	if err != nil {
		return nil, err
	}
	if len(body) > edge.MaxBody {
		return nil, edge.ErrTooLarge
	}
	return &apigateway.HTTPResult{Status: res.StatusCode, Header: fieldsOf(res.Header), Body: body}, nil
}

// deliveryPrincipal delivers logs that services send without a role of the account. Every log group lets it write those of
// its own account.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-infrastructure-CWL.html
const deliveryPrincipal = "delivery.logs.amazonaws.com"

// gatewayLogs writes API Gateway's logs, as the role that the account has set for it or as the service that delivers logs.
type gatewayLogs struct {
	iam        *iam.Service
	sts        *sts.Service
	dispatcher *dispatch.Dispatcher
}

func (l gatewayLogs) Put(ctx context.Context, stream gatewaylog.Stream, events []gatewaylog.Event) error {
	info := &call.Info{
		RequestID: call.NewRequestID(), Account: stream.Account, Region: stream.Region, Principal: call.Principal{Type: call.Service, ARN: deliveryPrincipal}, Secure: true,
		Time: time.Now(), ViaService: gatewayPrincipal, SourceAccount: stream.Account,
	}
	if stream.RoleARN != "" {
		var err error
		if info.Principal, err = assumeForGateway(ctx, l.iam, l.sts, stream.RoleARN, "", stream.Account); err != nil {
			return err
		}
	}
	ctx = call.With(ctx, info)
	slices.SortStableFunc(events, func(a, b gatewaylog.Event) int { return a.Time.Compare(b.Time) })
	list := make([]logsapi.InputLogEvent, len(events))
	for i, e := range events {
		list[i] = logsapi.InputLogEvent{Timestamp: new(e.Time.UnixMilli()), Message: &e.Message}
	}
	return putLogEvents(ctx, l.dispatcher, stream.Group, stream.Stream, list)
}
