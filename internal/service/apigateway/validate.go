package apigateway

import (
	"fmt"
	"slices"
	"strings"

	api "brume/internal/api/apigateway"
	"brume/internal/jsonmodel"
)

// A requestCheck is what a request validator asks of requests to a method, compiled.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-method-request-validation.html
type requestCheck struct {
	required []string // mapping expressions of parameters that must be there and not blank
	// schemas are those of bodies by media type; nil if bodies are not checked.
	schemas map[string]*jsonmodel.Schema
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
		if s.models == nil {
			models := make([]jsonmodel.Model, len(snap.Models))
			for i, m := range snap.Models {
				models[i] = jsonmodel.Model{Name: *m.Name, Schema: value(m.Schema)}
			}
			s.models = jsonmodel.NewSet(models)
		}
		c.schemas = make(map[string]*jsonmodel.Schema, len(row.RequestModels))
		for media, model := range row.RequestModels {
			schema, err := s.models.Compile(model)
			if err != nil {
				c.problem = fmt.Errorf("the model %s: %w", model, err)
				continue
			}
			c.schemas[mediaType(media)] = schema
		}
	}
	return c
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
	if err := jsonmodel.Check(schema, x.req.Body); err != nil {
		x.validationErrors = err.Error()
		return badBody()
	}
	return nil
}
