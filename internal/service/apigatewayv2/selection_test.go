package apigatewayv2

import (
	"strings"
	"testing"

	"brume/internal/mapping"
)

// https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-routes.html#apigateway-websocket-api-route-selection-expressions
func TestSelection(t *testing.T) {
	const message = `{"service":"chat","action":"join","data":{"room":"room1234","n":7,"list":["a","b"],"yes":true,"no":null}}`
	for _, tt := range []struct{ expression, body, want string }{
		{"$request.body.action", message, "join"},
		{"${request.body.action}", message, "join"},
		{"${request.body.service}/${request.body.action}", message, "chat/join"},
		{"${request.body.action}-${request.body.invalidPath}", message, "join-"},
		{"action", message, "action"},
		{`\$default`, message, "$default"},
		{"$default", message, "$default"},
		{`a\b`, message, `a\b`},
		{"$request.body.data.room", message, "room1234"},
		{"$request.body.data.n", message, "7"},
		{"$request.body.data.yes", message, "true"},
		{"$request.body.data.no", message, ""},
		{"$request.body.data.list", message, "[a, b]"},
		{"$request.body.data['room']", message, "room1234"},
		{"$request.body.data.list[1]", message, "b"},
		{"$request.body", `"whole"`, "whole"},
		{"$request.body.action/x", message, "join/x"},
		{"$request.body.action", "", ""},
	} {
		sel, err := parseSelection(tt.expression, messageVariables)
		if err != nil {
			t.Errorf("%s: %v", tt.expression, err)
			continue
		}
		if got, ok := sel.evaluate(&mapping.Input{Body: []byte(tt.body)}, nil); got != tt.want || !ok {
			t.Errorf("%s: got %q, %v; want %q", tt.expression, got, ok, tt.want)
		}
	}
	sel, err := parseSelection("$request.body.action", messageVariables)
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"hello", `{"action"`, "{}{}"} {
		if got, ok := sel.evaluate(&mapping.Input{Body: []byte(body)}, nil); ok {
			t.Errorf("%s was evaluated to %q", body, got)
		}
	}
	for _, bad := range []string{
		"", "${request.body.action", "$request.header.x", "$context.stage", "$", "$request.body.", "$request.bodyaction", "${request.body.a[}", "${}",
		strings.Repeat("a", maxSelection+1),
	} {
		if _, err := parseSelection(bad, messageVariables); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
	if _, err := parseSelection(strings.Repeat("a", maxSelection), messageVariables); err != nil {
		t.Error(err)
	}
	// Those over responses know more.
	sel, err = parseSelection("${integration.response.statuscode}-${integration.response.header.X}-${request.body.action}", responseVariables)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := sel.evaluate(&mapping.Input{Body: []byte(message)}, func(v string) string { return strings.ToUpper(v[len("integration.response."):]) })
	if got != "STATUSCODE-HEADER.X-join" {
		t.Error(got)
	}
}

// Whatever is read is evaluated, and what a message says never becomes part of the expression.
func FuzzSelection(f *testing.F) {
	for _, seed := range [][2]string{
		{"$request.body.action", `{"action":"a"}`}, {"${request.body.a}/${request.body['b'][0]}", `{"a":1,"b":[{}]}`}, {`\$default`, "x"}, {"$request.body..a", `[[{"a":[]}]]`},
		{"${request.body.a[?(@.b=='c')]}", `{"a":[{"b":"c"}]}`}, {"$request.body[*]", `[1,2]`}, {`\\$x$`, ""},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, expression, body string) {
		sel, err := parseSelection(expression, messageVariables)
		if err != nil {
			return
		}
		got, ok := sel.evaluate(&mapping.Input{Body: []byte(body)}, nil)
		again, okAgain := sel.evaluate(&mapping.Input{Body: []byte(body)}, nil)
		if got != again || ok != okAgain {
			t.Fatalf("%q, %v and then %q, %v", got, ok, again, okAgain)
		}
		static := true
		for _, p := range sel.parts {
			static = static && p.variable == ""
		}
		if static && (!ok || len(got) > len(expression)) {
			t.Fatalf("a text is %q", got)
		}
	})
}
