package apigateway

import (
	api "brume/internal/api/apigateway"
	"brume/internal/service/apigateway/openapi"
)

// How much an API may have.
const (
	maxResources = openapi.MaxPaths
	maxModels    = openapi.MaxModels
	maxDocParts  = openapi.MaxParts
)

func limitExceeded(what string) error {
	return &api.LimitExceededException{Message: new("Maximum number of " + what + " for this API has been reached. Please contact AWS if you need additional " + what + ".")}
}
