package vtl

import (
	"errors"
	"strings"
	"testing"
	"time"

	"brume/internal/jsontext"
)

// input is an Object as API Gateway's $input is one.
type input struct{}

func (input) Get(name string) (any, bool) { return "BODY", name == "body" }

func (input) Call(method string, args []any) (any, bool, error) {
	switch {
	case method == "echo" && len(args) == 1:
		return args[0], true, nil
	case method == "fail":
		return nil, true, errors.New("broken")
	}
	return nil, false, nil
}

func scope() Scope {
	m := NewMap()
	m.Set("name", "Ada")
	m.Set("n", int64(7))
	m.Set("list", &List{Elems: []any{"a", "b", "c"}})
	inner := NewMap()
	inner.Set("deep", "x")
	m.Set("inner", inner)
	ctx := NewMap()
	ctx.Lenient = true
	ctx.Set("stage", "dev")
	return Scope{"m": m, "context": ctx, "input": input{}, "t": true, "f": false, "null": nil, "d": 1.5, "s": "Hello"}
}

// Semantics: https://velocity.apache.org/engine/1.7/vtl-reference.html
func TestExecute(t *testing.T) {
	tests := []struct{ src, want string }{
		{"", ""},
		{"plain text\n", "plain text\n"},
		{`{"statusCode": 200}`, `{"statusCode": 200}`},
		// References.
		{"$m.name ${m.name} $!m.name $!{m.name}", "Ada Ada Ada Ada"},
		{"$m.name.", "Ada."},
		{"$m.name-x", "$m.name-x"}, // "-" may stand in a name
		{"${m.name}-x", "Ada-x"},
		{"$m.inner.deep $m.list[1] $m.list[-1] $m['name']", "x b c Ada"},
		{"$unknown $!unknown ${unknown.a} $m.unknown $!m.unknown", "$unknown  ${unknown.a} $m.unknown "},
		{"$context.stage|$context.missing|$context.missing.more", "dev||"},
		{"$input.body $input.echo('x') $input.echo(\"$m.name!\") [$input.unknown()]", "BODY x Ada! []"},
		{"$ $5 $. ${ ${} $$m.name", "$ $5 $. ${ ${} $Ada"},
		{`\$m.name \# \x`, `$m.name # \x`},
		{"$m.list", "[a, b, c]"},
		{"$m.inner", "{deep=x}"},
		{"$t $f $d", "true false 1.5"},
		// Set.
		{"#set($a = 1)$a", "1"},
		{"#set( $a = 'x' )\n$a", "x"},
		{`#set($a = "v: $m.name")$a`, "v: Ada"},
		{`#set($a = 'v: $m.name')$a`, "v: $m.name"},
		{`#set($a = "it""s")$a`, `it"s`},
		{"#set($a = {\"k\": 1, 'l': [1,2]})$a.k $a.l $a", "1 [1, 2] {k=1, l=[1, 2]}"},
		{"#set($a = {})#set($a.b = 2)#set($a['c'] = 3)$a", "{b=2, c=3}"},
		{"#set($a = [1,2])#set($a[0] = 9)$a", "[9, 2]"},
		{"#set($a = [1..4])$a #set($a = [2..-1])$a", "[1, 2, 3, 4] [2, 1, 0, -1]"},
		{"#set($m2 = $m)$m2.name", "Ada"},
		// Arithmetic.
		{"#set($a = 1 + 2 * 3 - 4 / 2 % 3)$a", "5"},
		{"#set($a = (1 + 2) * 3)$a", "9"},
		{"#set($a = 7 / 2)$a #set($a = 7.0 / 2)$a #set($a = -7 % 3)$a", "3 3.5 -1"},
		{"#set($a = 'a' + 1)$a #set($a = 1 + 'a')$a", "a1 1a"},
		{"#set($a = 1 / 0)[$!a]", "[]"},
		{"#set($a = 1.5 + 1)$a #set($a = 2.0)$a #set($a = 12345678.0)$a #set($a = 0.0001)$a", "2.5 2.0 1.2345678E7 1.0E-4"},
		// Conditions.
		{"#if($t)yes#{else}no#end", "yes"},
		{"#if($f)yes#{else}no#end", "no"},
		{"#if($null)a#elseif($m.n == 7)b#{else}c#end", "b"},
		{"#if($unknown)a#end|", "|"},
		{"#if('')empty strings are true#end", "empty strings are true"},
		{"#if(1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3 && 1 != 2 && !false)ok#end", "ok"},
		{"#if(1 lt 2 and 2 le 2 and 3 gt 2 and 3 ge 3 and 1 ne 2 and not false or false)ok#end", "ok"},
		{"#if($m.n == '7')ok#end", "ok"},
		{"#if($s == 'Hello')ok#end#if($null == $unknown)ok#end", "okok"},
		{"#if(true)\n  a\n#else\n  b\n#end\nc", "  a\nc"},
		{"#if($t)#if($f)1#{else}2#end#end", "2"},
		// Loops.
		{"#foreach($x in $m.list)$x#if($foreach.hasNext),#end#end", "a,b,c"},
		{"#foreach($x in $m.list)$foreach.index$foreach.count$velocityCount #end", "011 122 233 "},
		{"#foreach($x in [1..9])#if($x > 3)#break#end$x#end!", "123!"},
		{"#foreach($x in {'a': 1, 'b': 2})$x#end", "12"},
		{"#foreach($e in $m.inner.entrySet())$e.key=$e.value $e.getKey()#end", "deep=x deep"},
		{"#foreach($k in $m.keySet())$k #end", "name n list inner "},
		{"#foreach($x in $unknown)a#end|", "|"},
		{"#set($x = 'kept')#foreach($x in [1])$x#end $x", "1 kept"},
		{"#foreach($a in [1,2])#foreach($b in [1,2])$a$b #end#end", "11 12 21 22 "},
		{"a#stop b", "a"},
		// Comments and literal text.
		{"a## comment $x\nb#* c\n *#d", "ab" + "d"},
		{"#[[ $m.name #if ]]#", " $m.name #if "},
		{"#fff #settings # #{foo}", "#fff #settings # #{foo}"},
		// Methods.
		{"$s.length() $s.toUpperCase() $s.substring(1,3) $s.substring(3) $s.indexOf('l') $s.replace('l','L')", "5 HELLO el lo 2 HeLLo"},
		{"$s.contains('ell') $s.startsWith('He') $s.endsWith('x') $s.equals('Hello') $s.equalsIgnoreCase('hello')", "true true false true true"},
		{"$s.replaceAll('(l+)','<$1>') $s.split('l') $s.matches('H.*o') $s.charAt(0)", "He<ll>o [He, , o] true H"},
		{"$m.list.size() $m.list.get(0) $m.list.contains('b') $m.list.isEmpty() $m.list.empty", "3 a true false false"},
		{"#set($l = [])$!l.add('x')$l.size()", "true1"},
		{"$m.size() $m.containsKey('n') $m.get('name') $m.inner.values()", "4 true Ada [x]"},
		{"#set($q = $m.put('z', 1))$m.z", "1"},
		{"$s.substring(9)", "$s.substring(9)"},
		{"$m.list.nothing()", "$m.list.nothing()"},
	}
	for _, tt := range tests {
		tmpl, err := Parse(tt.src)
		if err != nil {
			t.Errorf("%q: %v", tt.src, err)
			continue
		}
		got, err := tmpl.Execute(scope())
		if err != nil || got != tt.want {
			t.Errorf("%q:\n got %q, %v\nwant %q", tt.src, got, err, tt.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, src := range []string{
		"#if($a)", "#if", "#if()#end", "#end", "#else", "#foreach($x)#end", "#foreach(x in $y)#end", "#foreach($x in $y)", "#set($a)",
		"#set(a = 1)", "#set($a = )", "#set($a = 1", "#set($a = 'x)", "#if($a ==)#end", "$a.b(", "$a.b(1,)", "$a[", "$a[1", "#set($a = [1,)",
		"#set($a = {1})", "#*", "#[[", "#parse('x')", "#evaluate('x'", "#define(x)#end", "#define($x)", "#macro(x)", "#macro(m $a.b)#end", "#macro(m)#end#m(", "#if($a)#else#else#end", "#set($a.b( = 1)",
		`#set($a = "#if(")`, "#set($a = 99999999999999999999)", "#if(%)#end", strings.Repeat("#if(true)", 200), strings.Repeat("x", MaxSource+1),
		"#set($a = " + strings.Repeat("(", 500) + "1" + strings.Repeat(")", 500) + ")", "#set($a = " + strings.Repeat("!", 5000) + "1)",
		"#set($a = 1" + strings.Repeat("+1", 5000) + ")", "$a" + strings.Repeat("[$a", 1000),
	} {
		_, err := Parse(src)
		var e *SyntaxError
		if !errors.As(err, &e) || e.Line < 1 || e.Column < 1 {
			t.Errorf("%.60q: %v", src, err)
		}
	}
	if _, err := Parse("a\nb #if("); err == nil || err.(*SyntaxError).Line != 2 {
		t.Errorf("got %v", err)
	}
}

func TestRunErrorsAndBounds(t *testing.T) {
	for _, src := range []string{
		"$input.fail()",
		"#set($x = 'x')#foreach($i in [1..100])#set($x = $x + $x)#end",
		"#set($x = 'xxxxxxxx')#foreach($i in [1..100])#set($x = \"$x$x\")#end",
		"#set($l = [1])#foreach($i in [1..100])#set($l = [$l, $l])#end$l",
		"#set($l = [])$l.add($l)$l",
		"#foreach($a in [1..99999])#foreach($b in [1..99999])#end#end",
		"#set($a = [1..999999999])",
		"#set($a = [-9223372036854775807..9223372036854775807])",
		"#set($l = [1..1000])#foreach($i in [1..1000])$!l.addAll($l)#end",
		"#set($s = 'aaaaaaaaaaaaaaaa')#foreach($i in [1..1000])#set($s = $s.replace('a', $s))#end",
		"#break",
	} {
		tmpl, err := Parse(src)
		if err != nil {
			t.Errorf("%.60q: %v", src, err)
			continue
		}
		start := time.Now()
		if out, err := tmpl.Execute(scope()); err == nil {
			t.Errorf("%.60q ran: %.100q", src, out)
		}
		if d := time.Since(start); d > 3*maxTime {
			t.Errorf("%.60q took %v", src, d)
		}
	}
}

func TestJSON(t *testing.T) {
	for _, s := range []string{`{"b":1,"a":[true,null,1.10,"x\n\u0001\"",{}],"big":123456789012345678901234567890}`, `"é"`, `3`, `null`, `[]`} {
		v, err := ParseJSON([]byte(s))
		if err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		if got, err := JSON(v); err != nil || got != s {
			t.Errorf("got %s, %v; want %s", got, err, s)
		}
	}
	for _, s := range []string{``, `{`, `{"a"}`, `[1,]`, `1 2`, `{"a":1}x`, strings.Repeat("[", 500) + strings.Repeat("]", 500)} {
		if v, err := ParseJSON([]byte(s)); err == nil {
			t.Errorf("%.40q: %v", s, v)
		}
	}
	if got := string(jsontext.AppendString(nil, "a\xffb")); got != "\"a\ufffdb\"" {
		t.Errorf("got %q", got)
	}
}

func TestPath(t *testing.T) {
	v, err := ParseJSON([]byte(`{"a":{"b":[10,20,{"c d":1}]},"x-y":2}`))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ path, want string }{
		{"$", `{"a":{"b":[10,20,{"c d":1}]},"x-y":2}`},
		{"$.a.b[1]", "20"}, {"$.a.b[-3]", "10"}, {"$.a.b[2]['c d']", "1"}, {`$["x-y"]`, "2"}, {"$.x-y", "2"},
		{"$.a.b[*]", `[10,20,{"c d":1}]`}, {"$.a.*", `[[10,20,{"c d":1}]]`}, {"$.a.b.*", `[10,20,{"c d":1}]`}, {"$.nope", "null"}, {"$.a.b[9]", "null"}, {"$.nope[*]", "[]"},
	}
	for _, tt := range tests {
		got, err := Path(v, tt.path)
		if err != nil {
			t.Errorf("%s: %v", tt.path, err)
			continue
		}
		if s, _ := JSON(got); s != tt.want {
			t.Errorf("%s: got %s, want %s", tt.path, s, tt.want)
		}
	}
	for _, p := range []string{"", "a", "$a", "$.", "$[", "$[x]", "$['a"} {
		if v, err := Path(v, p); err == nil {
			t.Errorf("%s: %v", p, v)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{
		"$m.name #if($m.n == 7)#set($a = [1,{'b':2}])$a[1].b#elseif(1)x#{else}y#end", "#foreach($x in [1..3])$x#end", `#set($a = "x$!{m.list[0]}")$a.replaceAll("(.)","$1$1")`,
		"\\$a ## c\n#* x *##[[y]]#", "$input.echo($input.body.length())",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		tmpl, err := Parse(src)
		if err != nil {
			var e *SyntaxError
			if !errors.As(err, &e) {
				t.Fatalf("%T", err)
			}
			return
		}
		start := time.Now()
		out, _ := tmpl.Execute(scope())
		if len(out) > MaxOutput || time.Since(start) > 10*time.Second {
			t.Fatalf("%d bytes in %v", len(out), time.Since(start))
		}
	})
}

func FuzzPath(f *testing.F) {
	f.Add(`{"a":[1,{"b":null}]}`, "$.a[1]['b']")
	f.Fuzz(func(t *testing.T, text, path string) {
		v, err := ParseJSON([]byte(text))
		if err != nil {
			return
		}
		s, err := JSON(v)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseJSON([]byte(s)); err != nil {
			t.Fatalf("%s: %v", s, err)
		} else if s2, _ := JSON(again); s2 != s {
			t.Fatalf("%s became %s", s, s2)
		}
		if r, err := Path(v, path); err == nil {
			if _, err := JSON(r); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// https://velocity.apache.org/engine/1.7/user-guide.html#velocimacros
func TestMacros(t *testing.T) {
	for src, want := range map[string]string{
		"#macro(hi $name)Hi $name!#end#hi('Ada')#hi(\"B\")":                              "Hi Ada!Hi B!",
		"#early(1)#macro(early $n)<$n>#end":                                              "<1>",
		"#macro(two $a $b)$a/$b#end#two(1, 2)#two($x 'y')":                               "1/2/y",
		"#set($a='out')#macro(m $a)$a#end#m('in')$a":                                     "inout",
		"#macro(loop $n)#foreach($i in [1..$n])$i#end#end#loop(3)":                       "123",
		"#{macro}(f)x#end#{f}()y":                                                        "xy",
		"#macro(m)a#end#macro(m)b#end#m()":                                               "a",
		"#nope('x') #hi":                                                                 "#nope('x') #hi",
		"#define($block)<$who>#end#set($who='a')$block#set($who='b')$block":              "<a><b>",
		"#define($b)x#end#if($b == 'x')yes#end":                                          "yes",
		"#set($t='$a$a')#set($a=1)#evaluate($t)":                                         "11",
		"#set($d='#')#set($s=$d + \"if(true)y#\" + 'end')#evaluate($s)":                  "y",
		"#macro(fact $n)#if($n > 1)#set($m = $n - 1)$n*#fact($m)#else$n#end#end#fact(4)": "4*3*2*1",
		"#macro(stop)#stop#end a#stop()b":                                                " a",
	} {
		tmpl, err := Parse(src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got, err := tmpl.Execute(nil); err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", src, got, err, want)
		}
	}
	for _, src := range []string{
		"#macro(m)#m()#end#m()", "#define($a)$b#end#define($b)$a#end$a", "#set($s='#evaluate($s)')#evaluate($s)", "#evaluate('#if(')",
		"#macro(m $x)#m(\"$x$x\")#end#m('ab')",
	} {
		tmpl, err := Parse(src)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if got, err := tmpl.Execute(nil); err == nil {
			t.Errorf("%s ends with %q", src, got)
		}
	}
}

// Examples of https://github.com/json-path/JsonPath, the implementation that API Gateway uses.
func TestJSONPath(t *testing.T) {
	doc, err := ParseJSON([]byte(`{"store":{"book":[{"category":"reference","author":"Nigel Rees","price":8.95},{"category":"fiction","author":"Evelyn Waugh","price":12.99},
		{"category":"fiction","author":"Herman Melville","isbn":"0-553","price":8.99},{"category":"fiction","author":"Tolkien","isbn":"0-395","price":22.99}],"bicycle":{"color":"red","price":19.95}},"expensive":10,"a.b":1,"n":[1,2,3,4,5]}`))
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"$.store.book[*].author":              `["Nigel Rees","Evelyn Waugh","Herman Melville","Tolkien"]`,
		"$..author":                           `["Nigel Rees","Evelyn Waugh","Herman Melville","Tolkien"]`,
		"$.store..price":                      `[8.95,12.99,8.99,22.99,19.95]`,
		"$..book[2].isbn":                     `["0-553"]`,
		"$.store.book[-2].isbn":               `"0-553"`,
		"$.store.book[0,1].price":             `[8.95,12.99]`,
		"$.n[:2]":                             `[1,2]`,
		"$.n[1:3]":                            `[2,3]`,
		"$.n[-2:]":                            `[4,5]`,
		"$.n[::2]":                            `[1,3,5]`,
		"$.n[9:]":                             `[]`,
		"$.store.book[?(@.isbn)].author":      `["Herman Melville","Tolkien"]`,
		"$.store.book[?(!@.isbn)].author":     `["Nigel Rees","Evelyn Waugh"]`,
		"$.store.book[?(@.price < 10)].price": `[8.95,8.99]`,
		"$..book[?(@.price <= $['expensive'])].price":                                                `[8.95,8.99]`,
		"$..book[?(@.author =~ /.*REES/i)].price":                                                    `[8.95]`,
		"$.store.book[?(@.category == 'fiction' && @.price > 10 || @.author == 'Nigel Rees')].price": `[8.95,12.99,22.99]`,
		"$.store.book[?(@.category in ['reference', 'x'])].price":                                    `[8.95]`,
		"$.store.book[?((@.price > 20))].author":                                                     `["Tolkien"]`,
		"$.n[?(@ > 3)]":                                                                              `[4,5]`,
		"$.n.length()":                                                                               `5`,
		"$.n.sum()":                                                                                  `15.0`,
		"$.n.max()":                                                                                  `5.0`,
		"$..price.min()":                                                                             `8.95`,
		"$['a.b']":                                                                                   `1`,
		"$.store['book','bicycle'][0].price":                                                         `[8.95]`,
		"$.store.bicycle['color','price']":                                                           `["red",19.95]`,
		"$.nope.deeper":                                                                              `null`,
		"$.nope[*]":                                                                                  `[]`,
	} {
		v, err := Path(doc, path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		got, err := JSON(v)
		if v == nil {
			got = "null"
		}
		if err != nil || got != want {
			t.Errorf("%s: %s %v, want %s", path, got, err, want)
		}
	}
	for _, path := range []string{"", "x", "$.", "$[", "$[']", "$[?]", "$[?(]", "$[?(@.a ==)]", "$[?(@.a =~ /(/)]", "$[1:2:0]", "$[a]", "$..", "$.a(b)", "$[?(" + strings.Repeat("(", 200) + "@" + strings.Repeat(")", 200) + ")]"} {
		if v, err := Path(doc, path); err == nil {
			t.Errorf("%q gives %v", path, v)
		}
	}
	// What costs too much ends.
	deep, err := ParseJSON([]byte(strings.Repeat("[", 90) + strings.Repeat("]", 90)))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"$..*..*..*..*..*", "$..[?($..[?($..[?($..*)])])]"} {
		if _, err := Path(deep, path); err == nil {
			t.Errorf("%s ends with a result", path)
		}
	}
}

func TestText(t *testing.T) {
	for _, test := range []struct {
		source string
		fixed  bool
	}{
		{"", true}, {`{"statusCode": 200}`, true}, {"costs 5$ #1", true},
		{"$a", false}, {"x $!{a.b} y", false}, {"#set($a = 1)", false}, {"a #stop b", false}, {"#if(true)a#end", false},
	} {
		template, err := Parse(test.source)
		if err != nil {
			t.Fatal(err)
		}
		text, fixed := template.Text()
		if fixed != test.fixed {
			t.Errorf("%q: %v", test.source, fixed)
		}
		if want, err := template.Execute(Scope{}); err != nil || fixed && text != want {
			t.Errorf("%q: %q, but it renders to %q, %v", test.source, text, want, err)
		}
	}
}
