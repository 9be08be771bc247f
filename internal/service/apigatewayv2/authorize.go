package apigatewayv2

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/edge"
	"brume/internal/jwks"
	"brume/internal/policy"
)

// authorized is what an authorizer said of a caller.
type authorized struct {
	principalID string
	// context is what a function adds, by name, in JSON.
	context map[string]json.RawMessage
	// claims are those of a token as text, scopes those of its scopes that the route asks for.
	claims map[string]string
	scopes []string
	// allowed is what a function said in short, document what it said as a policy.
	allowed  bool
	document *policy.Document
	// usageKey is the API key that the caller's use counts for; of WebSocket APIs alone.
	usageKey string
	expires  time.Time
}

// maxAuthorizing is how long a Lambda authorizer may take.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
const maxAuthorizing = 10 * time.Second

// maxAuthorized bounds the answers of authorizers that are remembered.
const maxAuthorized = 20000

// authorizedKey names an answer: the stage, its authorizer and the identity that it was asked for.
type authorizedKey struct{ stage, authorizer, identity string }

func (s *Service) forgetAuthorized(which func(authorizedKey) bool) { s.authorized.DeleteFunc(which) }

func unauthorized() *edge.Response { return message(401, "Unauthorized") }
func forbidden() *edge.Response    { return message(403, "Forbidden") }

// authorize checks who calls, as the route wants it.
func (s *Service) authorize(ctx context.Context, x *exchange) (*edge.Response, error) {
	switch x.route.authorization {
	case api.AuthorizationTypeNone:
		return nil, nil
	case api.AuthorizationTypeAwsIam:
		return s.authorizeIAM(ctx, x)
	case api.AuthorizationTypeJwt:
		return s.authorizeByToken(ctx, x)
	case api.AuthorizationTypeCustom:
		return s.authorizeByFunction(ctx, x)
	}
	return forbidden(), nil // what we do not know does not pass
}

// infoOf says who calls, for the evaluation of policies.
func infoOf(req *edge.Request, d *deployed, requestID string, p call.Principal) *call.Info {
	ip := req.SourceIP
	if ip.IsValid() {
		ip = ip.Unmap()
	} else {
		ip = netip.Addr{}
	}
	userAgent, _ := joined(req.Header, "User-Agent", true)
	referer, _ := joined(req.Header, "Referer", true)
	return &call.Info{
		RequestID: requestID, Account: d.account, Region: d.region, Principal: p, SourceIP: ip, UserAgent: userAgent,
		Referer: referer, Secure: req.Secure, Time: req.Time, Service: "execute-api", Operation: "Invoke",
	}
}

func (x *exchange) check() policy.Check {
	return policy.Check{Action: "execute-api:Invoke", Resource: x.arn(), ResourceAccount: x.stage.api.account}
}

// authorizeIAM verifies the signature of a request, and asks the policies of its signer.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-access-control-iam.html
func (s *Service) authorizeIAM(ctx context.Context, x *exchange) (refusal *edge.Response, err error) {
	x.principal, err = s.signer(ctx, x.req, x.stage.api, x.requestID, x.check())
	if err != nil || x.principal != nil {
		return nil, err
	}
	return forbidden(), nil
}

// signer is who signed a request and may do what it asks for; nil if there is nobody.
func (s *Service) signer(ctx context.Context, req *edge.Request, d *deployed, requestID string, check policy.Check) (*call.Principal, error) {
	if req.Authenticate == nil {
		return nil, nil
	}
	principal, err := req.Authenticate(ctx, d.region)
	var fault *edge.SignatureFault
	if errors.As(err, &fault) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	// These APIs have no resource policies: who calls one of another account needs a role there.
	if principal.Account != d.account {
		return nil, nil
	}
	err = s.Authorizer.Authorize(call.With(ctx, infoOf(req, d, requestID, principal)), []policy.Check{check})
	var known awserr.Error
	switch {
	case err == nil:
		return &principal, nil
	case errors.As(err, &known):
		return nil, nil
	}
	return nil, err
}

// source evaluates an identity source.
func (x *exchange) source(source string) (string, bool) {
	v, ok := x.expression(strings.TrimPrefix(source, "$"), nil)
	return v, ok && v != ""
}

