package apigatewayv2

import (
	"strings"
)

// defaultRoute takes what no other route takes, defaultStage is served without its name in the path.
const (
	defaultRoute = "$default"
	defaultStage = "$default"
)

// A routeKey is "GET /pets/{id}", read. That of the default route is zero.
type routeKey struct {
	method   string // "ANY" among them
	path     string
	segments []segment
}

// A segment of a path is a literal, or a variable; a greedy one takes all that follows.
type segment struct {
	literal, variable string
	greedy            bool
}

// methods are those of routes.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
const methods = " ANY DELETE GET HEAD OPTIONS PATCH POST PUT "

// parseRouteKey reads a route key.
func parseRouteKey(key string) (*routeKey, error) {
	if key == defaultRoute {
		return &routeKey{}, nil
	}
	refused := invalid("The provided route key is not formatted properly for HTTP protocol. Format should be \"<HTTP METHOD> /<RESOURCE PATH>\" or \"$default\"")
	method, path, ok := strings.Cut(key, " ")
	if !ok || method == "" || !strings.Contains(methods, " "+method+" ") || !strings.HasPrefix(path, "/") {
		return nil, refused
	}
	rk := &routeKey{method: method, path: path}
	seen := map[string]bool{}
	for i, text := range splitPath(path) {
		if n := len(rk.segments); n != i || n > 0 && rk.segments[n-1].greedy {
			return nil, invalid("A greedy path variable must be the last segment of a route's path")
		}
		var s segment
		inner, opened := strings.CutPrefix(text, "{")
		if inner, closed := strings.CutSuffix(inner, "}"); opened && closed {
			s.variable, s.greedy = strings.CutSuffix(inner, "+")
			if s.variable == "" || seen[s.variable] || strings.IndexFunc(s.variable, isNotOfVariable) >= 0 {
				return nil, refused
			}
			seen[s.variable] = true
		} else if s.literal = text; strings.ContainsAny(text, "{} ?#") || strings.IndexFunc(text, isControl) >= 0 {
			return nil, refused
		}
		rk.segments = append(rk.segments, s)
	}
	return rk, nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func isNotOfVariable(r rune) bool {
	return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("_-.:", r))
}

// splitPath cuts a path into its segments. "/" has none; a trailing slash makes an empty one.
func splitPath(path string) []string {
	path = strings.TrimPrefix(path, "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}
