package apigatewayv2

import (
	"context"
	"strings"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/jwks"
	"brume/internal/kv"
)

// newAuthorizer makes an authorizer, with an id of its own.
func newAuthorizer(in *api.CreateAuthorizerInput) (*api.Authorizer, error) {
	a := &api.Authorizer{AuthorizerId: new(newID(6))}
	merge(a, in)
	if *a.AuthorizerType == api.AuthorizerTypeRequest {
		if a.AuthorizerResultTtlInSeconds == nil {
			a.AuthorizerResultTtlInSeconds = new(int32(300))
			if len(a.IdentitySource) == 0 {
				a.AuthorizerResultTtlInSeconds = new(int32(0))
			}
		}
		if a.EnableSimpleResponses == nil {
			a.EnableSimpleResponses = new(false)
		}
	}
	return a, checkAuthorizer(a)
}

// checkAuthorizer refuses what could authorize nobody.
// https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-authorizers.html
func checkAuthorizer(a *api.Authorizer) error {
	for _, source := range a.IdentitySource {
		if !validSource(source) {
			return invalid("Invalid mapping expression specified: %s", clip(source))
		}
	}
	switch *a.AuthorizerType {
	case api.AuthorizerTypeJwt:
		if a.JwtConfiguration == nil || value(a.JwtConfiguration.Issuer) == "" || len(a.JwtConfiguration.Audience) == 0 {
			return invalid("JWT authorizers need a jwtConfiguration with an issuer and an audience")
		}
		if jwks.CheckIssuer(*a.JwtConfiguration.Issuer) != nil {
			return invalid("Invalid issuer: %s. Issuer must have a valid URL ( https://{domain}/ )", clip(*a.JwtConfiguration.Issuer))
		}
		if len(a.JwtConfiguration.Audience) > maxAudiences {
			return invalid("Maximum number of audiences for an authorizer has been reached: %d", maxAudiences)
		}
		if len(a.IdentitySource) != 1 {
			return invalid("JWT authorizers have one identity source")
		}
	case api.AuthorizerTypeRequest:
		if _, _, ok := functionOf(value(a.AuthorizerUri)); !ok && !strings.Contains(value(a.AuthorizerUri), "${stageVariables.") {
			return invalid("Invalid authorizer URI: %s", clip(value(a.AuthorizerUri)))
		}
		if v := value(a.AuthorizerPayloadFormatVersion); v != "1.0" && v != "2.0" {
			return invalid("AuthorizerPayloadFormatVersion is a required parameter for REQUEST authorizer, and must be one of 1.0, 2.0")
		}
		if value(a.EnableSimpleResponses) && *a.AuthorizerPayloadFormatVersion != "2.0" {
			return invalid("EnableSimpleResponses is only supported with AuthorizerPayloadFormatVersion 2.0")
		}
		if value(a.AuthorizerResultTtlInSeconds) > 0 && len(a.IdentitySource) == 0 {
			return invalid("Caching the results of an authorizer takes an identity source")
		}
	default:
		return invalid("HTTP APIs have authorizers of the types JWT and REQUEST")
	}
	return nil
}

// validSource says whether an identity source can be evaluated.
func validSource(source string) bool {
	for _, prefix := range []string{"$request.header.", "$request.querystring.", "$context.", "$stageVariables."} {
		if name, ok := strings.CutPrefix(source, prefix); ok {
			return name != ""
		}
	}
	return false
}

// CreateAuthorizer adds an authorizer to an API.
// https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-authorizers.html#CreateAuthorizer
func (s *Service) CreateAuthorizer(ctx context.Context, in *api.CreateAuthorizerInput) (*api.CreateAuthorizerOutput, error) {
	var a *api.Authorizer
	err := s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) (err error) {
		if a, err = row.newAuthorizerFor(in); err != nil {
			return err
		}
		return row.addAuthorizer(a)
	})
	if err != nil {
		return nil, err
	}
	return (*api.CreateAuthorizerOutput)(a), nil
}

