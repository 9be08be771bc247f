package main

import (
	"strings"
	"unicode"
)

// emitEnums writes a constant for each value of each enumeration, called as in AWS's SDKs: shape, then value.
func (g *generator) emitEnums(s *source) {
	taken := map[string]bool{}
	for _, name := range g.goName {
		taken[name] = true
	}
	for _, name := range g.shapes {
		sh := g.model.Shapes[name]
		if len(sh.Enum) == 0 {
			continue
		}
		s.p("// The values of %s.", name)
		s.p("const (")
		for _, value := range sh.Enum {
			id := exported(name) + camel(value)
			if taken[id] {
				continue // values that differ in punctuation alone
			}
			taken[id] = true
			s.p("%s = %q", id, value)
		}
		s.p(")\n")
	}
}

// camel turns PAY_PER_REQUEST, python3.12 and arn:aws:x into PayPerRequest, Python312 and ArnAwsX.
func camel(value string) string {
	var out strings.Builder
	words := strings.FieldsFunc(value, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	for _, w := range words {
		if w == strings.ToUpper(w) {
			w = strings.ToLower(w)
		}
		out.WriteString(exported(w))
	}
	return out.String()
}
