package apigatewayv2

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/gatewaylog"
	"brume/internal/kv"
)

// checkLogRole refuses execution logs that could not be written.
func (s *Service) checkLogRole(r kv.Reader, sc scope, row *apiRow, st *api.Stage) error {
	wanted := loggingOf(st, "").level != ""
	for key := range st.RouteSettings {
		wanted = wanted || loggingOf(st, key).level != ""
	}
	if !wanted || !row.isSocket() {
		return nil
	}
	role := ""
	if s.LogRoles != nil {
		var err error
		if role, err = s.LogRoles.LogRole(r, sc.account, sc.region); err != nil {
			return err
		}
	}
	if role == "" {
		return invalid("CloudWatch Logs role ARN must be set in account settings to enable logging")
	}
	return nil
}

// beginLog starts the execution log of an event whose route is known.
func (t *turn) beginLog() {
	if t.logging = t.stage.socket.logging; t.route != nil {
		t.logging = t.route.logging
	}
	t.note("Extended Request Id: %s", t.requestID)
	t.note("Starting execution for request: %s", t.requestID)
	t.note("WebSocket Request Route: [%s]", t.key)
	if t.event == "CONNECT" {
		t.note("Client [UserAgent: %s, SourceIp: %s] is connecting to WebSocket API [%s].", t.userAgent(), t.sourceIP(), t.c.at.API)
	}
	if t.event == "MESSAGE" {
		t.trace("Method request body before transformations: %s", t.body)
	}
}

// maxLogLine bounds one line of an execution log, in bytes. What is longer is cut.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
const maxLogLine = 1024

// note adds a line to the execution log, if there is one.
func (t *turn) note(format string, args ...any) {
	if t.logging.level == "" {
		return
	}
	const truncated = " [TRUNCATED]"
	line := "(" + t.requestID + ") " + fmt.Sprintf(format, args...)
	if len(line) > maxLogLine {
		line = strings.ToValidUTF8(line[:maxLogLine-len(truncated)], "") + truncated
	}
	t.lines = append(t.lines, gatewaylog.Event{Time: time.Now(), Message: line})
}

// trace is note for what an event or a result holds.
func (t *turn) trace(format string, data []byte) {
	if t.logging.trace {
		t.note(format, data)
	}
}

// endLog hands the execution log over.
func (s *Service) endLog(t *turn, status int, f *socketFault) {
	if t.logging.level == "" || t.logging.level == api.LoggingLevelError && f == nil && status < 400 || s.LogRoles == nil {
		return
	}
	switch {
	case f != nil && f.reason != "":
		t.note("Execution failed: %s", f.reason)
	case f != nil:
		t.note("Execution failed: %s", f.message)
	}
	switch {
	case t.event == "CONNECT" && status < 300:
		t.note("Client [Connection Id: %s] connected to API [%s] successfully.", t.c.id, t.c.at.API)
	case t.event == "DISCONNECT":
		t.note("Client [Connection Id: %s] disconnected from API [%s].", t.c.id, t.c.at.API)
	default:
		t.note("Method completed with status: %d", status)
	}
	stream := gatewaylog.Stream{Account: t.c.account, Region: t.c.region, Group: "/aws/apigateway/" + t.c.at.API + "/" + t.c.at.Stage}
	err := s.Store.View(context.Background(), func(r kv.Reader) (err error) {
		stream.RoleARN, err = s.LogRoles.LogRole(r, t.c.account, t.c.region)
		return err
	})
	if err != nil {
		s.Log.Error("API Gateway could not read a role for logs", t.attributes(slog.String("error", err.Error()))...)
	} else if stream.RoleARN != "" { // it was taken away since
		s.Logs.Add(stream, t.lines...)
	}
}

// logTurn hands over what there is to log of an event that was handled, with the status it ended with.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-logging.html
func (s *Service) logTurn(t *turn, status, size int, f *socketFault) {
	if s.Logs == nil || t.stage == nil {
		return
	}
	s.endLog(t, status, f)
	if t.stage.log == nil {
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
		return strconv.Itoa(t.integrationStatus), t.integrated && t.integrationStatus != 0
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
