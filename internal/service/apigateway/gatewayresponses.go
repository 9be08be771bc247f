package apigateway

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	api "brume/internal/api/apigateway"
	"brume/internal/kv"
)

// gatewayResponses are the customised answers that API Gateway gives itself. Those that are not customised are not
// stored.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-gatewayResponse-definition.html
func gatewayResponses() children[api.GatewayResponse] {
	return children[api.GatewayResponse]{tagGatewayResponse, func(string) error { return notFound("Gateway response type not defined on api") }}
}

// gatewayResponseStatus is the default status code of each type, "" for those that have none of their own.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
func gatewayResponseStatus() map[string]string {
	return map[string]string{
		"ACCESS_DENIED": "403", "API_CONFIGURATION_ERROR": "500", "AUTHORIZER_CONFIGURATION_ERROR": "500", "AUTHORIZER_FAILURE": "500",
		"BAD_REQUEST_BODY": "400", "BAD_REQUEST_PARAMETERS": "400", "DEFAULT_4XX": "", "DEFAULT_5XX": "", "EXPIRED_TOKEN": "403",
		"INTEGRATION_FAILURE": "504", "INTEGRATION_TIMEOUT": "504", "INVALID_API_KEY": "403", "INVALID_SIGNATURE": "403",
		"MISSING_AUTHENTICATION_TOKEN": "403", "QUOTA_EXCEEDED": "429", "REQUEST_TOO_LARGE": "413", "RESOURCE_NOT_FOUND": "404",
		"THROTTLED": "429", "UNAUTHORIZED": "401", "UNSUPPORTED_MEDIA_TYPE": "415", "WAF_FILTERED": "403",
	}
}

// defaultTemplate is the body of every gateway response that is not customised.
const defaultTemplate = `{"message":$context.error.messageString}`

// defaultGatewayResponse is a type as it is shown while nothing is customised.
func defaultGatewayResponse(kind string) *api.GatewayResponse {
	out := &api.GatewayResponse{
		ResponseType: &kind, ResponseParameters: map[string]string{}, ResponseTemplates: map[string]string{"application/json": defaultTemplate},
		DefaultResponse: new(true),
	}
	if status := gatewayResponseStatus()[kind]; status != "" {
		out.StatusCode = &status
	}
	return out
}

func checkGatewayResponse(row *api.GatewayResponse) error {
	if status := value(row.StatusCode); status != "" {
		if n, err := strconv.Atoi(status); err != nil || n < 100 || n > 599 || len(status) != 3 {
			return invalid("Invalid status code specified: %s", clip(status))
		}
	}
	for target, source := range row.ResponseParameters {
		if h, ok := strings.CutPrefix(target, "gatewayresponse.header."); !ok || !validHeader(Field{Name: h}) {
			return invalid("Invalid mapping expression parameter specified: %s", clip(target))
		}
		static := len(source) >= 2 && source[0] == '\'' && source[len(source)-1] == '\'' && validHeader(Field{"x", source})
		mapped := false
		for _, prefix := range []string{"method.request.header.", "method.request.querystring.", "method.request.path.", "stageVariables.", "context."} {
			mapped = mapped || strings.HasPrefix(source, prefix) && len(source) > len(prefix)
		}
		if !static && !mapped {
			return invalid("Invalid mapping expression specified: %s", clip(source))
		}
	}
	return checkTemplates(row.ResponseTemplates)
}

// completeGatewayResponse fills in what may be left out of a customised response.
func completeGatewayResponse(row *api.GatewayResponse) {
	fallback := defaultGatewayResponse(*row.ResponseType)
	row.DefaultResponse = new(false)
	if value(row.StatusCode) == "" {
		row.StatusCode = fallback.StatusCode
	}
	if row.ResponseParameters == nil {
		row.ResponseParameters = fallback.ResponseParameters
	}
	if row.ResponseTemplates == nil {
		row.ResponseTemplates = fallback.ResponseTemplates
	}
}

