package apigateway

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	api "brume/internal/api/apigateway"
	"brume/internal/awserr"
	"brume/internal/boundedre"
)

// within fails the test if f takes long. Everything here takes well below a second on a machine with nothing else to do.
func within(t *testing.T, name string, f func()) {
	t.Helper()
	begin := time.Now()
	if f(); time.Since(begin) > 30*time.Second {
		t.Errorf("%s took %v", name, time.Since(begin))
	}
}

// repeated writes something n times, with commas between.
func repeated(n int, format string) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strings.ReplaceAll(format, "%n", fmt.Sprint(i)))
	}
	return b.String()
}

func TestImportsAreBounded(t *testing.T) {
	const head = `{"swagger":"2.0","info":{"title":"x"},`
	deep := strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000)
	big := `"x-amazon-apigateway-integration":{"type":"mock","requestTemplates":{"application/json":"` + strings.Repeat("x", 100_000) + `"}},"responses":{}`
	bomb := "swagger: '2.0'\nx0: &x0 [" + strings.Repeat("a,", 1000) + "]\n"
	for i := range 8 {
		bomb += fmt.Sprintf("x%d: &x%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*x%d,", i), 50), ","))
	}
	for name, tt := range map[string]struct{ doc, code, message string }{
		"many paths":               {head + `"paths":{` + repeated(5001, `"/p%n":{}`) + `}}`, "BadRequestException", "more than 5000 paths"},
		"many resources":           {head + `"paths":{` + repeated(200, `"/p%n`+strings.Repeat("/a", 30)+`":{}`) + `}}`, "LimitExceededException", "Maximum number of resources"},
		"a long path":              {head + `"paths":{"` + strings.Repeat("/a", 100_000) + `":{}}}`, "BadRequestException", "The path is too long"},
		"many models":              {head + `"paths":{},"definitions":{` + repeated(2001, `"M%n":{}`) + `}}`, "BadRequestException", "more than 5000 paths or 2000 models"},
		"many parts":               {head + `"paths":{},"x-amazon-apigateway-documentation":{"documentationParts":[` + repeated(10_001, `{"location":{"type":"RESOURCE","path":"/p%n"},"properties":{}}`) + `]}}`, "LimitExceededException", "documentation parts"},
		"references that expand":   {head + `"paths":{` + repeated(4999, `"/p%n":{"$ref":"#/x-shared"}`) + `},"x-shared":{"get":{` + big + `}}}`, "BadRequestException", "too large when its references are followed"},
		"references in a circle":   {head + `"paths":{"/a":{"$ref":"#/paths/~1b"},"/b":{"$ref":"#/paths/~1a"}},"definitions":{"A":{"$ref":"#/definitions/B"},"B":{"properties":{"a":{"$ref":"#/definitions/A"}}}}}`, "", ""},
		"a reference to itself":    {head + `"paths":{"/a":{"get":{"parameters":[{"$ref":"#/parameters/p"}],"responses":{"200":{"$ref":"#/responses/r"}}}}},"parameters":{"p":{"$ref":"#/parameters/p"}},"responses":{"r":{"$ref":"#/responses/r"}}}`, "", ""},
		"deep JSON":                {head + `"paths":{},"definitions":{"A":` + deep + `}}`, "BadRequestException", ""},
		"deep JSON within bounds":  {head + `"paths":{},"definitions":{"A":` + deep[:0] + strings.Repeat(`{"a":`, 9000) + "1" + strings.Repeat("}", 9000) + `}}`, "BadRequestException", "too large or too deep"},
		"deep YAML":                {"swagger: '2.0'\nx: " + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000), "BadRequestException", ""},
		"YAML that grows":          {bomb, "BadRequestException", "too large or too deep"},
		"YAML that holds itself":   {"swagger: '2.0'\na: &a\n  b: *a\n", "BadRequestException", ""},
		"text that is not UTF-8":   {head + "\"paths\":{\"/\xff\":{}}}", "BadRequestException", ""},
		"a template without bound": {head + `"paths":{"/":{"get":{"x-amazon-apigateway-integration":{"type":"mock","requestTemplates":{"application/json":"` + strings.Repeat("x", 301<<10) + `"}},"responses":{}}}}}`, "BadRequestException", "Mapping template is larger"},
		"a pattern without bound":  {head + `"paths":{"/":{"get":{"x-amazon-apigateway-integration":{"type":"mock","responses":{"` + strings.Repeat(`(\\pL{1000})`, 50) + `":{"statusCode":"200"}}},"responses":{"200":{"description":"x"}}}}}}`, "BadRequestException", "Invalid selection pattern"},
	} {
		within(t, name, func() {
			g := newGateway(t)
			_, err := g.ImportRestApi(g.ctx, &api.ImportRestApiInput{Body: []byte(tt.doc)})
			if tt.code == "" && err != nil {
				t.Errorf("%s: %v", name, err)
			} else if tt.code != "" {
				t.Run(name, func(t *testing.T) { wantError(t, err, tt.code, tt.message) })
			}
		})
	}
}

