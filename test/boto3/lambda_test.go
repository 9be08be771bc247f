package boto3

import (
	"path/filepath"
	"strings"
	"testing"

	"brume/test/story"
)

func TestLambda(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	offered, err := story.Runtimes(t.Context(), story.Build(t, root))
	if err != nil {
		t.Fatal(err)
	}
	runtime := ""
	for _, rt := range offered {
		if strings.HasPrefix(rt.Name, "python") {
			runtime = rt.Name
		}
	}
	if runtime == "" {
		t.Skip("the machine offers no Python runtime with boto3: see scripts/prerequisites")
	}
	suite(t, "lambda.py", "RUNTIME="+runtime)
}
