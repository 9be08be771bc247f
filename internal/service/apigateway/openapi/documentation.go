package openapi

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	api "brume/internal/api/apigateway"
)

// documentation reads the documentation parts: those of x-amazon-apigateway-documentation, or else what the document says
// in its own members.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-documenting-api-quick-start-import-export.html
func (r *reader) documentation() error {
	own := child(r.doc, "x-amazon-apigateway-documentation")
	if own != nil {
		r.def.DocumentationVersion = text(own, "version")
		for _, v := range list(own, "documentationParts") {
			part, _ := v.(object)
			l := child(part, "location")
			properties, err := json.Marshal(part["properties"])
			if err != nil {
				return err
			}
			r.def.Documentation = append(r.def.Documentation, api.DocumentationPart{
				Location: &api.DocumentationPartLocation{
					Type: optional(text(l, "type")), Path: optional(text(l, "path")), Method: optional(text(l, "method")),
					StatusCode: optional(text(l, "statusCode")), Name: optional(text(l, "name")),
				},
				Properties: new(string(properties)),
			})
		}
		return nil
	}
	if err := r.describe(api.DocumentationPartLocation{Type: new("API")}, object{"info": child(r.doc, "info")}, "info"); err != nil {
		return err
	}
	paths := child(r.doc, "paths")
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item, at := r.resolve(paths[path]), r.place(path)
		for name, httpMethod := range operations() {
			op, _ := item[name].(object)
			if op == nil {
				continue
			}
			if httpMethod == "ANY" {
				httpMethod = "*"
			}
			if err := r.describeOperation(at, httpMethod, op); err != nil {
				return err
			}
		}
	}
	slices.SortStableFunc(r.def.Documentation, func(a, b api.DocumentationPart) int {
		return strings.Compare(locationText(a.Location), locationText(b.Location))
	})
	return nil
}

func locationText(l *api.DocumentationPartLocation) string {
	return strings.Join([]string{value(l.Path), value(l.Method), value(l.Type), value(l.StatusCode), value(l.Name)}, "\x00")
}

func (r *reader) describeOperation(path, httpMethod string, op object) error {
	err := r.describe(api.DocumentationPartLocation{Type: new("METHOD"), Path: &path, Method: &httpMethod}, op, "description", "summary", "tags")
	if err != nil {
		return err
	}
	for _, v := range list(op, "parameters") {
		p := r.resolve(v)
		name := text(p, "name")
		l := api.DocumentationPartLocation{Path: &path, Method: &httpMethod, Name: &name}
		switch text(p, "in") {
		case "path":
			l.Type = new("PATH_PARAMETER")
		case "query":
			l.Type = new("QUERY_PARAMETER")
		case "header":
			l.Type = new("REQUEST_HEADER")
		case "body":
			l.Type, l.Name = new("REQUEST_BODY"), nil
		default:
			continue
		}
		if err := r.describe(l, p, "description"); err != nil {
			return err
		}
	}
	responses := child(op, "responses")
	for _, status := range slices.Sorted(maps.Keys(responses)) {
		if len(status) != 3 {
			continue
		}
		l := api.DocumentationPartLocation{Type: new("RESPONSE"), Path: &path, Method: &httpMethod, StatusCode: &status}
		if err := r.describe(l, r.resolve(responses[status]), "description"); err != nil {
			return err
		}
	}
	return nil
}

// describe adds a part with the members named, if any is there.
func (r *reader) describe(l api.DocumentationPartLocation, from object, members ...string) error {
	properties := object{}
	for _, name := range members {
		switch v := from[name].(type) {
		case nil:
		case string:
			if v != "" {
				properties[name] = v
			}
		default:
			properties[name] = v
		}
	}
	if len(properties) == 0 {
		return nil
	}
	data, err := json.Marshal(properties)
	if err != nil {
		return err
	}
	r.def.Documentation = append(r.def.Documentation, api.DocumentationPart{Location: &l, Properties: new(string(data))})
	return nil
}
