package apigatewayv2

import (
	"context"
	"encoding/json"
	"slices"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/jsonmodel"
	"brume/internal/kv"
)

func modelID(v *api.Model) string { return *v.ModelId }

func noModel(id string) error { return notFound("Unable to find Model by id %s", clip(id)) }

// checkModel refuses what no message could be checked by.
func (row *apiRow) checkModel(m *api.Model) error {
	if !jsonmodel.IsName(*m.Name) {
		return invalid("Model name must be alphanumeric: %s", clip(*m.Name))
	}
	if other := row.modelNamed(*m.Name); other != nil && *other.ModelId != *m.ModelId {
		return conflict("Model name already exists for this API")
	}
	var object map[string]any
	if s := value(m.Schema); s != "" && json.Unmarshal([]byte(s), &object) != nil {
		return invalid("Invalid model schema specified")
	}
	return nil
}

// CreateModel adds a model, by which messages can be checked.
// https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-models.html#CreateModel
func (s *Service) CreateModel(ctx context.Context, in *api.CreateModelInput) (*api.CreateModelOutput, error) {
	var m api.Model
	err := s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) error {
		if err := row.onlySockets("Models"); err != nil {
			return err
		}
		if len(row.Models) >= maxModels {
			return invalid("Maximum number of models for this API has been reached: %d", maxModels)
		}
		m = api.Model{ModelId: new(newID(6)), ContentType: new("application/json")}
		merge(&m, in)
		if err := row.checkModel(&m); err != nil {
			return err
		}
		row.Models = insert(row.Models, m, modelID)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return (*api.CreateModelOutput)(&m), nil
}

// viewModel reads a model.
func (s *Service) viewModel(ctx context.Context, apiID, id string) (*api.Model, error) {
	row, err := s.viewAPI(ctx, apiID)
	if err != nil {
		return nil, err
	}
	i, found := find(row.Models, id, modelID)
	if !found {
		return nil, noModel(id)
	}
	return &row.Models[i], nil
}

func (s *Service) GetModel(ctx context.Context, in *api.GetModelInput) (*api.GetModelOutput, error) {
	m, err := s.viewModel(ctx, *in.ApiId, *in.ModelId)
	if err != nil {
		return nil, err
	}
	return (*api.GetModelOutput)(m), nil
}

// GetModelTemplate generates a mapping template that takes a model's body over member by member.
func (s *Service) GetModelTemplate(ctx context.Context, in *api.GetModelTemplateInput) (*api.GetModelTemplateOutput, error) {
	m, err := s.viewModel(ctx, *in.ApiId, *in.ModelId)
	if err != nil {
		return nil, err
	}
	template, ok := jsonmodel.Template(value(m.Schema))
	if !ok {
		return nil, invalid("Model '%s' has no schema to generate a template from", *m.Name)
	}
	return &api.GetModelTemplateOutput{Value: &template}, nil
}

func (s *Service) GetModels(ctx context.Context, in *api.GetModelsInput) (*api.GetModelsOutput, error) {
	row, err := s.viewAPI(ctx, *in.ApiId)
	if err != nil {
		return nil, err
	}
	items, next, err := pageOf(row.Models, modelID, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &api.GetModelsOutput{Items: items, NextToken: next}, nil
}

func (s *Service) UpdateModel(ctx context.Context, in *api.UpdateModelInput) (*api.UpdateModelOutput, error) {
	out := &api.UpdateModelOutput{}
	err := s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) error {
		i, found := find(row.Models, *in.ModelId, modelID)
		if !found {
			return noModel(*in.ModelId)
		}
		m := &row.Models[i]
		if in.Name != nil && *in.Name != *m.Name {
			if err := row.unusedModel(*m.Name, "rename"); err != nil {
				return err
			}
		}
		merge(m, in)
		*out = api.UpdateModelOutput(*m)
		return row.checkModel(m)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) DeleteModel(ctx context.Context, in *api.DeleteModelInput) (*api.DeleteModelOutput, error) {
	err := s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) error {
		i, found := find(row.Models, *in.ModelId, modelID)
		if !found {
			return noModel(*in.ModelId)
		}
		if err := row.unusedModel(*row.Models[i].Name, "delete"); err != nil {
			return err
		}
		row.Models = slices.Delete(row.Models, i, i+1)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteModelOutput), nil
}

// unusedModel refuses to take the name of a model away from a route.
func (row *apiRow) unusedModel(name, what string) error {
	for i := range row.Routes {
		for _, used := range row.Routes[i].RequestModels {
			if used == name {
				return conflict("Cannot %s model '%s', is referenced in route: %s", what, name, clip(*row.Routes[i].RouteKey))
			}
		}
	}
	for i := range row.RouteResponses {
		for _, used := range row.RouteResponses[i].ResponseModels {
			if used == name {
				return conflict("Cannot %s model '%s', is referenced in route response: %s", what, name, *row.RouteResponses[i].RouteResponseId)
			}
		}
	}
	return nil
}
