// Package boto3 runs scripts with each boto3 that the machine has: the one of Debian's packages is old enough to know no
// AWS_ENDPOINT_URL, the one of a virtual environment is not.
package boto3

import (
	"path/filepath"
	"strings"
	"testing"

	"brume/test/story"
)

func TestWalkthroughWithBoto3(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	runtimes, err := story.Runtimes(t.Context(), story.Build(t, root))
	if err != nil {
		t.Fatal(err)
	}
	runtime := ""
	for _, rt := range runtimes {
		if strings.HasPrefix(rt.Name, "python") {
			runtime = rt.Name
		}
	}
	if runtime == "" {
		t.Skip("the machine offers no Python runtime with boto3: see scripts/prerequisites")
	}
	suite(t, "walkthrough.py", "RUNTIME="+runtime, "EXAMPLES="+filepath.Join(root, "examples", "microservice-http-endpoint"))
}