// A resource more than there may be.
func TestResourceLimit(t *testing.T) {
	g := newGateway(t)
	id := *must(g.ImportRestApi(g.ctx, &api.ImportRestApiInput{Body: []byte(`{"swagger":"2.0","info":{"title":"x"},"paths":{` + repeated(maxResources-1, `"/p%n":{}`) + `}}`)})).Id
	root := *must(g.GetRestApi(g.ctx, &api.GetRestApiInput{RestApiId: &id})).RootResourceId
	_, err := g.CreateResource(g.ctx, &api.CreateResourceInput{RestApiId: &id, ParentId: &root, PathPart: new("more")})
	wantError(t, err, "LimitExceededException", "Maximum number of resources for this API has been reached.")
}

// Bodies and models of any depth, and patterns of any size, end in a 400.
func TestBodiesAreBounded(t *testing.T) {
	deep := strings.Repeat("[", 9_990) + strings.Repeat("]", 9_990)
	g := newGateway(t)
	id, _ := g.api()
	res := g.proxy(id, "/", "POST", false)
	model := func(name, schema string) error {
		_, err := g.CreateModel(g.ctx, &api.CreateModelInput{RestApiId: &id, Name: &name, ContentType: new("application/json"), Schema: &schema})
		return err
	}
	must(0, model("Nested", `{"items":{"$ref":"https://apigateway.amazonaws.com/restapis/`+id+`/models/Nested"}}`))
	must(0, model("Circle", `{"$ref":"https://apigateway.amazonaws.com/restapis/`+id+`/models/Circle"}`))
	must(0, model("Huge", `{"type":"string","pattern":"`+strings.Repeat(`(\\pL{1000})`, 50)+`"}`))
	must(0, model("Least", `{"items":{"minimum":1}}`))
	must(0, model("Slow", `{"type":"string","pattern":"(x+x+)+y"}`))
	wantError(t, model("Deep", strings.Repeat(`{"not":`, 10_001)+"{}"+strings.Repeat("}", 10_001)), "BadRequestException", "Invalid model schema")
	v := must(g.CreateRequestValidator(g.ctx, &api.CreateRequestValidatorInput{RestApiId: &id, Name: new("v"), ValidateRequestBody: new(true)}))
	for _, tt := range []struct {
		model, body string
		status      int
	}{
		{"Nested", deep, 200}, {"Nested", strings.Repeat("[", 1_000_000), 400}, {"Nested", "\xff\xfe", 400}, {"Nested", "[1e999]", 200}, {"Nested", "[1e999999999]", 400}, {"Least", "[1e999999999]", 400}, {"Least", "[2]", 200},
		{"Circle", "{}", 400}, {"Huge", `"x"`, 400}, {"Slow", `"` + strings.Repeat("x", 1_000_000) + `"`, 400}, {"Slow", `"xxxxxxy"`, 200},
	} {
		must(g.UpdateMethod(g.ctx, &api.UpdateMethodInput{RestApiId: &id, ResourceId: &res, HttpMethod: new("POST"),
			PatchOperations: ops("replace /requestValidatorId "+*v.Id, "add /requestModels/application~1json "+tt.model)}))
		g.deploy(id, "dev")
		r := request(id, "dev", "POST", "/")
		r.Body = []byte(tt.body)
		within(t, tt.model, func() {
			if status, body := g.send(r); status != tt.status {
				t.Errorf("%s %.20s: %d %s", tt.model, tt.body, status, body)
			}
		})
	}
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html
func TestTemplatesAreBounded(t *testing.T) {
	g := newGateway(t)
	id, root := g.api()
	for _, template := range []string{
		`#macro(a)#a()#end#a()`, `#macro(a)#b()#end#macro(b)#a()#end#a()`, `#define($d)$d#end$d`, `#set($s = '#evaluate($s)')#evaluate($s)`,
		`#foreach($i in [1..100000])#foreach($j in [1..100000])x#end#end`, `#set($s = "xxxxxxxxxxxxxxxx")#foreach($i in [1..1000])#set($s = "$s$s")#end`,
		`#set($s = "xxxxxxxxxxxxxxxx")#foreach($i in [1..16])#set($s = "$s$s")#end$s.matches("` + strings.Repeat("(x+x+)+", 100) + `y")`,
		`#set($s = "xxxxxxxxxxxxxxxx")#foreach($i in [1..17])#set($s = "$s$s")#end$s.replaceAll("", "yy").length()`,
		`$input.path("$..[?(@.a =~ /` + strings.Repeat("(a{1000})", 50) + `/)]")`, strings.Repeat("#if(true)", 200) + strings.Repeat("#end", 200), strings.Repeat("(", 1000),
		`#set($l = [])#set($m = {"l": $l})$l.add($m)$m`, "$" + strings.Repeat(".a", 100_000),
	} {
		within(t, template, func() {
			g.mock(id, root, "GET", template, nil)
			out := must(g.TestInvokeMethod(g.ctx, &api.TestInvokeMethodInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("GET")}))
			if *out.Status != 500 || *out.Body != bodyInternal {
				t.Errorf("%.80s: %d %.80s", template, *out.Status, *out.Body)
			}
			must(g.DeleteMethod(g.ctx, &api.DeleteMethodInput{RestApiId: &id, ResourceId: &root, HttpMethod: new("GET")}))
		})
	}
}