// gatewayResponseOf is a type as an API has it: customised, or the default.
func gatewayResponseOf(r kv.Reader, sc scope, apiID, kind string) (*api.GatewayResponse, error) {
	if _, ok := gatewayResponseStatus()[kind]; !ok {
		return nil, invalid("Invalid gateway response type specified: %s", clip(kind))
	}
	if _, err := getAPI(r, sc, apiID); err != nil {
		return nil, err
	}
	row, err := get[api.GatewayResponse](r, gatewayResponses().key(sc, apiID, kind))
	if err == nil && row == nil {
		row = defaultGatewayResponse(kind)
	}
	return row, err
}

func (s *Service) PutGatewayResponse(ctx context.Context, in *api.PutGatewayResponseInput) (*api.GatewayResponse, error) {
	sc := scopeOf(ctx)
	var row *api.GatewayResponse
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		shown, err := gatewayResponseOf(tx, sc, *in.RestApiId, *in.ResponseType)
		if err != nil {
			return err
		}
		row = &api.GatewayResponse{
			ResponseType: shown.ResponseType, StatusCode: in.StatusCode, ResponseParameters: in.ResponseParameters,
			ResponseTemplates: in.ResponseTemplates,
		}
		completeGatewayResponse(row)
		if err := checkGatewayResponse(row); err != nil {
			return err
		}
		return gatewayResponses().put(tx, sc, *in.RestApiId, *in.ResponseType, row)
	})
	if err != nil {
		return nil, err
	}
	return row, nil
}

func (s *Service) GetGatewayResponse(ctx context.Context, in *api.GetGatewayResponseInput) (row *api.GatewayResponse, err error) {
	err = s.store.View(ctx, func(r kv.Reader) error {
		row, err = gatewayResponseOf(r, scopeOf(ctx), *in.RestApiId, *in.ResponseType)
		return err
	})
	return row, err
}

// GetGatewayResponses lists every type, customised or not: there are few enough for one page.
// https://docs.aws.amazon.com/apigateway/latest/api/API_GetGatewayResponses.html
func (s *Service) GetGatewayResponses(ctx context.Context, in *api.GetGatewayResponsesInput) (*api.GatewayResponses, error) {
	if _, err := pageSize(in.Limit); err != nil {
		return nil, err
	}
	out := &api.GatewayResponses{}
	err := s.store.View(ctx, func(r kv.Reader) error {
		out.Items = out.Items[:0]
		for _, kind := range slices.Sorted(maps.Keys(gatewayResponseStatus())) {
			row, err := gatewayResponseOf(r, scopeOf(ctx), *in.RestApiId, kind)
			if err != nil {
				return err
			}
			out.Items = append(out.Items, *row)
		}
		return nil
	})
	return out, err
}

func (s *Service) UpdateGatewayResponse(ctx context.Context, in *api.UpdateGatewayResponseInput) (*api.GatewayResponse, error) {
	sc := scopeOf(ctx)
	var row *api.GatewayResponse
	err := s.store.Update(ctx, func(tx kv.Tx) (err error) {
		if row, err = gatewayResponseOf(tx, sc, *in.RestApiId, *in.ResponseType); err != nil {
			return err
		}
		err = applyPatches(in.PatchOperations, []patchRule{
			{"replace", "/statusCode", setString(&row.StatusCode)},
			{"add replace remove", "/responseParameters/*", setEntry(&row.ResponseParameters)},
			{"add replace remove", "/responseTemplates/*", setEntry(&row.ResponseTemplates)},
		})
		if err != nil {
			return err
		}
		row.DefaultResponse = new(false)
		if err := checkGatewayResponse(row); err != nil {
			return err
		}
		return gatewayResponses().put(tx, sc, *in.RestApiId, *in.ResponseType, row)
	})
	if err != nil {
		return nil, err
	}
	return row, nil
}

// DeleteGatewayResponse brings the default back.
func (s *Service) DeleteGatewayResponse(ctx context.Context, in *api.DeleteGatewayResponseInput) (*api.DeleteGatewayResponseOutput, error) {
	err := gatewayResponses().delete(ctx, s, *in.RestApiId, *in.ResponseType, nil)
	return new(api.DeleteGatewayResponseOutput), err
}
