package app

import (
	"context"
	"strings"
	"time"

	lambdaapi "brume/internal/api/lambda"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/dispatch"
	"brume/internal/service/apigateway"
	"brume/internal/service/iam"
	"brume/internal/service/sts"
)

const gatewayPrincipal = "apigateway.amazonaws.com"

// lambdaIntegration lets API Gateway invoke functions: as its service principal, which the function's policy must allow,
// or as the role that the integration names.
type lambdaIntegration struct {
	dispatcher *dispatch.Dispatcher
	iam        *iam.Service
	sts        *sts.Service
}

func (l lambdaIntegration) Invoke(ctx context.Context, in *apigateway.LambdaInvocation) (*apigateway.LambdaResult, error) {
	// The ARN has been parsed by API Gateway: arn:aws:lambda:REGION:ACCOUNT:function:NAME.
	arn := strings.SplitN(in.FunctionARN, ":", 6)
	if len(arn) < 6 {
		return nil, awserr.Validation("%q is not the ARN of a function.", in.FunctionARN)
	}
	principal := call.Principal{Type: call.Service, ARN: gatewayPrincipal}
	if in.RoleARN != "" {
		var err error
		if principal, err = l.assume(ctx, in); err != nil {
			return nil, err
		}
	}
	info := &call.Info{
		RequestID: call.NewRequestID(), Account: arn[4], Region: arn[3], Principal: principal, Secure: true, Time: time.Now(),
		ViaService: gatewayPrincipal, SourceARN: in.SourceARN, SourceAccount: in.SourceAccount,
	}
	request := &lambdaapi.InvokeInput{FunctionName: &in.FunctionARN, Payload: in.Payload}
	if in.Qualifier != "" {
		request.Qualifier = &in.Qualifier
	}
	out, err := dispatch.Run[lambdaapi.InvokeOutput](call.With(ctx, info), l.dispatcher, "lambda", "Invoke", request)
	if err != nil {
		return nil, err
	}
	result := &apigateway.LambdaResult{Payload: out.Payload, RequestID: info.RequestID}
	if out.FunctionError != nil {
		result.FunctionError = *out.FunctionError
	}
	if out.ExecutedVersion != nil {
		result.ExecutedVersion = *out.ExecutedVersion
	}
	return result, nil
}

// assume is the principal of the integration's role, if API Gateway may assume that.
func (l lambdaIntegration) assume(ctx context.Context, in *apigateway.LambdaInvocation) (call.Principal, error) {
	const session = "BackplaneAssumeRoleSession"
	if err := l.sts.MayAssume(ctx, sts.ServiceSession{
		Service: gatewayPrincipal, RoleARN: in.RoleARN, Name: session, SourceARN: in.SourceARN, SourceAccount: in.SourceAccount,
	}); err != nil {
		return call.Principal{}, err
	}
	role, err := l.iam.Role(ctx, in.RoleARN)
	if err != nil {
		return call.Principal{}, err
	}
	if role == nil {
		return call.Principal{}, awserr.New("AccessDenied", "The role %s does not exist.", in.RoleARN)
	}
	return sessionOf(role, session), nil
}
