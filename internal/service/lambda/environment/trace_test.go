package environment

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
func TestTraceHeader(t *testing.T) {
	const root, parent = "1-5759e988-bd862e3fe1be46a994272793", "53995c3f42cd8ad8"
	now := time.Unix(0x5759e988, 0)
	fresh := `^Root=1-5759e988-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0$`
	for sent, want := range map[string]string{
		"":             fresh,
		"Root=" + root: `^Root=` + root + `;Parent=[0-9a-f]{16};Sampled=0$`,
		"Self=1-6; Root=" + root + "; Parent=" + parent + ";Sampled=1": `^Root=` + root + `;Parent=[0-9a-f]{16};Sampled=1$`,
		"Root=" + root + ";Sampled=?":                                  `^Root=` + root + `;Parent=[0-9a-f]{16};Sampled=0$`,
		"Lineage=a87bd80c:1|68fd508a:5":                                `^Root=1-5759e988-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0;Lineage=a87bd80c:1\|68fd508a:5$`,
		"Lineage=\n":                                                   fresh,
		"Sampled=1":                                                    fresh,
		"Root=1-5759E988-bd862e3fe1be46a994272793;Sampled=1":           fresh,
		"Root=1-5759e988-bd862e3fe1be46a99427279":                      fresh,
		"Root=1-5759e988-bd862e3fe1be46a99427279\r;Sampled=1":          fresh,
	} {
		got := traceHeader(sent, now)
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%q became %q", sent, got)
		}
		if got == traceHeader(sent, now) || regexp.MustCompile(parent).MatchString(got) {
			t.Errorf("%q became %q, the parent of which is not new", sent, got)
		}
	}
}

// Of a sampled trace the report tells.
// https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html has the fields.
func TestReportOfTrace(t *testing.T) {
	t.Parallel()
	h := newHarness(t, true, nil)
	f := h.python("import os\ndef handler(e, c): return os.environ['_X_AMZN_TRACE_ID']")
	for _, sampled := range []string{"0", "1"} {
		r, err := h.manager.Invoke(t.Context(), f, &Invocation{
			RequestID: "00000000-0000-4000-8000-00000000000" + sampled, Payload: []byte("1"), Tail: true, Limits: Limits{Reserved: -1, Unreserved: 1},
			TraceID: "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=" + sampled,
		})
		must(t, err)
		trace, segment, _ := sampledTrace(strings.Trim(string(r.Payload), `"`))
		if trace != "1-5759e988-bd862e3fe1be46a994272793" || len(segment) != 16 {
			t.Errorf("%s", r.Payload)
		}
		want := " MB\t\n"
		if sampled == "1" {
			want = " MB\t\nXRAY TraceId: " + trace + "\tSegmentId: " + segment + "\tSampled: true\t\n"
		}
		if log := regexp.MustCompile(`Init Duration: .* ms\t`).ReplaceAllString(string(r.LogTail), ""); !strings.HasSuffix(log, want) {
			t.Errorf("the log is %q", log)
		}
	}
}
