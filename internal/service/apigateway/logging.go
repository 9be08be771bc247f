package apigateway

import (
	"strconv"
	"time"

	api "brume/internal/api/apigateway"
	"brume/internal/gatewaylog"
	"brume/internal/kv"
)

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
	if x.integrated {
		vars.Set("integrationLatency", strconv.FormatInt(x.integrationLatency.Milliseconds(), 10))
		vars.Set("integrationStatus", strconv.Itoa(x.integrationStatus))
	}
	if refusal != nil {
		vars.Set("error", lenientMap([]Field{{"message", refusal.message}, {"messageString", refusal.messageJSON()}, {"responseType", refusal.kind}, {"validationErrorString", x.validationErrors}}))
	}
	stream.Group = x.stage.logging.group
	line := gatewaylog.Line(x.stage.logging.format, func(name string) (string, bool) { return contextText(vars, name) })
	s.logs.Add(stream, gatewaylog.Event{Time: time.Now(), Message: line})
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
	row, err := get[accountRow](r, accountKey(sc))
	if err != nil {
		return err
	}
	if row == nil || value(row.CloudwatchRoleArn) == "" {
		return invalid("CloudWatch Logs role ARN must be set in account settings to enable logging")
	}
	return nil
}
