package apigatewayv2

import (
	"context"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/kv"
)

// A routeResponse makes a route answer: what its integration returns goes to the client.
type routeResponse struct {
	Route string
	api.RouteResponse
}

func routeResponseID(v *routeResponse) string { return *v.RouteResponseId }

func noRouteResponse(id string) error {
	return notFound("Unable to find RouteResponse by id %s", clip(id))
}

// routeResponse finds a response of a route.
func (row *apiRow) routeResponse(route, id string) (int, error) {
	if _, found := find(row.Routes, route, routeID); !found {
		return 0, noRoute(route)
	}
	i, found := find(row.RouteResponses, id, routeResponseID)
	if !found || row.RouteResponses[i].Route != route {
		return 0, noRouteResponse(id)
	}
	return i, nil
}

func (row *apiRow) checkRouteResponse(r *routeResponse) error {
	if *r.RouteResponseKey != defaultRoute {
		return invalid("Invalid routeResponseKey. Supported value is %s", defaultRoute)
	}
	for i := range row.RouteResponses {
		if other := &row.RouteResponses[i]; other.Route == r.Route && *other.RouteResponseId != *r.RouteResponseId {
			return conflict("RouteResponse with key %s already exists for this route", defaultRoute)
		}
	}
	return row.checkModels(r.ResponseModels, "ResponseModels")
}

// CreateRouteResponse makes a route answer its clients.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-route-response.html
func (s *Service) CreateRouteResponse(ctx context.Context, in *api.CreateRouteResponseInput) (*api.CreateRouteResponseOutput, error) {
	var r routeResponse
	err := s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) error {
		if err := row.onlySockets("Route responses"); err != nil {
			return err
		}
		if _, found := find(row.Routes, *in.RouteId, routeID); !found {
			return noRoute(*in.RouteId)
		}
		r = routeResponse{Route: *in.RouteId, RouteResponse: api.RouteResponse{RouteResponseId: new(newID(6))}}
		merge(&r.RouteResponse, in)
		if err := row.checkRouteResponse(&r); err != nil {
			return err
		}
		row.RouteResponses = insert(row.RouteResponses, r, routeResponseID)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return (*api.CreateRouteResponseOutput)(&r.RouteResponse), nil
}

func (s *Service) GetRouteResponse(ctx context.Context, in *api.GetRouteResponseInput) (*api.GetRouteResponseOutput, error) {
	row, err := s.viewAPI(ctx, *in.ApiId)
	if err != nil {
		return nil, err
	}
	i, err := row.routeResponse(*in.RouteId, *in.RouteResponseId)
	if err != nil {
		return nil, err
	}
	return (*api.GetRouteResponseOutput)(&row.RouteResponses[i].RouteResponse), nil
}

func (s *Service) GetRouteResponses(ctx context.Context, in *api.GetRouteResponsesInput) (*api.GetRouteResponsesOutput, error) {
	row, err := s.viewAPI(ctx, *in.ApiId)
	if err != nil {
		return nil, err
	}
	if _, found := find(row.Routes, *in.RouteId, routeID); !found {
		return nil, noRoute(*in.RouteId)
	}
	var all []api.RouteResponse
	for _, r := range row.RouteResponses {
		if r.Route == *in.RouteId {
			all = append(all, r.RouteResponse)
		}
	}
	items, next, err := pageOf(all, func(r *api.RouteResponse) string { return *r.RouteResponseId }, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &api.GetRouteResponsesOutput{Items: items, NextToken: next}, nil
}

func (s *Service) UpdateRouteResponse(ctx context.Context, in *api.UpdateRouteResponseInput) (*api.UpdateRouteResponseOutput, error) {
	out := &api.UpdateRouteResponseOutput{}
	err := s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) error {
		i, err := row.routeResponse(*in.RouteId, *in.RouteResponseId)
		if err != nil {
			return err
		}
		r := &row.RouteResponses[i]
		merge(&r.RouteResponse, in)
		*out = api.UpdateRouteResponseOutput(r.RouteResponse)
		return row.checkRouteResponse(r)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) DeleteRouteResponse(ctx context.Context, in *api.DeleteRouteResponseInput) (*api.DeleteRouteResponseOutput, error) {
	err := s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) error {
		i, err := row.routeResponse(*in.RouteId, *in.RouteResponseId)
		if err != nil {
			return err
		}
		row.RouteResponses = append(row.RouteResponses[:i], row.RouteResponses[i+1:]...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteRouteResponseOutput), nil
}

// DeleteRouteRequestParameter takes a parameter from a route. The key comes as it stands in the route.
func (s *Service) DeleteRouteRequestParameter(ctx context.Context, in *api.DeleteRouteRequestParameterInput) (*api.DeleteRouteRequestParameterOutput, error) {
	err := s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) error {
		i, found := find(row.Routes, *in.RouteId, routeID)
		if !found {
			return noRoute(*in.RouteId)
		}
		if _, ok := row.Routes[i].RequestParameters[*in.RequestParameterKey]; !ok {
			return notFound("Unable to find RequestParameter by key %s", clip(*in.RequestParameterKey))
		}
		delete(row.Routes[i].RequestParameters, *in.RequestParameterKey)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteRouteRequestParameterOutput), nil
}
