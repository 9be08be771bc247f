package environment

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"brume/internal/runtimeapi"
	"brume/internal/telemetry"
)

// This file says what Lambda itself says of an environment: in the function's log, in both formats, and to extensions that
// have subscribed.
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html
// https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html

// An outcome is how an init phase or an invocation ended, in the words of the log.
type outcome struct {
	status    string // "success", "error", "timeout"
	errorType string
}

var success = outcome{status: "success"}

// level is that of an event with this outcome.
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html#monitoring-cloudwatchlogs-log-level-mapping
func (o outcome) level(ofSuccess string) string {
	if o.status == success.status {
		return ofSuccess
	}
	return "WARN"
}

// text is how lines end that tell of an outcome.
func (o outcome) text() string {
	if typ := o.typ(); typ != "" {
		return "Status: " + o.status + "\tError Type: " + typ
	}
	return "Status: " + o.status
}

// typ is the type of error that is told of: there is none of a timeout.
// https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html#Status
func (o outcome) typ() string {
	if o.status == "timeout" {
		return ""
	}
	return o.errorType
}

// runtime is the outcome as the runtime's part of an invocation has it.
func (o outcome) runtime() outcome {
	if o.status == "error" && strings.HasPrefix(o.errorType, "Sandbox.") {
		o.status = "failure"
	}
	return o
}

// systemLevels orders the levels of system logs.
func systemLevel(name string) int {
	switch name {
	case "DEBUG":
		return 0
	case "WARN":
		return 2
	}
	return 1
}

// platform writes a record in the JSON format, if level reaches the function's.
func (w *logWriter) platform(f *Function, level, typ string, record any) {
	if systemLevel(level) < systemLevel(f.SystemLogLevel) {
		return
	}
	line, err := json.Marshal(struct {
		Time   string `json:"time"`
		Type   string `json:"type"`
		Record any    `json:"record"`
	}{telemetry.Timestamp(w.shipper.now()), "platform." + typ, record})
	if err != nil {
		panic(err) // the records below hold nothing that cannot be written
	}
	w.writeSystem(string(line) + "\n")
}

// publish tells subscribers of an event. record and logs make it, if there are any: as the Telemetry and the Logs API have it.
func (e *environment) publish(typ string, recent bool, record, logs func() any) {
	if !e.hub.Wanted() {
		return
	}
	event := telemetry.Event{Time: e.log.shipper.now(), Type: "platform." + typ, Recent: recent}
	if record != nil {
		event.Record = record()
	}
	if logs != nil {
		event.LogsRecord = logs()
	}
	e.hub.Publish(event)
}

// line takes a line of output, which message is, of the function or of an extension.
func (e *environment) line(category, message string) {
	e.log.write(message)
	if e.hub.Wanted() {
		e.hub.Publish(telemetry.Line(e.log.shipper.now(), category, message))
	}
}

// A span is a part of what an event is about.
type span struct {
	Name       string  `json:"name"`
	Start      string  `json:"start"`
	DurationMs float64 `json:"durationMs"`
}

func newSpan(name string, from, to time.Time) span {
	return span{name, telemetry.Timestamp(from), micros(to.Sub(from))}
}

type tracing struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

func newTracing(traceID string) *tracing { return &tracing{"X-Amzn-Trace-Id", traceID} }

type initStart struct {
	InitializationType string `json:"initializationType"`
	Phase              string `json:"phase"`
	RuntimeVersion     string `json:"runtimeVersion,omitempty"`
	RuntimeVersionARN  string `json:"runtimeVersionArn,omitempty"`
	FunctionName       string `json:"functionName"`
	FunctionVersion    string `json:"functionVersion"`
	InstanceID         string `json:"instanceId,omitempty"`
	InstanceMaxMemory  int64  `json:"instanceMaxMemory,omitempty"` // bytes
}

