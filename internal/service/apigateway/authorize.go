package apigateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	api "brume/internal/api/apigateway"
	"brume/internal/boundedre"
	"brume/internal/call"
	"brume/internal/jsontext"
	"brume/internal/policy"
	"brume/internal/vtl"
)

// An authorizer is a Lambda or token authorizer, compiled for requests.
type authorizer struct {
	id, kind    string
	target      lambdaTarget
	credentials string
	sources     []string
	expression  *boundedre.Regexp // nil for none
	ttl         time.Duration
	pools       []string // ARNs of user pools
	// problem is why it cannot run.
	problem error
}

func compileAuthorizer(row *api.Authorizer, variables map[string]string) *authorizer {
	a := &authorizer{
		id: *row.Id, kind: value(row.Type), credentials: value(row.AuthorizerCredentials), sources: identitySources(value(row.IdentitySource)),
		ttl: time.Duration(value(row.AuthorizerResultTtlInSeconds)) * time.Second, pools: row.ProviderARNs,
	}
	if p := value(row.IdentityValidationExpression); p != "" {
		a.expression, a.problem = boundedre.Whole(p)
	}
	if a.kind != "COGNITO_USER_POOLS" && a.problem == nil {
		a.target, a.problem = parseLambdaURI(substituteStageVariables(value(row.AuthorizerUri), variables))
	}
	return a
}

// authorized is what an authorizer said of a caller.
type authorized struct {
	principalID string
	// context holds what the authorizer adds, by name: strings, numbers and booleans as text; claims of a token.
	context  *vtl.Map
	document *policy.Document // nil for a token
	// policyText is the document as it was returned.
	policyText string
	usageKey   string
	latency    time.Duration
	expires    time.Time
}

// maxAuthorized bounds the answers of authorizers that are remembered.
const maxAuthorized = 20000

// authorizedKey names an answer: the stage's authorizer and the identity that it was asked for.
type authorizedKey struct{ stage, authorizer, identity string }

// identityOf gathers the values of an authorizer's identity sources. ok is false if one did not come or does not have
// the form that is asked for: then nobody needs to be asked.
func (x *exchange) identityOf(a *authorizer) (identity string, ok bool) {
	var b strings.Builder
	for _, source := range a.sources {
		v, found := x.requestValue(source)
		if !found || v == "" {
			return "", false
		}
		fmt.Fprintf(&b, "%d:%s", len(v), v)
		if a.expression != nil && a.kind == "TOKEN" && !a.expression.MatchString(v) {
			return "", false
		}
	}
	return b.String(), true
}

// requestValue evaluates a mapping expression on the method request: "method.request.header.X", "context.…", "stageVariables.…".
func (x *exchange) requestValue(source string) (string, bool) {
	if rest, ok := strings.CutPrefix(source, "method.request."); ok {
		place, name, _ := strings.Cut(rest, ".")
		switch place {
		case "header", "multivalueheader":
			return x.req.header(name)
		case "querystring", "multivaluequerystring":
			return last(x.req.Query, name)
		case "path":
			return last(x.params, name)
		}
		return "", false
	}
	if name, ok := strings.CutPrefix(source, "stageVariables."); ok {
		v, ok := x.stage.variables[name]
		return v, ok
	}
	if name, ok := strings.CutPrefix(source, "context."); ok {
		return contextText(x.contextMap(), name)
	}
	return "", false
}

// contextText is a member of $context as text.
func contextText(vars *vtl.Map, path string) (string, bool) {
	var v any = vars
	for name := range strings.SplitSeq(path, ".") {
		m, ok := v.(*vtl.Map)
		if !ok {
			return "", false
		}
		v, _ = m.Get(name)
	}
	switch v := v.(type) {
	case nil:
		return "", false
	case string:
		return v, true
	}
	text, err := vtl.JSON(v)
	return text, err == nil
}

// last is the last value of a name.
func last(fields []Field, name string) (string, bool) {
	for i := len(fields) - 1; i >= 0; i-- {
		if fields[i].Name == name {
			return fields[i].Value, true
		}
	}
	return "", false
}

