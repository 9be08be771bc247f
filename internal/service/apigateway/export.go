package apigateway

import (
	"context"
	"errors"
	"net/url"
	"strings"

	api "brume/internal/api/apigateway"
	"brume/internal/kv"
	"brume/internal/service/apigateway/openapi"
)

// GetExport writes what a stage serves as a document, with the documentation version that is published there. The parameter
// "extensions" adds API Gateway's extensions: integrations, authorizers, apigateway for all of them, and postman, with which
// nothing more is written as the document imports into Postman as it is.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-export-api.html
func (s *Service) GetExport(ctx context.Context, in *api.GetExportInput) (*api.GetExportOutput, error) {
	form := openapi.Form{RestAPI: *in.RestApiId}
	switch *in.ExportType {
	case "swagger":
	case "oas30":
		form.Version3 = true
	default:
		return nil, invalid("Invalid export type specified: %s. Valid options are oas30, swagger", clip(*in.ExportType))
	}
	extension := "json"
	switch accepts, _, _ := strings.Cut(value(in.Accepts), ";"); accepts {
	case "", "*/*", "application/json":
	case "application/yaml":
		form.YAML, extension = true, "yaml"
	default:
		return nil, invalid("Invalid accepts value specified: %s. Valid options are application/json, application/yaml", clip(accepts))
	}
	for name := range strings.SplitSeq(in.Parameters["extensions"], ",") {
		switch strings.TrimSpace(name) {
		case "", "postman":
		case "integrations":
			form.Integrations = true
		case "authorizers":
			form.Authorizers = true
		case "apigateway":
			form.APIGateway = true
		default:
			return nil, invalid("Invalid value for the parameter extensions: %s. Valid options are integrations, authorizers, apigateway, postman", clip(name))
		}
	}
	def, err := s.deployedDefinition(ctx, *in.RestApiId, *in.StageName)
	if err != nil {
		return nil, err
	}
	form.Scheme, form.Host, form.BasePath = s.serverOf(*in.RestApiId, *in.StageName)
	data, err := def.Write(form)
	var fault *openapi.Error
	if errors.As(err, &fault) {
		return nil, invalid("%s", fault.Reason)
	}
	if err != nil {
		return nil, err
	}
	name := strings.ToLower(*in.ExportType) + "_" + def.Version + "." + extension
	return &api.GetExportOutput{
		ContentType: new("application/" + extension), ContentDisposition: new(`attachment; filename="` + url.PathEscape(name) + `"`), Body: data,
	}, nil
}

// serverOf is where a stage is reached: by the path form, which needs no name to be resolved.
func (s *Service) serverOf(apiID, stage string) (scheme, host, basePath string) {
	return s.endpoint.Scheme, s.endpoint.Host, "/restapis/" + apiID + "/" + stage + "/_user_request_"
}

// deployedDefinition is what a stage serves.
func (s *Service) deployedDefinition(ctx context.Context, apiID, stageName string) (*openapi.Definition, error) {
	sc := scopeOf(ctx)
	var def *openapi.Definition
	err := s.store.View(ctx, func(r kv.Reader) error {
		st, err := getStage(r, sc, apiID, stageName)
		if err != nil {
			return err
		}
		snap, err := get[snapshot](r, snapshotKey(sc, apiID, *st.DeploymentId))
		if err != nil {
			return err
		}
		if snap == nil {
			return noDeployment()
		}
		rest := snap.API
		if rest == nil { // deployed before deployments kept it
			if rest, err = getAPI(r, sc, apiID); err != nil {
				return err
			}
		}
		def = definitionOf(rest, snap)
		if v := value(st.DocumentationVersion); v != "" {
			parts, err := docSnapshots().get(r, sc, apiID, v)
			if err != nil {
				return err
			}
			def.DocumentationVersion, def.Documentation = v, *parts
		}
		return nil
	})
	return def, err
}

func definitionOf(rest *api.RestApi, snap *snapshot) *openapi.Definition {
	d := &openapi.Definition{
		Name: value(rest.Name), Description: value(rest.Description), Version: value(rest.Version), BinaryMediaTypes: rest.BinaryMediaTypes,
		MinimumCompressionSize: rest.MinimumCompressionSize, APIKeySource: value(rest.ApiKeySource), Policy: value(rest.Policy),
		DisableExecuteAPI: value(rest.DisableExecuteApiEndpoint), EndpointTypes: rest.EndpointConfiguration.Types,
	}
	if d.Version == "" {
		// An API that says no version bears the moment of its creation, as in AWS.
		d.Version = rest.CreatedDate.UTC().Format("2006-01-02T15:04:05Z")
	}
	for _, m := range snap.Models {
		d.Models = append(d.Models, *m)
	}
	names := map[string]string{}
	for _, v := range snap.Validators {
		d.Validators = append(d.Validators, *v)
		names[*v.Id] = value(v.Name)
	}
	for _, a := range snap.Authorizers {
		d.Authorizers = append(d.Authorizers, *a)
		names[*a.Id] = value(a.Name)
	}
	for _, g := range snap.GatewayResponses {
		d.GatewayResponses = append(d.GatewayResponses, *g)
	}
	for _, res := range snap.Resources {
		d.Paths = append(d.Paths, *res.Path)
		for _, m := range res.ResourceMethods {
			if m.RequestValidatorId != nil {
				m.RequestValidatorId = new(names[*m.RequestValidatorId])
			}
			if m.AuthorizerId != nil {
				m.AuthorizerId = new(names[*m.AuthorizerId])
			}
			d.Methods = append(d.Methods, openapi.Method{Path: *res.Path, Method: m})
		}
	}
	return d
}
