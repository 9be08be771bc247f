package apigateway

import (
	"context"

	api "brume/internal/api/apigateway"
	"brume/internal/service/apigateway/jssdk"
)

// sdkTypes are the kinds of SDK that there are.
func sdkTypes() []api.SdkType {
	return []api.SdkType{{
		Id: new("javascript"), FriendlyName: new("JavaScript"), Description: new("A client for web pages and Node.js"),
		ConfigurationProperties: []api.SdkConfigurationProperty{},
	}}
}

func (s *Service) GetSdkTypes(ctx context.Context, in *api.GetSdkTypesInput) (*api.SdkTypes, error) {
	if _, err := pageSize(in.Limit); err != nil {
		return nil, err
	}
	return &api.SdkTypes{Items: sdkTypes()}, nil
}

func (s *Service) GetSdkType(ctx context.Context, in *api.GetSdkTypeInput) (*api.SdkType, error) {
	for _, t := range sdkTypes() {
		if *t.Id == *in.Id {
			return &t, nil
		}
	}
	return nil, notFound("Invalid SDK type specified: %s. Brume generates: javascript", clip(*in.Id))
}

// GetSdk generates the SDK of what a stage serves.
// https://docs.aws.amazon.com/apigateway/latest/api/API_GetSdk.html
func (s *Service) GetSdk(ctx context.Context, in *api.GetSdkInput) (*api.GetSdkOutput, error) {
	if *in.SdkType != "javascript" {
		return nil, invalid("Invalid SDK type specified: %s. Brume generates: javascript", clip(*in.SdkType))
	}
	def, err := s.deployedDefinition(ctx, *in.RestApiId, *in.StageName)
	if err != nil {
		return nil, err
	}
	scheme, host, basePath := s.serverOf(*in.RestApiId, *in.StageName)
	data, err := jssdk.Generate(def, scheme+"://"+host+basePath, scopeOf(ctx).region)
	if err != nil {
		return nil, err
	}
	return &api.GetSdkOutput{
		Body: data, ContentType: new("application/octet-stream"), ContentDisposition: new(`attachment; filename="javascript_` + *in.RestApiId + `.zip"`),
	}, nil
}