// initStart is told when a sandbox is started for the function, or taken.
func (e *environment) initStart(runtimeVersion string) {
	f := e.fn
	record := initStart{
		InitializationType: f.initializationType(), Phase: e.log.phase, RuntimeVersion: runtimeVersion, RuntimeVersionARN: f.RuntimeARN,
		FunctionName: f.Name, FunctionVersion: f.Version,
	}
	if f.LogFormat == "JSON" {
		e.log.platform(f, "INFO", "initStart", record)
	} else if e.log.phase != "invoke" { // or the first one has been said
		e.log.writeSystem("INIT_START Runtime Version: " + runtimeVersion + "\tRuntime Version ARN: " + f.RuntimeARN + "\n")
	}
	if f.initialization != provisionedConcurrency {
		e.log.startTail() // what follows belongs to the first invocation's
	}
	e.publish("initStart", false, func() any {
		record.InstanceID, record.InstanceMaxMemory = e.log.stream.Stream, int64(f.MemoryMB)<<20
		return record
	}, nil)
}

type initRuntimeDone struct {
	InitializationType string `json:"initializationType"`
	Phase              string `json:"phase"`
	Status             string `json:"status"`
	ErrorType          string `json:"errorType,omitempty"`
}

type extensionRecord struct {
	Name      string   `json:"name"`
	State     string   `json:"state"`
	Events    []string `json:"events"`
	ErrorType string   `json:"errorType,omitempty"`
}

type initReport struct {
	InitializationType string      `json:"initializationType"`
	Phase              string      `json:"phase"`
	Status             string      `json:"status"`
	ErrorType          string      `json:"errorType,omitempty"`
	Metrics            initMetrics `json:"metrics"`
}

type initMetrics struct {
	DurationMs float64 `json:"durationMs"`
}

// initEnd tells of the end of the init phase: how the runtime has come through it, the extensions, and the whole. In the text
// format the last is written of a phase that failed alone: the duration of one that did not is in the first REPORT.
func (e *environment) initEnd(d time.Duration, o outcome, extensions []runtimeapi.Extension) {
	f, typ := e.fn, e.fn.initializationType()
	done := initRuntimeDone{typ, e.log.phase, o.status, o.typ()}
	if f.LogFormat == "JSON" {
		e.log.platform(f, o.level("DEBUG"), "initRuntimeDone", done)
	}
	e.publish("initRuntimeDone", false, func() any { return done }, nil)

	for _, x := range extensions {
		record := extensionRecord{x.Name, x.State, append([]string{}, x.Events...), x.ErrorType}
		switch {
		case f.LogFormat != "JSON":
			line := "EXTENSION\tName: " + x.Name + "\tState: " + x.State + "\tEvents: [" + strings.Join(x.Events, ", ") + "]"
			if x.ErrorType != "" {
				line += "\tError Type: " + x.ErrorType
			}
			e.log.writeSystem(line + "\n")
		case x.State == "Ready":
			e.log.platform(f, "INFO", "extension", record)
		default:
			e.log.platform(f, "WARN", "extension", record)
		}
		it := func() any { return record }
		e.publish("extension", false, it, it)
	}

	report := initReport{typ, e.log.phase, o.status, o.typ(), initMetrics{micros(d)}}
	level := o.level("DEBUG")
	if level == "DEBUG" && typ != "on-demand" {
		level = "INFO"
	}
	switch {
	case f.LogFormat == "JSON":
		e.log.platform(f, level, "initReport", report)
	case o != success:
		e.log.writeSystem(fmt.Sprintf("INIT_REPORT Init Duration: %.2f ms\tPhase: %s\t", millis(d), e.log.phase) + o.text() + "\n")
	}
	e.publish("initReport", false, func() any { return report }, nil)
}

