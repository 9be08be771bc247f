// Package openapi reads and writes REST APIs as documents: Swagger 2.0 and OpenAPI 3.0, in JSON and YAML, with API Gateway's
// extensions. It is pure: what a document says becomes a Definition, and the other way round; package apigateway stores it.
//
// It promises bounded work on any input: references are followed to a depth, aliases of YAML are counted, and what is not
// understood is a warning, not a guess. A Definition that is written and read again is the same, but for what the chosen
// extensions leave out.
//
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-import-api.html
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions.html
package openapi

import (
	api "brume/internal/api/apigateway"
	"brume/internal/openapidoc"
)

// A Definition is a REST API without the ids that a store gives to its parts.
type Definition struct {
	Name, Description, Version string
	// BasePath is what stands before every path of the document, "" for nothing.
	BasePath string

	BinaryMediaTypes       []string
	MinimumCompressionSize *int32
	APIKeySource           string
	EndpointTypes          []string
	Policy                 string // a JSON document
	DisableExecuteAPI      bool

	Models           []api.Model
	Validators       []api.RequestValidator
	Authorizers      []api.Authorizer
	GatewayResponses []api.GatewayResponse
	Methods          []Method
	// Paths are those that have no method, or not only methods.
	Paths []string

	DocumentationVersion string
	Documentation        []api.DocumentationPart

	Warnings []string
}

// A Method is a method at a path. Its AuthorizerId and RequestValidatorId are names.
type Method struct {
	Path string
	api.Method
}

// ModelRef is how the schema of a model refers to another model of the same API.
func ModelRef(restAPI, model string) string {
	return "https://apigateway.amazonaws.com/restapis/" + restAPI + "/models/" + model
}

// An Error says why a document cannot be taken.
type Error = openapidoc.Error
