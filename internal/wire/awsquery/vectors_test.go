package awsquery

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"testing"

	"brume/internal/wire/codec/codectest"
)

func TestInputVectors(t *testing.T) {
	codectest.Exceptions{
		"Idempotency token auto fill/1": "the client makes up a token",
	}.Run(t, codectest.Load(t, "input", "query"), func(t *testing.T, v codectest.Vector) {
		req := codectest.Request(t, v)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		codectest.Resolve(t, v, req)
		codectest.Decode(t, New(), v, req)
	})
}

func TestOutputVectors(t *testing.T) {
	codectest.Exceptions{}.Run(t, codectest.Load(t, "output", "query"), func(t *testing.T, v codectest.Vector) {
		if strings.Contains(v.Response.Body, "https://service.amazonaws.com/doc/2010-05-08/\"") {
			v.Svc.XMLNamespace = "https://service.amazonaws.com/doc/2010-05-08/"
		} else if strings.Contains(v.Response.Body, "https://service.amazonaws.com/doc/2010-05-08\"") {
			v.Svc.XMLNamespace = "https://service.amazonaws.com/doc/2010-05-08"
		}
		w := codectest.Encode(t, New(), v)
		// The entries of a map come in any order.
		anyOrder := strings.Contains(v.Name, "map")
		got, want := parse(t, string(w.Body), anyOrder), parse(t, v.Response.Body, anyOrder)
		if got != want {
			t.Errorf("body %s\nis   %s\nwant %s", w.Body, got, want)
		}
		if w.Header.Get("Content-Type") != "text/xml" {
			t.Errorf("content type %q", w.Header.Get("Content-Type"))
		}
	})
}

type element struct {
	XMLName  xml.Name
	Text     string    `xml:",chardata"`
	Children []element `xml:",any"`
}

// parse turns a document into a form in which equal documents are equal: members of a structure come in any order. The
// vectors disagree about the request's id, which is left out.
func parse(t *testing.T, doc string, anyOrder bool) string {
	t.Helper()
	var root element
	if err := xml.Unmarshal([]byte(doc), &root); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	return canonical(root, anyOrder)
}

func canonical(e element, anyOrder bool) string {
	var children []string
	slices.SortStableFunc(e.Children, func(a, b element) int { return strings.Compare(a.XMLName.Local, b.XMLName.Local) })
	for _, c := range e.Children {
		if c.XMLName.Local != "RequestId" && c.XMLName.Local != "ResponseMetadata" {
			children = append(children, canonical(c, anyOrder))
		}
	}
	if anyOrder {
		slices.Sort(children)
	}
	text := ""
	if len(e.Children) == 0 {
		text = fmt.Sprintf("%q", e.Text)
	}
	return fmt.Sprintf("<{%s}%s%s%s>", e.XMLName.Space, e.XMLName.Local, text, children)
}
