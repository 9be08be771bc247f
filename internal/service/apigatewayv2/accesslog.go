package apigatewayv2

import (
	"strconv"
	"strings"
	"time"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/edge"
	"brume/internal/gatewaylog"
)

// An accessLog is where a stage's access log goes, and how its lines look.
type accessLog struct {
	stream gatewaylog.Stream
	format string
}

// compileAccessLog returns nil for a stage without an access log. The logs of HTTP APIs are delivered without a role of the
// account.
func (d *deployed) compileAccessLog(settings *api.AccessLogSettings) *accessLog {
	if settings == nil {
		return nil
	}
	group, ok := gatewaylog.GroupOf(value(settings.DestinationArn), d.account, d.region)
	if !ok || value(settings.Format) == "" {
		return nil
	}
	return &accessLog{gatewaylog.Stream{Account: d.account, Region: d.region, Group: group}, *settings.Format}
}

// checkAccessLog refuses settings by which nothing could be logged.
func checkAccessLog(sc scope, l *api.AccessLogSettings) error {
	if l == nil {
		return nil
	}
	if (value(l.DestinationArn) == "") != (value(l.Format) == "") {
		return invalid("Invalid accessLogSettings: an access log has a destinationArn and a format")
	}
	if problem := gatewaylog.Check(value(l.DestinationArn), value(l.Format), sc.account, sc.region); problem != "" {
		return invalid("%s", problem)
	}
	return nil
}

// A timing is what the access log tells of an integration.
type timing struct {
	latency time.Duration
	// service is what Lambda or the endpoint answered, status the function or the endpoint; 0 for nothing.
	service, status int
	// requestID and requestID2 are those of the service that was called.
	requestID, requestID2 string
	problem               string
	begun                 bool
}

// logAccess hands over the line of a request that was answered.
func (s *Service) logAccess(x *exchange, r *edge.Response) {
	if s.Logs == nil || x.stage == nil || x.stage.log == nil {
		return
	}
	line := gatewaylog.Line(x.stage.log.format, func(name string) (string, bool) { return x.logVariable(name, r) })
	s.Logs.Add(x.stage.log.stream, gatewaylog.Event{Time: time.Now(), Message: line})
}

// logVariable is a variable of $context as access logs have it: with what is known once there is an answer.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
func (x *exchange) logVariable(name string, r *edge.Response) (string, bool) {
	switch name {
	case "status":
		return strconv.Itoa(r.Status), true
	case "responseLength":
		return strconv.Itoa(len(r.Body)), true
	case "responseLatency":
		return strconv.FormatInt(time.Since(x.begin).Milliseconds(), 10), true
	case "dataProcessed":
		return strconv.Itoa(len(x.req.Body) + len(r.Body)), true
	case "error.message", "error.messageString", "error.responseType":
		if x.integrated || r.Status < 400 {
			return "", false
		}
		kind, text := x.ownError(r.Status)
		switch name {
		case "error.message":
			return text, true
		case "error.messageString":
			return strconv.Quote(text), true
		}
		return kind, true
	case "authorizer.error":
		return x.authorizerProblem, x.authorizerProblem != ""
	case "awsEndpointRequestId", "integration.requestId":
		return x.integration.requestID, true
	case "awsEndpointRequestId2":
		return x.integration.requestID2, true
	case "integrationErrorMessage", "integration.error":
		return x.integration.problem, true
	case "integrationLatency", "integration.latency":
		return strconv.FormatInt(x.integration.latency.Milliseconds(), 10), x.integration.begun
	case "integrationStatus", "integration.integrationStatus":
		return strconv.Itoa(x.integration.service), x.integration.service != 0
	case "integration.status":
		return strconv.Itoa(x.integration.status), x.integration.status != 0
	}
	return x.contextVariable(name)
}

// ownError is the type and the message of an answer of API Gateway's own.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
func (x *exchange) ownError(status int) (kind, text string) {
	switch status {
	case 401:
		return "UNAUTHORIZED", "Unauthorized"
	case 403:
		return "ACCESS_DENIED", "Forbidden"
	case 404:
		return "RESOURCE_NOT_FOUND", "Not Found"
	case 413:
		return "REQUEST_TOO_LARGE", "Request Entity Too Large"
	case 429:
		return "THROTTLED", "Too Many Requests"
	case 503:
		if strings.Contains(x.integration.problem, "in time") {
			return "INTEGRATION_TIMEOUT", "Service Unavailable"
		}
		return "INTEGRATION_FAILURE", "Service Unavailable"
	}
	if x.authorizerProblem != "" {
		return "AUTHORIZER_FAILURE", "Internal Server Error"
	}
	return "INTEGRATION_FAILURE", "Internal Server Error"
}