func (row *apiRow) addAuthorizer(a *api.Authorizer) error {
	if len(row.Authorizers) >= maxAuthorizers {
		return invalid("Maximum number of authorizers for this API has been reached: %d", maxAuthorizers)
	}
	if row.hasAuthorizer(a) {
		return conflict("Authorizer name %s already exists", clip(*a.Name))
	}
	row.Authorizers = insert(row.Authorizers, *a, authorizerID)
	return nil
}

// hasAuthorizer says whether another authorizer has the name of this one.
func (row *apiRow) hasAuthorizer(a *api.Authorizer) bool {
	for i := range row.Authorizers {
		if other := &row.Authorizers[i]; *other.Name == *a.Name && *other.AuthorizerId != *a.AuthorizerId {
			return true
		}
	}
	return false
}

func (s *Service) GetAuthorizer(ctx context.Context, in *api.GetAuthorizerInput) (*api.GetAuthorizerOutput, error) {
	row, err := s.viewAPI(ctx, *in.ApiId)
	if err != nil {
		return nil, err
	}
	i, found := find(row.Authorizers, *in.AuthorizerId, authorizerID)
	if !found {
		return nil, noAuthorizer(*in.AuthorizerId)
	}
	return (*api.GetAuthorizerOutput)(&row.Authorizers[i]), nil
}

func (s *Service) GetAuthorizers(ctx context.Context, in *api.GetAuthorizersInput) (*api.GetAuthorizersOutput, error) {
	row, err := s.viewAPI(ctx, *in.ApiId)
	if err != nil {
		return nil, err
	}
	items, next, err := pageOf(row.Authorizers, authorizerID, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &api.GetAuthorizersOutput{Items: items, NextToken: next}, nil
}

func (s *Service) UpdateAuthorizer(ctx context.Context, in *api.UpdateAuthorizerInput) (*api.UpdateAuthorizerOutput, error) {
	out := &api.UpdateAuthorizerOutput{}
	err := s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) error {
		i, found := find(row.Authorizers, *in.AuthorizerId, authorizerID)
		if !found {
			return noAuthorizer(*in.AuthorizerId)
		}
		a := &row.Authorizers[i]
		merge(a, in)
		if row.hasAuthorizer(a) {
			return conflict("Authorizer name %s already exists", clip(*a.Name))
		}
		*out = api.UpdateAuthorizerOutput(*a)
		return row.checkAuthorizerFor(a)
	})
	if err != nil {
		return nil, err
	}
	s.forgetAuthorized(func(key authorizedKey) bool { return key.authorizer == *in.AuthorizerId })
	return out, nil
}

func (s *Service) DeleteAuthorizer(ctx context.Context, in *api.DeleteAuthorizerInput) (*api.DeleteAuthorizerOutput, error) {
	err := s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) error {
		i, found := find(row.Authorizers, *in.AuthorizerId, authorizerID)
		if !found {
			return noAuthorizer(*in.AuthorizerId)
		}
		for j := range row.Routes {
			if value(row.Routes[j].AuthorizerId) == *in.AuthorizerId {
				return conflict("Cannot delete authorizer '%s', is referenced in route: %s", clip(*row.Authorizers[i].Name), clip(*row.Routes[j].RouteKey))
			}
		}
		row.Authorizers = append(row.Authorizers[:i], row.Authorizers[i+1:]...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteAuthorizerOutput), nil
}

// ResetAuthorizersCache forgets what authorizers said of a stage's callers.
func (s *Service) ResetAuthorizersCache(ctx context.Context, in *api.ResetAuthorizersCacheInput) (*api.ResetAuthorizersCacheOutput, error) {
	if _, err := s.GetStage(ctx, &api.GetStageInput{ApiId: in.ApiId, StageName: in.StageName}); err != nil {
		return nil, err
	}
	stage := *in.ApiId + "/" + *in.StageName
	s.forgetAuthorized(func(key authorizedKey) bool { return key.stage == stage })
	return new(api.ResetAuthorizersCacheOutput), nil
}