// authorizeByToken verifies a token that its issuer signed for this API.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
func (s *Service) authorizeByToken(ctx context.Context, x *exchange) (*edge.Response, error) {
	a := x.route.authorizer
	if a == nil || a.kind != api.AuthorizerTypeJwt {
		return forbidden(), nil
	}
	refuse := func(r *edge.Response, kind, description string) (*edge.Response, error) {
		challenge := "Bearer"
		x.authorizerProblem = description
		if kind != "" {
			challenge += ` scope="` + strings.Join(x.route.scopes, " ") + `" error="` + kind + `" error_description="` + description + `"`
		}
		r.Header = append(r.Header, edge.Field{"www-authenticate", challenge})
		return r, nil
	}
	token, ok := x.source(a.sources[0])
	if !ok {
		return refuse(unauthorized(), "", "")
	}
	if len(token) > 7 && strings.EqualFold(token[:7], "bearer ") {
		token = token[7:]
	}
	claims, err := s.verify(ctx, a, strings.TrimSpace(token), x.req.Time)
	switch {
	case errors.Is(err, jwks.ErrExpired):
		return refuse(unauthorized(), "invalid_token", "the token has expired")
	case errors.Is(err, jwks.ErrIssuer):
		return refuse(unauthorized(), "invalid_token", "the issuer of the token is not trusted")
	case err != nil:
		return refuse(unauthorized(), "invalid_token", "the token is not valid")
	case !slices.ContainsFunc(audience(claims), func(aud string) bool { return slices.Contains(a.audience, aud) }):
		return refuse(unauthorized(), "invalid_token", "the token does not have a valid audience")
	}
	x.authorized = &authorized{claims: map[string]string{}}
	for name, v := range claims {
		x.authorized.claims[name] = claimText(v)
	}
	if len(x.route.scopes) == 0 {
		return nil, nil
	}
	have := append(texts(claims["scope"]), texts(claims["scp"])...)
	for _, scope := range x.route.scopes {
		if slices.Contains(have, scope) {
			x.authorized.scopes = append(x.authorized.scopes, scope)
		}
	}
	if len(x.authorized.scopes) == 0 {
		return refuse(forbidden(), "insufficient_scope", "the token does not have any of the required scopes")
	}
	return nil, nil
}

// verify returns what a token says, if its issuer signed it with RSA and a key that it names.
func (s *Service) verify(ctx context.Context, a *authorizer, token string, now time.Time) (map[string]any, error) {
	parsed, err := jwks.Parse(token, jwks.RSA())
	if err != nil {
		return nil, err
	}
	return parsed.Claims(ctx, s.Keys, jwks.Issuer{URL: a.issuer, NamedKey: true}, now)
}

// issuerOf is who issues the tokens of an authorizer: of a Cognito user pool that is elsewhere, who stands in for it.
func (s *Service) issuerOf(issuer string) string {
	if rest, ok := strings.CutPrefix(issuer, "https://cognito-idp."); ok {
		if _, pool, ok := strings.Cut(rest, ".amazonaws.com/"); ok && s.Issuers[pool] != "" {
			return s.Issuers[pool]
		}
	}
	return issuer
}

// audience is whom a token is for; client_id counts only where aud is not there.
func audience(claims map[string]any) []string {
	if aud, ok := claims["aud"]; ok {
		if one, ok := aud.(string); ok {
			return []string{one}
		}
		return texts(aud)
	}
	if id, ok := claims["client_id"].(string); ok {
		return []string{id}
	}
	return nil
}

// texts are the words of a text, or the texts of a list.
func texts(v any) (out []string) {
	switch v := v.(type) {
	case string:
		return strings.Fields(v)
	case []any:
		for _, e := range v {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
	}
	return out
}

// claimText is a claim as functions see it: lists are "[a b]".
func claimText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = claimText(v[i])
		}
		return "[" + strings.Join(parts, " ") + "]"
	case float64:
		if v == float64(int64(v)) {
			return fmt.Sprint(int64(v))
		}
	}
	data, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(data)
}

