package main

import (
	"cmp"
	"fmt"
	"log"
	"net/http"
	"slices"
	"strings"
)

// emitSchema writes the service's table.
func (g *generator) emitSchema(s *source) {
	s.imports["brume/internal/schema"] = true
	md := g.model.Metadata
	s.p("// Schema returns the table of the service, which is not to be changed.")
	s.p("func Schema() *schema.Service { return &table }\n")
	s.p("var table = schema.Service{")
	field(s, "Name", g.target.Name)
	field(s, "FullName", md.ServiceFullName)
	field(s, "SigningName", cmp.Or(md.SigningName, md.EndpointPrefix))
	field(s, "EndpointPrefix", md.EndpointPrefix)
	field(s, "IAMPrefix", g.target.IAM)
	s.p("Protocol: schema.%s,", protocols[md.Protocol])
	field(s, "JSONVersion", md.JSONVersion)
	field(s, "TargetPrefix", md.TargetPrefix)
	field(s, "APIVersion", md.APIVersion)
	field(s, "XMLNamespace", md.XMLNamespace)
	mark(s, "Global", g.target.Global)
	s.p("Shapes: []schema.Shape{")
	for i, name := range g.shapes {
		s.p("%d: {", i)
		g.emitShape(s, name)
		s.p("},")
	}
	s.p("},")
	s.p("Operations: []schema.Operation{")
	for _, op := range g.ops {
		status := op.HTTP.ResponseCode
		if status == http.StatusOK {
			status = 0
		}
		unsigned := ""
		if op.AuthType == "none" {
			unsigned = ", Unsigned: true"
		}
		s.p("{Name: %q, Method: %q, Path: %q, Status: %d, Input: %d, Output: %d, Deprecated: %t%s},",
			op.Name, op.HTTP.Method, op.HTTP.RequestURI, status, g.index[op.Input.Shape], g.index[op.Output.Shape], op.Deprecated, unsigned)
	}
	s.p("},")
	s.p("}")
}

var protocols = map[string]string{"json": "AWSJSON", "rest-json": "RestJSON", "rest-xml": "RestXML", "query": "AWSQuery"}

var kinds = map[string]string{
	"structure": "Structure", "list": "List", "map": "Map", "string": "String", "character": "String", "blob": "Blob",
	"boolean": "Boolean", "integer": "Integer", "long": "Long", "float": "Float", "double": "Double", "timestamp": "Timestamp",
}

var locations = map[string]string{
	"uri": "URI", "querystring": "Query", "header": "Header", "headers": "Headers", "statusCode": "StatusCode",
}

var timestampFormats = map[string]string{"iso8601": "ISO8601", "rfc822": "RFC822", "unixTimestamp": "UnixTimestamp"}

func (g *generator) emitShape(s *source, name string) {
	sh := g.model.Shapes[name]
	field(s, "Name", name)
	s.p("Kind: schema.%s,", kinds[sh.Type])
	g.emitMembers(s, sh)
	if sh.Payload != "" {
		for i, m := range sh.Members {
			if m.Name == sh.Payload {
				s.p("Payload: %d,", i+1)
			}
		}
	}
	mark(s, "Flattened", sh.Flattened)
	field(s, "XMLName", sh.LocationName)
	field(s, "ResultWrapper", g.resultWrapper(name))
	mark(s, "Union", sh.Union)
	if sh.TimestampFormat != "" {
		s.p("TimestampFormat: schema.%s,", timestampFormats[sh.TimestampFormat])
	}
	if sh.Min != nil {
		s.p("Min: %v, HasMin: true,", *sh.Min)
	}
	if sh.Max != nil {
		s.p("Max: %v, HasMax: true,", *sh.Max)
	}
	if sh.Pattern != "" {
		re, err := translatePattern(sh.Pattern)
		if err != nil {
			log.Fatalf("%s: shape %s: %v", g.target.Name, name, err)
		}
		field(s, "Pattern", sh.Pattern)
		if re != sh.Pattern {
			field(s, "Regexp", re)
		}
	}
	if len(sh.Enum) > 0 {
		s.p("Enum: %#v,", sh.Enum)
	}
	mark(s, "Sensitive", sh.Sensitive)
}

func (g *generator) resultWrapper(name string) string {
	for _, op := range g.ops {
		if op.Output.Shape == name {
			return op.Output.ResultWrapper
		}
	}
	return ""
}

func (g *generator) emitMembers(s *source, sh *shape) {
	var list members
	switch sh.Type {
	case "structure":
		list = sh.Members
	case "list":
		list = append(list, member{"member", *sh.Member})
	case "map":
		for name, r := range map[string]*ref{"key": sh.Key, "value": sh.Value} {
			list = append(list, member{name, *r})
		}
		slices.SortFunc(list, func(a, b member) int {
			return strings.Compare(a.Name, b.Name)
		})
	default:
		return
	}
	if len(list) == 0 {
		return
	}
	s.p("Members: []schema.Member{")
	for _, m := range list {
		shapeIndex := -1 // an event stream
		if i, ok := g.index[m.Shape]; ok {
			shapeIndex = i
		}
		wire := m.LocationName
		if wire == "" && sh.Type == "structure" {
			wire = m.Name
		}
		line := fmt.Sprintf("{Name: %q, Shape: %d", m.Name, shapeIndex)
		if wire != "" {
			line += fmt.Sprintf(", Wire: %q", wire)
		}
		if m.Location != "" {
			line += ", Location: schema." + locations[m.Location]
		}
		if sh.Type == "structure" && slices.Contains(sh.Required, m.Name) {
			line += ", Required: true"
		}
		line += set("IdempotencyToken", m.IdempotencyToken) + set("JSONValue", m.JSONValue) + set("Streaming", m.Streaming) +
			set("Flattened", m.Flattened) + set("XMLAttribute", m.XMLAttribute)
		if m.XMLNamespace.URI != "" {
			line += fmt.Sprintf(", XMLNamespace: %q, XMLPrefix: %q", m.XMLNamespace.URI, m.XMLNamespace.Prefix)
		}
		if m.TimestampFormat != "" {
			line += ", TimestampFormat: schema." + timestampFormats[m.TimestampFormat]
		}
		s.p("%s},", line)
	}
	s.p("},")
}

func set(name string, on bool) string {
	if !on {
		return ""
	}
	return ", " + name + ": true"
}

func field(s *source, name, value string) {
	if value != "" {
		s.p("%s: %q,", name, value)
	}
}

func mark(s *source, name string, on bool) {
	if on {
		s.p("%s: true,", name)
	}
}
