package apigateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"brume/internal/awserr"
	"brume/internal/vtl"
)

// Invoke answers a request to a deployed API. It never fails: what goes wrong inside is answered as API Gateway does, and
// logged where it is a fault of ours or of the API's configuration.
func (s *Service) Invoke(ctx context.Context, req *Request) *Response {
	if strings.IndexByte(req.RawQuery, ';') >= 0 {
		req.Query = parseQuery(req.RawQuery)
	}
	x := &exchange{req: req, httpMethod: req.Method, requestID: newRequestID(), extendedID: newExtendedID()}
	x.traceID = traceIDOf(req, req.Time)
	begin := time.Now()
	refusal, err := s.admit(ctx, x)
	if err != nil {
		s.log.ErrorContext(ctx, "API Gateway could not admit a request", slog.String("api", req.API), slog.String("stage", req.Stage),
			slog.String("request_id", x.requestID), slog.String("error", err.Error()))
		refusal = configurationError()
	}
	var r *Response
	if refusal != nil {
		x.log.printf("%s", x.logged(refusal))
		r = s.answer(ctx, x, refusal)
	} else {
		r = s.integrate(ctx, x)
	}
	x.compress(r)
	s.endLog(x, r, begin, refusal)
	return withIDs(r, x.requestID, x.extendedID)
}

// integrate runs the integration of an admitted request.
func (s *Service) integrate(ctx context.Context, x *exchange) *Response {
	in := x.method.integration
	switch {
	case in == nil:
		return s.refuse(ctx, x, configurationError(), "Execution failed due to configuration error: No integration defined for method")
	case in.problem != nil:
		return s.refuse(ctx, x, configurationError(), in.problem.Error())
	case in.kind == "MOCK":
		return s.mock(ctx, x)
	case in.kind == "AWS_PROXY":
		return s.lambdaProxy(ctx, x)
	case in.kind == "AWS" && in.service.Service != "":
		return s.callService(ctx, x)
	case in.kind == "AWS":
		return s.lambdaCustom(ctx, x)
	case in.kind == "HTTP_PROXY":
		return s.httpProxy(ctx, x)
	case in.kind == "HTTP":
		return s.httpCustom(ctx, x)
	}
	return s.refuse(ctx, x, configurationError(), "Execution failed due to configuration error: Integration type "+in.kind+" is not supported")
}

// refuse answers with a gateway response, and says why in the execution log and in ours.
func (s *Service) refuse(ctx context.Context, x *exchange, g *gatewayResponse, reason string) *Response {
	x.log.printf("%s", clip(reason))
	x.integrationError = clip(reason)
	if x.caller == nil {
		s.log.WarnContext(ctx, "API Gateway: "+clip(reason), slog.String("api", x.stage.apiID), slog.String("stage", x.stage.name),
			slog.String("method", x.httpMethod), slog.String("resource", x.method.resource.path), slog.String("request_id", x.requestID))
	}
	return s.answer(ctx, x, g)
}

// failMapping answers for a template or a mapping that failed.
func (s *Service) failMapping(ctx context.Context, x *exchange, err error) *Response {
	if errors.Is(err, errUnsupportedMedia) {
		return s.refuse(ctx, x, unsupportedMediaType(), err.Error())
	}
	var known *configError
	if !errors.As(err, &known) {
		err = misconfigured("Unable to transform request: %v", err)
	}
	return s.refuse(ctx, x, configurationError(), err.Error())
}

// mock answers by the request template, which says which status the integration had.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-mock-integration.html
func (s *Service) mock(ctx context.Context, x *exchange) *Response {
	vars := &lazyContext{x: x}
	payload, err := x.integrationRequest(vars)
	if err != nil {
		return s.failMapping(ctx, x, err)
	}
	x.log.trace("Endpoint request body after transformations: %s", clip(string(payload)))
	status, ok := mockStatus(payload)
	if !ok {
		return s.refuse(ctx, x, configurationError(),
			"Execution failed due to configuration error: Unable to parse statusCode. It should be an integer and defined in request template.")
	}
	r, err := x.methodResponse(vars, &integrationResult{selector: strconv.Itoa(status), status: status})
	if err != nil {
		return s.failMapping(ctx, x, err)
	}
	return s.logResponse(x, r)
}

func mockStatus(payload []byte) (int, bool) {
	v, err := vtl.ParseJSON(payload)
	if err != nil {
		return 0, false
	}
	m, ok := v.(*vtl.Map)
	if !ok {
		return 0, false
	}
	v, _ = m.Get("statusCode")
	n, err := strconv.Atoi(fmt.Sprint(v))
	return n, err == nil
}

// lambdaProxy hands the whole request to a function and takes the whole response from it.
func (s *Service) lambdaProxy(ctx context.Context, x *exchange) *Response {
	result, refusal := s.callLambda(ctx, x, x.proxyEvent(), false)
	if refusal != nil {
		return refusal
	}
	if result.FunctionError != "" {
		return s.refuse(ctx, x, badGateway(), "Lambda execution failed with status 200 due to customer function error: "+
			functionErrorMessage(result.Payload)+". Lambda request id: "+result.RequestID)
	}
	r, err := x.finishProxy(result.Payload)
	switch {
	case errors.Is(err, errMalformed):
		return s.refuse(ctx, x, badGateway(), err.Error())
	case err != nil:
		return s.refuse(ctx, x, configurationError(), err.Error())
	case len(r.Body) > MaxBody:
		return s.refuse(ctx, x, badGateway(), "Execution failed due to configuration error: Integration response of reported length "+
			strconv.Itoa(len(r.Body))+" is larger than allowed maximum of 10485760 bytes.")
	}
	return s.logResponse(x, r)
}

