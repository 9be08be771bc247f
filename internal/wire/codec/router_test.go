package codec

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"brume/internal/api/apigateway"
	"brume/internal/api/cloudtrail"
	"brume/internal/api/dynamodb"
	"brume/internal/api/iam"
	"brume/internal/api/lambda"
	"brume/internal/awserr"
	"brume/internal/schema"
)

func operations(lines ...string) []schema.Operation {
	var out []schema.Operation
	for _, line := range lines {
		f := strings.Fields(line)
		out = append(out, schema.Operation{Name: f[0], Method: f[1], Path: f[2]})
	}
	return out
}

// Templates of S3, Lambda and API Gateway, and some of our own for what none of them has.
var templates = operations(
	"ListBuckets GET /",
	"ListObjects GET /{Bucket}",
	"ListObjectsV2 GET /{Bucket}?list-type=2",
	"ListMultipartUploads GET /{Bucket}?uploads",
	"CreateBucket PUT /{Bucket}",
	"GetObject GET /{Bucket}/{Key+}",
	"GetObjectAcl GET /{Bucket}/{Key+}?acl",
	"ListParts GET /{Bucket}/{Key+}?uploadId",
	"PutObject PUT /{Bucket}/{Key+}",
	"CreateFunction POST /2015-03-31/functions",
	"ListFunctions GET /2015-03-31/functions/",
	"GetFunction GET /2015-03-31/functions/{FunctionName}",
	"Invoke POST /2015-03-31/functions/{FunctionName}/invocations",
	"CreateRestApi POST /restapis",
	"ImportRestApi POST /restapis?mode=import",
	"Literal DELETE /a/b",
	"Label DELETE /a/{X}",
	"LabelThenLiteral DELETE /{Y}/c",
	"GreedyThenLiteral DELETE /g/{P+}/end",
	"Greedy DELETE /g/{P+}",
)

func TestRouter(t *testing.T) {
	r, err := NewRouter(templates)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		request string
		want    string // operation, then labels; or the error
	}{
		{"GET /", "ListBuckets"},
		{"GET /b", "ListObjects Bucket=b"},
		{"GET /b/", "ListObjects Bucket=b"},
		{"GET /b?list-type=2&prefix=x", "ListObjectsV2 Bucket=b"},
		{"GET /b?list-type=1", "ListObjects Bucket=b"},
		{"GET /b?uploads", "ListMultipartUploads Bucket=b"},
		{"GET /b?uploads=", "ListMultipartUploads Bucket=b"},
		{"GET /b/k", "GetObject Bucket=b Key=k"},
		{"GET /b//k", "GetObject Bucket=b Key=/k"},
		{"GET /b/k/", "GetObject Bucket=b Key=k/"},
		{"GET /b//", "GetObject Bucket=b Key=/"},
		{"GET /b/a%2Fb/c%20d", "GetObject Bucket=b Key=a%2Fb/c%20d"},
		{"GET /b%2Fk", "ListObjects Bucket=b%2Fk"},
		{"GET /b/k?acl", "GetObjectAcl Bucket=b Key=k"},
		{"GET /b/k?uploadId=7", "ListParts Bucket=b Key=k"},
		{"PUT /b", "CreateBucket Bucket=b"},
		{"PUT /b/k", "PutObject Bucket=b Key=k"},
		{"PUT /", ErrMethod.Error()},
		{"POST /2015-03-31/functions", "CreateFunction"},
		{"POST /2015-03-31/functions/", "CreateFunction"},
		{"GET /2015-03-31/functions", "ListFunctions"},
		{"GET /2015-03-31/functions/", "ListFunctions"},
		{"GET /2015-03-31/functions/arn%3Aaws%3Alambda", "GetFunction FunctionName=arn%3Aaws%3Alambda"},
		{"POST /2015-03-31/functions/f/invocations", "Invoke FunctionName=f"},
		{"POST /2015-03-31/functions/f", ErrMethod.Error()},
		{"POST /2015-03-31/functions//invocations", ErrMethod.Error()}, // GetObject has it
		{"POST /nowhere/at/all", ErrMethod.Error()},
		{"PATCH /", ErrMethod.Error()},
		{"GET //", ErrNoRoute.Error()},
		{"POST /restapis", "CreateRestApi"},
		{"POST /restapis?mode=import", "ImportRestApi"},
		{"POST /restapis?mode=other", "CreateRestApi"},
		{"POST /restapis?a=b&mode=import&failonwarnings=true", "ImportRestApi"},
		{"DELETE /a/b", "Literal"},
		{"DELETE /a/c", "Label X=c"}, // the literal a goes first
		{"DELETE /b/c", "LabelThenLiteral Y=b"},
		{"DELETE /a/b/c", ErrMethod.Error()},
		{"DELETE /g/x", "Greedy P=x"},
		{"DELETE /g/x/y", "Greedy P=x/y"},
		{"DELETE /g/x/end", "GreedyThenLiteral P=x"},
		{"DELETE /g/x/y/end", "GreedyThenLiteral P=x/y"},
		{"DELETE /g/end", "Greedy P=end"},
		{"DELETE /g/x/end/y", "Greedy P=x/end/y"},
		{"DELETE /g/x/end/end", "GreedyThenLiteral P=x/end"},
	} {
		method, target, _ := strings.Cut(test.request, " ")
		path, rawQuery, _ := strings.Cut(target, "?")
		query, err := ParseParams(rawQuery)
		if err != nil {
			t.Fatal(err)
		}
		op, labels, err := r.Match(method, path, query)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			got = op.Name
			for _, l := range labels {
				got += " " + l.Key + "=" + l.Value
			}
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", test.request, got, test.want)
		}
	}
}

