package apigateway

import (
	"context"
	"slices"
	"strings"

	api "brume/internal/api/apigateway"
	"brume/internal/boundedre"
	"brume/internal/kv"
)

const (
	// defaultAuthorizerTTL is how long an authorizer's answer is remembered if nothing else is said, in seconds.
	defaultAuthorizerTTL = 300
	maxAuthorizerTTL     = 3600
)

// authorizers are who decides on requests: functions, or the issuer of a token.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-use-lambda-authorizer.html
func authorizers() children[api.Authorizer] {
	return children[api.Authorizer]{tagAuthorizer, func(string) error { return notFound("Invalid Authorizer identifier specified") }}
}

// checkAuthorizer checks what can be set on an authorizer.
// https://docs.aws.amazon.com/apigateway/latest/api/API_CreateAuthorizer.html
func checkAuthorizer(row *api.Authorizer) error {
	if value(row.Name) == "" || len(*row.Name) > 128 {
		return invalid("Invalid authorizer name specified")
	}
	sources := identitySources(value(row.IdentitySource))
	switch t := value(row.Type); t {
	case "TOKEN", "REQUEST":
		if _, err := parseLambdaURI(value(row.AuthorizerUri)); err != nil && !strings.Contains(value(row.AuthorizerUri), "${stageVariables.") {
			return invalid("Invalid Authorizer URI: %s. Authorizer URI should be a valid API Gateway ARN that represents a Lambda function invocation.", clip(value(row.AuthorizerUri)))
		}
		if len(row.ProviderARNs) > 0 {
			return invalid("Provider ARNs are only allowed for authorizers of the type COGNITO_USER_POOLS")
		}
		if t == "TOKEN" && (len(sources) != 1 || !strings.HasPrefix(sources[0], "method.request.header.")) {
			return invalid("Invalid identity source specified: a TOKEN authorizer takes one mapping expression method.request.header.NAME")
		}
		if t == "REQUEST" && len(sources) == 0 && value(row.AuthorizerResultTtlInSeconds) != 0 {
			return invalid("Invalid identity source specified: a REQUEST authorizer with caching needs at least one")
		}
	case "COGNITO_USER_POOLS":
		if len(row.ProviderARNs) == 0 {
			return invalid("Invalid Authorizer: at least one provider ARN is required for the type COGNITO_USER_POOLS")
		}
		for _, arn := range row.ProviderARNs {
			if part := strings.SplitN(arn, ":", 6); len(part) != 6 || part[2] != "cognito-idp" || !strings.HasPrefix(part[5], "userpool/") {
				return invalid("Invalid ARN specified in the request")
			}
		}
		if len(sources) != 1 || !strings.HasPrefix(sources[0], "method.request.header.") {
			return invalid("Invalid identity source specified: it must be method.request.header.NAME")
		}
	default:
		return invalid("Invalid authorizer type specified. Valid options are TOKEN, REQUEST, COGNITO_USER_POOLS")
	}
	for _, s := range sources {
		place, name, _ := strings.Cut(strings.TrimPrefix(s, "method.request."), ".")
		ok := name != "" && strings.HasPrefix(s, "method.request.") && (place == "header" || place == "querystring" || place == "multivalueheader" || place == "multivaluequerystring")
		for _, prefix := range []string{"context.", "stageVariables."} {
			ok = ok || strings.HasPrefix(s, prefix) && len(s) > len(prefix)
		}
		if !ok {
			return invalid("Invalid mapping expression specified: %s", clip(s))
		}
	}
	if ttl := *row.AuthorizerResultTtlInSeconds; ttl < 0 || ttl > maxAuthorizerTTL {
		return invalid("Invalid authorizer result TTL. Valid values are 0 to %d", maxAuthorizerTTL)
	}
	if p := value(row.IdentityValidationExpression); p != "" {
		if _, err := boundedre.Whole(p); err != nil {
			return invalid("Invalid identity validation expression specified: %s", clip(p))
		}
	}
	if c := value(row.AuthorizerCredentials); c != "" && (!strings.HasPrefix(c, "arn:aws:iam::") || !strings.Contains(c, ":role/")) {
		return invalid("Invalid ARN specified in the request")
	}
	return nil
}