// Which response a selection pattern chooses, whatever the pattern and the message.
func FuzzSelectResponse(f *testing.F) {
	for _, seed := range [][2]string{{`4\d{2}`, "404"}, {".*Not Found.*", "x\nNot Found"}, {"(a+)+b", "aaaaaaaaaaaaaaaaaaaaaaaa"}, {"a|", ""}, {"(?s).*", "\xff\n"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, message string) {
		re, err := boundedre.Whole(pattern)
		if err != nil {
			return
		}
		in := integration{responses: []integrationResponse{{statusCode: "200"}, {statusCode: "400", pattern: re}}}
		chosen := in.selectResponse(message)
		if chosen == nil {
			t.Fatal("not even the default")
		}
		loc := re.FindStringIndex(message)
		if (chosen.statusCode == "400") != (loc != nil) || loc != nil && re.Fits(message) && (loc[0] != 0 || loc[1] != len(message)) && !strings.ContainsAny(pattern, "()|\\") {
			t.Fatalf("%q chose %s for %q", pattern, chosen.statusCode, message)
		}
	})
}

// Whatever operations a patch has, it is done or refused as one.
func FuzzPatch(f *testing.F) {
	for _, seed := range [][3]string{{"replace", "/name", "b"}, {"add", "/binaryMediaTypes/a~1b", ""}, {"remove", "/policy", ""}, {"replace", "/endpointConfiguration/types/EDGE", "REGIONAL"}, {"add", "/~~~01//", "x"}, {"copy", "/", ""}} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, op, path, v string) {
		g := newGateway(t)
		id, _ := g.api()
		before := *must(g.GetRestApi(g.ctx, &api.GetRestApiInput{RestApiId: &id}))
		list := []api.PatchOperation{{Op: new("replace"), Path: new("/description"), Value: new("changed")}, {Op: &op, Path: &path, Value: &v}}
		if _, err := g.UpdateRestApi(g.ctx, &api.UpdateRestApiInput{RestApiId: &id, PatchOperations: list}); err != nil {
			var known awserr.Error
			if !errors.As(err, &known) {
				t.Fatalf("%s %s: %v", op, path, err)
			}
			if after := *must(g.GetRestApi(g.ctx, &api.GetRestApiInput{RestApiId: &id})); !reflect.DeepEqual(before, after) {
				t.Fatalf("%s %s was refused, but %+v", op, path, after)
			}
		}
	})
}
