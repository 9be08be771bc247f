package apigateway

import (
	"context"
	"strings"
)

// Lambda runs functions.
type Lambda interface {
	// Invoke runs a function and waits for its result. It does so as the service principal apigateway.amazonaws.com, or
	// with the integration's role where it names one, and is refused like any other caller: with an awserr.Error of code
	// AccessDeniedException where the function's policy does not allow it, ResourceNotFoundException,
	// TooManyRequestsException and so on.
	Invoke(ctx context.Context, in *LambdaInvocation) (*LambdaResult, error)
}

// A LambdaInvocation says what to run and in whose name.
type LambdaInvocation struct {
	// FunctionARN is the function's ARN without a qualifier, Qualifier a version or an alias, empty for none.
	FunctionARN, Qualifier string
	Payload                []byte
	// SourceARN is "arn:aws:execute-api:REGION:ACCOUNT:API/STAGE/METHOD/PATH", SourceAccount and Region those of the API.
	SourceARN, SourceAccount, Region string
	// RoleARN is the role to assume for the call; empty to call as apigateway.amazonaws.com.
	RoleARN string
	// TraceID is the X-Amzn-Trace-Id of the request.
	TraceID string
	// Async asks Lambda to take the payload and run the function later.
	Async bool
}

// A LambdaResult is what a function returned.
type LambdaResult struct {
	Payload []byte
	// FunctionError is "Handled" or "Unhandled" if the function failed; Payload is then the error.
	FunctionError   string
	RequestID       string
	ExecutedVersion string
}

// errInvalidFunction is AWS's line in the execution log for an integration whose URI names no function.
var errInvalidFunction = misconfigured("Invalid function ARN or invalid uri")

// A lambdaTarget is the function of an integration.
type lambdaTarget struct{ uri, arn, qualifier string }

// isLambdaURI says whether the URI of an integration is of Lambda.
func isLambdaURI(uri string) bool {
	part := strings.SplitN(uri, ":", 6)
	return len(part) == 6 && part[4] == "lambda"
}

// parseLambdaURI reads "arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/FUNCTION-ARN/invocations".
func parseLambdaURI(uri string) (lambdaTarget, error) {
	_, path, ok := strings.Cut(uri, ":lambda:path/")
	if !ok || !strings.HasPrefix(uri, "arn:") {
		return lambdaTarget{}, errInvalidFunction
	}
	_, rest, ok := strings.Cut("/"+strings.TrimPrefix(path, "/"), "/functions/")
	if !ok {
		return lambdaTarget{}, errInvalidFunction
	}
	arn, ok := strings.CutSuffix(rest, "/invocations")
	if !ok {
		return lambdaTarget{}, errInvalidFunction
	}
	part := strings.Split(arn, ":")
	if len(part) < 7 || len(part) > 8 || part[0] != "arn" || part[2] != "lambda" || part[3] == "" || part[4] == "" || part[5] != "function" || part[6] == "" {
		return lambdaTarget{}, errInvalidFunction
	}
	t := lambdaTarget{arn: strings.Join(part[:7], ":")}
	if len(part) == 8 {
		t.qualifier = part[7]
	}
	// What the log shows: the address that API Gateway would call.
	t.uri = "https://lambda." + part[3] + ".amazonaws.com/2015-03-31/functions/" + arn + "/invocations"
	return t, nil
}

// substituteStageVariables puts the values of stage variables in the place of ${stageVariables.name}.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/aws-api-gateway-stage-variables-reference.html
func substituteStageVariables(s string, variables map[string]string) string {
	const begin = "${stageVariables."
	if !strings.Contains(s, begin) {
		return s
	}
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(s, begin)
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		name, rest, ok := strings.Cut(after, "}")
		if !ok {
			b.WriteString(begin + after)
			return b.String()
		}
		b.WriteString(variables[name])
		s = rest
	}
}