// identitySources are the mapping expressions of an identity source, which stand apart by commas.
func identitySources(text string) []string {
	var out []string
	for s := range strings.SplitSeq(text, ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// uniqueAuthorizer refuses a second authorizer of a name.
func uniqueAuthorizer(r kv.Reader, sc scope, apiID string, row *api.Authorizer) error {
	all, err := authorizers().all(r, sc, apiID)
	if err != nil {
		return err
	}
	for _, other := range all {
		if value(other.Name) == value(row.Name) && value(other.Id) != value(row.Id) {
			return conflict("Authorizer name must be unique. Authorizer %s already exists in this RestApi.", *row.Name)
		}
	}
	return nil
}

// completeAuthorizer fills in what may be left out.
func completeAuthorizer(row *api.Authorizer) {
	if row.AuthorizerResultTtlInSeconds == nil {
		row.AuthorizerResultTtlInSeconds = new(int32(defaultAuthorizerTTL))
	}
	if row.AuthType == nil {
		row.AuthType = new("custom")
		if value(row.Type) == "COGNITO_USER_POOLS" {
			row.AuthType = new("cognito_user_pools")
		}
	}
}

func (s *Service) CreateAuthorizer(ctx context.Context, in *api.CreateAuthorizerInput) (*api.Authorizer, error) {
	sc := scopeOf(ctx)
	row := &api.Authorizer{
		Name: in.Name, Type: in.Type, ProviderARNs: in.ProviderARNs, AuthType: in.AuthType, AuthorizerUri: in.AuthorizerUri,
		AuthorizerCredentials: in.AuthorizerCredentials, IdentitySource: in.IdentitySource,
		IdentityValidationExpression: in.IdentityValidationExpression, AuthorizerResultTtlInSeconds: in.AuthorizerResultTtlInSeconds,
	}
	completeAuthorizer(row)
	if err := checkAuthorizer(row); err != nil {
		return nil, err
	}
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		if _, err := getAPI(tx, sc, *in.RestApiId); err != nil {
			return err
		}
		id, err := authorizers().newID(tx, sc, *in.RestApiId)
		if err != nil {
			return err
		}
		row.Id = &id
		if err := uniqueAuthorizer(tx, sc, *in.RestApiId, row); err != nil {
			return err
		}
		return authorizers().put(tx, sc, *in.RestApiId, id, row)
	})
	if err != nil {
		return nil, err
	}
	return row, nil
}

func (s *Service) GetAuthorizer(ctx context.Context, in *api.GetAuthorizerInput) (*api.Authorizer, error) {
	return authorizers().view(ctx, s, *in.RestApiId, *in.AuthorizerId)
}

func (s *Service) GetAuthorizers(ctx context.Context, in *api.GetAuthorizersInput) (*api.Authorizers, error) {
	items, next, err := authorizers().list(ctx, s, *in.RestApiId, in.Position, in.Limit, nil)
	return &api.Authorizers{Items: items, Position: next}, err
}

func (s *Service) UpdateAuthorizer(ctx context.Context, in *api.UpdateAuthorizerInput) (*api.Authorizer, error) {
	return authorizers().change(ctx, s, *in.RestApiId, *in.AuthorizerId, in.PatchOperations, func(row *api.Authorizer) []patchRule {
		return []patchRule{
			{"replace", "/name", setString(&row.Name)},
			{"replace", "/type", setString(&row.Type)},
			{"replace", "/authType", setString(&row.AuthType)},
			{"replace", "/authorizerUri", setString(&row.AuthorizerUri)},
			{"replace", "/authorizerCredentials", setString(&row.AuthorizerCredentials)},
			{"replace", "/authorizerResultTtlInSeconds", setInt(&row.AuthorizerResultTtlInSeconds)},
			{"add replace remove", "/identitySource", setString(&row.IdentitySource)},
			{"replace", "/identityValidationExpression", setString(&row.IdentityValidationExpression)},
			{"add remove", "/providerARNs", func(p *patch) error {
				row.ProviderARNs = slices.DeleteFunc(row.ProviderARNs, func(arn string) bool { return arn == value(p.value) })
				if p.op == "add" {
					row.ProviderARNs = append(row.ProviderARNs, value(p.value))
				}
				return nil
			}},
		}
	}, func(r kv.Reader, row *api.Authorizer) error {
		completeAuthorizer(row)
		if err := checkAuthorizer(row); err != nil {
			return err
		}
		return uniqueAuthorizer(r, scopeOf(ctx), *in.RestApiId, row)
	})
}

func (s *Service) DeleteAuthorizer(ctx context.Context, in *api.DeleteAuthorizerInput) (*api.DeleteAuthorizerOutput, error) {
	err := authorizers().delete(ctx, s, *in.RestApiId, *in.AuthorizerId, func(r kv.Reader, row *api.Authorizer) error {
		return s.eachMethod(r, scopeOf(ctx), *in.RestApiId, func(path string, m *api.Method) error {
			if value(m.AuthorizerId) == *row.Id {
				return conflict("Cannot delete authorizer '%s', is referenced in method: %s/%s", value(row.Name), path, *m.HttpMethod)
			}
			return nil
		})
	})
	return new(api.DeleteAuthorizerOutput), err
}
