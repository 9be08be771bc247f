package apigateway

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/kv"
	"brume/internal/policy"
)

// An Authorizer decides what the caller of ctx may do, by all the policies that apply to it.
type Authorizer interface {
	// Authorize returns nil if all checks pass, and otherwise an awserr.Error with the code AccessDenied.
	Authorize(ctx context.Context, checks []policy.Check) error
}

// admit finds the method of a request, and checks everything that stands before its integration, in this order: who
// calls, the API key, throttles and quotas, and what the method requires of the request.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-authorization-flow.html
func (s *Service) admit(ctx context.Context, x *exchange) (*gatewayResponse, error) {
	refusal, err := s.find(ctx, x)
	if err != nil || refusal != nil {
		return refusal, err
	}
	if refusal, err = s.authorize(ctx, x); err != nil || refusal != nil {
		return refusal, err
	}
	plan, count, refusal, err := s.identify(ctx, x)
	if err != nil || refusal != nil {
		return refusal, err
	}
	now := time.Now()
	switch {
	case !s.throttle(x, plan, now):
		refusal = throttled()
	case count != nil && !count.take(plan.quota, now):
		refusal = quotaExceeded()
	}
	x.logPlan(refusal)
	if refusal != nil {
		return refusal, nil
	}
	x.logRequest()
	return x.validate(), nil
}

// find sets the stage and the method.
func (s *Service) find(ctx context.Context, x *exchange) (refusal *gatewayResponse, err error) {
	err = s.store.View(ctx, func(r kv.Reader) error {
		st, err := s.stageIn(r, x.req.API, x.req.Stage)
		if st != nil && st.canary != nil && rand.Float64()*100 < st.canaryPercent {
			st = st.canary
		}
		x.stage = st
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case x.stage == nil || x.stage.disabled && x.req.Custom == nil:
		x.stage = nil
		return noSuchAPI(), nil
	case !x.route():
		return missingAuthenticationToken(), nil
	}
	s.beginLog(x)
	return x.expand(), nil
}

// identify finds the API key of a request whose method wants one, with the plan that lets it in and its counter.
func (s *Service) identify(ctx context.Context, x *exchange) (plan *usagePlan, count *counter, refusal *gatewayResponse, err error) {
	if !x.method.apiKeyRequired {
		return nil, nil, nil, nil
	}
	sent, ok := x.req.header("x-api-key")
	if x.stage.keyFromAuthorizer {
		sent, ok = "", false
		if x.authorized != nil {
			sent, ok = x.authorized.usageKey, x.authorized.usageKey != ""
		}
	}
	if !ok {
		return nil, nil, invalidAPIKey(), nil
	}
	sc := scope{x.stage.account, x.stage.region}
	err = s.store.View(ctx, func(r kv.Reader) (err error) {
		plan, count, refusal = nil, nil, nil
		if x.key, err = s.keyIn(r, sc, sent); err != nil {
			return err
		}
		if x.key != nil && x.key.enabled {
			plan = x.key.planFor(x.stage.apiID, x.stage.name)
		}
		if plan == nil {
			refusal = invalidAPIKey()
			return nil
		}
		count, err = s.counters.get(r, usageID{sc, plan.id, x.key.id}, plan.quota)
		return err
	})
	return plan, count, refusal, err
}

// route finds the resource and the method; false if there is none.
func (x *exchange) route() bool {
	if override, ok := x.req.header(methodOverride); ok && isSupportedMethod(strings.ToUpper(override)) {
		x.httpMethod = strings.ToUpper(override)
	}
	r, params := x.stage.routes.match(x.path())
	if r == nil {
		return false
	}
	x.method, x.params = r.method(x.httpMethod), params
	return x.method != nil
}

// methodARN is what a caller asks to invoke: the path as it was sent, not the resource's.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-control-access-using-iam-policies-to-invoke-api.html
func (x *exchange) methodARN() string {
	return "arn:aws:execute-api:" + x.stage.region + ":" + x.stage.account + ":" + x.stage.apiID + "/" + x.stage.name + "/" + x.httpMethod +
		x.method.resource.pathOf(x.params)
}

// info says who calls, for the evaluation of policies.
func (x *exchange) info(p call.Principal) *call.Info {
	referer, _ := x.req.header("Referer")
	ip := x.req.SourceIP
	if ip.IsValid() {
		ip = ip.Unmap()
	} else {
		ip = netip.Addr{}
	}
	return &call.Info{
		RequestID: x.requestID, Account: x.stage.account, Region: x.stage.region, Principal: p, SourceIP: ip, UserAgent: x.userAgent(),
		Referer: referer, Secure: x.req.Secure, Time: x.req.Time, Service: "execute-api", Operation: "Invoke",
	}
}

// check is the permission that a request needs.
func (x *exchange) check() policy.Check {
	return policy.Check{Action: "execute-api:Invoke", Resource: x.methodARN(), ResourceAccount: x.stage.account, ResourcePolicy: x.stage.policy}
}

// maxMethodARN bounds what a caller is authorised for, in bytes.
const maxMethodARN = 1600

func anonymous() call.Principal { return call.Principal{Type: call.Anonymous, ARN: "anonymous"} }

// authorize checks who calls, as the method wants it, together with the API's resource policy.
func (s *Service) authorize(ctx context.Context, x *exchange) (*gatewayResponse, error) {
	if x.stage.policyFault != nil {
		return nil, x.stage.policyFault
	}
	// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
	if (x.method.authorization != "NONE" || x.stage.policy != nil) && len(x.methodARN()) > maxMethodARN {
		return uriTooLong(), nil
	}
	switch x.method.authorization {
	case "NONE":
		if x.stage.policy == nil {
			return nil, nil
		}
		return s.evaluate(ctx, x, anonymous())
	case "AWS_IAM":
		return s.authorizeIAM(ctx, x)
	case "CUSTOM":
		return s.authorizeByFunction(ctx, x)
	case "COGNITO_USER_POOLS":
		return s.authorizeByToken(ctx, x)
	}
	return missingAuthenticationToken(), nil // what we do not know does not pass
}

// authorizeIAM verifies the signature of a request, and asks the policies of its signer and of the API.
func (s *Service) authorizeIAM(ctx context.Context, x *exchange) (*gatewayResponse, error) {
	if x.req.Authenticate == nil {
		return missingAuthenticationToken(), nil
	}
	principal, err := x.req.Authenticate(ctx, x.stage.region)
	var fault *SignatureFault
	if errors.As(err, &fault) {
		return (&gatewayResponse{fault.Kind, 403, fault.ErrorType, fault.Message, false}), nil
	}
	if err != nil {
		return nil, err
	}
	x.principal = &principal
	x.identity = &caller{accountID: principal.Account, accessKey: principal.AccessKeyID, arn: principal.ARN, id: principal.ID}
	return s.evaluate(ctx, x, principal)
}

// evaluate asks the policies of a principal and that of the API.
func (s *Service) evaluate(ctx context.Context, x *exchange, p call.Principal) (*gatewayResponse, error) {
	err := s.authorizer.Authorize(call.With(ctx, x.info(p)), []policy.Check{x.check()})
	var known awserr.Error
	switch {
	case err == nil:
		return nil, nil
	case !errors.As(err, &known):
		return nil, err
	}
	// The account of the API is nobody's business who may not call it.
	message := strings.ReplaceAll(known.ErrorMessage(), ":"+x.stage.account+":"+x.stage.apiID, ":"+strings.Repeat("*", 8)+x.stage.account[8:]+":"+x.stage.apiID)
	return accessDenied(message), nil
}
