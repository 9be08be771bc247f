package apigatewayv2

import (
	"context"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/kv"
)

// An integrationResponse says what becomes of a result whose selector its key matches.
type integrationResponse struct {
	Integration string
	api.IntegrationResponse
}

func integrationResponseID(v *integrationResponse) string { return *v.IntegrationResponseId }

func noIntegrationResponse(id string) error {
	return notFound("Unable to find IntegrationResponse by id %s", clip(id))
}

// integrationResponse finds a response of an integration.
func (row *apiRow) integrationResponse(integration, id string) (int, error) {
	if _, found := find(row.Integrations, integration, integrationID); !found {
		return 0, noIntegration(integration)
	}
	i, found := find(row.IntegrationResponses, id, integrationResponseID)
	if !found || row.IntegrationResponses[i].Integration != integration {
		return 0, noIntegrationResponse(id)
	}
	return i, nil
}

func (row *apiRow) checkIntegrationResponse(r *integrationResponse) error {
	if err := checkResponseKey(*r.IntegrationResponseKey); err != nil {
		return err
	}
	for i := range row.IntegrationResponses {
		other := &row.IntegrationResponses[i]
		if other.Integration == r.Integration && *other.IntegrationResponseId != *r.IntegrationResponseId && *other.IntegrationResponseKey == *r.IntegrationResponseKey {
			return conflict("IntegrationResponse with key %s already exists for this integration", clip(*r.IntegrationResponseKey))
		}
	}
	return checkTemplates(r.ResponseTemplates, r.TemplateSelectionExpression, responseVariables)
}

// CreateIntegrationResponse says what becomes of some results of an integration that is no proxy.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-integration-responses.html
func (s *Service) CreateIntegrationResponse(ctx context.Context, in *api.CreateIntegrationResponseInput) (*api.CreateIntegrationResponseOutput, error) {
	var r integrationResponse
	err := s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) error {
		if err := row.onlySockets("Integration responses"); err != nil {
			return err
		}
		i, found := find(row.Integrations, *in.IntegrationId, integrationID)
		if !found {
			return noIntegration(*in.IntegrationId)
		}
		if t := *row.Integrations[i].IntegrationType; t == api.IntegrationTypeAwsProxy || t == api.IntegrationTypeHttpProxy {
			return invalid("Integration responses are not supported for proxy integrations")
		}
		r = integrationResponse{Integration: *in.IntegrationId, IntegrationResponse: api.IntegrationResponse{IntegrationResponseId: new(newID(6))}}
		merge(&r.IntegrationResponse, in)
		if err := row.checkIntegrationResponse(&r); err != nil {
			return err
		}
		row.IntegrationResponses = insert(row.IntegrationResponses, r, integrationResponseID)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return (*api.CreateIntegrationResponseOutput)(&r.IntegrationResponse), nil
}

func (s *Service) GetIntegrationResponse(ctx context.Context, in *api.GetIntegrationResponseInput) (*api.GetIntegrationResponseOutput, error) {
	row, err := s.viewAPI(ctx, *in.ApiId)
	if err != nil {
		return nil, err
	}
	i, err := row.integrationResponse(*in.IntegrationId, *in.IntegrationResponseId)
	if err != nil {
		return nil, err
	}
	return (*api.GetIntegrationResponseOutput)(&row.IntegrationResponses[i].IntegrationResponse), nil
}

func (s *Service) GetIntegrationResponses(ctx context.Context, in *api.GetIntegrationResponsesInput) (*api.GetIntegrationResponsesOutput, error) {
	row, err := s.viewAPI(ctx, *in.ApiId)
	if err != nil {
		return nil, err
	}
	if _, found := find(row.Integrations, *in.IntegrationId, integrationID); !found {
		return nil, noIntegration(*in.IntegrationId)
	}
	var all []api.IntegrationResponse
	for _, r := range row.IntegrationResponses {
		if r.Integration == *in.IntegrationId {
			all = append(all, r.IntegrationResponse)
		}
	}
	items, next, err := pageOf(all, func(r *api.IntegrationResponse) string { return *r.IntegrationResponseId }, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &api.GetIntegrationResponsesOutput{Items: items, NextToken: next}, nil
}

func (s *Service) UpdateIntegrationResponse(ctx context.Context, in *api.UpdateIntegrationResponseInput) (*api.UpdateIntegrationResponseOutput, error) {
	out := &api.UpdateIntegrationResponseOutput{}
	err := s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) error {
		i, err := row.integrationResponse(*in.IntegrationId, *in.IntegrationResponseId)
		if err != nil {
			return err
		}
		r := &row.IntegrationResponses[i]
		merge(&r.IntegrationResponse, in)
		*out = api.UpdateIntegrationResponseOutput(r.IntegrationResponse)
		return row.checkIntegrationResponse(r)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) DeleteIntegrationResponse(ctx context.Context, in *api.DeleteIntegrationResponseInput) (*api.DeleteIntegrationResponseOutput, error) {
	err := s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) error {
		i, err := row.integrationResponse(*in.IntegrationId, *in.IntegrationResponseId)
		if err != nil {
			return err
		}
		row.IntegrationResponses = append(row.IntegrationResponses[:i], row.IntegrationResponses[i+1:]...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteIntegrationResponseOutput), nil
}
