package lambda

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	api "brume/internal/api/lambda"
	"brume/internal/blob"
	"brume/internal/call"
	"brume/internal/kv"
	"brume/internal/runtimes"
	"brume/internal/service/lambda/environment"
)

// Limits of an invocation.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
// https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
const (
	maxPayload       = 6 << 20 // bytes, of a synchronous invocation
	maxEventPayload  = 1 << 20 // of an asynchronous one
	maxClientContext = 3583    // in base64
)

// https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
func (s *Service) Invoke(ctx context.Context, in *api.InvokeInput) (*api.InvokeOutput, error) {
	r, err := resolveName(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	kind := api.InvocationTypeRequestResponse
	set(&kind, in.InvocationType)
	inv, err := s.invocation(ctx, r, kind, in)
	if err != nil {
		return nil, err
	}
	if kind == api.InvocationTypeEvent {
		if err := s.enqueue(ctx, r, inv); err != nil {
			return nil, err
		}
		return &api.InvokeOutput{StatusCode: new(int32(202))}, nil
	}
	c, err := s.callable(ctx, r)
	if err != nil {
		return nil, err
	}
	if kind == api.InvocationTypeDryRun {
		return &api.InvokeOutput{StatusCode: new(int32(204))}, nil
	}
	if c.loops(inv.TraceID) {
		return nil, errLoop()
	}
	result, err := s.run(ctx, c, inv)
	if errors.Is(err, blob.ErrNotFound) {
		// The function was updated or deleted since it was read, and its old code is gone.
		if c, err = s.callable(ctx, r); err != nil {
			return nil, err
		}
		result, err = s.run(ctx, c, inv)
	}
	if err != nil {
		return nil, invokeError(err)
	}
	out := &api.InvokeOutput{StatusCode: new(int32(200)), ExecutedVersion: new(c.fn.Version), Payload: result.Payload}
	if result.Failed {
		out.FunctionError = new(functionError)
	}
	if inv.Tail {
		out.LogResult = new(base64.StdEncoding.EncodeToString(result.LogTail))
	}
	return out, nil
}

// callable finds what a call of r runs.
func (s *Service) callable(ctx context.Context, r ref) (c *callable, err error) {
	err = s.store.View(ctx, func(rd kv.Reader) (err error) {
		c, err = s.resolve(rd, r)
		return err
	})
	return c, err
}

func (s *Service) run(ctx context.Context, c *callable, inv *environment.Invocation) (*environment.Result, error) {
	inv.Limits, inv.TraceID = c.limits, extendTrace(inv.TraceID, c.fn)
	return s.environments.Invoke(ctx, c.fn, inv)
}

// functionError is what X-Amz-Function-Error says of every failure.
const functionError = "Unhandled"

// invocation checks what a request brings, and makes an invocation of it.
func (s *Service) invocation(ctx context.Context, r ref, kind string, in *api.InvokeInput) (*environment.Invocation, error) {
	limit := maxPayload
	if kind == api.InvocationTypeEvent {
		limit = maxEventPayload
	}
	payload := in.Payload
	if len(payload) > limit {
		return nil, &api.RequestTooLargeException{Type: new(userFault), Message: new(
			fmt.Sprintf("%d byte payload is too large for the %s invocation type (limit %d bytes)", len(payload), kind, limit))}
	}
	if len(payload) == 0 {
		payload = []byte("{}")
	} else if !validPayload(payload) {
		return nil, badRequest("Could not parse request body into json: Could not parse payload into json: %s", explainJSON(payload))
	}
	inv := &environment.Invocation{
		RequestID: call.From(ctx).RequestID, FunctionARN: r.arn(), Payload: payload, TraceID: call.From(ctx).TraceID,
		Tail: in.LogType != nil && *in.LogType == api.LogTypeTail && kind == api.InvocationTypeRequestResponse,
	}
	if in.ClientContext != nil && *in.ClientContext != "" {
		if len(*in.ClientContext) > maxClientContext {
			return nil, badRequest("Client context must be no longer than %d bytes.", maxClientContext)
		}
		decoded, err := base64.StdEncoding.DecodeString(*in.ClientContext)
		if err != nil || !json.Valid(decoded) {
			return nil, badRequest("Client context must be a valid Base64-encoded JSON object.")
		}
		inv.ClientContext = string(decoded)
	}
	return inv, nil
}

func badRequest(format string, args ...any) error {
	return &api.InvalidRequestContentException{Type: new(userFault), Message: new(fmt.Sprintf(format, args...))}
}

// invokeError is the API's error for a function that could not be run.
func invokeError(err error) error {
	if t, ok := errors.AsType[*environment.ThrottledError](err); ok {
		return throttled(t.Reason)
	}
	if u, ok := errors.AsType[*runtimes.UnavailableError](err); ok {
		return &api.InvalidRuntimeException{Type: new(userFault), Message: new(u.Error())}
	}
	switch {
	case errors.Is(err, environment.ErrRoleDenied):
		return accessDenied("The role defined for the function cannot be assumed by Lambda.")
	case errors.Is(err, environment.ErrClosed):
		return &api.ServiceException{Type: new("Service"), Message: new("Brume is stopping: it takes no more invocations.")}
	}
	return err
}
