package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	lambdaapi "brume/internal/api/lambda"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/dispatch"
	"brume/internal/service/logs"
)

const logsPrincipal = "logs.amazonaws.com"

// subscribers invokes functions for the subscriptions of log groups, as the service principal of CloudWatch Logs.
type subscribers struct{ dispatcher *dispatch.Dispatcher }

func (s subscribers) Invoke(ctx context.Context, e *logs.FunctionEvent) error {
	// The ARN has been parsed by CloudWatch Logs: arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER].
	arn := strings.SplitN(e.FunctionARN, ":", 6)
	if len(arn) < 6 {
		return awserr.Validation("%q is not the ARN of a function.", e.FunctionARN)
	}
	kind := lambdaapi.InvocationTypeEvent
	if e.DryRun {
		kind = lambdaapi.InvocationTypeDryRun
	}
	// Policies name the principal with or without a region.
	// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/SubscriptionFilters.html#LambdaFunctionExample
	var err error
	for _, principal := range []string{logsPrincipal, fmt.Sprintf("logs.%s.amazonaws.com", arn[3])} {
		info := &call.Info{
			RequestID: call.NewRequestID(), Account: arn[4], Region: arn[3], Secure: true, Time: time.Now(),
			Principal:  call.Principal{Type: call.Service, ARN: principal},
			ViaService: logsPrincipal, SourceARN: e.SourceARN, SourceAccount: e.SourceAccount,
		}
		_, err = dispatch.Run[lambdaapi.InvokeOutput](call.With(ctx, info), s.dispatcher, "lambda", "Invoke",
			&lambdaapi.InvokeInput{FunctionName: &e.FunctionARN, InvocationType: &kind, Payload: e.Payload})
		if !hasCode(err, "AccessDenied", "AccessDeniedException") {
			return err
		}
	}
	return err
}
