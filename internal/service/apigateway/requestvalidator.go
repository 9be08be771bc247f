package apigateway

import (
	"context"

	api "brume/internal/api/apigateway"
	"brume/internal/kv"
)

// validators are the request validators: what of a request is checked before the integration is called.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-request-validation.html
func validators() children[api.RequestValidator] {
	return children[api.RequestValidator]{tagValidator, func(string) error { return notFound("Invalid Request Validator identifier specified") }}
}

func (s *Service) CreateRequestValidator(ctx context.Context, in *api.CreateRequestValidatorInput) (*api.RequestValidator, error) {
	sc := scopeOf(ctx)
	row := &api.RequestValidator{
		Name: in.Name, ValidateRequestBody: new(value(in.ValidateRequestBody)), ValidateRequestParameters: new(value(in.ValidateRequestParameters)),
	}
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		if _, err := getAPI(tx, sc, *in.RestApiId); err != nil {
			return err
		}
		id, err := validators().newID(tx, sc, *in.RestApiId)
		if err != nil {
			return err
		}
		row.Id = &id
		return validators().put(tx, sc, *in.RestApiId, id, row)
	})
	if err != nil {
		return nil, err
	}
	return row, nil
}

func (s *Service) GetRequestValidator(ctx context.Context, in *api.GetRequestValidatorInput) (*api.RequestValidator, error) {
	return validators().view(ctx, s, *in.RestApiId, *in.RequestValidatorId)
}

func (s *Service) GetRequestValidators(ctx context.Context, in *api.GetRequestValidatorsInput) (*api.RequestValidators, error) {
	items, next, err := validators().list(ctx, s, *in.RestApiId, in.Position, in.Limit, nil)
	return &api.RequestValidators{Items: items, Position: next}, err
}

func (s *Service) UpdateRequestValidator(ctx context.Context, in *api.UpdateRequestValidatorInput) (*api.RequestValidator, error) {
	return validators().change(ctx, s, *in.RestApiId, *in.RequestValidatorId, in.PatchOperations, func(row *api.RequestValidator) []patchRule {
		return []patchRule{
			{"replace", "/name", setString(&row.Name)},
			{"replace", "/validateRequestBody", setBool(&row.ValidateRequestBody)},
			{"replace", "/validateRequestParameters", setBool(&row.ValidateRequestParameters)},
		}
	}, nil)
}

func (s *Service) DeleteRequestValidator(ctx context.Context, in *api.DeleteRequestValidatorInput) (*api.DeleteRequestValidatorOutput, error) {
	err := validators().delete(ctx, s, *in.RestApiId, *in.RequestValidatorId, func(r kv.Reader, row *api.RequestValidator) error {
		return s.eachMethod(r, scopeOf(ctx), *in.RestApiId, func(path string, m *api.Method) error {
			if value(m.RequestValidatorId) == *row.Id {
				return conflict("Cannot delete validator '%s', is referenced in method: %s/%s", value(row.Name), path, *m.HttpMethod)
			}
			return nil
		})
	})
	return new(api.DeleteRequestValidatorOutput), err
}

// eachMethod calls do for every method of an API.
func (s *Service) eachMethod(r kv.Reader, sc scope, apiID string, do func(path string, m *api.Method) error) error {
	resources, err := resourcesOf(r, sc, apiID)
	if err != nil {
		return err
	}
	for _, res := range resources {
		for _, m := range res.ResourceMethods {
			if err := do(*res.Path, &m); err != nil {
				return err
			}
		}
	}
	return nil
}