// authorizeByFunction asks a Lambda authorizer, or remembers what it said, and evaluates the policy that it returned
// together with the API's own: an explicit deny in either wins, and one of them must allow.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
func (s *Service) authorizeByFunction(ctx context.Context, x *exchange) (*gatewayResponse, error) {
	a := x.method.authorizer
	if a == nil || a.problem != nil {
		return authorizerMisconfigured(), nil
	}
	info := x.info(anonymous())
	if x.stage.policy != nil {
		check := x.check()
		if d := policy.Evaluate(info, &policy.Policies{}, &check); d.ExplicitDeny {
			return accessDenied(d.Message(info, &check)), nil
		}
	}
	identity, ok := x.identityOf(a)
	if !ok {
		return unauthorized(), nil
	}
	x.log.printf("Starting authorizer: %s for request: %s", a.id, x.requestID)
	key := authorizedKey{x.stage.apiID + "/" + x.stage.name, a.id, identity}
	cached := a.ttl > 0 && len(a.sources) > 0
	if cached {
		if got, ok := s.authorized.Get(key); ok && time.Now().Before(got.expires) {
			x.authorized = got
		}
	}
	if x.authorized == nil {
		got, refusal := s.askAuthorizer(ctx, x, a)
		if refusal != nil {
			return refusal, nil
		}
		x.authorized = got
		if cached {
			got.expires = time.Now().Add(a.ttl)
			s.authorized.Set(key, got)
		}
	}
	// The policy is the caller's, who belongs to the API's account.
	info = x.info(call.Principal{Type: call.User, Account: x.stage.account, ARN: "arn:aws:iam::" + x.stage.account + ":user/" + x.authorized.principalID, Name: x.authorized.principalID})
	check := x.check()
	check.ResourcePolicy = nil
	byCaller := policy.Evaluate(info, &policy.Policies{Identity: []*policy.Document{x.authorized.document}}, &check)
	if byCaller.ExplicitDeny {
		return accessDenied("User is not authorized to access this resource with an explicit deny in an identity-based policy"), nil
	}
	if byCaller.Allowed {
		if x.log != nil {
			x.log.printf("Using valid authorizer policy for principal: %s", maskedKey(x.authorized.principalID))
			x.log.printf("Successfully completed authorizer execution")
		}
		return nil, nil
	}
	if x.stage.policy != nil {
		check = x.check()
		if policy.Evaluate(x.info(anonymous()), &policy.Policies{}, &check).Allowed {
			return nil, nil
		}
	}
	return accessDenied("User is not authorized to access this resource"), nil
}

// errUnauthorized is what a function says who wants the caller to be asked for credentials.
const errUnauthorized = "Unauthorized"

// askAuthorizer runs the function of an authorizer.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html
func (s *Service) askAuthorizer(ctx context.Context, x *exchange, a *authorizer) (*authorized, *gatewayResponse) {
	fail := func(g *gatewayResponse, reason string) (*authorized, *gatewayResponse) {
		s.refuse(ctx, x, g, reason)
		return nil, g
	}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxIntegrationTimeout)
	defer cancel()
	begin := time.Now()
	result, err := s.lambda.Invoke(bounded, &LambdaInvocation{
		FunctionARN: a.target.arn, Qualifier: a.target.qualifier, Payload: x.authorizerEvent(a), RoleARN: a.credentials, TraceID: x.traceID,
		SourceARN:     "arn:aws:execute-api:" + x.stage.region + ":" + x.stage.account + ":" + x.stage.apiID + "/authorizers/" + a.id,
		SourceAccount: x.stage.account, Region: x.stage.region,
	})
	switch {
	case err != nil:
		return fail(authorizerMisconfigured(), "Execution failed due to configuration error: Invalid permissions on Lambda function: "+err.Error())
	case result.FunctionError != "":
		if functionErrorMessage(result.Payload) == errUnauthorized {
			return nil, unauthorized()
		}
		return fail(authorizerFailed(), "Lambda authorizer failed: "+functionErrorMessage(result.Payload))
	}
	got, err := parseAuthorizerOutput(result.Payload)
	if err != nil {
		return fail(authorizerMisconfigured(), "Execution failed due to configuration error: Invalid JSON in the authorizer's response: "+err.Error())
	}
	got.latency = time.Since(begin)
	return got, nil
}

