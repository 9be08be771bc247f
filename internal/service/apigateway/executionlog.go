package apigateway

import (
	"fmt"
	"strings"
	"time"

	"brume/internal/gatewaylog"
)

// An executionLog is the log of one request, in API Gateway's form. A nil log takes no lines, so that a request nobody
// looks at costs nothing.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-test-method.html
type executionLog struct {
	requestID string
	lines     []gatewaylog.Event
	// quiet leaves out what shows data of requests and responses.
	quiet bool
}

const logTime = "Mon Jan 02 15:04:05 UTC 2006"

func newExecutionLog(requestID string) *executionLog { return &executionLog{requestID: requestID} }

// printf adds a line. Callers for whom the arguments are costly ask for nil first.
func (l *executionLog) printf(format string, args ...any) {
	if l != nil {
		l.lines = append(l.lines, gatewaylog.Event{Time: time.Now(), Message: fmt.Sprintf(format, args...)})
	}
}

// trace adds a line that shows data of the request or the response.
func (l *executionLog) trace(format string, args ...any) {
	if l != nil && !l.quiet {
		l.printf(format, args...)
	}
}

// events are the lines with a prefix each.
func (l *executionLog) events(prefix string) []gatewaylog.Event {
	out := make([]gatewaylog.Event, len(l.lines))
	for i, e := range l.lines {
		message := prefix + e.Message
		if len(message) > maxLogLine {
			message = strings.ToValidUTF8(message[:maxLogLine-len(truncated)], "") + truncated
		}
		out[i] = gatewaylog.Event{Time: e.Time, Message: message}
	}
	return out
}

// String is the log as TestInvokeMethod shows it.
func (l *executionLog) String() string {
	var b strings.Builder
	b.WriteString("Execution log for request " + l.requestID + "\n")
	for _, e := range l.lines {
		b.WriteString(e.Time.UTC().Format(logTime) + " : " + e.Message + "\n")
	}
	return b.String()
}

// logFields writes fields as Java writes a map: {a=1, b=2}.
func logFields(fields []Field) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, f := range fields {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(f.Name + "=" + f.Value)
	}
	b.WriteByte('}')
	return b.String()
}

// clip shortens what goes into a line of a log.
func clip(s string) string {
	const most = 1024
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + truncated
}

const truncated = " [TRUNCATED]"

// logged is a refusal as the execution log has it.
func (x *exchange) logged(refusal *gatewayResponse) string {
	if refusal.kind != "BAD_REQUEST_BODY" {
		return refusal.message
	}
	contentType, _ := x.req.header("Content-Type")
	if contentType == "" {
		contentType = "application/json"
	}
	return "Request body does not match model schema for content type " + clip(contentType) + ": " + x.validationErrors
}

// A configError is a fault in how an API is set up, in the words of API Gateway's execution log.
type configError struct{ reason string }

func (e *configError) Error() string {
	return "Execution failed due to configuration error: " + e.reason
}

func misconfigured(format string, args ...any) error {
	return &configError{fmt.Sprintf(format, args...)}
}
