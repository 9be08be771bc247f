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
	all, err := Offered(ctx, brume)
	if err != nil {
		return nil, err
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

// An Offer is a runtime that this machine has.
type Offer struct{ Name, SDK, Interpreter string }

// Offered returns all of them.
func Offered(ctx context.Context, brume string) ([]Offer, error) {
	out, err := exec.CommandContext(ctx, brume, "runtimes", "--json").Output()
	if err != nil {
		return nil, fmt.Errorf("brume runtimes: %w", err)
	}
	var all []Offer
	if err := json.Unmarshal(out, &all); err != nil {
		return nil, fmt.Errorf("brume runtimes printed %q: %w", out, err)
	}
	return all, nil
}
