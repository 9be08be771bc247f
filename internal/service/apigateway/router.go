package apigateway

import (
	"net/url"
	"strings"
)

// A router finds the resource that a path belongs to. At each segment a literal goes before a parameter, and a parameter
// before a greedy one; where the better choice leads nowhere the next is tried.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-settings-method-request.html
type router struct{ root routeNode }

type routeNode struct {
	literals map[string]*routeNode
	param    *routeNode
	greedy   *resource
	resource *resource
}

// splitPath cuts a path into its segments. A trailing slash makes no further segment; "/" has none at all.
func splitPath(path string) []string {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// paramName is the name in "{name}" or "{name+}".
func paramName(segment string) (name string, greedy, ok bool) {
	inner, ok := strings.CutPrefix(segment, "{")
	if !ok {
		return "", false, false
	}
	if inner, ok = strings.CutSuffix(inner, "}"); !ok {
		return "", false, false
	}
	name, greedy = strings.CutSuffix(inner, "+")
	return name, greedy, name != ""
}

func (rt *router) add(r *resource) {
	n := &rt.root
	for _, segment := range splitPath(r.path) {
		name, greedy, isParam := paramName(segment)
		switch {
		case isParam && greedy:
			r.params = append(r.params, name)
			n.greedy = r
			return
		case isParam:
			r.params = append(r.params, name)
			if n.param == nil {
				n.param = &routeNode{}
			}
			n = n.param
		default:
			next := n.literals[segment]
			if next == nil {
				next = &routeNode{}
				if n.literals == nil {
					n.literals = make(map[string]*routeNode)
				}
				n.literals[segment] = next
			}
			n = next
		}
	}
	n.resource = r
}

// match returns the resource of a raw path and the values of its parameters, still encoded.
func (rt *router) match(path string) (*resource, []Field) {
	segments := splitPath(path)
	values := make([]string, 0, 4)
	r, values := rt.root.match(segments, values)
	if r == nil || len(values) == 0 {
		return r, nil
	}
	params := make([]Field, len(values))
	for i, v := range values {
		params[i] = Field{r.params[i], v}
	}
	return r, params
}

// pathOf is the path that led to the resource with these parameters in the one form that policies see, however it was
// encoded: only slashes and percent signs inside of a segment are.
func (r *resource) pathOf(params []Field) string {
	var b strings.Builder
	for _, segment := range splitPath(r.path) {
		b.WriteByte('/')
		if _, _, isParam := paramName(segment); isParam && len(params) > 0 {
			segment, params = canonical(params[0].Value), params[1:]
		}
		b.WriteString(segment)
	}
	if b.Len() == 0 {
		return "/"
	}
	return b.String()
}

// canonical undoes the percent-encoding of part of a path, but for slashes and percent signs. What is not well formed stays.
func canonical(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if s, err := url.PathUnescape(part); err == nil {
			parts[i] = encodedSlashes.Replace(s)
		}
	}
	return strings.Join(parts, "/")
}

var encodedSlashes = strings.NewReplacer("%", "%25", "/", "%2F")

// match visits every node at most once, as the depth of a node is that of its segment.
func (n *routeNode) match(segments, values []string) (*resource, []string) {
	if len(segments) == 0 {
		return n.resource, values
	}
	if n.literals != nil {
		next := n.literals[segments[0]]
		if next == nil && strings.Contains(segments[0], "%") {
			if s, err := url.PathUnescape(segments[0]); err == nil {
				next = n.literals[s]
			}
		}
		if next != nil {
			if r, v := next.match(segments[1:], values); r != nil {
				return r, v
			}
		}
	}
	if n.param != nil && segments[0] != "" {
		if r, v := n.param.match(segments[1:], append(values, segments[0])); r != nil {
			return r, v
		}
	}
	if n.greedy != nil {
		return n.greedy, append(values, strings.Join(segments, "/"))
	}
	return nil, nil
}
