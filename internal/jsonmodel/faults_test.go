package jsonmodel

import "testing"

// What API Gateway says of a body; seen in tests that others run against it, and otherwise what json-schema-validator says,
// which words it: https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-request-validation-set-up.html
func TestFaults(t *testing.T) {
	for _, tt := range []struct{ schema, body, want string }{
		{`{"required":["b","a"]}`, `{}`, `object has missing required properties (["a","b"])`},
		{`{"type":"number"}`, `"100"`, `instance type (string) does not match any allowed primitive type (allowed: ["integer","number"])`},
		{`{"type":"string"}`, `true`, `instance type (boolean) does not match any allowed primitive type (allowed: ["string"])`},
		{`{"type":["string","null"]}`, `1`, `instance type (integer) does not match any allowed primitive type (allowed: ["null","string"])`},
		{`{"type":"integer"}`, `1.5`, `instance type (number) does not match any allowed primitive type (allowed: ["integer"])`},
		{`{"enum":["CREATED","SENT"]}`, `"IN<VALID"`, `instance value ("IN<VALID") not found in enum (possible values: ["CREATED","SENT"])`},
		{`{"additionalProperties":false,"properties":{"a":{}}}`, `{"c":1,"b":2,"a":3}`, `object instance has properties which are not allowed by the schema: ["b","c"]`},
		{`{"minProperties":2}`, `{"a":1}`, `object has too few properties (found 1 but schema requires at least 2)`},
		{`{"maxProperties":0}`, `{"a":1}`, `object has too many properties (found 1 but schema requires at most 0)`},
		{`{"minItems":2}`, `[1]`, `array is too short: must have at least 2 elements but instance has 1 elements`},
		{`{"maxItems":1}`, `[1,2]`, `array is too long: must have at most 1 elements but instance has 2 elements`},
		{`{"uniqueItems":true}`, `[1,1]`, `array must not contain duplicate elements`},
		{`{"minLength":1}`, `""`, `string "" is too short (length: 0, required minimum: 1)`},
		{`{"maxLength":2}`, `"abc"`, `string "abc" is too long (length: 3, maximum allowed: 2)`},
		{`{"pattern":"^a$"}`, `"b"`, `ECMA 262 regex "^a$" does not match input string "b"`},
		{`{"minimum":0.5}`, `-1`, `numeric instance is lower than the required minimum (minimum: 0.5, found: -1)`},
		{`{"maximum":500}`, `1000`, `numeric instance is greater than the required maximum (maximum: 500, found: 1000)`},
		{`{"minimum":1,"exclusiveMinimum":true}`, `1`, `numeric instance is not strictly greater than the required minimum 1`},
		{`{"maximum":1,"exclusiveMaximum":true}`, `1`, `numeric instance is not strictly lower than the required maximum 1`},
		{`{"multipleOf":3}`, `10`, `remainder of division is not zero (10 / 3)`},
		{`{"not":{"type":"string"}}`, `"a"`, `instance matched a schema which it should not have`},
		{`{"anyOf":[{"type":"string"},{"minimum":5}]}`, `1`, `instance failed to match at least one required schema among 2`},
		{`{"oneOf":[{"type":"string"},{"minimum":5}]}`, `1`, `instance failed to match exactly one schema (matched 0 out of 2)`},
		{`{"oneOf":[{},{"minimum":5},{}]}`, `7`, `instance failed to match exactly one schema (matched 3 out of 3)`},
		{`{"properties":{"a":{"items":[{"allOf":[{"type":"string"},{"minLength":1}]}]}}}`, `{"a":[""]}`, `instance failed to match all required schemas (matched only 1 out of 2)`},
		{`{"properties":{"a":{"$ref":"https://apigateway.amazonaws.com/restapis/x/models/Other"}}}`, `{"a":3}`, `instance failed to match exactly one schema (matched 0 out of 1)`},
		{`{"required":["a"],"properties":{"b":{"type":"object"}}}`, `{"b":null}`, `object has missing required properties (["a"]), instance type (null) does not match any allowed primitive type (allowed: ["object"])`},
	} {
		schema, err := Compile("Body", []Model{{"Body", tt.schema}, {"Other", `{"oneOf":[{"type":"array"}]}`}})
		if err != nil {
			t.Fatal(err)
		}
		if err := Check(schema, []byte(tt.body)); err == nil || err.Error() != "["+tt.want+"]" {
			t.Errorf("%s: %s\n got %v\nwant [%s]", tt.schema, tt.body, err, tt.want)
		}
	}
}
