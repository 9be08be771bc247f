package lambda

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"

	api "brume/internal/api/lambda"
	"brume/internal/service/lambda/environment"
)

// maxLineage is how often a chain of invocations may come back to a function before Lambda takes it for a loop.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html
const maxLineage = 16

// maxAncestors is how many functions a lineage remembers.
const maxAncestors = 64

// A lineage says through which functions a chain of invocations has come, each with how often it did. It travels in the
// tracing header, "Root=…;Lineage=a87bd80c:1|68fd508a:5", which SDKs in functions send along with what they call.
type lineage map[string]int

// ancestor names a function in lineages.
func ancestor(account, region, name string) string {
	sum := sha256.Sum256([]byte(account + "/" + region + "/" + name))
	return hex.EncodeToString(sum[:4])
}

// readLineage reads the lineage of a tracing header, and returns the header's other fields as they are.
func readLineage(trace string) (lineage, []string) {
	l, others := lineage{}, []string(nil)
	for field := range strings.SplitSeq(trace, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		if name != "Lineage" {
			if field != "" {
				others = append(others, field)
			}
			continue
		}
		for entry := range strings.SplitSeq(value, "|") {
			id, count, _ := strings.Cut(entry, ":")
			n, err := strconv.Atoi(count)
			if err == nil && n > 0 && n <= 1<<16 && len(id) == 8 && strings.Trim(id, "0123456789abcdef") == "" && len(l) < maxAncestors {
				l[id] = n
			}
		}
	}
	return l, others
}

// extendTrace returns a tracing header with one more passage through a function.
func extendTrace(trace string, f *environment.Function) string {
	id := ancestor(f.Account, f.Region, f.Name)
	if trace == "" {
		return "Lineage=" + id + ":1"
	}
	l, fields := readLineage(trace)
	if l[id] == 0 && len(l) == maxAncestors {
		for other := range l { // a loop of so many functions is no loop
			delete(l, other)
			break
		}
	}
	l[id]++
	entries := make([]string, 0, len(l))
	for _, id := range slices.Sorted(maps.Keys(l)) {
		entries = append(entries, id+":"+strconv.Itoa(l[id]))
	}
	return strings.Join(append(fields, "Lineage="+strings.Join(entries, "|")), ";")
}

// loops says whether a function that gets a tracing header runs in a loop that is to be stopped.
func (c *callable) loops(trace string) bool {
	if c.recursion {
		return false
	}
	l, _ := readLineage(trace)
	return l[ancestor(c.fn.Account, c.fn.Region, c.fn.Name)] >= maxLineage
}

// errLoop is what the caller is told whom a loop leads back to a function.
func errLoop() error {
	return &api.RecursiveInvocationException{Type: new(userFault), Message: new(
		"AWS Lambda detected the function being invoked in a recursive loop with other AWS resources and stopped your function's invocation.")}
}
