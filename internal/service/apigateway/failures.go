package apigateway

import (
	"fmt"

	api "brume/internal/api/apigateway"
)

func invalid(format string, args ...any) error {
	return &api.BadRequestException{Message: new(fmt.Sprintf(format, args...))}
}

func conflict(format string, args ...any) error {
	return &api.ConflictException{Message: new(fmt.Sprintf(format, args...))}
}

func notFound(format string, args ...any) error {
	return &api.NotFoundException{Message: new(fmt.Sprintf(format, args...))}
}

func noAPI(sc scope, id string) error {
	return notFound("Invalid API identifier specified %s:%s", sc.account, id)
}

func noResource() error       { return notFound("Invalid Resource identifier specified") }
func noMethod() error         { return notFound("Invalid Method identifier specified") }
func noMethodResponse() error { return notFound("Invalid Response status code specified") }
func noIntegration() error    { return notFound("Invalid Integration identifier specified") }
func noIntegrationResponse() error {
	return notFound("Invalid Integration Response identifier specified")
}
func noDeployment() error { return notFound("Invalid Deployment identifier specified") }
func noStage() error      { return notFound("Invalid stage identifier specified") }
func noKey() error        { return notFound("Invalid API Key identifier specified") }
func noPlan() error       { return notFound("Invalid Usage Plan ID specified") }