// authorizeByFunction asks a Lambda authorizer, or remembers what it said.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html
func (s *Service) authorizeByFunction(ctx context.Context, x *exchange) (*edge.Response, error) {
	a := x.route.authorizer
	if a == nil || a.kind != api.AuthorizerTypeRequest {
		return forbidden(), nil
	}
	if a.function == "" {
		x.authorizerProblem = "the authorizer's URI names no function"
		return s.refuse(ctx, x, failed(), x.authorizerProblem), nil
	}
	identity := make([]string, len(a.sources))
	for i, source := range a.sources {
		var ok bool
		if identity[i], ok = x.source(source); !ok {
			return unauthorized(), nil
		}
	}
	var b strings.Builder
	for _, v := range identity {
		fmt.Fprintf(&b, "%d:%s", len(v), v)
	}
	key := authorizedKey{x.stage.api.id + "/" + x.stage.name, a.id, b.String()}
	cached := a.ttl > 0 && len(a.sources) > 0
	if cached {
		if got, ok := s.authorized.Get(key); ok && time.Now().Before(got.expires) {
			x.authorized = got
		}
	}
	if x.authorized == nil {
		got, refusal := s.ask(ctx, x, a, identity)
		if refusal != nil {
			return refusal, nil
		}
		x.authorized = got
		if cached {
			got.expires = time.Now().Add(a.ttl)
			s.authorized.Set(key, got)
		}
	}
	if a.simple {
		if !x.authorized.allowed {
			return forbidden(), nil
		}
		return nil, nil
	}
	if !x.authorized.allows(x.req, x.stage.api, x.requestID, x.check()) {
		return forbidden(), nil
	}
	return nil, nil
}

// allows evaluates the policy that a function returned. It is the caller's, who belongs to the API's account.
func (a *authorized) allows(req *edge.Request, d *deployed, requestID string, check policy.Check) bool {
	info := infoOf(req, d, requestID, call.Principal{Type: call.User, Account: d.account, ARN: "arn:aws:iam::" + d.account + ":user/" + a.principalID, Name: a.principalID})
	return policy.Evaluate(info, &policy.Policies{Identity: []*policy.Document{a.document}}, &check).Allowed
}

// ask runs the function of an authorizer.
func (s *Service) ask(ctx context.Context, x *exchange, a *authorizer, identity []string) (*authorized, *edge.Response) {
	out := &outgoing{path: x.path, query: x.req.Query, rawQuery: x.req.RawQuery, header: x.headers()}
	var event any
	if a.version == "2.0" {
		e := x.eventV2(out)
		e.Type, e.RouteARN, e.IdentitySource = "REQUEST", x.arn(), identity
		event = e
	} else {
		e := x.eventV1(out)
		e.Type, e.MethodARN, e.IdentitySource, e.Token = "REQUEST", x.arn(), strings.Join(identity, ","), strings.Join(identity, ",")
		e.MultiHeaders, e.MultiQuery = nil, nil
		event = e
	}
	defer func() { x.authorizerProblem, x.integration = x.integration.problem, timing{} }()
	payload, err := json.Marshal(event)
	if err != nil {
		return nil, s.refuse(ctx, x, failed(), err.Error())
	}
	d := x.stage.api
	source := "arn:aws:execute-api:" + d.region + ":" + d.account + ":" + d.id + "/authorizers/" + a.id
	result, refusal := s.callLambda(ctx, x, a.function, a.qualifier, a.credentials, source, maxAuthorizing, payload)
	if refusal != nil {
		return nil, failed() // whatever Lambda says of it: the client is told that the authorizer failed
	}
	got, err := parseAuthorized(result.Payload, a.simple)
	if err != nil {
		return nil, s.refuse(ctx, x, failed(), "the authorizer's response is not valid: "+err.Error())
	}
	return got, nil
}

// parseAuthorized reads what an authorizer returned: a short answer, or a policy.
func parseAuthorized(payload []byte, simple bool) (*authorized, error) {
	var out struct {
		IsAuthorized   *bool                      `json:"isAuthorized"`
		PrincipalID    json.RawMessage            `json:"principalId"`
		PolicyDocument json.RawMessage            `json:"policyDocument"`
		Context        map[string]json.RawMessage `json:"context"`
		UsageKey       string                     `json:"usageIdentifierKey"`
	}
	if err := json.Unmarshal(payload, &out); err != nil {
		return nil, err
	}
	got := &authorized{context: out.Context, usageKey: out.UsageKey}
	if simple {
		if out.IsAuthorized == nil {
			return nil, errors.New("it has no isAuthorized")
		}
		got.allowed = *out.IsAuthorized
		return got, nil
	}
	var ok bool
	if got.principalID, ok = textOf(out.PrincipalID); !ok || got.principalID == "" {
		return nil, errNoPrincipal
	}
	var err error
	if got.document, err = policy.Parse(string(out.PolicyDocument), policy.Identity); err != nil {
		return nil, fmt.Errorf("its policyDocument: %w", err)
	}
	return got, nil
}
