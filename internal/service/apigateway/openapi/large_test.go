package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
)

const largePaths = 40

// large is a document of many paths with every kind of method, authorization, integration, model and response.
func large(t *testing.T) []byte {
	paths, definitions := object{}, object{}
	for i := range largePaths {
		name := fmt.Sprintf("Thing%d", i)
		definitions[name] = object{"type": "object", "required": []string{"id"}, "properties": object{
			"id": object{"type": "integer", "minimum": i}, "next": object{"$ref": fmt.Sprintf("#/definitions/Thing%d", (i+1)%largePaths)},
			"tags": object{"type": "array", "items": object{"type": "string", "enum": []string{"a\"b", "é", ""}}},
		}}
		schema := object{"$ref": "#/definitions/" + name}
		responses := object{
			"200": object{"description": "It went well", "schema": schema, "headers": object{"X-Total": object{"type": "string"}}},
			"404": object{"description": "Not there", "schema": object{"$ref": "#/definitions/" + name}},
		}
		mock := object{"type": "mock", "passthroughBehavior": "when_no_templates", "requestTemplates": object{"application/json": `{"statusCode": 200}`, "text/plain": "#set($a = \"b\")\n$a"},
			"responses": object{"default": object{"statusCode": "200", "responseParameters": object{"method.response.header.X-Total": "'7'"}, "responseTemplates": object{"application/json": `{"é": "<&>"}`}},
				`4\d{2}|.*"bad".*`: object{"statusCode": "404", "contentHandling": "CONVERT_TO_TEXT"}}}
		function := object{"type": "aws_proxy", "httpMethod": "POST", "uri": "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:123456789012:function:${stageVariables.f}/invocations",
			"timeoutInMillis": 50 + i, "credentials": "arn:aws:iam::123456789012:role/r"}
		web := object{"type": "http", "httpMethod": "GET", "uri": "https://backend.example/{id}", "requestParameters": object{"integration.request.path.id": "method.request.path.id",
			"integration.request.header.X": "'static'", "integration.request.querystring.q": "method.request.querystring.q"}, "cacheKeyParameters": []string{"method.request.path.id"}, "cacheNamespace": fmt.Sprint("n", i),
			"tlsConfig": object{"insecureSkipVerification": true}, "responses": object{"default": object{"statusCode": "200"}}}
		id := object{"name": "id", "in": "path", "required": true, "type": "string"}
		q := object{"name": "q", "in": "query", "required": i%2 == 0, "type": "string"}
		paths[fmt.Sprintf("/things%d/{id}", i)] = object{
			"get": object{"operationId": fmt.Sprint("get", i), "summary": "Gets", "description": "Gets one", "tags": []string{"x"}, "parameters": []any{id, q, object{"name": "X-H", "in": "header", "type": "string"}},
				"produces": []string{"application/json"}, "responses": responses, "security": []any{object{"key": []any{}}}, "x-amazon-apigateway-request-validator": "all", "x-amazon-apigateway-integration": web},
			"post": object{"consumes": []string{"application/json"}, "produces": []string{"application/json"}, "parameters": []any{id, object{"name": name, "in": "body", "required": true, "schema": schema}},
				"responses": responses, "security": []any{object{[]string{"token", "request", "pool", "iam"}[i%4]: []any{}}}, "x-amazon-apigateway-integration": function, "x-amazon-apigateway-auth": nil},
			"options":                        object{"produces": []string{"application/json"}, "parameters": []any{id}, "responses": responses, "x-amazon-apigateway-integration": mock},
			"x-amazon-apigateway-any-method": object{"parameters": []any{id}, "responses": object{}, "security": []any{object{"iam": []any{}}}, "x-amazon-apigateway-integration": function},
		}
	}
	function := "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/arn:aws:lambda:us-east-1:123456789012:function:auth/invocations"
	data, err := json.Marshal(object{
		"swagger": "2.0", "info": object{"title": "Large", "version": "7", "description": "Of \"everything\""}, "paths": paths, "definitions": definitions,
		"securityDefinitions": object{
			"key": object{"type": "apiKey", "name": "x-api-key", "in": "header"},
			"iam": object{"type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "awsSigv4"},
			"token": object{"type": "apiKey", "name": "Auth", "in": "header", "x-amazon-apigateway-authtype": "custom", "x-amazon-apigateway-authorizer": object{
				"type": "token", "authorizerUri": function, "identityValidationExpression": "^x-[a-z]+", "authorizerResultTtlInSeconds": 60}},
			"request": object{"type": "apiKey", "name": "Unused", "in": "header", "x-amazon-apigateway-authtype": "custom", "x-amazon-apigateway-authorizer": object{
				"type": "request", "authorizerUri": function, "authorizerCredentials": "arn:aws:iam::123456789012:role/r", "identitySource": "method.request.header.A, context.identity.sourceIp"}},
			"pool": object{"type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "cognito_user_pools", "x-amazon-apigateway-authorizer": object{
				"type": "cognito_user_pools", "providerARNs": []string{"arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_p"}}},
		},
		"x-amazon-apigateway-request-validators":       object{"all": object{"validateRequestBody": true, "validateRequestParameters": true}, "body": object{"validateRequestBody": true}},
		"x-amazon-apigateway-request-validator":        "body",
		"x-amazon-apigateway-binary-media-types":       []string{"image/png", "application/octet-stream"},
		"x-amazon-apigateway-minimum-compression-size": 0,
		"x-amazon-apigateway-api-key-source":           "AUTHORIZER",
		"x-amazon-apigateway-gateway-responses": object{"DEFAULT_4XX": object{"responseParameters": object{"gatewayresponse.header.X": "'a'"}},
			"THROTTLED": object{"statusCode": 420, "responseTemplates": object{"application/json": `{"m":$context.error.messageString}`}}},
		"x-amazon-apigateway-policy": object{"Version": "2012-10-17", "Statement": []any{object{"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "Resource": "arn:aws:execute-api:us-east-1:123456789012:abc/*"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// Whatever is exported of a large API validates, and says the same once more when it is imported and exported again.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-export-api.html
func TestLargeRoundTrip(t *testing.T) {
	d := parse(t, large(t), Options{RestAPI: "abc"})
	if len(d.Methods) != 4*largePaths || len(d.Models) != largePaths || len(d.Authorizers) != 3 || len(d.Warnings) != 0 {
		t.Fatalf("%d methods, %d models, %d authorizers, %q", len(d.Methods), len(d.Models), len(d.Authorizers), d.Warnings)
	}
	for _, f := range []Form{{}, {Integrations: true}, {Authorizers: true}, {Integrations: true, Authorizers: true}, {APIGateway: true}} {
		for i := range 4 {
			f.Version3, f.YAML = i&1 != 0, i&2 != 0
			f.Scheme, f.Host, f.BasePath, f.RestAPI = "https", "abc.execute-api.us-east-1.localhost:4566", "/dev", "abc"
			first, err := d.Write(f)
			if err != nil {
				t.Fatal(err)
			}
			checkDocument(t, f, first)
			again := parse(t, first, Options{RestAPI: "abc"})
			second, err := again.Write(f)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(first, second) {
				a, b := bytes.Split(first, []byte("\n")), bytes.Split(second, []byte("\n"))
				at := 0
				for at < min(len(a), len(b))-1 && bytes.Equal(a[at], b[at]) {
					at++
				}
				t.Errorf("%+v: %d lines became %d; line %d: %.200s\nbecame\n%.200s", f, len(a), len(b), at, bytes.Join(a[at:min(at+3, len(a))], []byte("\n")), bytes.Join(b[at:min(at+3, len(b))], []byte("\n")))
			}
			if !f.APIGateway {
				continue
			}
			if err := everything(d, again); err != nil {
				t.Errorf("%+v: %v", f, err)
			}
		}
	}
}

// everything compares what two definitions make of an API, but for the order of their parts and the descriptions of what is no
// part of an API.
func everything(a, b *Definition) error {
	shown := func(d *Definition) (map[string]string, error) {
		out := map[string]string{"name": d.Name, "version": d.Version, "keys": d.APIKeySource, "binary": fmt.Sprint(d.BinaryMediaTypes), "policy": d.Policy, "compression": fmt.Sprint(*d.MinimumCompressionSize)}
		add := func(name string, v any) error {
			data, err := json.Marshal(v)
			out[name] = string(data)
			return err
		}
		for _, m := range d.Methods {
			if len(m.MethodIntegration.CacheKeyParameters) == 0 {
				m.MethodIntegration.CacheKeyParameters = nil
			}
			if err := add(m.Path+" "+*m.HttpMethod, m.Method); err != nil {
				return nil, err
			}
		}
		for _, m := range d.Models {
			if err := add("model "+*m.Name, *m.Schema); err != nil {
				return nil, err
			}
		}
		for _, v := range d.Authorizers {
			if err := add("authorizer "+*v.Name, v); err != nil {
				return nil, err
			}
		}
		for _, v := range d.Validators {
			if err := add("validator "+*v.Name, v); err != nil {
				return nil, err
			}
		}
		for _, v := range d.GatewayResponses {
			if err := add("response "+*v.ResponseType, v); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	x, err := shown(a)
	if err != nil {
		return err
	}
	y, err := shown(b)
	if err != nil {
		return err
	}
	var wrong []string
	for name, v := range x {
		if y[name] != v {
			wrong = append(wrong, fmt.Sprintf("%s: %.900s\nbecame\n%.900s", name, v, y[name]))
		}
	}
	if len(y) > len(x) {
		wrong = append(wrong, fmt.Sprintf("%d parts became %d", len(x), len(y)))
	}
	if slices.Sort(wrong); len(wrong) > 0 {
		return fmt.Errorf("%d differ:\n%s", len(wrong), strings.Join(wrong[:min(3, len(wrong))], "\n"))
	}
	return nil
}

// checkDocument lets a kept validator look at a document.
func checkDocument(t *testing.T, f Form, data []byte) {
	t.Helper()
	if f.Version3 {
		doc, err := openapi3.NewLoader().LoadFromData(data)
		if err == nil {
			err = doc.Validate(t.Context())
		}
		if err != nil {
			t.Errorf("%+v: %.2000v", f, err)
		}
		return
	}
	if f.YAML {
		o, err := decode(data)
		if err == nil {
			data, err = json.Marshal(o)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var doc openapi2.T
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	converted, err := openapi2conv.ToV3(&doc)
	if err == nil {
		err = converted.Validate(t.Context())
	}
	if err != nil {
		t.Errorf("%+v: %.2000v", f, err)
	}
}
