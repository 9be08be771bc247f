package apigateway

import (
	"context"
	"slices"
	"strings"

	api "brume/internal/api/apigateway"
	"brume/internal/awserr"
	"brume/internal/boundedre"
	"brume/internal/edge"
	"brume/internal/kv"
	"brume/internal/vtl"
)

// checkIntegration checks what can be set on an integration.
func (s *Service) checkIntegration(in *api.Integration) error {
	switch t := value(in.Type); t {
	case "MOCK":
	case "AWS", "AWS_PROXY":
		if value(in.HttpMethod) == "" {
			return invalid("Enumeration value for HttpMethod must be non-empty")
		}
		uri := value(in.Uri)
		part := strings.SplitN(uri, ":", 6)
		if len(part) != 6 || part[0] != "arn" || part[2] != "apigateway" || part[3] == "" {
			return invalid("Invalid ARN specified in the request")
		}
		if !strings.HasPrefix(part[5], "path/") && !strings.HasPrefix(part[5], "action/") {
			return invalid("AWS ARN for integration must contain path or action")
		}
		if part[4] == "lambda" {
			if _, err := parseLambdaURI(uri); err != nil && !strings.Contains(uri, "${stageVariables.") {
				return invalid("Invalid function ARN or invalid uri")
			}
		} else if t == "AWS_PROXY" {
			return invalid("Integrations of type 'AWS_PROXY' currently only supports Lambda function and Firehose stream invocations.")
		} else if !s.services.Has(part[4]) {
			return awserr.NotImplemented("an integration with the service " + part[4])
		}
	case "HTTP", "HTTP_PROXY":
		if value(in.HttpMethod) == "" {
			return invalid("Enumeration value for HttpMethod must be non-empty")
		}
		if u := value(in.Uri); !strings.HasPrefix(u, "http://") && !strings.HasPrefix(u, "https://") && !strings.HasPrefix(u, "${stageVariables.") || strings.ContainsAny(u, " \r\n") {
			return invalid("Invalid HTTP endpoint specified for URI")
		}
	default:
		return invalid("Invalid integration type specified. Valid options are HTTP, AWS, MOCK, HTTP_PROXY, AWS_PROXY")
	}
	if c := value(in.ConnectionType); c != "" && c != "INTERNET" {
		return awserr.NotImplemented("an integration with the connection type " + c)
	}
	switch value(in.PassthroughBehavior) {
	case "", "WHEN_NO_MATCH", "WHEN_NO_TEMPLATES", "NEVER":
	default:
		return invalid("Invalid passthrough behavior specified. Valid options are WHEN_NO_MATCH, WHEN_NO_TEMPLATES, NEVER")
	}
	if err := checkContentHandling(in.ContentHandling); err != nil {
		return err
	}
	if in.TimeoutInMillis != nil && (*in.TimeoutInMillis < 50 || *in.TimeoutInMillis > 29000) {
		return invalid("Timeout should be between 50 ms and 29000 ms")
	}
	if c := value(in.Credentials); c != "" && c != edge.CallerCredentials && (!strings.HasPrefix(c, "arn:aws:iam::") || !strings.Contains(c, ":role/")) && !strings.Contains(c, "${stageVariables.") {
		return invalid("Invalid ARN specified in the request")
	}
	if value(in.Credentials) == edge.CallerCredentials && isLambdaURI(value(in.Uri)) {
		return awserr.NotImplemented("a Lambda integration with the credentials of the caller")
	}
	if err := checkRequestParameters(in.RequestParameters); err != nil {
		return err
	}
	return checkTemplates(in.RequestTemplates)
}

func checkContentHandling(c *string) error {
	switch value(c) {
	case "", "CONVERT_TO_BINARY", "CONVERT_TO_TEXT":
		return nil
	}
	return invalid("Invalid content handling specified. Valid options are CONVERT_TO_BINARY, CONVERT_TO_TEXT")
}

func checkTemplates(templates map[string]string) error {
	for _, src := range templates {
		if len(src) > vtl.MaxSource {
			return invalid("Mapping template is larger than the maximum of %d bytes", vtl.MaxSource)
		}
	}
	return nil
}

// completeIntegration fills in what may be left out.
func completeIntegration(row *api.Integration, resourceID string) {
	if value(row.PassthroughBehavior) == "" {
		row.PassthroughBehavior = new("WHEN_NO_MATCH")
	}
	if row.TimeoutInMillis == nil {
		row.TimeoutInMillis = new(int32(maxIntegrationTimeout.Milliseconds()))
	}
	if row.CacheNamespace == nil {
		row.CacheNamespace = &resourceID
	}
	if row.CacheKeyParameters == nil {
		row.CacheKeyParameters = []string{}
	}
}

