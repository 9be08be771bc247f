package jsonmodel

import (
	"testing"
	"time"
)

// Whatever a schema says and a body holds, checking ends soon.
func FuzzCheck(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"type":"object","required":["a"],"properties":{"a":{"type":"integer","minimum":1}}}`, `{"a":0}`},
		{`{"$ref":"https://h/restapis/x/models/A"}`, `1`},
		{`{"items":{"$ref":"#"},"oneOf":[{"type":"array"},{"pattern":"^a+$"}]}`, `[["aa"]]`},
		{`{"$schema":"http://json-schema.org/draft-07/schema#","if":{"const":1},"then":{"not":{}}}`, `1`},
		{`{"id":"x","definitions":{"a":{"$ref":"#/definitions/a"}},"allOf":[{"$ref":"#/definitions/a"}]}`, `{}`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, schema, body string) {
		begin := time.Now()
		s, err := Compile("A", []Model{{Name: "A", Schema: schema}, {Name: "B", Schema: `{"type":"string"}`}})
		if err == nil {
			if fault := Check(s, []byte(body)); fault != nil && len(fault.Error()) > 2*maxFault {
				t.Fatalf("%d bytes of faults", len(fault.Error()))
			}
		}
		Template(schema)
		if took := time.Since(begin); took > 10*time.Second {
			t.Fatalf("%v", took)
		}
	})
}
