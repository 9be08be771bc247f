package apigateway

import (
	"strconv"
	"strings"
	"time"

	api "brume/internal/api/apigateway"
	"brume/internal/gatewaylog"
	"brume/internal/kv"
	"brume/internal/vtl"
)

// maxLogLine bounds one line of an execution log, in bytes. What is longer is cut.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
const maxLogLine = 1024

// A stageLog says what a stage logs.
type stageLog struct {
	roleARN string
	group   string // of the access log; empty for none
	format  string
}

// executionGroup is the log group of a stage's execution log.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-logging.html
func (s *stage) executionGroup() string {
	return "API-Gateway-Execution-Logs_" + s.apiID + "/" + s.name
}

// beginLog starts the execution log of a request whose method is to be logged.
func (s *Service) beginLog(x *exchange) {
	if x.method == nil || x.method.logLevel == "" || x.stage.logging.roleARN == "" || x.log != nil {
		return
	}
	x.log = newExecutionLog(x.requestID)
	x.log.quiet = !x.method.dataTrace
	x.log.printf("Extended Request Id: %s", x.extendedID)
}

// logPlan says how the check of the API key, of throttles and of quotas went.
func (x *exchange) logPlan(refusal *gatewayResponse) {
	if x.log == nil {
		return
	}
	key, stage := "", x.stage.apiID+"/"+x.stage.name
	if x.key != nil {
		key = maskedKey(x.key.value)
	}
	x.log.printf("Verifying Usage Plan for request: %s. API Key: %s API Stage: %s", x.requestID, key, stage)
	requires, contributes := "does not require", "not "
	if x.method.apiKeyRequired {
		requires, contributes = "requires", ""
	}
	x.log.printf("API Key %s authorized because method '%s %s' %s API Key. Request will %scontribute to throttle or quota limits",
		key, x.httpMethod, x.method.resource.path, requires, contributes)
	if refusal == nil {
		x.log.printf("Usage Plan check succeeded for API Key %s and API Stage %s", key, stage)
	}
}

// maskedKey is an API key as logs show it.
func maskedKey(key string) string {
	const shown = 6
	if len(key) <= 2*shown {
		return strings.Repeat("*", len(key))
	}
	return strings.Repeat("*", len(key)-shown) + key[len(key)-shown:]
}

// logRequest says what the method is asked.
func (x *exchange) logRequest() {
	if x.log == nil {
		return
	}
	x.log.printf("Starting execution for request: %s", x.requestID)
	x.log.printf("HTTP Method: %s, Resource Path: %s", x.httpMethod, x.method.resource.path)
	x.log.trace("Method request path: %s", logFields(x.params))
	x.log.trace("Method request query string: %s", logFields(x.req.Query))
	x.log.trace("Method request headers: %s", logFields(x.req.Header))
	x.log.trace("Method request body before transformations: %s", clip(string(x.req.Body)))
}

// endLog hands the logs of a request over: its execution log, if it is kept at the level of its method, and its line in the
// access log.
func (s *Service) endLog(x *exchange, r *Response, begin time.Time, refusal *gatewayResponse) {
	if x.stage == nil || x.caller != nil || s.logs == nil || x.stage.logging.roleARN == "" {
		return
	}
	stream := gatewaylog.Stream{Account: x.stage.account, Region: x.stage.region, RoleARN: x.stage.logging.roleARN}
	if x.log != nil && (x.method.logLevel == "INFO" || r.Status >= 400) {
		x.log.printf("Method completed with status: %d", r.Status)
		stream.Group = x.stage.executionGroup()
		s.logs.Add(stream, x.log.events("("+x.requestID+") ")...)
	}
	if x.stage.logging.group == "" {
		return
	}
	vars := x.contextMap()
	vars.Set("status", strconv.Itoa(r.Status))
	vars.Set("responseLength", strconv.Itoa(len(r.Body)))
	vars.Set("responseLatency", strconv.FormatInt(time.Since(begin).Milliseconds(), 10))
	x.setIntegration(vars)
	x.setAuthorization(vars, refusal)
	if refusal != nil {
		vars.Set("error", lenientMap([]Field{{"message", refusal.message}, {"messageString", refusal.messageJSON()}, {"responseType", refusal.kind}, {"validationErrorString", x.validationErrors}}))
	}
	stream.Group = x.stage.logging.group
	line := gatewaylog.Line(x.stage.logging.format, func(name string) (string, bool) { return contextText(vars, name) })
	s.logs.Add(stream, gatewaylog.Event{Time: time.Now(), Message: line})
}

// setIntegration sets what access logs know of an integration.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html
func (x *exchange) setIntegration(vars *vtl.Map) {
	in := lenientMap(nil)
	if x.integrated {
		latency, status := strconv.FormatInt(x.integrationLatency.Milliseconds(), 10), strconv.Itoa(x.integrationStatus)
		vars.Set("integrationLatency", latency)
		vars.Set("integrationStatus", status)
		in.Set("latency", latency)
		in.Set("integrationStatus", status)
		in.Set("status", status)
	}
	if x.endpointRequestID != "" {
		vars.Set("awsEndpointRequestId", x.endpointRequestID)
		in.Set("requestId", x.endpointRequestID)
	}
	if x.integrationError != "" {
		vars.Set("integrationErrorMessage", x.integrationError)
		in.Set("error", x.integrationError)
	}
	vars.Set("integration", in)
}

// setAuthorization sets what access logs know of who called: whether a signature was good, and whether its owner may call.
func (x *exchange) setAuthorization(vars *vtl.Map, refusal *gatewayResponse) {
	if x.method == nil || x.method.authorization != "AWS_IAM" {
		return
	}
	ok := lenientMap([]Field{{"status", "200"}})
	switch {
	case x.principal == nil && refusal != nil:
		vars.Set("authenticate", lenientMap([]Field{{"status", strconv.Itoa(refusal.status)}, {"error", refusal.message}}))
	case refusal != nil && refusal.kind == "ACCESS_DENIED":
		vars.Set("authenticate", ok)
		vars.Set("authorize", lenientMap([]Field{{"status", strconv.Itoa(refusal.status)}, {"error", refusal.message}}))
	default:
		vars.Set("authenticate", ok)
		vars.Set("authorize", ok)
	}
}

// checkLogging checks that what a stage logs can be logged.
func checkLogging(r kv.Reader, sc scope, st *api.Stage) error {
	logs := false
	if l := st.AccessLogSettings; l != nil && (value(l.DestinationArn) != "" || value(l.Format) != "") {
		logs = true
		if problem := gatewaylog.Check(value(l.DestinationArn), value(l.Format), sc.account, sc.region); problem != "" {
			return invalid("%s", problem)
		}
	}
	for _, m := range st.MethodSettings {
		logs = logs || value(m.LoggingLevel) != "" && *m.LoggingLevel != "OFF"
	}
	if !logs {
		return nil
	}
	role, err := roleForLogs(r, sc)
	if err == nil && role == "" {
		err = invalid("CloudWatch Logs role ARN must be set in account settings to enable logging")
	}
	return err
}

func roleForLogs(r kv.Reader, sc scope) (string, error) {
	row, err := get[accountRow](r, accountKey(sc))
	if err != nil || row == nil {
		return "", err
	}
	return value(row.CloudwatchRoleArn), nil
}

// LogRole is the role that an account has set for the logs of its APIs in a region; "" for none.
func (s *Service) LogRole(r kv.Reader, account, region string) (string, error) {
	return roleForLogs(r, scope{account, region})
}
