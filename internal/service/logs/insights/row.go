package insights

import (
	"encoding/json"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// row is a record with what commands added to it, or, without a record, a row of statistics.
type row struct {
	rec        *Record
	columns    map[string]value
	discovered map[string]value
	now        int64
	matched    *int64
	aggregates []aggregate
}

func (r *row) set(name string, v value) {
	if r.columns == nil {
		r.columns = map[string]value{}
	}
	r.columns[name] = v
}

func (r *row) get(name string) value {
	if v, ok := r.columns[name]; ok {
		return v
	}
	if r.rec == nil {
		return value{}
	}
	switch name {
	case "@timestamp":
		return value{kind: moment, f: float64(r.rec.Timestamp)}
	case "@ingestionTime":
		return value{kind: moment, f: float64(r.rec.Ingestion)}
	case "@message":
		return str(r.rec.Message)
	case "@logStream":
		return str(r.rec.Stream)
	case "@log":
		return str(r.rec.Log)
	case "@ptr":
		return str(r.rec.Pointer)
	}
	if r.discovered == nil {
		r.discovered = discover(r.rec)
	}
	return r.discovered[name]
}

// systemFields are those that every record has.
var systemFields = [...]string{"@ingestionTime", "@log", "@logStream", "@message", "@ptr", "@timestamp"}

// FieldNames are the names of all fields of a record, in order.
func FieldNames(rec *Record) []string {
	names := slices.Clone(systemFields[:])
	for name := range discover(rec) {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Values are all fields of a record, by name.
func Values(rec *Record) map[string]string {
	r := &row{rec: rec}
	values := map[string]string{}
	for _, name := range FieldNames(rec) {
		values[name] = r.get(name).text()
	}
	return values
}

// discover finds the fields in a message: those of Lambda's lines, and those of JSON. In Lambda's logs JSON may follow other text.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_AnalyzeLogData-discoverable-fields.html
func discover(rec *Record) map[string]value {
	fields := map[string]value{}
	_, group, _ := strings.Cut(rec.Log, ":")
	isLambda := strings.HasPrefix(group, "/aws/lambda/")
	discoverLambda(rec.Message, isLambda, fields)
	body := strings.TrimSpace(rec.Message)
	if at := strings.IndexByte(body, '{'); at >= 0 && (at == 0 || isLambda) {
		d := json.NewDecoder(strings.NewReader(body[at:]))
		d.UseNumber()
		var v map[string]any
		if d.Decode(&v) == nil {
			flatten("", v, fields, 0)
		}
	}
	return fields
}

func flatten(prefix string, v any, fields map[string]value, depth int) {
	if len(fields) >= maxFields || depth > maxDepth {
		return
	}
	switch v := v.(type) {
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			flatten(join(prefix, name), v[name], fields, depth+1)
		}
	case []any:
		for i, x := range v {
			flatten(join(prefix, strconv.Itoa(i)), x, fields, depth+1)
		}
	case json.Number:
		if f, err := v.Float64(); err == nil && strconv.FormatFloat(f, 'f', -1, 64) == v.String() {
			fields[prefix] = num(f)
		} else {
			fields[prefix] = str(v.String())
		}
	case string:
		fields[prefix] = str(v)
	case bool:
		fields[prefix] = truth(v)
	}
}

func join(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return prefix + "." + name
}

var (
	lambdaLine    = regexp.MustCompile(`^(START|END|REPORT) RequestId: ([0-9a-f-]{36})`)
	lambdaRequest = regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`)
)

// reportFields are those of a REPORT line, with the factors of their units: memory is in bytes.
var reportFields = map[string]struct {
	name   string
	factor float64
}{
	"Duration": {"@duration", 1}, "Billed Duration": {"@billedDuration", 1}, "Init Duration": {"@initDuration", 1},
	"Memory Size": {"@memorySize", 1e6}, "Max Memory Used": {"@maxMemoryUsed", 1e6},
}

// maxRequestIDAt is how far into a line of a function its request id is looked for.
const maxRequestIDAt = 200

func discoverLambda(message string, isLambda bool, fields map[string]value) {
	m := lambdaLine.FindStringSubmatch(message)
	if m == nil {
		if isLambda {
			head := message[:min(len(message), maxRequestIDAt)]
			if id := lambdaRequest.FindString(head); id != "" && strings.Contains(head, "\t"+id+"\t") {
				fields["@requestId"] = str(id)
			}
		}
		return
	}
	fields["@type"], fields["@requestId"] = str(m[1]), str(m[2])
	if m[1] != "REPORT" {
		return
	}
	for part := range strings.SplitSeq(strings.ReplaceAll(message, "\n", "\t"), "\t") {
		name, rest, ok := strings.Cut(strings.TrimSpace(part), ": ")
		if !ok {
			continue
		}
		switch name {
		case "XRAY TraceId":
			fields["@xrayTraceId"] = str(rest)
		case "SegmentId":
			fields["@xraySegmentId"] = str(rest)
		}
		if to, ok := reportFields[name]; ok {
			amount, _, _ := strings.Cut(rest, " ")
			if f, ok := str(amount).number(); ok {
				fields[to.name] = num(f * to.factor)
			}
		}
	}
}
