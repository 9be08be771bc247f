package environment

import (
	"regexp"
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
