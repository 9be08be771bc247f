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
		out[i] = gatewaylog.Event{Time: e.Time, Message: prefix + e.Message}
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
	return strings.ToValidUTF8(s[:most], "") + " [TRUNCATED]"
}

// A configError is a fault in how an API is set up, in the words of API Gateway's execution log.
type configError struct{ reason string }

func (e *configError) Error() string {
	return "Execution failed due to configuration error: " + e.reason
}

func misconfigured(format string, args ...any) error {
	return &configError{fmt.Sprintf(format, args...)}
}
