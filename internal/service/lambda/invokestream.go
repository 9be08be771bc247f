package lambda

import (
	"context"
	"encoding/base64"

	api "brume/internal/api/lambda"
	"brume/internal/schema"
)

// eventStreamType is the content type of a response in events.
const eventStreamType = "application/vnd.amazon.eventstream"

// InvokeWithResponseStream returns before the function runs: it runs while its response is sent, and what keeps it from
// running is the error of that.
// https://docs.aws.amazon.com/lambda/latest/api/API_InvokeWithResponseStream.html
func (s *Service) InvokeWithResponseStream(ctx context.Context, in *api.InvokeWithResponseStreamInput) (*api.InvokeWithResponseStreamOutput, error) {
	r, err := resolveName(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	kind := api.InvocationTypeRequestResponse
	set(&kind, in.InvocationType)
	inv, err := s.invocation(ctx, r, kind, &api.InvokeInput{LogType: in.LogType, ClientContext: in.ClientContext, Payload: in.Payload})
	if err != nil {
		return nil, err
	}
	c, err := s.callable(ctx, r)
	if err != nil {
		return nil, err
	}
	out := &api.InvokeWithResponseStreamOutput{StatusCode: new(int32(200)), ExecutedVersion: new(c.fn.Version)}
	if kind == api.InvocationTypeDryRun {
		out.StatusCode = new(int32(204))
		return out, nil
	}
	if c.loops(inv.TraceID) {
		return nil, errLoop()
	}
	out.ResponseStreamContentType = new(eventStreamType)
	out.EventStream = func(send func(*schema.Event) error) error {
		inv.Stream = chunks(send)
		result, err := s.run(ctx, c, inv)
		if err != nil {
			return invokeError(err)
		}
		end := &api.InvokeWithResponseStreamCompleteEvent{}
		if result.Failed {
			end.ErrorCode, end.ErrorDetails = new(functionError), new(string(result.Payload))
		}
		if inv.Tail {
			end.LogResult = new(base64.StdEncoding.EncodeToString(result.LogTail))
		}
		return send(&schema.Event{Name: "InvokeComplete", Shape: "InvokeWithResponseStreamCompleteEvent", Members: end})
	}
	return out, nil
}

// chunks sends a response as events.
type chunks func(*schema.Event) error

// Begin implements environment.Stream.
func (chunks) Begin(string) {}

// Write implements environment.Stream.
func (send chunks) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := send(&schema.Event{Name: "PayloadChunk", Payload: p}); err != nil {
		return 0, err
	}
	return len(p), nil
}
