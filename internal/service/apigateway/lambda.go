package apigateway

import (
	"strings"

	"brume/internal/edge"
)

type (
	Lambda           = edge.Lambda
	LambdaInvocation = edge.LambdaInvocation
	LambdaResult     = edge.LambdaResult
)

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
	arn, ok := edge.ParseFunctionURI(uri)
	if !ok {
		return lambdaTarget{}, errInvalidFunction
	}
	function, qualifier, region, ok := edge.ParseFunctionARN(arn)
	if !ok {
		return lambdaTarget{}, errInvalidFunction
	}
	t := lambdaTarget{arn: function, qualifier: qualifier}
	// What the log shows: the address that API Gateway would call.
	t.uri = "https://lambda." + region + ".amazonaws.com/2015-03-31/functions/" + arn + "/invocations"
	return t, nil
}

func substituteStageVariables(s string, variables map[string]string) string {
	return edge.SubstituteStageVariables(s, variables)
}
