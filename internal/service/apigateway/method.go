package apigateway

import (
	"context"
	"slices"
	"strings"

	api "brume/internal/api/apigateway"
	"brume/internal/kv"
)

func httpMethods() []string {
	return []string{"GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "HEAD", "ANY"}
}

// getMethod returns a method with its resource, or the error that either does not exist.
func getMethod(r kv.Reader, sc scope, apiID, resourceID, httpMethod string) (*api.Resource, *api.Method, error) {
	res, err := getResource(r, sc, apiID, resourceID)
	if err != nil {
		return nil, nil, err
	}
	m, ok := res.ResourceMethods[httpMethod]
	if !ok {
		return nil, nil, noMethod()
	}
	return res, &m, nil
}

func putMethod(tx kv.Tx, sc scope, apiID string, res *api.Resource, m *api.Method) error {
	if res.ResourceMethods == nil {
		res.ResourceMethods = map[string]api.Method{}
	}
	res.ResourceMethods[*m.HttpMethod] = *m
	return put(tx, resourceKey(sc, apiID, *res.Id), res)
}

// viewMethod reads a method.
func (s *Service) viewMethod(ctx context.Context, apiID, resourceID, httpMethod string) (*api.Method, error) {
	var m *api.Method
	err := s.store.View(ctx, func(r kv.Reader) (err error) {
		_, m, err = getMethod(r, scopeOf(ctx), apiID, resourceID, httpMethod)
		return err
	})
	return m, err
}

// changeMethod reads a method, lets change work on it and writes it.
func (s *Service) changeMethod(ctx context.Context, apiID, resourceID, httpMethod string, change func(r kv.Reader, m *api.Method) error) error {
	sc := scopeOf(ctx)
	return s.store.Update(ctx, func(tx kv.Tx) error {
		res, m, err := getMethod(tx, sc, apiID, resourceID, httpMethod)
		if err != nil {
			return err
		}
		if err := change(tx, m); err != nil {
			return err
		}
		return putMethod(tx, sc, apiID, res, m)
	})
}

// checkMethod checks what can be set on a method.
func checkMethod(r kv.Reader, sc scope, apiID string, m *api.Method) error {
	a, err := get[api.Authorizer](r, authorizers().key(sc, apiID, value(m.AuthorizerId)))
	if err != nil {
		return err
	}
	switch t := value(m.AuthorizationType); t {
	case "NONE", "AWS_IAM":
		if a == nil && value(m.AuthorizerId) != "" {
			return notFound("Invalid Authorizer identifier specified")
		}
	case "CUSTOM", "COGNITO_USER_POOLS":
		if a == nil || (value(a.Type) == "COGNITO_USER_POOLS") != (t == "COGNITO_USER_POOLS") {
			return invalid("Invalid authorizer ID specified. Setting the authorization type to CUSTOM or COGNITO_USER_POOLS requires a valid authorizer.")
		}
	default:
		return invalid("Invalid Authorization type specified. Valid options are NONE, AWS_IAM, CUSTOM, COGNITO_USER_POOLS")
	}
	if id := value(m.RequestValidatorId); id != "" {
		ok, err := validators().exists(r, sc, apiID, id)
		if err != nil {
			return err
		}
		if !ok {
			return invalid("Invalid Request Validator identifier specified")
		}
	}
	for name := range m.RequestParameters {
		ok := false
		for _, place := range []string{"path", "querystring", "multivaluequerystring", "header", "multivalueheader"} {
			rest, found := strings.CutPrefix(name, "method.request."+place+".")
			ok = ok || found && rest != ""
		}
		if !ok {
			return invalid("Invalid mapping expression specified: %s", name)
		}
	}
	return checkModels(r, sc, apiID, m.RequestModels)
}

func (s *Service) PutMethod(ctx context.Context, in *api.PutMethodInput) (*api.Method, error) {
	sc := scopeOf(ctx)
	if !slices.Contains(httpMethods(), *in.HttpMethod) {
		return nil, invalid("Invalid HttpMethod specified. Valid options are %s", strings.Join(httpMethods(), ","))
	}
	m := &api.Method{
		HttpMethod: in.HttpMethod, AuthorizationType: in.AuthorizationType, AuthorizerId: in.AuthorizerId, ApiKeyRequired: new(value(in.ApiKeyRequired)),
		RequestValidatorId: in.RequestValidatorId, OperationName: in.OperationName, RequestParameters: in.RequestParameters,
		RequestModels: in.RequestModels, AuthorizationScopes: in.AuthorizationScopes,
	}
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		res, err := getResource(tx, sc, *in.RestApiId, *in.ResourceId)
		if err != nil {
			return err
		}
		if _, ok := res.ResourceMethods[*in.HttpMethod]; ok {
			return conflict("Method already exists for this resource")
		}
		if err := checkMethod(tx, sc, *in.RestApiId, m); err != nil {
			return err
		}
		return putMethod(tx, sc, *in.RestApiId, res, m)
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (s *Service) GetMethod(ctx context.Context, in *api.GetMethodInput) (*api.Method, error) {
	return s.viewMethod(ctx, *in.RestApiId, *in.ResourceId, *in.HttpMethod)
}

func (s *Service) UpdateMethod(ctx context.Context, in *api.UpdateMethodInput) (*api.Method, error) {
	var out *api.Method
	err := s.changeMethod(ctx, *in.RestApiId, *in.ResourceId, *in.HttpMethod, func(r kv.Reader, m *api.Method) error {
		out = m
		err := applyPatches(in.PatchOperations, []patchRule{
			{"replace", "/authorizationType", setString(&m.AuthorizationType)},
			{"replace", "/apiKeyRequired", setBool(&m.ApiKeyRequired)},
			{"add replace remove", "/authorizerId", setString(&m.AuthorizerId)},
			{"add remove replace", "/authorizationScopes", func(p *patch) error {
				m.AuthorizationScopes = slices.DeleteFunc(m.AuthorizationScopes, func(s string) bool { return s == value(p.value) })
				if p.op != "remove" {
					m.AuthorizationScopes = append(m.AuthorizationScopes, value(p.value))
				}
				return nil
			}},
			{"add replace remove", "/operationName", setString(&m.OperationName)},
			{"add replace remove", "/requestValidatorId", setString(&m.RequestValidatorId)},
			{"add replace remove", "/requestParameters/*", setFlag(&m.RequestParameters)},
			{"add replace remove", "/requestModels/*", setEntry(&m.RequestModels)},
		})
		if err != nil {
			return err
		}
		return checkMethod(r, scopeOf(ctx), *in.RestApiId, m)
	})
	return out, err
}

func (s *Service) DeleteMethod(ctx context.Context, in *api.DeleteMethodInput) (*api.DeleteMethodOutput, error) {
	sc := scopeOf(ctx)
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		res, _, err := getMethod(tx, sc, *in.RestApiId, *in.ResourceId, *in.HttpMethod)
		if err != nil {
			return err
		}
		delete(res.ResourceMethods, *in.HttpMethod)
		return put(tx, resourceKey(sc, *in.RestApiId, *res.Id), res)
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteMethodOutput), nil
}

func (s *Service) PutMethodResponse(ctx context.Context, in *api.PutMethodResponseInput) (*api.MethodResponse, error) {
	row := api.MethodResponse{StatusCode: in.StatusCode, ResponseParameters: in.ResponseParameters, ResponseModels: in.ResponseModels}
	err := s.changeMethod(ctx, *in.RestApiId, *in.ResourceId, *in.HttpMethod, func(r kv.Reader, m *api.Method) error {
		if _, ok := m.MethodResponses[*in.StatusCode]; ok {
			return conflict("Response already exists for this resource")
		}
		if err := checkMethodResponse(r, scopeOf(ctx), *in.RestApiId, &row); err != nil {
			return err
		}
		if m.MethodResponses == nil {
			m.MethodResponses = map[string]api.MethodResponse{}
		}
		m.MethodResponses[*in.StatusCode] = row
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &row, nil
}

func checkMethodResponse(r kv.Reader, sc scope, apiID string, row *api.MethodResponse) error {
	for name := range row.ResponseParameters {
		if h, ok := strings.CutPrefix(name, "method.response.header."); !ok || !validHeader(Field{Name: h}) {
			return invalid("Invalid mapping expression specified: %s", name)
		}
	}
	return checkModels(r, sc, apiID, row.ResponseModels)
}

func (s *Service) GetMethodResponse(ctx context.Context, in *api.GetMethodResponseInput) (*api.MethodResponse, error) {
	m, err := s.viewMethod(ctx, *in.RestApiId, *in.ResourceId, *in.HttpMethod)
	if err != nil {
		return nil, err
	}
	row, ok := m.MethodResponses[*in.StatusCode]
	if !ok {
		return nil, noMethodResponse()
	}
	return &row, nil
}

func (s *Service) UpdateMethodResponse(ctx context.Context, in *api.UpdateMethodResponseInput) (*api.MethodResponse, error) {
	var row api.MethodResponse
	err := s.changeMethod(ctx, *in.RestApiId, *in.ResourceId, *in.HttpMethod, func(r kv.Reader, m *api.Method) (err error) {
		var ok bool
		if row, ok = m.MethodResponses[*in.StatusCode]; !ok {
			return noMethodResponse()
		}
		err = applyPatches(in.PatchOperations, []patchRule{
			{"add replace remove", "/responseParameters/*", setFlag(&row.ResponseParameters)},
			{"add replace remove", "/responseModels/*", setEntry(&row.ResponseModels)},
		})
		if err != nil {
			return err
		}
		m.MethodResponses[*in.StatusCode] = row
		return checkMethodResponse(r, scopeOf(ctx), *in.RestApiId, &row)
	})
	if err != nil {
		return nil, err
	}
	return &row, nil
}

func (s *Service) DeleteMethodResponse(ctx context.Context, in *api.DeleteMethodResponseInput) (*api.DeleteMethodResponseOutput, error) {
	err := s.changeMethod(ctx, *in.RestApiId, *in.ResourceId, *in.HttpMethod, func(r kv.Reader, m *api.Method) error {
		if _, ok := m.MethodResponses[*in.StatusCode]; !ok {
			return noMethodResponse()
		}
		delete(m.MethodResponses, *in.StatusCode)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteMethodResponseOutput), nil
}
