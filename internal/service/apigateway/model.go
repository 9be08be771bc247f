package apigateway

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	api "brume/internal/api/apigateway"
	"brume/internal/jsonmodel"
	"brume/internal/kv"
)

// maxSchema bounds the schema of a model, in bytes.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-execution-service-limits-table.html
const maxSchema = 400 << 10

// models are the JSON schemas of bodies, by name.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/models-mappings-models.html
func models() children[api.Model] {
	return children[api.Model]{tagModel, func(name string) error { return notFound("Invalid model name specified: %s", name) }}
}

// defaultModels are those that every new API has.
func defaultModels() []*api.Model {
	return []*api.Model{
		{
			Name: new("Empty"), Description: new("This is a default empty schema model"), ContentType: new("application/json"),
			Schema: new("{\n  \"$schema\": \"http://json-schema.org/draft-04/schema#\",\n  \"title\" : \"Empty Schema\",\n  \"type\" : \"object\"\n}"),
		},
		{
			Name: new("Error"), Description: new("This is a default error schema model"), ContentType: new("application/json"),
			Schema: new("{\n  \"$schema\" : \"http://json-schema.org/draft-04/schema#\",\n  \"title\" : \"Error Schema\",\n  \"type\" : \"object\",\n  \"properties\" : {\n    \"message\" : { \"type\" : \"string\" }\n  }\n}"),
		},
	}
}

// checkModel checks what can be set on a model. Its schema is a JSON object and refers to other models by URLs of
// the API.
func checkModel(row *api.Model) error {
	if !jsonmodel.IsName(*row.Name) {
		return invalid("Model name must be alphanumeric: %s", clip(*row.Name))
	}
	schema := value(row.Schema)
	if len(schema) > maxSchema {
		return invalid("Model schema is larger than the maximum of %d bytes", maxSchema)
	}
	if schema == "" {
		return nil
	}
	var object map[string]any
	if strings.Contains(strings.ToLower(value(row.ContentType)), "json") && json.Unmarshal([]byte(schema), &object) != nil {
		return invalid("Invalid model schema specified")
	}
	return nil
}

func (s *Service) CreateModel(ctx context.Context, in *api.CreateModelInput) (*api.Model, error) {
	sc := scopeOf(ctx)
	row := &api.Model{Name: in.Name, Description: in.Description, Schema: in.Schema, ContentType: in.ContentType}
	if err := checkModel(row); err != nil {
		return nil, err
	}
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		if _, err := getAPI(tx, sc, *in.RestApiId); err != nil {
			return err
		}
		taken, err := models().exists(tx, sc, *in.RestApiId, *in.Name)
		if err != nil {
			return err
		}
		if taken {
			return conflict("Model name already exists for this REST API")
		}
		all, err := models().all(tx, sc, *in.RestApiId)
		if err != nil {
			return err
		}
		if len(all) >= maxModels {
			return limitExceeded("models")
		}
		return putNewModel(tx, sc, *in.RestApiId, row)
	})
	if err != nil {
		return nil, err
	}
	return row, nil
}

func putNewModel(tx kv.Tx, sc scope, apiID string, row *api.Model) error {
	row.Id = new(newID(6))
	return models().put(tx, sc, apiID, *row.Name, row)
}

func (s *Service) GetModel(ctx context.Context, in *api.GetModelInput) (*api.Model, error) {
	row, err := models().view(ctx, s, *in.RestApiId, *in.ModelName)
	if err != nil || !value(in.Flatten) {
		return row, err
	}
	err = s.store.View(ctx, func(r kv.Reader) error {
		flat, err := flattened(r, scopeOf(ctx), *in.RestApiId, row)
		row.Schema = &flat
		return err
	})
	return row, err
}

// flattened is the schema of a model with the models that it refers to as its definitions.
func flattened(r kv.Reader, sc scope, apiID string, row *api.Model) (string, error) {
	all := map[string]string{}
	rows, err := models().all(r, sc, apiID)
	if err != nil {
		return "", err
	}
	for _, m := range rows {
		all[*m.Name] = value(m.Schema)
	}
	return flattenSchema(value(row.Schema), all)
}

