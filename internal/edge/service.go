package edge

import (
	"context"
	"strings"

	"brume/internal/call"
)

// Services calls the other services of AWS for integrations.
type Services interface {
	// Has reports whether there is a service of a name, as it stands in the URI of an integration.
	Has(service string) bool
	// Call makes a call, authorised as any other. The answer to a call that is refused is a result, as for any client.
	Call(ctx context.Context, c *ServiceCall) (*HTTPResult, error)
}

// A ServiceCall is a call of an operation in the form of its protocol.
type ServiceCall struct {
	Service, Region string
	// Action is the operation; empty where Path says it.
	Action string
	Method string
	Path   string // escaped, from the slash on
	Query  string // escaped
	Header []Field
	Body   []byte
	// Principal makes the call, or if it is nil the role RoleARN.
	Principal                *call.Principal
	RoleARN                  string
	SourceARN, SourceAccount string
}

// CallerCredentials stand for those of who signed the request to the API.
const CallerCredentials = "arn:aws:iam::*:user/*"

// A ServiceTarget is what an integration calls of another service.
type ServiceTarget struct{ Service, Region, Action, Path string }

// ParseServiceURI reads "arn:aws:apigateway:REGION:[SUBDOMAIN.]SERVICE:action/NAME" or ":path/PATH"; problem is what is wrong
// with it, in the words of API Gateway.
func ParseServiceURI(uri string) (t ServiceTarget, problem string) {
	part := strings.SplitN(uri, ":", 6)
	if len(part) != 6 || part[0] != "arn" || part[2] != "apigateway" || part[3] == "" || part[4] == "" {
		return ServiceTarget{}, "Invalid ARN specified in the request"
	}
	t = ServiceTarget{Service: part[4], Region: part[3]}
	if action, ok := strings.CutPrefix(part[5], "action/"); ok {
		t.Action = action
		return t, ""
	}
	path, ok := strings.CutPrefix(part[5], "path/")
	if !ok {
		return ServiceTarget{}, "AWS ARN for integration must contain path or action"
	}
	t.Path = "/" + strings.TrimPrefix(path, "/")
	return t, ""
}
