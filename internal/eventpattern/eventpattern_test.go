package eventpattern

import (
	"encoding/json"
	"strings"
	"testing"
)

// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
func TestMatch(t *testing.T) {
	const event = `{"source":"aws.ec2","n":5,"f":-3.75,"null":null,"empty":"","yes":true,"detail":{"state":"Running","ip":"10.0.0.7","list":["a","b"],
		"objects":[{"k":1,"v":"x"},{"k":2,"v":"y"}]},"dynamodb":{"NewImage":{"price":{"N":"12"}}},"file":"images/cat.png"}`
	for pattern, want := range map[string]bool{
		`{"source":["aws.ec2"]}`:                                                true,
		`{"source":["aws.s3","aws.ec2"]}`:                                       true,
		`{"source":["AWS.EC2"]}`:                                                false,
		`{"source":["aws.ec2"],"n":[6]}`:                                        false,
		`{"n":[5.0]}`:                                                           true,
		`{"n":["5"]}`:                                                           false,
		`{"null":[null]}`:                                                       true,
		`{"nothing":[null]}`:                                                    false,
		`{"empty":[""]}`:                                                        true,
		`{"yes":[true]}`:                                                        true,
		`{"detail":{"state":["Running"]}}`:                                      true,
		`{"detail":{"list":["b"]}}`:                                             true,
		`{"detail":{"list":["c"]}}`:                                             false,
		`{"detail":{"objects":{"k":[2],"v":["y"]}}}`:                            true,
		`{"detail":{"objects":{"k":[1],"v":["y"]}}}`:                            false,
		`{"source":[{"prefix":"aws."}]}`:                                        true,
		`{"source":[{"prefix":"ec2"}]}`:                                         false,
		`{"source":[{"prefix":{"equals-ignore-case":"AWS."}}]}`:                 true,
		`{"file":[{"suffix":".png"}]}`:                                          true,
		`{"file":[{"suffix":{"equals-ignore-case":".PNG"}}]}`:                   true,
		`{"detail":{"state":[{"equals-ignore-case":"running"}]}}`:               true,
		`{"detail":{"state":[{"anything-but":"Running"}]}}`:                     false,
		`{"detail":{"state":[{"anything-but":["stopped",5]}]}}`:                 true,
		`{"detail":{"state":[{"anything-but":{"prefix":"Run"}}]}}`:              false,
		`{"file":[{"anything-but":{"suffix":[".jpg",".gif"]}}]}`:                true,
		`{"file":[{"anything-but":{"wildcard":"images/*"}}]}`:                   false,
		`{"nothing":[{"anything-but":"x"}]}`:                                    false,
		`{"n":[{"anything-but":[5]}]}`:                                          false,
		`{"n":[{"numeric":["=",5]}]}`:                                           true,
		`{"n":[{"numeric":[">",0,"<=",5]}]}`:                                    true,
		`{"n":[{"numeric":[">",5]}]}`:                                           false,
		`{"f":[{"numeric":["<",-3.5]}]}`:                                        true,
		`{"dynamodb":{"NewImage":{"price":{"N":[{"numeric":[">",1]}]}}}}`:       false, // DynamoDB's numbers are strings
		`{"source":[{"exists":true}]}`:                                          true,
		`{"nothing":[{"exists":false}]}`:                                        true,
		`{"null":[{"exists":true}]}`:                                            true,
		`{"detail":{"nothing":{"deeper":[{"exists":false}]}}}`:                  true,
		`{"detail":[{"exists":true}]}`:                                          false, // it works on leaves
		`{"detail":{"ip":[{"cidr":"10.0.0.0/24"}]}}`:                            true,
		`{"detail":{"ip":[{"cidr":"10.0.1.0/24"}]}}`:                            false,
		`{"file":[{"wildcard":"images/*.png"}]}`:                                true,
		`{"file":[{"wildcard":"*cat*"}]}`:                                       true,
		`{"file":[{"wildcard":"images/*cat.png"}]}`:                             true,
		`{"file":[{"wildcard":"images/dog*"}]}`:                                 false,
		`{"file":[{"wildcard":"images\\*"}]}`:                                   false,
		`{"$or":[{"n":[6]},{"source":["aws.ec2"]}]}`:                            true,
		`{"$or":[{"n":[6]},{"source":["aws.s3"]}]}`:                             false,
		`{"n":[5],"detail":{"$or":[{"state":["x"]},{"ip":[{"exists":true}]}]}}`: true,
	} {
		p, err := Parse([]byte(pattern))
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		if got := p.MatchJSON([]byte(event)); got != want {
			t.Errorf("%s: %v", pattern, got)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 200) + `["x"]` + strings.Repeat("}", 200)
	for _, pattern := range []string{
		``, `[]`, `{}`, `{"a":"x"}`, `{"a":[]}`, `{"a":{}}`, `{"a":1}`, `{"a":[{"prefix":1}]}`, `{"a":[{"nope":"x"}]}`, `{"a":[{"prefix":"a","suffix":"b"}]}`,
		`{"a":[{"numeric":[">"]}]}`, `{"a":[{"numeric":[">","x"]}]}`, `{"a":[{"numeric":["!",1]}]}`, `{"a":[{"numeric":[">",5,"<",1]}]}`, `{"a":[{"numeric":["<",5,">",1]}]}`,
		`{"a":[{"exists":"yes"}]}`, `{"a":[{"anything-but":[]}]}`, `{"a":[{"anything-but":{"numeric":["=",1]}}]}`, `{"a":[{"anything-but":true}]}`, `{"a":[["x"]]}`,
		`{"a":[{"cidr":"10.0.0.0/99"}]}`, `{"a":[{"wildcard":"a**b"}]}`, `{"a":[{"wildcard":"a\\b"}]}`, `{"a":["x"]} {"b":["y"]}`, deep, `{"a":[1e999]}`,
	} {
		if _, err := Parse([]byte(pattern)); err == nil {
			t.Errorf("%.80s was taken", pattern)
		}
	}
}

// Nothing panics, and a pattern made of an event's own leaves matches it.
func FuzzMatch(f *testing.F) {
	f.Add([]byte(`{"a":[{"prefix":"x"}],"$or":[{"b":[1]},{"c":[{"exists":false}]}]}`), []byte(`{"a":"xyz","b":[1,2]}`))
	f.Add([]byte(`{"a":[{"wildcard":"*a*b*"}]}`), []byte(`{"a":["ab",{"b":null}]}`))
	f.Fuzz(func(t *testing.T, pattern, event []byte) {
		if p, err := Parse(pattern); err == nil {
			p.MatchJSON(event)
		}
		v, err := decode(event)
		m, ok := v.(map[string]any)
		if err != nil || !ok {
			return
		}
		for key, value := range m {
			switch value.(type) {
			case string, bool, nil:
			default:
				continue
			}
			if key == "$or" {
				continue
			}
			self, err := json.Marshal(map[string]any{key: []any{value}})
			if err != nil {
				continue
			}
			p, err := Parse(self)
			if err != nil {
				t.Fatalf("%s: %v", self, err)
			}
			if !p.Match(v) {
				t.Errorf("%s does not match %s", self, event)
			}
		}
	})
}
