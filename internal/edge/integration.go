package edge

import (
	"context"
	"errors"
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

// HTTP sends requests to the endpoints of HTTP integrations.
type HTTP interface {
	// Send sends a request and reads the whole answer, whatever its status; redirects are answers. An answer over MaxBody
	// is ErrTooLarge.
	Send(ctx context.Context, c *HTTPCall) (*HTTPResult, error)
}

// ErrTooLarge is for an answer with a body over MaxBody.
var ErrTooLarge = errors.New("the answer is too large")

// An HTTPCall is a request of an integration.
type HTTPCall struct {
	Method, URL string
	Header      []Field
	Body        []byte
	// InsecureTLS takes any certificate.
	InsecureTLS bool
}

// An HTTPResult is what an endpoint answered.
type HTTPResult struct {
	Status int
	Header []Field
	Body   []byte
}

// ParseFunctionURI reads "arn:aws:apigateway:REGION:lambda:path/2015-03-31/functions/FUNCTION-ARN/invocations", and returns
// the function's ARN with its qualifier behind it, if it has one.
func ParseFunctionURI(uri string) (function string, ok bool) {
	_, path, ok := strings.Cut(uri, ":lambda:path/")
	if !ok || !strings.HasPrefix(uri, "arn:") {
		return "", false
	}
	_, rest, ok := strings.Cut("/"+strings.TrimPrefix(path, "/"), "/functions/")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(rest, "/invocations")
}

// ParseFunctionARN splits the ARN of a function, and its region, from a qualifier.
func ParseFunctionARN(arn string) (function, qualifier, region string, ok bool) {
	part := strings.Split(arn, ":")
	if len(part) < 7 || len(part) > 8 || part[0] != "arn" || part[2] != "lambda" || part[3] == "" || part[4] == "" || part[5] != "function" || part[6] == "" {
		return "", "", "", false
	}
	if len(part) == 8 {
		qualifier = part[7]
	}
	return strings.Join(part[:7], ":"), qualifier, part[3], true
}

// SubstituteStageVariables puts the values of stage variables in the place of ${stageVariables.name}.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/aws-api-gateway-stage-variables-reference.html
func SubstituteStageVariables(s string, variables map[string]string) string {
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

// EscapePath escapes what cannot stand in a path, and leaves slashes and what is escaped already.
func EscapePath(v string) string {
	const keep = "-._~!$&'()*+,;=:@/%"
	var b strings.Builder
	for i := range len(v) {
		c := v[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(keep, c) >= 0 {
			b.WriteByte(c)
		} else {
			const digits = "0123456789ABCDEF"
			b.WriteByte('%')
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		}
	}
	return b.String()
}
