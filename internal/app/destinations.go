package app

import (
	"context"
	"strings"
	"time"

	lambdaapi "brume/internal/api/lambda"
	"brume/internal/awserr"
	"brume/internal/call"
	"brume/internal/dispatch"
	"brume/internal/service/iam"
	"brume/internal/service/lambda"
)

// destinations sends what becomes of invocations to other services, each message with the permissions of the function's
// execution role. A service that comes adds its case to both methods.
type destinations struct {
	iam        *iam.Service
	dispatcher *dispatch.Dispatcher
}

func (destinations) Supports(service string) bool { return service == "lambda" }

func (d destinations) Check(ctx context.Context, m *lambda.Message) error {
	return d.invoke(ctx, m, lambdaapi.InvocationTypeDryRun)
}

func (d destinations) Send(ctx context.Context, m *lambda.Message) error {
	return d.invoke(ctx, m, lambdaapi.InvocationTypeEvent)
}

// invoke calls the function that is the target.
func (d destinations) invoke(ctx context.Context, m *lambda.Message, kind string) error {
	role, err := d.iam.Role(ctx, m.Role)
	if err != nil {
		return err
	}
	if role == nil {
		return awserr.New("AccessDenied", "The role %s does not exist.", m.Role)
	}
	target := strings.SplitN(m.Target, ":", 6)
	if len(target) != 6 || target[2] != "lambda" {
		return awserr.Validation("%s takes no records of invocations.", m.Target)
	}
	name := strings.SplitN(m.Source, ":", 8)[6]
	ctx = call.With(ctx, &call.Info{
		RequestID: call.NewRequestID(), Account: target[4], Region: target[3], Principal: sessionOf(role, name), Secure: true,
		Time: time.Now(), ViaService: lambdaPrincipal, SourceARN: m.Source, SourceAccount: m.Account, TraceID: m.TraceID,
	})
	_, err = dispatch.Run[lambdaapi.InvokeOutput](ctx, d.dispatcher, "lambda", "Invoke",
		&lambdaapi.InvokeInput{FunctionName: &m.Target, InvocationType: &kind, Payload: m.Body})
	return err
}
