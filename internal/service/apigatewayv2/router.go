package apigatewayv2

import (
	"net/url"
	"strings"

	"brume/internal/edge"
)

// A router finds the route of a request. At each segment a literal goes before a variable, and a variable before a greedy
// one; at the end the method goes before ANY. Where the better choice leads nowhere the next is tried, and at last the
// default route.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html#http-api-develop-routes.evaluation
type router struct {
	root     routeNode
	fallback *route
}

type routeNode struct {
	literals map[string]*routeNode
	variable *routeNode
	greedy   map[string]*route // by method
	routes   map[string]*route
}

func (rt *router) add(r *route) {
	if r.key.method == "" {
		rt.fallback = r
		return
	}
	n := &rt.root
	for _, s := range r.key.segments {
		switch {
		case s.greedy:
			if n.greedy == nil {
				n.greedy = map[string]*route{}
			}
			n.greedy[r.key.method] = r
			return
		case s.variable != "":
			if n.variable == nil {
				n.variable = &routeNode{}
			}
			n = n.variable
		default:
			next := n.literals[s.literal]
			if next == nil {
				if next = (&routeNode{}); n.literals == nil {
					n.literals = map[string]*routeNode{}
				}
				n.literals[s.literal] = next
			}
			n = next
		}
	}
	if n.routes == nil {
		n.routes = map[string]*route{}
	}
	n.routes[r.key.method] = r
}

// match returns the route of a request and the values of its path's variables, decoded; nil if there is none.
func (rt *router) match(method, path string) (*route, []edge.Field) {
	r, values := rt.root.match(method, splitPath(path), nil)
	if r == nil {
		return rt.fallback, nil
	}
	var params []edge.Field
	for _, s := range r.key.segments {
		if s.variable == "" {
			continue
		}
		v := values[len(params)]
		if decoded, err := url.PathUnescape(v); err == nil {
			v = decoded
		}
		params = append(params, edge.Field{Name: s.variable, Value: v})
	}
	return r, params
}

func ofMethod(routes map[string]*route, method string) *route {
	if r := routes[method]; r != nil {
		return r
	}
	return routes["ANY"]
}

// match visits every node at most once, as the depth of a node is that of its segment.
func (n *routeNode) match(method string, segments, values []string) (*route, []string) {
	if len(segments) == 0 {
		return ofMethod(n.routes, method), values
	}
	if n.literals != nil {
		next := n.literals[segments[0]]
		if next == nil && strings.Contains(segments[0], "%") {
			if s, err := url.PathUnescape(segments[0]); err == nil {
				next = n.literals[s]
			}
		}
		if next != nil {
			if r, v := next.match(method, segments[1:], values); r != nil {
				return r, v
			}
		}
	}
	if n.variable != nil && segments[0] != "" {
		if r, v := n.variable.match(method, segments[1:], append(values, segments[0])); r != nil {
			return r, v
		}
	}
	if r := ofMethod(n.greedy, method); r != nil {
		return r, append(values, strings.Join(segments, "/"))
	}
	return nil, nil
}