// lambdaCustom maps the request to a function's input, and its output to the response.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/getting-started-lambda-non-proxy-integration.html
func (s *Service) lambdaCustom(ctx context.Context, x *exchange) *Response {
	vars := &lazyContext{x: x}
	payload, err := x.integrationRequest(vars)
	if err != nil {
		return s.failMapping(ctx, x, err)
	}
	kind := valuesOf(x.outgoing(vars, nil).header, "X-Amz-Invocation-Type", true)
	result, refusal := s.callLambda(ctx, x, payload, len(kind) > 0 && kind[len(kind)-1] == "Event")
	if refusal != nil {
		return refusal
	}
	selector := ""
	if result.FunctionError != "" {
		selector = functionErrorMessage(result.Payload)
	}
	r, err := x.methodResponse(vars, &integrationResult{selector: selector, status: 200, body: result.Payload})
	if err != nil {
		return s.failMapping(ctx, x, err)
	}
	return s.logResponse(x, r)
}

// callLambda runs the function of an integration. On failure it returns the response to give.
func (s *Service) callLambda(ctx context.Context, x *exchange, payload []byte, async bool) (*LambdaResult, *Response) {
	in := x.method.integration
	if x.log != nil {
		x.log.printf("Endpoint request URI: %s", in.target.uri)
		x.log.trace("Endpoint request headers: %s", logFields([]Field{
			{"X-Amz-Date", x.req.Time.UTC().Format("20060102T150405Z")}, {"x-amzn-apigateway-api-id", x.stage.apiID}, {"Accept", "application/json"},
			{"User-Agent", "AmazonAPIGateway_" + x.stage.apiID}, {"X-Amzn-Trace-Id", x.traceID}, {"Content-Type", "application/json"},
			{"X-Amz-Source-Arn", x.sourceARN()}}))
		x.log.trace("Endpoint request body after transformations: %s", clip(string(payload)))
		x.log.printf("Sending request to %s", in.target.uri)
	}
	// A client that goes away does not stop its function, just as in AWS.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), in.timeout)
	defer cancel()
	begin := time.Now()
	result, err := s.lambda.Invoke(bounded, &LambdaInvocation{
		FunctionARN: in.target.arn, Qualifier: in.target.qualifier, Payload: payload, SourceARN: x.sourceARN(),
		SourceAccount: x.stage.account, Region: x.stage.region, RoleARN: in.credentials, TraceID: x.traceID, Async: async,
	})
	if err != nil {
		return nil, s.lambdaFailure(ctx, x, bounded, err)
	}
	x.integrated, x.integrationStatus, x.integrationLatency, x.endpointRequestID = true, 200, time.Since(begin), result.RequestID
	if x.log != nil {
		x.log.printf("Received response. Status: 200, Integration latency: %d ms", time.Since(begin).Milliseconds())
		headers := []Field{{"Content-Type", "application/json"}, {"Content-Length", strconv.Itoa(len(result.Payload))}, {"x-amzn-RequestId", result.RequestID},
			{"X-Amz-Executed-Version", result.ExecutedVersion}, {"X-Amzn-Trace-Id", x.traceID}}
		if result.FunctionError != "" {
			headers = append(headers, Field{"X-Amz-Function-Error", result.FunctionError})
		}
		x.log.trace("Endpoint response headers: %s", logFields(headers))
		x.log.trace("Endpoint response body before transformations: %s", clip(string(result.Payload)))
	}
	return result, nil
}

// lambdaFailure answers for a function that did not run to its end.
func (s *Service) lambdaFailure(ctx context.Context, x *exchange, bounded context.Context, err error) *Response {
	if bounded.Err() != nil {
		return s.refuse(ctx, x, integrationTimeout(), "Execution failed due to a timeout error")
	}
	var known awserr.Error
	if errors.As(err, &known) {
		switch known.ErrorCode() {
		case "AccessDeniedException", "AccessDenied", "ResourceNotFoundException":
			// AWS does not tell a missing function from one that it may not call.
			return s.refuse(ctx, x, configurationError(), "Execution failed due to configuration error: Invalid permissions on Lambda function")
		}
		return s.refuse(ctx, x, configurationError(), fmt.Sprintf("Lambda invocation failed with status: %d. Message: %s", known.HTTPStatus(), known.ErrorMessage()))
	}
	s.log.ErrorContext(ctx, "API Gateway could not call Lambda", slog.String("api", x.stage.apiID), slog.String("request_id", x.requestID), slog.String("error", err.Error()))
	return s.refuse(ctx, x, configurationError(), "Execution failed due to an internal error")
}

// functionErrorMessage is the errorMessage of a failed function, or its whole output if there is none.
func functionErrorMessage(payload []byte) string {
	if v, err := vtl.ParseJSON(payload); err == nil {
		if m, ok := v.(*vtl.Map); ok {
			if s, ok := m.Get("errorMessage"); ok {
				if s, ok := s.(string); ok {
					return s
				}
			}
		}
	}
	return string(payload)
}

func (s *Service) logResponse(x *exchange, r *Response) *Response {
	if x.log != nil {
		x.log.trace("Method response body after transformations: %s", clip(string(r.Body)))
		x.log.trace("Method response headers: %s", logFields(r.Header))
		x.log.printf("Successfully completed execution")
	}
	return r
}