// subscribed tells the log of what concerns the telemetry itself; those that it concerns know.
func (e *environment) subscribed(typ string, record any) {
	level := "INFO"
	if _, dropped := record.(*telemetry.Dropped); dropped {
		level = "WARN"
	}
	if e.fn.LogFormat == "JSON" {
		e.log.platform(e.fn, level, strings.TrimPrefix(typ, "platform."), record)
		return
	}
	switch record := record.(type) {
	case *telemetry.Subscribed:
		types := make([]string, len(record.Types))
		for i, t := range record.Types {
			types[i] = strings.ToUpper(t[:1]) + t[1:]
		}
		name := "TELEMETRY"
		if typ == "platform.logsSubscription" {
			name = "LOGS"
		}
		e.log.writeSystem(name + "\tName: " + record.Name + "\tState: " + record.State + "\tTypes: [" + strings.Join(types, ", ") + "]\n")
	case *telemetry.Dropped:
		e.log.writeSystem(fmt.Sprintf("[brume] %d events of telemetry (%d bytes) were dropped: %s\n", record.Records, record.Bytes, record.Reason))
	}
}

type startRecord struct {
	RequestID       string   `json:"requestId"`
	FunctionARN     string   `json:"functionArn,omitempty"`
	FunctionVersion string   `json:"version"`
	Tracing         *tracing `json:"tracing,omitempty"`
}

func (e *environment) start(f *Function, requestID, traceID string) {
	record := startRecord{RequestID: requestID, FunctionARN: f.ARN, FunctionVersion: f.Version}
	if f.LogFormat == "JSON" {
		e.log.platform(f, "INFO", "start", record)
	} else {
		e.log.writeSystem("START RequestId: " + requestID + " Version: " + f.Version + "\n")
	}
	e.publish("start", false, func() any {
		record.Tracing = newTracing(traceID)
		return record
	}, func() any {
		record.FunctionARN, record.Tracing = "", nil
		return record
	})
}

type runtimeDone struct {
	RequestID string         `json:"requestId"`
	Status    string         `json:"status"`
	ErrorType string         `json:"errorType,omitempty"`
	Tracing   *tracing       `json:"tracing,omitempty"`
	Spans     []span         `json:"spans,omitempty"`
	Metrics   runtimeMetrics `json:"metrics"`
}

type runtimeMetrics struct {
	DurationMs    float64 `json:"durationMs"`
	ProducedBytes int64   `json:"producedBytes"`
}

type runtimeDoneLogs struct {
	RequestID string `json:"requestId"`
	Status    string `json:"status"`
}

// runtimeDone is told when the runtime has finished with an invocation: an extension can still be at it.
func (r *run) runtimeDone(o outcome) {
	if r.done {
		return
	}
	r.done, r.ready = true, time.Now()
	e, level := r.e, o.level("DEBUG")
	logged := r.f.LogFormat == "JSON" && systemLevel(level) >= systemLevel(r.f.SystemLogLevel)
	if !logged && !e.hub.Wanted() {
		return
	}
	e.drain() // what was written before comes before
	record := runtimeDone{
		RequestID: r.inv.RequestID, Status: o.runtime().status, ErrorType: o.typ(),
		Metrics: runtimeMetrics{DurationMs: micros(r.ready.Sub(r.began))},
	}
	if a := r.answer; a != nil && !a.Began.IsZero() {
		record.Metrics.ProducedBytes = a.Produced
		record.Spans = append(record.Spans, newSpan("responseLatency", r.began, a.Began))
		if !a.Ended.IsZero() {
			record.Spans = append(record.Spans, newSpan("responseDuration", a.Began, a.Ended), newSpan("runtimeOverhead", a.Ended, r.ready))
		}
	}
	if logged {
		e.log.platform(r.f, level, "runtimeDone", record)
	}
	e.publish("runtimeDone", true, func() any {
		record.Tracing = newTracing(r.traceID)
		return record
	}, func() any { return runtimeDoneLogs{record.RequestID, record.Status} })
}

// fault is told when an invocation fails without an answer: lines are what the log has of it.
func (e *environment) fault(lines string) {
	e.publish("fault", false, nil, func() any { return lines })
}

