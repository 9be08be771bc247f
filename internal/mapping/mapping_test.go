package mapping

import (
	"testing"

	"brume/internal/edge"
	"brume/internal/vtl"
)

func TestEscapeJavaScript(t *testing.T) {
	if got := EscapeJavaScript("a'\"/\\\n\t\x01é😀"); got != `a\'\"\/\\\n\t\u0001\u00E9\uD83D\uDE00` {
		t.Error(got)
	}
}

func TestInputAndUtil(t *testing.T) {
	for _, tt := range []struct{ template, body, want string }{
		{`$input.body`, `x`, `x`},
		{`$input.json('$.a')`, `{"a":[1,"b"]}`, `[1,"b"]`},
		{`$input.json('$.none')`, `{}`, `""`},
		{`$input.path('$.a').size()`, `{"a":[1,2,3]}`, `3`},
		{`$input.json('$')`, ``, `{}`},
		// Requests without parameters have no such method.
		{`$input.params('a')`, `{}`, ``},
		{`$context.a$context.none`, `{}`, `b`},
		{`$util.urlEncode("a b")$util.base64Decode($util.base64Encode("c"))$util.parseJson('{"d":"e"}').d`, ``, `a+bce`},
	} {
		parsed, err := vtl.Parse(tt.template)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parsed.Execute(vtl.Scope{"input": &Input{Body: []byte(tt.body)}, "util": Util{}, "context": Lenient([]edge.Field{{Name: "a", Value: "b"}})})
		if err != nil || got != tt.want {
			t.Errorf("%s: got %q, %v; want %q", tt.template, got, err, tt.want)
		}
	}
}
