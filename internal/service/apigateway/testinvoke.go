package apigateway

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	api "brume/internal/api/apigateway"
	"brume/internal/call"
	"brume/internal/kv"
	"brume/internal/vtl"
)

// TestInvokeMethod runs a method as it stands, deployed or not, with no key, quota or throttle, and tells how it went.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-test-method.html
func (s *Service) TestInvokeMethod(ctx context.Context, in *api.TestInvokeMethodInput) (*api.TestInvokeMethodOutput, error) {
	sc, info := scopeOf(ctx), call.From(ctx)
	if err := checkVariables(in.StageVariables); err != nil {
		return nil, err
	}
	if len(value(in.Body)) > MaxBody {
		return nil, invalid("The body is larger than %d bytes", MaxBody)
	}
	var rest *api.RestApi
	var row *api.Resource
	snap := &snapshot{}
	err := s.store.View(ctx, func(r kv.Reader) (err error) {
		if rest, err = getAPI(r, sc, *in.RestApiId); err != nil {
			return err
		}
		if row, err = getResource(r, sc, *in.RestApiId, *in.ResourceId); err != nil {
			return err
		}
		return snap.addParts(r, sc, rest)
	})
	if err != nil {
		return nil, err
	}
	st := &stage{
		account: sc.account, region: sc.region, apiID: *in.RestApiId, name: testStage,
		variables: in.StageVariables, variableFields: fieldsOf(in.StageVariables), binaryTypes: rest.BinaryMediaTypes,
	}
	st.compileParts(snap)
	res := st.compileResource(row, snap, nil)
	m := res.method(*in.HttpMethod)
	if m == nil {
		return nil, noMethod()
	}

	begin := time.Now()
	path, rawQuery, _ := strings.Cut(value(in.PathWithQueryString), "?")
	if path == "" {
		path = res.path
	}
	if path[0] != '/' {
		return nil, invalid("Invalid path specified: %s", clip(path))
	}
	x := &exchange{
		req: &Request{
			API: st.apiID, Stage: testStage, Method: *in.HttpMethod, Path: path, Query: parseQuery(rawQuery), Header: testHeaders(in),
			Body: []byte(value(in.Body)), Protocol: "HTTP/1.1", Secure: true, Time: begin,
		},
		stage: st, method: m, httpMethod: *in.HttpMethod, requestID: newRequestID(), extendedID: newExtendedID(),
		caller: &caller{info.Principal.Account, info.Principal.AccessKeyID, info.Principal.ARN, info.Principal.ID, info.UserAgent},
	}
	st.routes.add(res)
	if found, params := st.routes.match(path); found != nil {
		x.params = params
	}
	x.traceID = traceIDOf(x.req, begin)
	x.log = newExecutionLog(x.requestID)
	x.logRequest()
	var r *Response
	if refusal := x.validate(); refusal != nil {
		x.log.printf("%s", x.logged(refusal))
		r = s.answer(ctx, x, refusal)
	} else {
		r = s.integrate(ctx, x)
	}
	x.log.printf("Method completed with status: %d", r.Status)

	out := &api.TestInvokeMethodOutput{
		Status: new(int32(r.Status)), Body: new(strings.ToValidUTF8(string(r.Body), "\ufffd")), Headers: map[string]string{},
		MultiValueHeaders: map[string][]string{}, Log: new(x.log.String()), Latency: new(time.Since(begin).Milliseconds()),
	}
	for _, f := range r.Header {
		out.Headers[f.Name] = f.Value
		out.MultiValueHeaders[f.Name] = append(out.MultiValueHeaders[f.Name], f.Value)
	}
	return out, nil
}

// testHeaders are the headers of a test, in the order of their names. Of a name in both maps the list counts.
func testHeaders(in *api.TestInvokeMethodInput) []Field {
	var fields []Field
	for _, name := range slices.Sorted(maps.Keys(in.MultiValueHeaders)) {
		for _, v := range in.MultiValueHeaders[name] {
			fields = append(fields, Field{name, v})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(in.Headers)) {
		if _, ok := in.MultiValueHeaders[name]; !ok {
			fields = append(fields, Field{name, in.Headers[name]})
		}
	}
	return sortFields(fields)
}

// TestInvokeAuthorizer asks an authorizer as a request would, and tells what it said.
// https://docs.aws.amazon.com/apigateway/latest/api/API_TestInvokeAuthorizer.html
func (s *Service) TestInvokeAuthorizer(ctx context.Context, in *api.TestInvokeAuthorizerInput) (*api.TestInvokeAuthorizerOutput, error) {
	sc := scopeOf(ctx)
	if err := checkVariables(in.StageVariables); err != nil {
		return nil, err
	}
	row, err := authorizers().view(ctx, s, *in.RestApiId, *in.AuthorizerId)
	if err != nil {
		return nil, err
	}
	st := &stage{account: sc.account, region: sc.region, apiID: *in.RestApiId, name: testStage, variables: in.StageVariables, variableFields: fieldsOf(in.StageVariables)}
	a := compileAuthorizer(row, in.StageVariables)
	a.ttl = 0 // a test remembers nothing
	path, rawQuery, _ := strings.Cut(value(in.PathWithQueryString), "?")
	begin := time.Now()
	x := &exchange{
		req: &Request{
			API: st.apiID, Stage: testStage, Method: "GET", Path: path, Query: parseQuery(rawQuery), Protocol: "HTTP/1.1", Secure: true, Time: begin,
			Header: testHeaders(&api.TestInvokeMethodInput{Headers: in.Headers, MultiValueHeaders: in.MultiValueHeaders}), Body: []byte(value(in.Body)),
		},
		stage: st, httpMethod: "GET", requestID: newRequestID(), extendedID: newExtendedID(),
		method: &method{resource: &resource{path: "/"}, httpMethod: "GET", authorizer: a, authorization: "CUSTOM"},
	}
	if a.kind == "COGNITO_USER_POOLS" {
		x.method.authorization = "COGNITO_USER_POOLS"
	}
	x.traceID = traceIDOf(x.req, begin)
	x.log = newExecutionLog(x.requestID)
	refusal, err := s.authorize(ctx, x)
	if err != nil {
		return nil, err
	}
	out := &api.TestInvokeAuthorizerOutput{ClientStatus: new(int32(0)), Latency: new(time.Since(begin).Milliseconds())}
	if refusal != nil {
		out.ClientStatus = new(int32(refusal.status))
		x.log.printf("Unauthorized request: %s", refusal.message)
	}
	if got := x.authorized; got != nil {
		out.PrincipalId = &got.principalID
		if got.document != nil {
			out.Policy = &got.policyText
		}
		if v, ok := got.context.Get("claims"); ok {
			out.Claims = map[string]string{}
			for _, name := range v.(*vtl.Map).Keys {
				text, _ := v.(*vtl.Map).Get(name)
				out.Claims[name] = fmt.Sprint(text)
			}
		}
	}
	out.Log = new(x.log.String())
	return out, nil
}
