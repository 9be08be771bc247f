package jsonmodel

import (
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	all := []Model{
		{"Pet", `{"type":"object","required":["name"],"properties":{"name":{"type":"string"},"owner":{"$ref":"https://apigateway.amazonaws.com/apis/a1/models/Owner"}}}`},
		{"Owner", `{"type":"object","required":["id"]}`},
		{"Other", `{"$ref":"https://example.com/schema.json"}`},
		{"Broken", `{`},
	}
	pet, err := Compile("Pet", all)
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]string{
		`{"name":"a"}`:                      "",
		`{"name":"a","owner":{"id":1}}`:     "",
		`{}`:                                "name",
		`{"name":"a","owner":{}}`:           "id",
		`x`:                                 "not JSON",
		`{"name":"a"}{}`:                    "not one JSON value",
		`{"name":` + strings.Repeat("9", 5): "not JSON",
	} {
		err := Check(pet, []byte(body))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", body, err, want)
		}
	}
	for _, name := range []string{"Other", "Broken", "None"} {
		if _, err := Compile(name, all); err == nil {
			t.Errorf("%s was compiled", name)
		}
	}
}

func TestTemplate(t *testing.T) {
	got, ok := Template(`{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"array","items":{"type":"string"}}}}`)
	if !ok || !strings.Contains(got, `"a" : $inputRoot.a`) || !strings.Contains(got, `#foreach($elem in $inputRoot.b)`) {
		t.Errorf("%v %s", ok, got)
	}
	if _, ok := Template(`[]`); ok {
		t.Error("a schema that is no object has a template")
	}
}