func TestRouterRefuses(t *testing.T) {
	for _, bad := range [][]schema.Operation{
		operations("A GET a"),
		operations("A GET /{"),
		operations("A GET /{}"),
		operations("A GET /{+}"),
		operations("A GET /{X}y"),
		operations("A GET /{X+}/{Y+}"),
		operations("A GET /{X}", "B GET /{Y}/"),
		operations("A GET /x?b&a=1", "B GET /x?a=1&b"),
	} {
		if _, err := NewRouter(bad); err == nil {
			t.Errorf("%v accepted", bad)
		}
	}
}

// Every operation of the REST services is found by its own template.
func TestEveryTemplate(t *testing.T) {
	for _, svc := range []*schema.Service{lambda.Schema(), apigateway.Schema()} {
		r, err := NewResolver(svc)
		if err != nil {
			t.Fatal(err)
		}
		for i := range svc.Operations {
			op := &svc.Operations[i]
			path, rawQuery, _ := strings.Cut(op.Path, "?")
			var want Params
			for seg := range strings.SplitSeq(path, "/") {
				if name, ok := strings.CutPrefix(seg, "{"); ok {
					name = strings.TrimSuffix(strings.TrimSuffix(name, "}"), "+")
					want = append(want, Param{name, "%2Fvalue:of-" + name})
					path = strings.Replace(path, seg, "%2Fvalue:of-"+name, 1)
				}
			}
			query, err := ParseParams(rawQuery)
			if err != nil {
				t.Fatal(err)
			}
			req := &Request{Method: op.Method, Path: path, Query: query}
			got, err := r.Resolve(req)
			if err != nil || got != op || !slices.Equal(req.Labels, want) {
				t.Errorf("%s %s: %v, labels %v, %v", op.Method, op.Path, got, req.Labels, err)
			}
		}
	}
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html,
// https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
func TestResolver(t *testing.T) {
	const form = "application/x-www-form-urlencoded; charset=utf-8"
	for _, test := range []struct {
		svc         *schema.Service
		method      string
		query       string
		contentType string
		target      string
		body        string
		want        string // operation, or status, code and message
	}{
		{dynamodb.Schema(), "POST", "", "application/x-amz-json-1.0", "DynamoDB_20120810.GetItem", "{}", "GetItem"},
		{dynamodb.Schema(), "POST", "", "application/json; charset=utf-8", "DynamoDB_20120810.GetItem", "{}", "GetItem"},
		{dynamodb.Schema(), "POST", "", "", "DynamoDB_20120810.GetItem", "", "GetItem"},
		{dynamodb.Schema(), "POST", "", "application/x-amz-json-1.1", "DynamoDB_20120810.GetItem", "{}", "404 UnknownOperationException "},
		{dynamodb.Schema(), "POST", "", "text/plain", "DynamoDB_20120810.GetItem", "{}", "404 UnknownOperationException "},
		{dynamodb.Schema(), "PUT", "", "application/x-amz-json-1.0", "DynamoDB_20120810.GetItem", "{}", "404 UnknownOperationException "},
		{dynamodb.Schema(), "POST", "", "application/x-amz-json-1.0", "DynamoDB_20120810.Nothing", "{}", "400 UnknownOperationException "},
		{dynamodb.Schema(), "POST", "", "application/x-amz-json-1.0", "Other.GetItem", "{}", "400 UnknownOperationException "},
		{dynamodb.Schema(), "POST", "", "application/x-amz-json-1.0", "GetItem", "{}", "400 UnknownOperationException "},
		{dynamodb.Schema(), "POST", "", "application/x-amz-json-1.0", "", "{}", "400 UnknownOperationException "},
		{iam.Schema(), "POST", "", form, "", "Action=GetUser&Version=2010-05-08", "GetUser"},
		{iam.Schema(), "GET", "Action=GetUser&Version=2010-05-08", "", "", "", "GetUser"},
		{iam.Schema(), "POST", "Action=GetUser&Version=2010-05-08", form, "", "", "GetUser"},
		{iam.Schema(), "POST", "", form, "", "Version=2010-05-08", "400 MissingAction The request is missing an action or a required parameter."},
		{iam.Schema(), "POST", "", "application/json", "", "Action=GetUser&Version=2010-05-08", "400 MissingAction The request is missing an action or a required parameter."},
		{iam.Schema(), "POST", "", form, "", "Action=Nope&Version=2010-05-08", "400 InvalidAction Could not find operation Nope for version 2010-05-08"},
		{iam.Schema(), "POST", "", form, "", "Action=GetUser", "400 InvalidAction Could not find operation GetUser for version NO_VERSION_SPECIFIED"},
		{iam.Schema(), "POST", "", form, "", "Action=GetUser&Version=%zz", "404 MalformedQueryString The query string contains a syntax error."},
		{iam.Schema(), "DELETE", "Action=GetUser&Version=2010-05-08", "", "", "", "404 UnknownOperationException "},
		{cloudtrail.Schema(), "POST", "", "", "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents", "", "LookupEvents"},
		{cloudtrail.Schema(), "POST", "", "", "CloudTrail_20131101.LookupEvents", "", "LookupEvents"},
		{cloudtrail.Schema(), "POST", "", "", "v20131101.CloudTrail_20131101.LookupEvents", "", "400 UnknownOperationException "},
		{cloudtrail.Schema(), "POST", "", "", "Trail_20131101.LookupEvents", "", "400 UnknownOperationException "},
		{cloudtrail.Schema(), "POST", "", "", ".LookupEvents", "", "400 UnknownOperationException "},
		{lambda.Schema(), "GET", "", "", "", "", "404 UnknownOperationException "},
	} {
		r, err := NewResolver(test.svc)
		if err != nil {
			t.Fatal(err)
		}
		query, err := ParseParams(test.query)
		if err != nil {
			t.Fatal(err)
		}
		req := &Request{Method: test.method, Path: "/", Query: query, Header: http.Header{}, Body: []byte(test.body)}
		req.Header.Set("Content-Type", test.contentType)
		req.Header.Set("X-Amz-Target", test.target)
		op, err := r.Resolve(req)
		got := ""
		var known awserr.Error
		switch {
		case err == nil:
			got = op.Name
		case errors.As(err, &known):
			got = fmt.Sprintf("%d %s %s", known.HTTPStatus(), known.ErrorCode(), known.ErrorMessage())
		default:
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%+v\ngot  %s\nwant %s", test, got, test.want)
		}
	}
	r, err := NewResolver(lambda.Schema())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Resolve(&Request{Method: "PATCH", Path: "/2015-03-31/functions"}); err.(awserr.Error).HTTPStatus() != 405 {
		t.Errorf("a method that no operation has: %v", err)
	}
	if r.Operation("Invoke") == nil || r.Operation("Nope") != nil {
		t.Error("operations by name")
	}
}

func TestFormLimit(t *testing.T) {
	r, err := NewResolver(iam.Schema())
	if err != nil {
		t.Fatal(err)
	}
	for n, ok := range map[int]bool{MaxParams: true, MaxParams + 1: false} {
		for _, inQuery := range []int{0, 100} {
			query := slices.Repeat(Params{{"a", "b"}}, inQuery)
			body := "Action=GetUser&Version=2010-05-08" + strings.Repeat("&a=b", n-2-inQuery)
			req := &Request{Method: "POST", Path: "/", Query: query, Body: []byte(body),
				Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}
			if _, err := r.Resolve(req); (err == nil) != ok {
				t.Errorf("%d parameters, %d of them in the query string: %v", n, inQuery, err)
			}
		}
	}
}

func BenchmarkRouter(b *testing.B) {
	r, err := NewRouter(apigateway.Schema().Operations)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := r.Match("GET", "/restapis/abc/resources/def/methods/GET/integration", nil); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzRouter checks that what matches is what the template says.
func FuzzRouter(f *testing.F) {
	for _, op := range templates {
		path, query, _ := strings.Cut(op.Path, "?")
		f.Add(op.Method, path, query)
	}
	f.Add("DELETE", "/g/a/end//end/", "")
	f.Add("GET", "//////", "acl")
	r, err := NewRouter(templates)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, path, rawQuery string) {
		query, err := ParseParams(rawQuery)
		if err != nil {
			return
		}
		op, labels, err := r.Match(method, path, query)
		if err != nil {
			if err != ErrMethod && err != ErrNoRoute {
				t.Fatal(err)
			}
			return
		}
		if strings.ContainsAny(path, "\x00\x01") {
			return // the marks below
		}
		// The template with its labels filled in is the path again, but for a slash at the end.
		template, _, _ := strings.Cut(op.Path, "?")
		for _, l := range labels {
			if l.Value == "" {
				t.Fatalf("%s: label %s is empty", path, l.Key)
			}
			plain, greedy := "{"+l.Key+"}", "{"+l.Key+"+}"
			if strings.Contains(template, plain) && strings.Contains(l.Value, "/") {
				t.Fatalf("%s: label %s is %q", path, l.Key, l.Value)
			}
			template = strings.Replace(strings.Replace(template, greedy, "\x00", 1), plain, "\x00", 1)
			template = strings.Replace(template, "\x00", strings.ReplaceAll(l.Value, "{", "\x01"), 1)
		}
		got := strings.ReplaceAll(template, "\x01", "{")
		if strings.Trim(got, "/") != strings.Trim(path, "/") || op.Method != method {
			t.Fatalf("%s %s matched %s %s: %q", method, path, op.Method, op.Path, got)
		}
	})
}
