package jsonmodel

import (
	"strings"
	"testing"
	"time"
)

// Numbers that take much memory when they are written out end in a fault, soon.
func TestEnormousNumbers(t *testing.T) {
	for _, schema := range []string{
		`{"type":"integer"}`, `{"type":"number","minimum":1}`, `{"maximum":1}`, `{"multipleOf":3}`, `{"enum":[1,2]}`, `{"type":"array","uniqueItems":true}`, `{"exclusiveMinimum":true,"minimum":1}`, `{"type":"string"}`, `{"not":{"type":"integer"}}`,
		`{"items":{"type":"integer"}}`,
	} {
		for _, number := range []string{"1e1000001", "1e999999999999", "-1e1000001", "1e-1000001", "1e1000000", "1e-1000000", "1E+999999", "0e1000001", "1e1024", "1e-1024", strings.Repeat("9", 100)} {
			for _, body := range []string{number, "[" + number + "," + number + "]", "[" + strings.Repeat(number+",", 5000) + number + "]"} {
				compiled, err := Compile("A", []Model{{"A", schema}})
				if err != nil {
					t.Fatal(schema, err)
				}
				begin := time.Now()
				func() {
					defer func() {
						if p := recover(); p != nil {
							t.Errorf("%s of %.30s: panic: %v", schema, body, p)
						}
					}()
					Check(compiled, []byte(body))
				}()
				if d := time.Since(begin); d > time.Second {
					t.Errorf("%s of %.30s took %v", schema, body, d)
				}
			}
		}
	}
}

// Those at the bounds are checked, of bodies and of schemas.
func TestLongNumbers(t *testing.T) {
	for number, want := range map[string]bool{"1e1024": true, "1E+1024": true, "1e1025": false, "1e-1024": true, "1e-1025": false, strings.Repeat("9", 1024): true, strings.Repeat("9", 1025): false} {
		integer, err := Compile("A", []Model{{"A", `{"items":{"type":"number","maximum":0}}`}})
		if err != nil {
			t.Fatal(err)
		}
		if got := Check(integer, []byte("["+number+"]")).Error(); strings.Contains(got, "too long") == want {
			t.Errorf("%.20s: %s", number, got)
		}
		if _, err := Compile("A", []Model{{"A", `{"minimum":` + number + `}`}}); (err == nil) != want {
			t.Errorf("%.20s in a schema: %v", number, err)
		}
	}
}
