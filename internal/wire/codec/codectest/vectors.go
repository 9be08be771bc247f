// Package codectest runs the protocol vectors that come with AWS's service models.
package codectest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"brume/internal/schema"
)

// A Vector is one case of a protocol's vectors, with the service that it is about.
type Vector struct {
	// Name is "description/number", the number counted from 0.
	Name string
	Svc  *schema.Service
	Op   *schema.Operation
	// Params are what a request says, Result is what a response says.
	Params, Result map[string]any
	// Serialized is the request of an input vector.
	Serialized struct {
		Method  string
		URI     string
		Body    string
		Headers map[string]string
	}
	// Response is the response of an output vector.
	Response struct {
		StatusCode int `json:"status_code"`
		Headers    map[string]string
		Body       string
	}
}

// Load reads the vectors of a protocol ("json", "rest-json", "query"), from the file for "input" or "output", out of the
// module that the code generator reads the service models from.
func Load(t testing.TB, direction, protocol string) []Vector {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(moduleDir(t), "models", "protocol_tests", direction, protocol+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var suites []suite
	if err := json.Unmarshal(data, &suites); err != nil {
		t.Fatal(err)
	}
	var out []Vector
	for _, s := range suites {
		for i, raw := range s.Cases {
			var c struct {
				Vector
				Given given
			}
			if err := json.Unmarshal(raw, &c); err != nil {
				t.Fatalf("%s: %v", s.Description, err)
			}
			c.Name = s.Description + "/" + string(rune('0'+i))
			c.Svc = s.service(t, c.Given)
			c.Op = &c.Svc.Operations[0]
			out = append(out, c.Vector)
		}
	}
	return out
}

func moduleDir(t testing.TB) string {
	// The tests of a codec run in its directory, below the module's go.mod.
	root, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatalf("finding the module: %v", err)
	}
	cmd := exec.Command("go", "mod", "download", "-json", "github.com/aws/aws-sdk-go")
	cmd.Dir = filepath.Join(filepath.Dir(string(root)), "codegen")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var module struct{ Dir, Error string }
	if err != nil || json.Unmarshal(out, &module) != nil || module.Dir == "" {
		t.Fatalf("finding the vectors: %v\n%s%s", err, out, stderr.Bytes())
	}
	return module.Dir
}

type suite struct {
	Description string
	Metadata    struct {
		Protocol, JSONVersion, TargetPrefix, APIVersion string
	}
	Shapes map[string]shape
	Cases  []json.RawMessage
}

type given struct {
	Name string
	HTTP struct {
		Method, RequestURI string
	}
	Input, Output *ref
}

type shape struct {
	Type                         string
	Members                      json.RawMessage
	Required                     []string
	Member, Key, Value           *ref
	Payload                      string
	Flattened, Union             bool
	Enum                         []string
	Location, LocationName       string
	ResultWrapper                string
	TimestampFormat, Description string
}

type ref struct {
	Shape, Location, LocationName, Payload, ResultWrapper, TimestampFormat string
	Flattened, IdempotencyToken, JSONValue                                 bool
}

var (
	kinds = map[string]schema.Kind{
		"structure": schema.Structure, "list": schema.List, "map": schema.Map, "string": schema.String, "character": schema.String,
		"blob": schema.Blob, "boolean": schema.Boolean, "integer": schema.Integer, "long": schema.Long, "float": schema.Float,
		"double": schema.Double, "timestamp": schema.Timestamp,
	}
	locations = map[string]schema.Location{
		"": schema.Body, "uri": schema.URI, "querystring": schema.Query, "header": schema.Header, "headers": schema.Headers,
		"statusCode": schema.StatusCode,
	}
	formats = map[string]schema.TimestampFormat{
		"": schema.DefaultTimestamp, "iso8601": schema.ISO8601, "rfc822": schema.RFC822, "unixTimestamp": schema.UnixTimestamp,
	}
	protocols = map[string]schema.Protocol{"json": schema.AWSJSON, "rest-json": schema.RestJSON, "query": schema.AWSQuery}
)

// service builds the table of a service that has the suite's shapes and one operation, as the generator would.
func (s *suite) service(t testing.TB, g given) *schema.Service {
	svc := &schema.Service{
		Name: "vectors", SigningName: "vectors", Protocol: protocols[s.Metadata.Protocol],
		JSONVersion: cmp.Or(s.Metadata.JSONVersion, "1.0"), TargetPrefix: s.Metadata.TargetPrefix,
		APIVersion: cmp.Or(s.Metadata.APIVersion, "2014-01-01"),
	}
	index := map[string]int{}
	for name := range s.Shapes {
		index[name] = len(svc.Shapes)
		svc.Shapes = append(svc.Shapes, schema.Shape{Name: name})
	}
	member := func(name string, r *ref) schema.Member {
		target := s.Shapes[r.Shape]
		return schema.Member{
			Name: name, Wire: r.LocationName, Shape: index[r.Shape],
			Location: locations[cmp.Or(r.Location, target.Location)], IdempotencyToken: r.IdempotencyToken,
			JSONValue: r.JSONValue, Flattened: r.Flattened, TimestampFormat: formats[r.TimestampFormat],
		}
	}
	for name, in := range s.Shapes {
		out := &svc.Shapes[index[name]]
		kind, ok := kinds[in.Type]
		if !ok {
			t.Fatalf("%s: shape %s has type %q", s.Description, name, in.Type)
		}
		out.Kind, out.Flattened, out.Union, out.Enum = kind, in.Flattened, in.Union, in.Enum
		out.XMLName, out.ResultWrapper, out.TimestampFormat = in.LocationName, in.ResultWrapper, formats[in.TimestampFormat]
		switch kind {
		case schema.List:
			out.Members = []schema.Member{member("member", in.Member)}
		case schema.Map:
			out.Members = []schema.Member{member("key", in.Key), member("value", in.Value)}
		case schema.Structure:
			for _, m := range orderedMembers(t, in.Members) {
				field := member(m.name, &m.ref)
				field.Wire = cmp.Or(field.Wire, m.name)
				out.Members = append(out.Members, field)
			}
		}
	}
	// What the operation says of its input and output counts for the shape; a suite's operations agree on it.
	bind := func(r *ref) int {
		if r == nil {
			svc.Shapes = append(svc.Shapes, schema.Shape{Name: "Empty"})
			return len(svc.Shapes) - 1
		}
		out := &svc.Shapes[index[r.Shape]]
		out.ResultWrapper = cmp.Or(r.ResultWrapper, out.ResultWrapper)
		payload := cmp.Or(r.Payload, s.Shapes[r.Shape].Payload)
		for i, m := range out.Members {
			if payload != "" && m.Name == payload {
				out.Payload = i + 1
			}
		}
		return index[r.Shape]
	}
	op := schema.Operation{Name: g.Name, Method: cmp.Or(g.HTTP.Method, "POST"), Path: cmp.Or(g.HTTP.RequestURI, "/")}
	op.Input, op.Output = bind(g.Input), bind(g.Output)
	svc.Operations = []schema.Operation{op}
	return svc
}

type namedRef struct {
	name string
	ref  ref
}

// orderedMembers keeps the order of the model.
func orderedMembers(t testing.TB, data json.RawMessage) []namedRef {
	if len(data) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if _, err := dec.Token(); err != nil {
		t.Fatal(err)
	}
	var out []namedRef
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		var r ref
		if err := dec.Decode(&r); err != nil {
			t.Fatal(err)
		}
		out = append(out, namedRef{name.(string), r})
	}
	return out
}