func (s *Service) PutIntegration(ctx context.Context, in *api.PutIntegrationInput) (*api.Integration, error) {
	row := &api.Integration{
		Type: in.Type, HttpMethod: in.IntegrationHttpMethod, Uri: in.Uri, ConnectionType: in.ConnectionType, ConnectionId: in.ConnectionId,
		Credentials: in.Credentials, RequestParameters: in.RequestParameters, RequestTemplates: in.RequestTemplates,
		PassthroughBehavior: in.PassthroughBehavior, ContentHandling: in.ContentHandling, TimeoutInMillis: in.TimeoutInMillis,
		CacheNamespace: in.CacheNamespace, CacheKeyParameters: in.CacheKeyParameters, TlsConfig: in.TlsConfig,
	}
	completeIntegration(row, *in.ResourceId)
	if err := s.checkIntegration(row); err != nil {
		return nil, err
	}
	err := s.changeMethod(ctx, *in.RestApiId, *in.ResourceId, *in.HttpMethod, func(_ kv.Reader, m *api.Method) error {
		m.MethodIntegration = row
		return checkDeclared(m, row.RequestParameters)
	})
	if err != nil {
		return nil, err
	}
	return row, nil
}

func (s *Service) GetIntegration(ctx context.Context, in *api.GetIntegrationInput) (*api.Integration, error) {
	m, err := s.viewMethod(ctx, *in.RestApiId, *in.ResourceId, *in.HttpMethod)
	if err != nil {
		return nil, err
	}
	if m.MethodIntegration == nil {
		return nil, noIntegration()
	}
	return m.MethodIntegration, nil
}

// changeIntegration is changeMethod for a method's integration, which must be there.
func (s *Service) changeIntegration(ctx context.Context, apiID, resourceID, httpMethod string, change func(m *api.Method, in *api.Integration) error) error {
	return s.changeMethod(ctx, apiID, resourceID, httpMethod, func(_ kv.Reader, m *api.Method) error {
		if m.MethodIntegration == nil {
			return noIntegration()
		}
		return change(m, m.MethodIntegration)
	})
}

func (s *Service) UpdateIntegration(ctx context.Context, in *api.UpdateIntegrationInput) (*api.Integration, error) {
	var out *api.Integration
	err := s.changeIntegration(ctx, *in.RestApiId, *in.ResourceId, *in.HttpMethod, func(m *api.Method, row *api.Integration) error {
		out = row
		err := applyPatches(in.PatchOperations, []patchRule{
			{"replace", "/type", setString(&row.Type)},
			{"replace", "/httpMethod", setString(&row.HttpMethod)},
			{"replace", "/uri", setString(&row.Uri)},
			{"add replace remove", "/credentials", setString(&row.Credentials)},
			{"replace", "/passthroughBehavior", setString(&row.PassthroughBehavior)},
			{"add replace remove", "/contentHandling", setString(&row.ContentHandling)},
			{"replace", "/timeoutInMillis", setInt(&row.TimeoutInMillis)},
			{"replace", "/cacheNamespace", setString(&row.CacheNamespace)},
			{"replace", "/connectionType", setString(&row.ConnectionType)},
			{"replace", "/connectionId", setString(&row.ConnectionId)},
			{"replace", "/tlsConfig/insecureSkipVerification", func(p *patch) error {
				if row.TlsConfig == nil {
					row.TlsConfig = &api.TlsConfig{}
				}
				return setBool(&row.TlsConfig.InsecureSkipVerification)(p)
			}},
			{"add remove", "/cacheKeyParameters/*", func(p *patch) error {
				row.CacheKeyParameters = slices.DeleteFunc(row.CacheKeyParameters, func(k string) bool { return k == p.last() })
				if p.op == "add" {
					row.CacheKeyParameters = append(row.CacheKeyParameters, p.last())
				}
				return nil
			}},
			{"add replace remove", "/requestParameters/*", setEntry(&row.RequestParameters)},
			{"add replace remove", "/requestTemplates/*", setEntry(&row.RequestTemplates)},
		})
		if err != nil {
			return err
		}
		if err := s.checkIntegration(row); err != nil {
			return err
		}
		return checkDeclared(m, row.RequestParameters)
	})
	return out, err
}

