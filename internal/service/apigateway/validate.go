package apigateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	api "brume/internal/api/apigateway"
)

// A requestCheck is what a request validator asks of requests to a method, compiled.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-request-validation.html
type requestCheck struct {
	required []string // mapping expressions of parameters that must be there and not blank
	// schemas are those of bodies by media type; nil if bodies are not checked.
	schemas map[string]*jsonschema.Schema
	// problem is a model whose schema cannot be used: then no body passes.
	problem error
}

// defaultModelType is the key of the model for bodies of a type that no other is for.
const defaultModelType = "$default"

// compileCheck returns nil if a method asks nothing.
func (s *stage) compileCheck(row *api.Method, snap *snapshot) *requestCheck {
	i := slices.IndexFunc(snap.Validators, func(v *api.RequestValidator) bool { return *v.Id == value(row.RequestValidatorId) })
	if row.RequestValidatorId == nil || i < 0 {
		return nil
	}
	c := &requestCheck{}
	if value(snap.Validators[i].ValidateRequestParameters) {
		for _, name := range sortedKeys(row.RequestParameters) {
			if row.RequestParameters[name] {
				c.required = append(c.required, name)
			}
		}
	}
	if value(snap.Validators[i].ValidateRequestBody) && len(row.RequestModels) > 0 {
		c.schemas = make(map[string]*jsonschema.Schema, len(row.RequestModels))
		for media, model := range row.RequestModels {
			schema, err := compileModel(model, snap.Models, s.apiID)
			if err != nil {
				c.problem = fmt.Errorf("the model %s: %w", model, err)
				continue
			}
			c.schemas[mediaType(media)] = schema
		}
	}
	return c
}

// noFiles loads no schema: models refer to other models of their API, and those are given.
type noFiles struct{}

func (noFiles) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s is no model of this API", url)
}

// compileModel compiles the schema of a model, with those that it refers to. Without a $schema of its own it is of draft 4.
func compileModel(name string, all []*api.Model, apiID string) (*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft4)
	c.UseLoader(noFiles{})
	for _, m := range all {
		if value(m.Schema) == "" {
			continue
		}
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(*m.Schema))
		if err != nil {
			continue // one that is needed is missed below
		}
		rewriteRefs(doc, apiID)
		if err := c.AddResource(modelURL(apiID, *m.Name), doc); err != nil {
			return nil, err
		}
	}
	return c.Compile(modelURL(apiID, name))
}

func modelURL(apiID, name string) string {
	return "https://apigateway.amazonaws.com/restapis/" + apiID + "/models/" + name
}

// rewriteRefs makes references to models of whatever API and host lead to those of this API, as in AWS.
func rewriteRefs(v any, apiID string) {
	switch v := v.(type) {
	case map[string]any:
		if ref, ok := v["$ref"].(string); ok {
			if name, ok := modelRef(ref); ok {
				v["$ref"] = modelURL(apiID, name)
			}
		}
		for _, child := range v {
			rewriteRefs(child, apiID)
		}
	case []any:
		for _, child := range v {
			rewriteRefs(child, apiID)
		}
	}
}

// validate checks the request as the method's validator says; nil if it passes.
func (x *exchange) validate() *gatewayResponse {
	c := x.method.check
	if c == nil {
		return nil
	}
	var missing []string
	for _, source := range c.required {
		if v, ok := x.requestValue(source); !ok || strings.TrimSpace(v) == "" {
			_, name, _ := strings.Cut(strings.TrimPrefix(source, "method.request."), ".")
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return badParameters("Missing required request parameters: [" + strings.Join(missing, ", ") + "]")
	}
	if c.schemas == nil && c.problem == nil {
		return nil
	}
	contentType, _ := x.req.header("Content-Type")
	media := mediaType(contentType)
	if media == "" {
		media = "application/json"
	}
	schema := c.schemas[media]
	if schema == nil {
		schema = c.schemas[defaultModelType]
	}
	if schema == nil {
		if c.problem != nil {
			x.validationErrors = c.problem.Error()
			return badBody()
		}
		return nil // no model is for this type
	}
	if err := checkBody(schema, x.req.Body); err != nil {
		x.validationErrors = err.Error()
		return badBody()
	}
	return nil
}

func checkBody(schema *jsonschema.Schema, body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var doc any
	if err := d.Decode(&doc); err != nil {
		return errors.New("[the body is not JSON]")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("[the body is not one JSON value]")
	}
	err := schema.Validate(doc)
	var fault *jsonschema.ValidationError
	if !errors.As(err, &fault) {
		return err
	}
	var lines []string
	collect(fault, &lines)
	return errors.New("[" + clip(strings.Join(lines, ", ")) + "]")
}

// collect lists the faults at the leaves.
func collect(e *jsonschema.ValidationError, lines *[]string) {
	if len(e.Causes) == 0 && len(*lines) < 20 {
		_, reason, found := strings.Cut(e.Error(), ": ")
		if !found {
			reason = e.Error()
		}
		*lines = append(*lines, strings.TrimSpace(reason))
	}
	for _, cause := range e.Causes {
		collect(cause, lines)
	}
}
