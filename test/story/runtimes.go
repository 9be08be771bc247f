package story

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// Runtimes returns the Python and the Node.js that this machine offers with an AWS SDK, as `brume runtimes --names`
// tells: at most one of each.
func Runtimes(ctx context.Context, brume string) ([]Runtime, error) {
	out, err := exec.CommandContext(ctx, brume, "runtimes", "--names").Output()
	if err != nil {
		return nil, fmt.Errorf("brume runtimes: %w", err)
	}
	found := map[string]Runtime{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		name, sdk, _ := strings.Cut(lines.Text(), "\t")
		if sdk == "" {
			continue
		}
		switch {
		case strings.HasPrefix(name, "python"):
			found["python"] = Runtime{Name: name, Handler: "lambda_function.lambda_handler", File: "python/lambda_function.py"}
		case strings.HasPrefix(name, "nodejs"):
			found["nodejs"] = Runtime{Name: name, Handler: "index.handler", File: "nodejs/index.mjs"}
		}
	}
	var list []Runtime
	for _, kind := range []string{"python", "nodejs"} {
		if rt, ok := found[kind]; ok {
			list = append(list, rt)
		}
	}
	return list, lines.Err()
}