// flattenSchema puts the models that a schema refers to, directly or not, into its definitions. all are the schemas
// of an API's models by name.
func flattenSchema(schema string, all map[string]string) (string, error) {
	var root map[string]any
	if schema == "" || json.Unmarshal([]byte(schema), &root) != nil {
		return schema, nil // it is no JSON schema: there is nothing to follow
	}
	found := map[string]any{}
	var names []string
	follow := func(name string) {
		if _, ok := all[name]; ok && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	localRefs(root, follow)
	for i := 0; i < len(names); i++ {
		var def any
		if err := json.Unmarshal([]byte(all[names[i]]), &def); err != nil {
			def = map[string]any{}
		}
		localRefs(def, follow)
		found[names[i]] = def
	}
	if len(found) == 0 {
		return schema, nil
	}
	definitions, _ := root["definitions"].(map[string]any)
	if definitions == nil {
		definitions = map[string]any{}
	}
	maps.Copy(definitions, found)
	root["definitions"] = definitions
	out, err := json.Marshal(root)
	return string(out), err
}

// localRefs rewrites references to models so that they lead to definitions of the same document, and tells their names.
func localRefs(v any, seen func(name string)) {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			if name, ok := jsonmodel.Ref(ref); ok {
				seen(name)
				v["$ref"] = "#/definitions/" + name
			}
		}
		for _, child := range v {
			localRefs(child, seen)
		}
	case []any:
		for _, child := range v {
			localRefs(child, seen)
		}
	}
}

func (s *Service) GetModels(ctx context.Context, in *api.GetModelsInput) (*api.Models, error) {
	items, next, err := models().list(ctx, s, *in.RestApiId, in.Position, in.Limit, nil)
	return &api.Models{Items: items, Position: next}, err
}

func (s *Service) UpdateModel(ctx context.Context, in *api.UpdateModelInput) (*api.Model, error) {
	return models().change(ctx, s, *in.RestApiId, *in.ModelName, in.PatchOperations, func(row *api.Model) []patchRule {
		return []patchRule{
			{"replace", "/description", setString(&row.Description)},
			{"replace", "/schema", setString(&row.Schema)},
		}
	}, func(_ kv.Reader, row *api.Model) error { return checkModel(row) })
}

func (s *Service) DeleteModel(ctx context.Context, in *api.DeleteModelInput) (*api.DeleteModelOutput, error) {
	sc, name := scopeOf(ctx), *in.ModelName
	err := models().delete(ctx, s, *in.RestApiId, name, func(r kv.Reader, _ *api.Model) error {
		all, err := models().all(r, sc, *in.RestApiId)
		if err != nil {
			return err
		}
		for _, m := range all {
			var schema any
			if *m.Name == name || json.Unmarshal([]byte(value(m.Schema)), &schema) != nil {
				continue
			}
			used := false
			localRefs(schema, func(ref string) { used = used || ref == name })
			if used {
				return conflict("Cannot delete model '%s', is referenced in model: %s", name, *m.Name)
			}
		}
		return s.eachMethod(r, sc, *in.RestApiId, func(path string, m *api.Method) error {
			if usesModel(m.RequestModels, name) {
				return conflict("Cannot delete model '%s', is referenced in method request: %s/%s", name, path, *m.HttpMethod)
			}
			for _, response := range m.MethodResponses {
				if usesModel(response.ResponseModels, name) {
					return conflict("Cannot delete model '%s', is referenced in method response: %s/%s/%s", name, path, *m.HttpMethod, *response.StatusCode)
				}
			}
			return nil
		})
	})
	return new(api.DeleteModelOutput), err
}

func usesModel(byType map[string]string, name string) bool {
	for _, m := range byType {
		if m == name {
			return true
		}
	}
	return false
}

// checkModels refuses models that the API does not have.
func checkModels(r kv.Reader, sc scope, apiID string, byType map[string]string) error {
	for _, name := range byType {
		ok, err := models().exists(r, sc, apiID, name)
		if err != nil {
			return err
		}
		if !ok {
			return invalid("Invalid model identifier specified: %s", clip(name))
		}
	}
	return nil
}

// GetModelTemplate generates a mapping template that takes a model's body over member by member.
// https://docs.aws.amazon.com/apigateway/latest/api/API_GetModelTemplate.html
func (s *Service) GetModelTemplate(ctx context.Context, in *api.GetModelTemplateInput) (*api.Template, error) {
	row, err := models().view(ctx, s, *in.RestApiId, *in.ModelName)
	if err != nil {
		return nil, err
	}
	template, ok := jsonmodel.Template(value(row.Schema))
	if !ok {
		return nil, invalid("Model '%s' has no schema to generate a template from", *row.Name)
	}
	return &api.Template{Value: &template}, nil
}
