package apigatewayv2

import (
	"strconv"
	"strings"
	"time"

	"brume/internal/gatewaylog"
)

// logTurn hands over the line of an event that was handled, with the status it ended with.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-logging.html
func (s *Service) logTurn(t *turn, status, size int, f *socketFault) {
	if s.Logs == nil || t.stage == nil || t.stage.log == nil {
		return
	}
	line := gatewaylog.Line(t.stage.log.format, func(name string) (string, bool) { return t.logVariable(name, status, size, f) })
	s.Logs.Add(t.stage.log.stream, gatewaylog.Event{Time: time.Now(), Message: line})
}

// logVariable is a variable of $context as access logs have it: with what is known once an event was handled.
func (t *turn) logVariable(name string, status, size int, f *socketFault) (string, bool) {
	switch name {
	case "status":
		return strconv.Itoa(status), true
	case "responseLength":
		return strconv.Itoa(size), true
	case "responseLatency":
		return strconv.FormatInt(time.Since(t.begun).Milliseconds(), 10), true
	case "integrationLatency", "integration.latency":
		return strconv.FormatInt(t.latency.Milliseconds(), 10), t.integrated
	case "integrationStatus", "integration.status":
		return strconv.Itoa(t.integrationStatus), t.integrationStatus != 0
	}
	if f == nil {
		switch name {
		case "error.message", "error.messageString", "error.responseType", "integrationErrorMessage", "integration.error":
			return "", false
		}
		return lookUp(t.context(), name)
	}
	switch name {
	case "error.message":
		return f.message, true
	case "error.messageString":
		return strconv.Quote(f.message), true
	case "error.responseType":
		return f.kind(), true
	case "integrationErrorMessage", "integration.error":
		return f.reason, t.integrated && f.reason != ""
	}
	return lookUp(t.context(), name)
}

// kind is the type of the gateway response that a REST API would give for a fault.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/supported-gateway-response-types.html
func (f *socketFault) kind() string {
	switch {
	case f.status == 400 && strings.HasPrefix(f.message, "Invalid"), f.status == 400 && strings.HasPrefix(f.message, "Unable"):
		return "BAD_REQUEST_BODY"
	case strings.HasPrefix(f.message, "Missing required request parameters"):
		return "BAD_REQUEST_PARAMETERS"
	}
	switch f.status {
	case 401:
		return "UNAUTHORIZED"
	case 403:
		return "ACCESS_DENIED"
	case 415:
		return "UNSUPPORTED_MEDIA_TYPE"
	case 429:
		if f.message == "Limit Exceeded" {
			return "QUOTA_EXCEEDED"
		}
		return "THROTTLED"
	case 504:
		return "INTEGRATION_TIMEOUT"
	case 502:
		return "INTEGRATION_FAILURE"
	}
	return "API_CONFIGURATION_ERROR"
}
