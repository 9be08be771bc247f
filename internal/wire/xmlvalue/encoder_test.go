package xmlvalue

import (
	"encoding/xml"
	"strings"
	"testing"
)

// https://www.w3.org/TR/xml/#charsets, https://www.w3.org/TR/xml/#sec-line-ends
func TestAppendEscaped(t *testing.T) {
	const in = "a<b>&\"'\t\n\r\x00\x1f\x7fé\u2028\ufffe\uffff\xff😀\ufffd"
	const want = "a&lt;b&gt;&amp;&quot;'\t\n&#xD;\ufffd\ufffd\x7fé\u2028\ufffd\ufffd\ufffd😀\ufffd"
	if got := string(AppendEscaped([]byte("x"), in)); got != "x"+want {
		t.Errorf("got  %q\nwant %q", got, "x"+want)
	}
}

func TestElements(t *testing.T) {
	e := New(nil, nil)
	e.Start("A", `x"y`)
	e.Element("B", "")
	e.Element("C", "<")
	e.End("A")
	if got, want := string(e.Bytes()), `<A xmlns="x&quot;y"><B/><C>&lt;</C></A>`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// FuzzAppendEscaped checks that a parser reads back what XML can express, as content and as an attribute's namespace.
func FuzzAppendEscaped(f *testing.F) {
	f.Add("")
	f.Add("a<b>&\"'\t\n\r\x00\ufffe\xff😀]]>")
	f.Fuzz(func(t *testing.T, s string) {
		e := New(nil, nil)
		e.Start("A", s)
		e.Element("B", s)
		e.End("A")
		var doc struct{ B string }
		if err := xml.Unmarshal(e.Bytes(), &doc); err != nil {
			t.Fatalf("%q: %v", e.Bytes(), err)
		}
		want := strings.Map(func(r rune) rune {
			if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
				return 0xfffd
			}
			return r
		}, s) // which also makes U+FFFD of invalid UTF-8
		if doc.B != want {
			t.Fatalf("%q became %q", s, doc.B)
		}
	})
}