type reportRecord struct {
	RequestID string        `json:"requestId"`
	Metrics   reportMetrics `json:"metrics"`
	Tracing   *tracing      `json:"tracing,omitempty"`
	Spans     []span        `json:"spans,omitempty"`
	Status    string        `json:"status,omitempty"`
	ErrorType string        `json:"errorType,omitempty"`
}

type reportMetrics struct {
	DurationMs       float64 `json:"durationMs"`
	BilledDurationMs int64   `json:"billedDurationMs"`
	MemorySizeMB     int     `json:"memorySizeMB"`
	MaxMemoryUsedMB  int64   `json:"maxMemoryUsedMB"`
	InitDurationMs   float64 `json:"initDurationMs,omitempty"`
}

type endRecord struct {
	RequestID string `json:"requestId"`
}

// report tells of the end of an invocation: the END and REPORT lines.
func (r *run) report(u *Usage, o outcome) {
	e, f, requestID := r.e, r.f, r.inv.RequestID
	billed := u.Billed.Milliseconds()
	used := min((u.MaxMemory+1<<20-1)>>20, int64(u.MemoryMB))
	if f.LogFormat == "JSON" || e.hub.Wanted() {
		record := reportRecord{RequestID: requestID, Status: o.status, ErrorType: o.typ(),
			Metrics: reportMetrics{micros(u.Duration), billed, u.MemoryMB, used, micros(u.Init)}}
		if r.extended {
			record.Spans = []span{newSpan("extensionOverhead", r.ready, time.Now())}
		}
		if f.LogFormat == "JSON" {
			e.log.platform(f, o.level("INFO"), "report", record)
		}
		e.publish("end", false, nil, func() any { return endRecord{requestID} })
		e.publish("report", false, func() any {
			record.Tracing = newTracing(r.traceID)
			return record
		}, func() any { return reportRecord{RequestID: requestID, Metrics: record.Metrics} })
	}
	if f.LogFormat == "JSON" {
		return
	}
	e.log.writeSystem("END RequestId: " + requestID + "\n")
	b := make([]byte, 0, 256)
	b = append(b, "REPORT RequestId: "...)
	b = append(b, requestID...)
	b = append(b, "\tDuration: "...)
	b = strconv.AppendFloat(b, millis(u.Duration), 'f', 2, 64)
	b = append(b, " ms\tBilled Duration: "...)
	b = strconv.AppendInt(b, billed, 10)
	b = append(b, " ms\tMemory Size: "...)
	b = strconv.AppendInt(b, int64(u.MemoryMB), 10)
	b = append(b, " MB\tMax Memory Used: "...)
	b = strconv.AppendInt(b, used, 10)
	b = append(b, " MB\t"...)
	if u.Init > 0 {
		b = append(b, "Init Duration: "...)
		b = strconv.AppendFloat(b, millis(u.Init), 'f', 2, 64)
		b = append(b, " ms\t"...)
	}
	if o != success {
		b = append(b, o.text()...)
	}
	if trace, segment, sampled := sampledTrace(r.traceID); sampled {
		b = append(b, "\nXRAY TraceId: "+trace+"\tSegmentId: "+segment+"\tSampled: true\t"...)
	}
	e.log.writeSystem(string(append(b, '\n')))
}

// millis returns d in milliseconds, in hundredths, as the text format has it.
func millis(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Millisecond)*100) / 100
}

// micros returns d in milliseconds, in thousandths, as the JSON format has it.
func micros(d time.Duration) float64 { return float64(d.Round(time.Microsecond).Microseconds()) / 1000 }

// billed is what AWS charges for: the init phase counts too.
// https://aws.amazon.com/blogs/compute/aws-lambda-standardizes-billing-for-init-phase/
func billed(duration, init time.Duration) time.Duration {
	return (duration + init + time.Millisecond - 1).Truncate(time.Millisecond)
}
