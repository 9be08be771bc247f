package openapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"

	api "brume/internal/api/apigateway"
	"brume/internal/openapidoc"
)

func pets(t testing.TB) []byte {
	data, err := os.ReadFile("testdata/pets-swagger.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func parse(t testing.TB, data []byte, o Options) *Definition {
	t.Helper()
	d, err := Parse(data, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *Definition) method(path, httpMethod string) *Method {
	for i := range d.Methods {
		if d.Methods[i].Path == path && *d.Methods[i].HttpMethod == httpMethod {
			return &d.Methods[i]
		}
	}
	return nil
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions.html
func TestParse(t *testing.T) {
	d := parse(t, pets(t), Options{RestAPI: "abc"})
	if d.Name != "Pets" || d.Description != "What there is" || d.Version != "2024-01-01" || d.BasePath != "/v1/shop" || d.APIKeySource != "AUTHORIZER" ||
		fmt.Sprint(d.BinaryMediaTypes) != "[image/png]" || *d.MinimumCompressionSize != 1024 {
		t.Errorf("%+v", d)
	}
	list := d.method("/pets", "GET")
	if *list.OperationName != "listPets" || !*list.ApiKeyRequired || *list.AuthorizationType != "NONE" || *list.RequestValidatorId != "all" ||
		fmt.Sprint(list.RequestParameters) != "map[method.request.header.X-Trace:true method.request.querystring.limit:false]" {
		t.Errorf("%+v", list)
	}
	if r := list.MethodResponses["400"]; r.ResponseModels["application/json"] != "Problem" {
		t.Errorf("a response by reference: %+v", r)
	}
	inline := list.MethodResponses["200"]
	if m := inline.ResponseModels["application/json"]; m != "listPetsResponse200petsGET" || len(inline.ResponseParameters) != 1 {
		t.Errorf("an inline schema becomes the model %q of %+v", m, inline)
	}
	in := list.MethodIntegration
	if *in.Type != "MOCK" || *in.PassthroughBehavior != "WHEN_NO_MATCH" || *in.IntegrationResponses["400"].SelectionPattern != `4\d{2}` || in.IntegrationResponses["200"].SelectionPattern != nil {
		t.Errorf("%+v", in)
	}
	post := d.method("/pets", "POST")
	if *post.AuthorizationType != "CUSTOM" || *post.AuthorizerId != "auth" || post.RequestModels["application/json"] != "Pet" || *post.MethodIntegration.TimeoutInMillis != 5000 {
		t.Errorf("%+v", post)
	}
	any := d.method("/pets/{id}", "ANY")
	if *any.AuthorizationType != "AWS_IAM" || !any.RequestParameters["method.request.path.id"] || any.MethodIntegration.RequestTemplates["application/json"] != `{"statusCode":200}` {
		t.Errorf("%+v", any)
	}
	for _, m := range d.Models {
		if *m.Name == "Pet" && !strings.Contains(*m.Schema, `"$ref":"https://apigateway.amazonaws.com/restapis/abc/models/Pet"`) {
			t.Errorf("%s", *m.Schema)
		}
	}
	a := d.Authorizers[0]
	if *a.Type != "TOKEN" || *a.IdentitySource != "method.request.header.Authorization" || *a.AuthorizerResultTtlInSeconds != 60 {
		t.Errorf("%+v", a)
	}
	if len(d.Warnings) != 0 {
		t.Errorf("%q", d.Warnings)
	}
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-import-api-basePath.html
func TestBasePath(t *testing.T) {
	for _, tt := range []struct{ base, mode, want string }{
		{"/a/b", "ignore", "/x"},
		{"/a/b", "", "/x"},
		{"/a/b", "prepend", "/a/b/x"},
		{"/a/b", "split", "/b/x"},
		{"/a", "split", "/x"},
		{"/", "prepend", "/x"},
		{"", "split", "/x"},
	} {
		for _, form := range []string{
			`{"swagger":"2.0","info":{"title":"t"},"basePath":"` + tt.base + `","paths":{"/x":{}}}`,
			`{"openapi":"3.0.1","info":{"title":"t"},"servers":[{"url":"https://h.example/{basePath}","variables":{"basePath":{"default":"` + tt.base + `"}}}],"paths":{"/x":{}}}`,
			`{"openapi":"3.0.1","info":{"title":"t"},"servers":[{"url":"https://h.example` + tt.base + `"}],"paths":{"/x":{}}}`,
		} {
			if d := parse(t, []byte(form), Options{BasePath: tt.mode}); d.Paths[0] != tt.want {
				t.Errorf("%s of %q: %s, want %s", tt.mode, form, d.Paths[0], tt.want)
			}
		}
	}
}

func TestFaults(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 10000) + "1" + strings.Repeat("}", 10000)
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'j'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*%c,", c-1), 10), ","))
	}
	for _, tt := range []struct{ doc, want string }{
		{"", "no OpenAPI document"},
		{"just text", "no OpenAPI document"},
		{"{", "as JSON"},
		{"{} {}", "as JSON"},
		{"a: [", "as YAML"},
		{`{"swagger":"1.2"}`, "says neither"},
		{`{"openapi":"3.1.0"}`, "version 3.1.0 is not supported"},
		{bomb + "swagger: '2.0'\n", ""},
		{`{"swagger":"2.0","x":` + deep + `}`, ""},
		{strings.Repeat(" ", openapidoc.MaxDocument+1), "larger than the maximum"},
		{`{"swagger":"2.0","paths":{"/":{"get":{"x-amazon-apigateway-request-validator":"nope"}}}}`, "Unable to find the request validator 'nope'"},
	} {
		d, err := Parse([]byte(tt.doc), Options{})
		var fault *Error
		if tt.want == "" && err != nil && !errors.As(err, &fault) || tt.want != "" && (!errors.As(err, &fault) || !strings.Contains(fault.Reason, tt.want)) {
			t.Errorf("%.80s: %v, %v", tt.doc, d, err)
		}
	}
}

func TestWarnings(t *testing.T) {
	d := parse(t, []byte(`{"swagger":"2.0","info":{},"securityDefinitions":{"o":{"type":"oauth2"}},"paths":{"/a":{"$ref":"http://elsewhere"},"/b":{"$ref":"#/paths/~1b"},"/c":{"trace":{},
		"get":{"parameters":[{"name":"f","in":"formData"}],"responses":{"2XX":{}},"security":[{"nope":[]}]}}},"definitions":{"é":{}}}`), Options{})
	all := strings.Join(d.Warnings, "\n")
	for _, want := range []string{"no info.title", "'o' has no", "http://elsewhere", "chain of more than", "'trace'", "'f' in 'formData'", "'2XX'", "'nope'", "'é'"} {
		if !strings.Contains(all, want) {
			t.Errorf("no warning of %s in\n%s", want, all)
		}
	}
}

// What is written validates, and says the same when it is read again.
func TestRoundTrip(t *testing.T) {
	first := parse(t, pets(t), Options{RestAPI: "abc"})
	for _, f := range []Form{{}, {YAML: true}, {Version3: true}, {Version3: true, YAML: true}} {
		f.APIGateway, f.Scheme, f.Host, f.BasePath, f.RestAPI = true, "http", "127.0.0.1:4566", "/dev", "abc"
		data, err := first.Write(f)
		if err != nil {
			t.Fatal(err)
		}
		again := parse(t, data, Options{RestAPI: "abc"})
		if err := same(first, again); err != nil {
			t.Errorf("%+v: %v\n%s", f, err, data)
		}
		if len(again.Warnings) > 0 {
			t.Errorf("%+v: %q", f, again.Warnings)
		}
	}
}

// same compares definitions by what they mean.
func same(a, b *Definition) error {
	x, y := *a, *b
	x.BasePath, y.BasePath = "", ""
	x.Documentation, y.Documentation = nil, nil
	for _, d := range []*Definition{&x, &y} {
		d.Models = append([]api.Model(nil), d.Models...)
		for i := range d.Models {
			d.Models[i].Description = nil
		}
		methods := map[string]Method{}
		for _, m := range d.Methods {
			methods[m.Path+*m.HttpMethod] = m
		}
		d.Methods = nil
		for _, key := range []string{"/petsGET", "/petsPOST", "/pets/{id}ANY"} {
			m := methods[key]
			if len(m.MethodIntegration.CacheKeyParameters) == 0 {
				m.MethodIntegration.CacheKeyParameters = nil
			}
			d.Methods = append(d.Methods, m)
		}
	}
	ja, err := json.MarshalIndent(x, "", " ")
	if err != nil {
		return err
	}
	jb, err := json.MarshalIndent(y, "", " ")
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(ja, jb) {
		la, lb := strings.Split(string(ja), "\n"), strings.Split(string(jb), "\n")
		for i := range min(len(la), len(lb)) {
			if la[i] != lb[i] {
				return fmt.Errorf("line %d: %s became %s", i, la[i], lb[i])
			}
		}
		return errors.New("they differ in length")
	}
	return nil
}

// A kept validator takes what is written, with and without extensions.
func TestWrittenDocumentsAreValid(t *testing.T) {
	d := parse(t, pets(t), Options{RestAPI: "abc"})
	for _, f := range []Form{{}, {Integrations: true}, {Authorizers: true}, {APIGateway: true}} {
		f.Scheme, f.Host, f.BasePath = "http", "127.0.0.1:4566", "/dev"
		two, err := d.Write(f)
		if err != nil {
			t.Fatal(err)
		}
		var doc2 openapi2.T
		if err := json.Unmarshal(two, &doc2); err != nil {
			t.Fatal(err)
		}
		converted, err := openapi2conv.ToV3(&doc2)
		if err != nil {
			t.Fatalf("%v\n%s", err, two)
		}
		if err := converted.Validate(t.Context()); err != nil {
			t.Errorf("%v\n%s", err, two)
		}
		for _, f.YAML = range []bool{false, true} {
			f.Version3 = true
			three, err := d.Write(f)
			if err != nil {
				t.Fatal(err)
			}
			doc3, err := openapi3.NewLoader().LoadFromData(three)
			if err != nil {
				t.Fatalf("%v\n%s", err, three)
			}
			if err := doc3.Validate(t.Context()); err != nil {
				t.Errorf("%v\n%s", err, three)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(pets(f))
	f.Add([]byte(`{"openapi":"3.0.1","info":{"title":"t"},"paths":{"/{a}":{"get":{"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/A"}}}},"responses":{}}}},"components":{"schemas":{"A":{"type":"object"}}}}`))
	f.Add([]byte("a: &a\n  <<: *a\nswagger: '2.0'\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := Parse(data, Options{RestAPI: "abc", BasePath: "prepend"})
		if err != nil {
			return
		}
		form := Form{APIGateway: true, Scheme: "http", Host: "h", BasePath: "/s"}
		out, err := d.Write(form)
		if err != nil {
			return
		}
		if _, err := Parse(out, Options{RestAPI: "abc"}); err != nil {
			t.Errorf("what was written cannot be read: %v\n%s", err, out)
		}
	})
}
