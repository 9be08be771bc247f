package apigateway

import (
	"slices"
	"strconv"
	"strings"

	api "brume/internal/api/apigateway"
)

// A patch is one operation of a PATCH request.
// https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html
type patch struct {
	op, path string
	value    *string
	from     string // of "copy"
	// segments are those of the path, decoded: "~1" is a slash, "~0" a tilde.
	segments []string
}

// A patchRule is an operation on a path that a resource supports, and what it does. In the path "*" stands for any one
// segment and "**" for any number, at least one.
type patchRule struct {
	ops   string // "add replace remove"
	path  string
	apply func(p *patch) error
}

// applyPatches runs operations one after the other. The first that no rule supports, or that fails, ends it.
func applyPatches(ops []api.PatchOperation, rules []patchRule) error {
	for i := range ops {
		p := patch{op: value(ops[i].Op), path: value(ops[i].Path), value: ops[i].Value, from: value(ops[i].From)}
		rest, ok := strings.CutPrefix(p.path, "/")
		if !ok {
			return p.unsupported(rules)
		}
		for s := range strings.SplitSeq(rest, "/") {
			p.segments = append(p.segments, strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~"))
		}
		n := slices.IndexFunc(rules, func(r patchRule) bool {
			return slices.Contains(strings.Fields(r.ops), p.op) && matchPattern(strings.Split(r.path[1:], "/"), p.segments)
		})
		if n < 0 {
			return p.unsupported(rules)
		}
		if err := rules[n].apply(&p); err != nil {
			return err
		}
	}
	return nil
}

func matchPattern(pattern, segments []string) bool {
	for i, want := range pattern {
		if want == "**" {
			tail := pattern[i+1:]
			return len(segments) > i+len(tail) && matchPattern(tail, segments[len(segments)-len(tail):])
		}
		if i >= len(segments) || want != "*" && want != segments[i] || segments[i] == "" {
			return false
		}
	}
	return len(pattern) == len(segments)
}

func (p *patch) unsupported(rules []patchRule) error {
	var paths []string
	for _, r := range rules {
		if slices.Contains(strings.Fields(r.ops), p.op) {
			paths = append(paths, r.path)
		}
	}
	return invalid("Invalid patch path  '%s' specified for op '%s'. Must be one of: [%s]", clip(p.path), clip(p.op), strings.Join(paths, ", "))
}

// last is the last segment.
func (p *patch) last() string { return p.segments[len(p.segments)-1] }

func (p *patch) bad() error {
	return invalid("Invalid value '%s' specified for path '%s'", clip(value(p.value)), clip(p.path))
}

// The functions below make what a rule does for a member of a kind.

// setString sets a text; an empty one removes it.
func setString(to **string) func(*patch) error {
	return func(p *patch) error {
		*to = nil
		if p.op != "remove" && value(p.value) != "" {
			*to = p.value
		}
		return nil
	}
}

func setBool(to **bool) func(*patch) error {
	return func(p *patch) error {
		switch strings.ToLower(value(p.value)) {
		case "true":
			*to = new(true)
		case "false":
			*to = new(false)
		default:
			return p.bad()
		}
		return nil
	}
}

func setInt(to **int32) func(*patch) error {
	return func(p *patch) error {
		if p.op == "remove" || value(p.value) == "" {
			*to = nil
			return nil
		}
		n, err := strconv.ParseInt(*p.value, 10, 32)
		if err != nil {
			return p.bad()
		}
		*to = new(int32(n))
		return nil
	}
}

func setFloat(to **float64) func(*patch) error {
	return func(p *patch) error {
		f, err := strconv.ParseFloat(value(p.value), 64)
		if err != nil || f != f || f < -1 || f > 1e12 {
			return p.bad()
		}
		*to = &f
		return nil
	}
}

// setEntry sets or removes the entry of a map that the last segment names.
func setEntry(to *map[string]string) func(*patch) error {
	return func(p *patch) error {
		if p.op == "remove" {
			delete(*to, p.last())
			return nil
		}
		if *to == nil {
			*to = map[string]string{}
		}
		(*to)[p.last()] = value(p.value)
		return nil
	}
}

// setFlag is setEntry for maps of booleans.
func setFlag(to *map[string]bool) func(*patch) error {
	return func(p *patch) error {
		if p.op == "remove" {
			delete(*to, p.last())
			return nil
		}
		if *to == nil {
			*to = map[string]bool{}
		}
		var b *bool
		if p.value == nil {
			b = new(false)
		} else if err := setBool(&b)(p); err != nil {
			return err
		}
		(*to)[p.last()] = *b
		return nil
	}
}