func (s *Service) DeleteIntegration(ctx context.Context, in *api.DeleteIntegrationInput) (*api.DeleteIntegrationOutput, error) {
	err := s.changeIntegration(ctx, *in.RestApiId, *in.ResourceId, *in.HttpMethod, func(m *api.Method, _ *api.Integration) error {
		m.MethodIntegration = nil
		return nil
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteIntegrationOutput), nil
}

// checkIntegrationResponse checks a response against the method response that it leads to.
func checkIntegrationResponse(m *api.Method, row *api.IntegrationResponse) error {
	response, ok := m.MethodResponses[*row.StatusCode]
	if !ok {
		return noMethodResponse()
	}
	for target, source := range row.ResponseParameters {
		if _, ok := response.ResponseParameters[target]; !ok {
			return invalid("Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression parameter specified: %s]", target)
		}
		static := len(source) >= 2 && strings.HasPrefix(source, "'") && strings.HasSuffix(source, "'") && validHeader(Field{"x", source})
		mapped := false
		for _, prefix := range []string{"integration.response.header.", "integration.response.multivalueheader.", "integration.response.body.", "stageVariables.", "context."} {
			mapped = mapped || strings.HasPrefix(source, prefix) && len(source) > len(prefix)
		}
		if !static && !mapped && source != "integration.response.body" {
			return invalid("Invalid mapping expression specified: Validation Result: warnings : [], errors : [Invalid mapping expression specified: %s]", source)
		}
	}
	if p := value(row.SelectionPattern); p != "" {
		if _, err := boundedre.Whole(p); err != nil {
			return invalid("Invalid selection pattern specified: %s", clip(p))
		}
	}
	if err := checkContentHandling(row.ContentHandling); err != nil {
		return err
	}
	return checkTemplates(row.ResponseTemplates)
}

func (s *Service) PutIntegrationResponse(ctx context.Context, in *api.PutIntegrationResponseInput) (*api.IntegrationResponse, error) {
	row := api.IntegrationResponse{
		StatusCode: in.StatusCode, SelectionPattern: in.SelectionPattern, ResponseParameters: in.ResponseParameters,
		ResponseTemplates: in.ResponseTemplates, ContentHandling: in.ContentHandling,
	}
	err := s.changeIntegration(ctx, *in.RestApiId, *in.ResourceId, *in.HttpMethod, func(m *api.Method, integration *api.Integration) error {
		if err := checkIntegrationResponse(m, &row); err != nil {
			return err
		}
		if integration.IntegrationResponses == nil {
			integration.IntegrationResponses = map[string]api.IntegrationResponse{}
		}
		integration.IntegrationResponses[*in.StatusCode] = row
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &row, nil
}

func (s *Service) GetIntegrationResponse(ctx context.Context, in *api.GetIntegrationResponseInput) (*api.IntegrationResponse, error) {
	integration, err := s.GetIntegration(ctx, &api.GetIntegrationInput{RestApiId: in.RestApiId, ResourceId: in.ResourceId, HttpMethod: in.HttpMethod})
	if err != nil {
		return nil, err
	}
	row, ok := integration.IntegrationResponses[*in.StatusCode]
	if !ok {
		return nil, noIntegrationResponse()
	}
	return &row, nil
}

func (s *Service) UpdateIntegrationResponse(ctx context.Context, in *api.UpdateIntegrationResponseInput) (*api.IntegrationResponse, error) {
	var row api.IntegrationResponse
	err := s.changeIntegration(ctx, *in.RestApiId, *in.ResourceId, *in.HttpMethod, func(m *api.Method, integration *api.Integration) error {
		var ok bool
		if row, ok = integration.IntegrationResponses[*in.StatusCode]; !ok {
			return noIntegrationResponse()
		}
		err := applyPatches(in.PatchOperations, []patchRule{
			{"replace", "/selectionPattern", setString(&row.SelectionPattern)},
			{"add replace remove", "/contentHandling", setString(&row.ContentHandling)},
			{"add replace remove", "/responseParameters/*", setEntry(&row.ResponseParameters)},
			{"add replace remove", "/responseTemplates/*", setEntry(&row.ResponseTemplates)},
		})
		if err != nil {
			return err
		}
		integration.IntegrationResponses[*in.StatusCode] = row
		return checkIntegrationResponse(m, &row)
	})
	if err != nil {
		return nil, err
	}
	return &row, nil
}

func (s *Service) DeleteIntegrationResponse(ctx context.Context, in *api.DeleteIntegrationResponseInput) (*api.DeleteIntegrationResponseOutput, error) {
	err := s.changeIntegration(ctx, *in.RestApiId, *in.ResourceId, *in.HttpMethod, func(_ *api.Method, integration *api.Integration) error {
		if _, ok := integration.IntegrationResponses[*in.StatusCode]; !ok {
			return noIntegrationResponse()
		}
		delete(integration.IntegrationResponses, *in.StatusCode)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteIntegrationResponseOutput), nil
}
