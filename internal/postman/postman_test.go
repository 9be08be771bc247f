package postman

import (
	"encoding/json"
	"strings"
	"testing"
)

const document = `{"openapi":"3.0.1","info":{"title":"Pets","version":"1","description":"all"},
"paths":{
 "/pets/{id}":{"parameters":[{"$ref":"#/components/parameters/id"}],
  "get":{"operationId":"getPet","security":[{"api_key":[]}],"parameters":[{"name":"limit","in":"query","required":true,"schema":{"type":"integer","minimum":3}},{"name":"q","in":"query","schema":{"type":"string"}},{"name":"X-H","in":"header","required":true,"example":"h"}]},
  "post":{"security":[{"signed":[]}],"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Pet"}}}}}},
 "/any/{proxy+}":{"x-amazon-apigateway-any-method":{"security":[{"jwt":[]}]}},
 "/own":{"get":{"security":[{"own":[]}]},"trace":{}},
 "/$default":{"x-amazon-apigateway-any-method":{}}},
"components":{"parameters":{"id":{"name":"id","in":"path","required":true,"schema":{"type":"string","example":"7"}}},
 "schemas":{"Pet":{"type":"object","properties":{"name":{"type":"string","enum":["rex"]},"age":{"type":"integer"},"friends":{"type":"array","items":{"$ref":"#/components/schemas/Pet"}}}}},
 "securitySchemes":{"api_key":{"type":"apiKey","name":"x-api-key","in":"header"},"signed":{"type":"apiKey","name":"Authorization","in":"header","x-amazon-apigateway-authtype":"awsSigv4"},
  "own":{"type":"apiKey","name":"Auth","in":"header"},"jwt":{"type":"oauth2","flows":{}}}}}`

func TestCollection(t *testing.T) {
	data, err := Collection([]byte(document), "http://127.0.0.1:1/base", "eu-west-1")
	if err != nil {
		t.Fatal(err)
	}
	var c collection
	if err := json.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	if c.Info.Name != "Pets" || c.Info.Schema != Schema || len(c.Item) != 5 {
		t.Fatalf("%s", data)
	}
	variables := ""
	for _, v := range c.Variable {
		variables += v.Key + "=" + v.Value + " "
	}
	if variables != "accessKey= apiKey= baseUrl=http://127.0.0.1:1/base own= region=eu-west-1 secretKey= token= " {
		t.Error(variables)
	}
	byName := map[string]request{}
	for _, i := range c.Item {
		byName[i.Name] = i.Request
	}
	get := byName["getPet"]
	if get.URL.Raw != "{{baseUrl}}/pets/:id?limit=3" || get.URL.Variable[0] != (variable{"id", "7", "string"}) || !get.URL.Query[1].Disabled || get.Header[0].Value != "h" || get.Header[1] != (pair{"x-api-key", "{{apiKey}}", false}) {
		t.Errorf("%+v", get)
	}
	post := byName["POST /pets/{id}"]
	if post.Auth == nil || post.Auth.Type != "awsv4" || post.Body == nil || !strings.Contains(post.Body.Raw, `"name": "rex"`) || !strings.Contains(post.Body.Raw, `"age": 0`) {
		t.Errorf("%+v", post)
	}
	if any := byName["GET /any/{proxy+}"]; any.URL.Raw != "{{baseUrl}}/any/:proxy" || any.Auth.Type != "bearer" {
		t.Errorf("%+v", any)
	}
	if own := byName["GET /own"]; own.Header[0] != (pair{"Auth", "{{own}}", false}) {
		t.Errorf("%+v", own)
	}
	if _, err := Collection([]byte("{"), "", ""); err == nil {
		t.Error("what is no document becomes no collection")
	}
}

// A schema of schemas that contain themselves ends soon.
func TestRecursiveSchemas(t *testing.T) {
	properties := make([]string, 30)
	for i := range properties {
		properties[i] = `"p` + strings.Repeat("x", i) + `":{"$ref":"#/components/schemas/S"}`
	}
	doc := `{"paths":{"/":{"post":{"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/S"}}}}}}},"components":{"schemas":{"S":{"type":"object","properties":{` +
		strings.Join(properties, ",") + `}}}}}`
	data, err := Collection([]byte(doc), "http://127.0.0.1", "us-east-1")
	if err != nil || len(data) > 10<<20 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

// Whatever a document is, it becomes a collection that is JSON, or an error.
func FuzzCollection(f *testing.F) {
	f.Add([]byte(document))
	f.Add([]byte(`{"paths":{"/":{"get":{"parameters":[{"$ref":"#/paths/~1/get/parameters"}]}}}}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		data, err := Collection(doc, "http://127.0.0.1", "us-east-1")
		if err == nil && !json.Valid(data) {
			t.Errorf("%s", data)
		}
	})
}
