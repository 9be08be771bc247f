package environment

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"
)

// traceHeader is the tracing header that an invocation gets: it continues the trace of the header that its caller sent, if
// that has a root, and begins one that nobody samples if not. The lineage goes along.
// https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
func traceHeader(sent string, now time.Time) string {
	root, sampled, lineage := "", "0", ""
	for field := range strings.SplitSeq(sent, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch {
		case name == "Root" && validRoot(value):
			root = value
		case name == "Sampled" && value == "1":
			sampled = value
		case name == "Lineage" && value != "" && len(value) < 1<<10 && strings.Trim(value, "0123456789abcdef:|") == "":
			lineage = ";Lineage=" + value
		}
	}
	var b [20]byte
	rand.Read(b[:])
	if root == "" {
		root, sampled = fmt.Sprintf("1-%08x-%x", uint32(now.Unix()), b[:12]), "0"
	}
	return fmt.Sprintf("Root=%s;Parent=%x;Sampled=%s", root, b[12:], sampled) + lineage
}

// sampledTrace takes apart what traceHeader returned, and says whether the trace is sampled.
func sampledTrace(header string) (trace, segment string, sampled bool) {
	for field := range strings.SplitSeq(header, ";") {
		switch name, value, _ := strings.Cut(field, "="); name {
		case "Root":
			trace = value
		case "Parent":
			segment = value
		case "Sampled":
			sampled = value == "1"
		}
	}
	return trace, segment, sampled
}

// validRoot says whether s is the id of a trace: "1-5759e988-bd862e3fe1be46a994272793".
func validRoot(s string) bool {
	if len(s) != 35 || s[:2] != "1-" || s[10] != '-' {
		return false
	}
	return strings.Trim(s[2:10], "0123456789abcdef") == "" && strings.Trim(s[11:], "0123456789abcdef") == ""
}