// parseAuthorizerOutput reads what an authorizer returned.
func parseAuthorizerOutput(payload []byte) (*authorized, error) {
	var out struct {
		PrincipalID        json.RawMessage            `json:"principalId"`
		PolicyDocument     json.RawMessage            `json:"policyDocument"`
		Context            map[string]json.RawMessage `json:"context"`
		UsageIdentifierKey string                     `json:"usageIdentifierKey"`
	}
	if err := json.Unmarshal(payload, &out); err != nil {
		return nil, err
	}
	got := &authorized{usageKey: out.UsageIdentifierKey, context: lenientMap(nil)}
	var err error
	if got.principalID, err = scalarText(out.PrincipalID); err != nil || got.principalID == "" {
		return nil, errors.New("it has no principalId")
	}
	got.policyText = string(out.PolicyDocument)
	if got.document, err = policy.Parse(string(out.PolicyDocument), policy.Identity); err != nil {
		return nil, fmt.Errorf("its policyDocument is not valid: %w", err)
	}
	for _, name := range sortedKeys(out.Context) {
		text, err := scalarText(out.Context[name])
		if err != nil {
			return nil, fmt.Errorf("the context's %q is neither text, number nor boolean", clip(name))
		}
		got.context.Set(name, text)
	}
	return got, nil
}

// scalarText is a text, a number or a boolean of JSON as text.
func scalarText(raw json.RawMessage) (string, error) {
	var v any
	if len(raw) == 0 {
		return "", nil
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return "", err
	}
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case bool, float64:
		return string(raw), nil
	}
	return "", errors.New("it is an object or a list")
}

// authorizerEvent is the input of an authorizer's function.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html
func (x *exchange) authorizerEvent(a *authorizer) []byte {
	if a.kind == "TOKEN" {
		token, _ := x.requestValue(a.sources[0])
		b := append([]byte(nil), `{"type":"TOKEN","methodArn":`...)
		b = jsontext.AppendString(b, x.methodARN())
		b = append(b, `,"authorizationToken":`...)
		return append(jsontext.AppendString(b, token), '}')
	}
	b := append([]byte(nil), `{"type":"REQUEST","methodArn":`...)
	b = jsontext.AppendString(b, x.methodARN())
	b = append(b, ',')
	b = x.appendRequest(b)
	return append(b, '}')
}

// authorizeByToken verifies the token of a user pool. What the token claims is the context.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-integrate-with-cognito.html
func (s *Service) authorizeByToken(ctx context.Context, x *exchange) (*gatewayResponse, error) {
	a := x.method.authorizer
	if a == nil || a.problem != nil {
		return authorizerMisconfigured(), nil
	}
	token, ok := x.requestValue(a.sources[0])
	if !ok {
		return unauthorized(), nil
	}
	token = strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(token, "Bearer "), "bearer "))
	if a.expression != nil {
		// It is matched against the audience of the token.
		if claims, err := unverifiedClaims(token); err != nil || !a.expression.MatchString(claims.audience()) {
			return unauthorized(), nil
		}
	}
	for _, pool := range a.pools {
		issuer, ok := s.issuerOf(pool)
		if !ok {
			s.log.WarnContext(ctx, "API Gateway knows no issuer of a user pool: name one with --user-pool", slog.String("pool", pool))
			continue
		}
		claims, err := s.verifyToken(ctx, issuer, token, x.req.Time)
		if err != nil {
			continue // another pool may have issued it
		}
		if !claims.allows(x.method.scopes) {
			return unauthorized(), nil
		}
		x.authorized = &authorized{principalID: claims.text("sub"), context: lenientMap(nil)}
		x.authorized.context.Set("claims", claims.contextMap())
		if x.stage.policy != nil {
			return s.evaluate(ctx, x, anonymous())
		}
		return nil, nil
	}
	return unauthorized(), nil
}

// FlushStageAuthorizersCache forgets what authorizers said of a stage's callers.
// https://docs.aws.amazon.com/apigateway/latest/api/API_FlushStageAuthorizersCache.html
func (s *Service) FlushStageAuthorizersCache(ctx context.Context, in *api.FlushStageAuthorizersCacheInput) (*api.FlushStageAuthorizersCacheOutput, error) {
	if _, err := s.GetStage(ctx, &api.GetStageInput{RestApiId: in.RestApiId, StageName: in.StageName}); err != nil {
		return nil, err
	}
	stage := *in.RestApiId + "/" + *in.StageName
	s.authorized.DeleteFunc(func(key authorizedKey) bool { return key.stage == stage })
	return new(api.FlushStageAuthorizersCacheOutput), nil
}
