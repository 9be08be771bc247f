// Package layers holds no code: its test keeps the directions in which packages may import each other.
package layers

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// A rule says what packages may not import, and why.
type rule struct {
	from   string // the importing package or one above it, below the module
	banned func(from, to string) bool
	reason string
}

const module = "brume/"

var rules = []rule{
	{"internal/service", func(_, to string) bool { return to == "net/http" || strings.HasPrefix(to, module+"internal/wire") },
		"a service knows no HTTP: what it does must not depend on how it is called"},
	{"internal/service", func(from, to string) bool {
		other, ok := strings.CutPrefix(to, module+"internal/service/")
		return ok && first(other) != first(strings.TrimPrefix(from, module+"internal/service/"))
	}, "a service declares the interface it needs of another; the composition root connects them"},
	{"internal", func(from, to string) bool {
		return !strings.HasPrefix(from, module+"internal/app") && strings.HasPrefix(to, module+"internal/app")
	}, "only the command imports the composition root"},
	{"internal/api", func(_, to string) bool {
		return strings.HasPrefix(to, module) && !strings.HasPrefix(to, module+"internal/api/") &&
			to != module+"internal/schema" && to != module+"internal/awserr"
	}, "generated packages stand below everything"},
	{"internal/policy", func(_, to string) bool {
		return to == "os" || to == "net" || strings.HasPrefix(to, module+"internal/kv") || strings.HasPrefix(to, module+"internal/api")
	}, "policy evaluation is pure"},
	{"internal/kv", func(_, to string) bool {
		return strings.HasPrefix(to, module) && !strings.HasPrefix(to, module+"internal/kv")
	}, "a store knows nothing of what it stores"},
	{"internal/blob", func(_, to string) bool {
		return strings.HasPrefix(to, module) && !strings.HasPrefix(to, module+"internal/blob")
	}, "a store knows nothing of what it stores"},
	{"internal/sandbox", func(_, to string) bool {
		return strings.HasPrefix(to, module) && to != module+"internal/sandbox" && !strings.HasPrefix(to, module+"internal/sandbox/")
	}, "the sandbox runs processes, whatever they are"},
	{"internal/wire", func(_, to string) bool {
		return strings.HasPrefix(to, module+"internal/service/") || strings.HasPrefix(to, module+"internal/kv")
	}, "the wire calls services through the dispatcher, and holds no state"},
}

// exceptions are imports that a rule would refuse, each with its reason.
var exceptions = map[[2]string]string{
	{"brume/internal/wire/executeapi", "brume/internal/service/apigateway"}: "the data plane's HTTP side is written for this one domain, whose request and response it converts",
	{"brume/internal/wire/functionurl", "brume/internal/service/lambda"}:    "likewise for function URLs",
}

func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func first(path string) string {
	name, _, _ := strings.Cut(path, "/")
	return name
}

func TestImportsRunDownwards(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	used := map[[2]string]bool{}
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var pkg struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		for _, to := range pkg.Imports {
			for _, r := range rules {
				if !within(pkg.ImportPath, module+r.from) || !r.banned(pkg.ImportPath, to) {
					continue
				}
				edge := [2]string{pkg.ImportPath, to}
				if exceptions[edge] != "" {
					used[edge] = true
					continue
				}
				t.Errorf("%s imports %s: %s", pkg.ImportPath, to, r.reason)
			}
		}
	}
	for edge := range exceptions {
		if !used[edge] {
			t.Errorf("the exception for %s → %s is no longer needed", edge[0], edge[1])
		}
	}
}
