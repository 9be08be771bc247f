package story

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
)

// Runtimes returns the Python and the Node.js that this machine offers with an AWS SDK, as `brume runtimes --json`
// tells: at most one of each.
func Runtimes(ctx context.Context, brume string) ([]Runtime, error) {
	out, err := exec.CommandContext(ctx, brume, "runtimes", "--json").Output()
	if err != nil {
		return nil, fmt.Errorf("brume runtimes: %w", err)
	}
	var all []struct{ Name, SDK, Interpreter string }
	if err := json.Unmarshal(out, &all); err != nil {
		return nil, fmt.Errorf("brume runtimes printed %q: %w", out, err)
	}
	var list []Runtime
	for _, want := range []Runtime{
		{Name: "python", Handler: "lambda_function.lambda_handler", File: "python/lambda_function.py"},
		{Name: "nodejs", Handler: "index.handler", File: "nodejs/index.mjs"},
	} {
		for _, rt := range all {
			if strings.HasPrefix(rt.Name, want.Name) && rt.SDK != "" {
				want.Name, want.Interpreter = rt.Name, rt.Interpreter
				list = append(list, want)
				break
			}
		}
	}
	return list, nil
}
