package environment

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
)

// This file writes what Lambda itself writes to a function's log, in both formats.
// https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html
// https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html

// An outcome is how an init phase or an invocation ended, in the words of the log.
type outcome struct {
	status    string // "success", "error", "timeout"
	errorType string
}

var success = outcome{status: "success"}

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
	}{timestamp(w.shipper.now()), "platform." + typ, record})
	if err != nil {
		panic(err) // the records below hold nothing that cannot be written
	}
	w.writeSystem(string(line) + "\n")
}

func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

type initStart struct {
	InitializationType string `json:"initializationType"`
	Phase              string `json:"phase"`
	RuntimeVersion     string `json:"runtimeVersion,omitempty"`
	RuntimeVersionARN  string `json:"runtimeVersionArn,omitempty"`
	FunctionName       string `json:"functionName"`
	FunctionVersion    string `json:"functionVersion"`
}

func (w *logWriter) initStart(f *Function, runtimeVersion string) {
	if f.LogFormat == "JSON" {
		w.platform(f, "INFO", "initStart", initStart{f.initializationType(), w.phase, runtimeVersion, f.RuntimeARN, f.Name, f.Version})
		return
	}
	if w.phase == "invoke" {
		return // the first one has been said
	}
	w.writeSystem("INIT_START Runtime Version: " + runtimeVersion + "\tRuntime Version ARN: " + f.RuntimeARN + "\n")
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

// initReport is written for an init phase that failed: the duration of one that did not is in the first REPORT.
func (w *logWriter) initReport(f *Function, d time.Duration, o outcome) {
	if f.LogFormat == "JSON" {
		w.platform(f, "INFO", "initReport", initReport{f.initializationType(), w.phase, o.status, o.errorType, initMetrics{millis(d)}})
		return
	}
	w.writeSystem(fmt.Sprintf("INIT_REPORT Init Duration: %.2f ms\tPhase: %s\t", millis(d), w.phase) + o.text() + "\n")
}

// text is how lines end that tell of an outcome. A timeout has no further type there.
func (o outcome) text() string {
	if o.errorType == "" || o.status == "timeout" {
		return "Status: " + o.status
	}
	return "Status: " + o.status + "\tError Type: " + o.errorType
}

type startRecord struct {
	RequestID       string `json:"requestId"`
	FunctionARN     string `json:"functionArn,omitempty"`
	FunctionVersion string `json:"version"`
}

func (w *logWriter) start(f *Function, requestID string) {
	if f.LogFormat == "JSON" {
		w.platform(f, "INFO", "start", startRecord{RequestID: requestID, FunctionARN: f.ARN, FunctionVersion: f.Version})
		return
	}
	w.writeSystem("START RequestId: " + requestID + " Version: " + f.Version + "\n")
}

type reportRecord struct {
	RequestID string        `json:"requestId"`
	Metrics   reportMetrics `json:"metrics"`
	Status    string        `json:"status"`
	ErrorType string        `json:"errorType,omitempty"`
}

type reportMetrics struct {
	DurationMs       float64 `json:"durationMs"`
	BilledDurationMs int64   `json:"billedDurationMs"`
	MemorySizeMB     int     `json:"memorySizeMB"`
	MaxMemoryUsedMB  int64   `json:"maxMemoryUsedMB"`
	InitDurationMs   float64 `json:"initDurationMs,omitempty"`
}

// end writes the END and REPORT lines.
func (w *logWriter) end(f *Function, requestID string, u *Usage, o outcome) {
	billed := u.Billed.Milliseconds()
	used := min((u.MaxMemory+1<<20-1)>>20, int64(u.MemoryMB))
	if f.LogFormat == "JSON" {
		w.platform(f, "INFO", "report", reportRecord{requestID,
			reportMetrics{millis(u.Duration), billed, u.MemoryMB, used, millis(u.Init)}, o.status, o.errorType})
		return
	}
	w.writeSystem("END RequestId: " + requestID + "\n")
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
	w.writeSystem(string(append(b, '\n')))
}

// millis returns d in milliseconds, in hundredths.
func millis(d time.Duration) float64 {
	return math.Round(float64(d)/float64(time.Millisecond)*100) / 100
}

// billed is what AWS charges for: the init phase counts too.
// https://aws.amazon.com/blogs/compute/aws-lambda-standardizes-billing-for-init-phase/
func billed(duration, init time.Duration) time.Duration {
	return (duration + init + time.Millisecond - 1).Truncate(time.Millisecond)
}
