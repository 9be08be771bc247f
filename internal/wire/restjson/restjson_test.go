package restjson

import (
	"errors"
	"maps"
	"math"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"brume/internal/api/apigateway"
	"brume/internal/api/lambda"
	"brume/internal/awserr"
	"brume/internal/schema"
	"brume/internal/schema/schematest"
	"brume/internal/wire/codec"
)

// everywhere has members in every place outside the body, and one in it.
var everywhere = &schema.Service{Name: "test", Protocol: schema.RestJSON, Shapes: []schema.Shape{
	0: {Name: "In", Kind: schema.Structure, Members: []schema.Member{
		{Name: "Label", Wire: "Label", Shape: 1, Location: schema.URI},
		{Name: "Number", Wire: "number", Shape: 4, Location: schema.Query},
		{Name: "Time", Wire: "time", Shape: 8, Location: schema.Query},
		{Name: "Names", Wire: "names", Shape: 9, Location: schema.Query},
		{Name: "Rest", Wire: "Rest", Shape: 10, Location: schema.Query},
		{Name: "HBool", Wire: "X-Bool", Shape: 3, Location: schema.Header},
		{Name: "HLong", Wire: "X-Long", Shape: 5, Location: schema.Header},
		{Name: "HFloat", Wire: "X-Float", Shape: 7, Location: schema.Header},
		{Name: "HTime", Wire: "X-Time", Shape: 8, Location: schema.Header},
		{Name: "HBlob", Wire: "X-Blob", Shape: 2, Location: schema.Header},
		{Name: "HNames", Wire: "X-Names", Shape: 9, Location: schema.Header},
		{Name: "HTimes", Wire: "X-Times", Shape: 11, Location: schema.Header},
		{Name: "HJSON", Wire: "X-Json", Shape: 1, Location: schema.Header, JSONValue: true},
		{Name: "Meta", Wire: "X-Meta-", Shape: 12, Location: schema.Headers},
		{Name: "Status", Wire: "Status", Shape: 4, Location: schema.StatusCode},
		{Name: "Body", Wire: "body", Shape: 1},
	}},
	1:  {Name: "String", Kind: schema.String},
	2:  {Name: "Blob", Kind: schema.Blob},
	3:  {Name: "Bool", Kind: schema.Boolean},
	4:  {Name: "Integer", Kind: schema.Integer},
	5:  {Name: "Long", Kind: schema.Long},
	7:  {Name: "Double", Kind: schema.Double},
	8:  {Name: "Time", Kind: schema.Timestamp},
	9:  {Name: "Names", Kind: schema.List, Members: []schema.Member{{Name: "member", Shape: 1}}},
	10: {Name: "Rest", Kind: schema.Map, Members: []schema.Member{{Name: "key", Shape: 1}, {Name: "value", Shape: 9}}},
	11: {Name: "Times", Kind: schema.List, Members: []schema.Member{{Name: "member", Shape: 8}}},
	12: {Name: "Meta", Kind: schema.Map, Members: []schema.Member{{Name: "key", Shape: 1}, {Name: "value", Shape: 1}}},
	13: {Name: "Data", Kind: schema.Structure, Payload: 1, Members: []schema.Member{{Name: "Data", Wire: "Data", Shape: 2}}},
	14: {Name: "Text", Kind: schema.Structure, Payload: 1, Members: []schema.Member{{Name: "Text", Wire: "Text", Shape: 1}, {Name: "Type", Wire: "Content-Type", Shape: 1, Location: schema.Header}}},
	15: {Name: "Nothing", Kind: schema.Structure},
}, Operations: []schema.Operation{
	{Name: "Op", Method: "POST", Path: "/x/{Label}", Status: 202, Input: 0, Output: 0},
	{Name: "Data", Method: "POST", Path: "/data", Input: 13, Output: 13},
	{Name: "Text", Method: "POST", Path: "/text", Input: 14, Output: 14},
	{Name: "Nothing", Method: "DELETE", Path: "/nothing", Status: 204, Input: 15, Output: 15},
}}

func decode(t testing.TB, op int, r *codec.Request) (map[string]any, error) {
	t.Helper()
	in := schematest.New(everywhere, everywhere.Operations[op].Input, map[string]any{})
	err := New().Decode(everywhere, &everywhere.Operations[op], r, in)
	return in.Values, err
}

func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func TestDecode(t *testing.T) {
	got, err := decode(t, 0, &codec.Request{
		Labels: codec.Params{{Key: "Label", Value: "a%2Fb+c"}},
		Query: codec.Params{{Key: "number", Value: "7"}, {Key: "names", Value: "a,b"}, {Key: "names", Value: ""}, {Key: "other", Value: "1"},
			{Key: "time", Value: "2014-04-29T18:30:38Z"}, {Key: "other", Value: "2"}},
		Header: header("X-Bool", "true", "X-Long", "-9", "X-Float", "NaN", "X-Time", "Tue, 29 Apr 2014 18:30:38 GMT", "X-Blob", "AAH/",
			"X-Names", `a, "b,\"c" ,d,`, "X-Names", "e", "X-Times", "Tue, 29 Apr 2014 18:30:38 GMT, Tue, 29 Apr 2014 18:30:39 GMT",
			"X-Json", "eyJGb28iOiJCYXIifQ==", "X-Meta-Some-Key", "value", "Content-Type", "application/json"),
		Body: []byte(`{"body":"x","Label":"not here","number":8}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if !math.IsNaN(got["HFloat"].(float64)) {
		t.Errorf("NaN is %v", got["HFloat"])
	}
	delete(got, "HFloat")
	want := map[string]any{
		"Label": "a/b+c", "Number": 7.0, "Names": []any{"a,b", ""}, "Rest": map[string]any{"other": []any{"1", "2"}}, "Time": 1398796238.0,
		"HBool": true, "HLong": -9.0, "HTime": 1398796238.0, "HBlob": "\x00\x01\xff", "HNames": []any{"a", `b,"c`, "d", "e"},
		"HTimes": []any{1398796238.0, 1398796239.0}, "HJSON": map[string]any{"Foo": "Bar"}, "Meta": map[string]any{"some-key": "value"}, "Body": "x",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestPayloads(t *testing.T) {
	if got, err := decode(t, 1, &codec.Request{Body: []byte("{raw\xff")}); err != nil || got["Data"] != "{raw\xff" {
		t.Errorf("blob: %q, %v", got, err)
	}
	if got, err := decode(t, 1, &codec.Request{}); err != nil || len(got) != 0 {
		t.Errorf("no blob: %q, %v", got, err)
	}
	got, err := decode(t, 2, &codec.Request{Body: []byte("text"), Header: header("Content-Type", "text/css")})
	if err != nil || got["Text"] != "text" || got["Type"] != "text/css" {
		t.Errorf("string: %q, %v", got, err)
	}
	if got, err := decode(t, 3, &codec.Request{Body: []byte("ignored")}); err != nil || len(got) != 0 {
		t.Errorf("no members: %q, %v", got, err)
	}
	if got, err := decode(t, 0, &codec.Request{}); err != nil || len(got) != 0 {
		t.Errorf("nothing at all: %q, %v", got, err)
	}
}

func TestDecodeErrors(t *testing.T) {
	for name, r := range map[string]*codec.Request{
		"label":   {Labels: codec.Params{{Key: "Label", Value: "%zz"}}},
		"integer": {Query: codec.Params{{Key: "number", Value: "x"}}},
		"range":   {Query: codec.Params{{Key: "number", Value: "2147483648"}}},
		"time":    {Query: codec.Params{{Key: "time", Value: "now"}}},
		"boolean": {Header: header("X-Bool", "maybe")},
		"long":    {Header: header("X-Long", "1.5")},
		"float":   {Header: header("X-Float", "0x1p3")},
		"blob":    {Header: header("X-Blob", "a")},
		"times":   {Header: header("X-Times", "a, b")},
		"JSON":    {Header: header("X-Json", "!")},
		"JSON 2":  {Header: header("X-Json", "IQ==")}, // refused by the type
		"body":    {Body: []byte("{")},
		"type":    {Body: []byte(`{"body":1}`)},
	} {
		_, err := decode(t, 0, r)
		var known awserr.Error
		if !errors.As(err, &known) || known.ErrorCode() != "SerializationException" || known.HTTPStatus() != 400 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func encode(t testing.TB, op int, values map[string]any) *codec.Response {
	t.Helper()
	w := &codec.Response{Header: http.Header{}}
	if err := New().Encode(everywhere, &everywhere.Operations[op], "id-1", schematest.New(everywhere, everywhere.Operations[op].Output, values), w); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestEncode(t *testing.T) {
	at := 1398796238.0
	for _, test := range []struct {
		op     int
		values map[string]any
		status int
		header map[string]string
		body   string
	}{
		{0, map[string]any{"Body": "x", "HBool": false, "HLong": -9.0, "HFloat": math.Inf(-1), "HTime": at, "HBlob": "\x00\x01\xff", "HNames": []any{"a", `b,"c`},
			"HTimes": []any{at, at}, "HJSON": map[string]any{"Foo": "Bar"}, "Meta": map[string]any{"k": "v"}}, 202,
			map[string]string{"X-Bool": "false", "X-Long": "-9", "X-Float": "-Infinity", "X-Time": "Tue, 29 Apr 2014 18:30:38 GMT", "X-Blob": "AAH/",
				"X-Names": `a, "b,\"c"`, "X-Times": "Tue, 29 Apr 2014 18:30:38 GMT, Tue, 29 Apr 2014 18:30:38 GMT", "X-Json": "eyJGb28iOiJCYXIifQ==", "X-Meta-K": "v",
				"Content-Type": "application/json"}, `{"body":"x"}`},
		{0, map[string]any{"Status": 206.0, "HNames": []any{}}, 206, map[string]string{"Content-Type": "application/json"}, `{}`},
		{1, map[string]any{"Data": "raw\xff"}, 200, map[string]string{"Content-Type": "application/octet-stream"}, "raw\xff"},
		{1, map[string]any{}, 200, map[string]string{}, ""},
		{2, map[string]any{"Text": "t"}, 200, map[string]string{"Content-Type": "text/plain"}, "t"},
		{2, map[string]any{"Text": "t", "Type": "text/css"}, 200, map[string]string{"Content-Type": "text/css"}, "t"},
		{3, map[string]any{}, 204, map[string]string{}, ""},
	} {
		w := encode(t, test.op, test.values)
		test.header["X-Amzn-Requestid"] = "id-1"
		got := map[string]string{}
		for k := range w.Header {
			got[k] = w.Header.Get(k)
		}
		if w.Status != test.status || string(w.Body) != test.body || !maps.Equal(got, test.header) {
			t.Errorf("%v\ngot  %d %v %q\nwant %d %v %q", test.values, w.Status, got, w.Body, test.status, test.header, test.body)
		}
	}
}

// What a function returns goes through untouched, as JSON.
// https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
func TestInvoke(t *testing.T) {
	svc := lambda.Schema()
	resolver, err := codec.NewResolver(svc)
	if err != nil {
		t.Fatal(err)
	}
	req := &codec.Request{Method: "POST", Path: "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af/invocations",
		Query: codec.Params{{Key: "Qualifier", Value: "$LATEST"}}, Header: header("X-Amz-Log-Type", "Tail"), Body: []byte(`{"k": 1}`)}
	op, err := resolver.Resolve(req)
	if err != nil || op.Name != "Invoke" {
		t.Fatal(op, err)
	}
	var in lambda.InvokeInput
	if err := New().Decode(svc, op, req, &in); err != nil {
		t.Fatal(err)
	}
	if *in.FunctionName != "arn:aws:lambda:us-east-1:000000000000:function:f" || *in.Qualifier != "$LATEST" || *in.LogType != "Tail" || string(in.Payload) != `{"k": 1}` || in.InvocationType != nil {
		t.Errorf("%+v", in)
	}
	w := &codec.Response{Header: http.Header{}}
	out := &lambda.InvokeOutput{StatusCode: new(int32(200)), FunctionError: new("Unhandled"), ExecutedVersion: new("$LATEST"), LogResult: new("TE9H"), Payload: []byte(`{"errorMessage":"x"}`)}
	if err := New().Encode(svc, op, "id", out, w); err != nil {
		t.Fatal(err)
	}
	h := w.Header
	if w.Status != 200 || string(w.Body) != `{"errorMessage":"x"}` || h.Get("Content-Type") != "application/json" || h.Get("X-Amz-Function-Error") != "Unhandled" ||
		h.Get("X-Amz-Executed-Version") != "$LATEST" || h.Get("X-Amz-Log-Result") != "TE9H" {
		t.Errorf("%d %v %s", w.Status, h, w.Body)
	}
}

// https://docs.aws.amazon.com/lambda/latest/api/CommonErrors.html,
// https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization
func TestErrors(t *testing.T) {
	for _, test := range []struct {
		svc    *schema.Service
		err    awserr.Error
		status int
		header map[string]string
		want   string
	}{
		{lambda.Schema(), &lambda.ResourceNotFoundException{Message: new("Function not found: f")}, 404,
			map[string]string{"X-Amzn-Errortype": "ResourceNotFoundException"}, `{"Message":"Function not found: f","Type":"User"}`},
		{lambda.Schema(), &lambda.ResourceNotFoundException{Type: new("Own"), Message: new("m")}, 404, nil, `{"Type":"Own","Message":"m"}`},
		{lambda.Schema(), &lambda.ServiceException{Message: new("m")}, 500, nil, `{"Message":"m","Type":"Service"}`},
		{lambda.Schema(), awserr.New("ResourceConflictException", "m").WithStatus(409), 409, nil, `{"Type":"User","message":"m"}`},
		{lambda.Schema(), &lambda.TooManyRequestsException{RetryAfterSeconds: new("3"), Reason: new("CallerRateLimitExceeded")}, 429,
			map[string]string{"Retry-After": "3"}, `{"Reason":"CallerRateLimitExceeded","Type":"User"}`},
		{lambda.Schema(), awserr.Validation("1 validation error detected"), 400,
			map[string]string{"X-Amzn-Errortype": "ValidationException"}, `{"message":"1 validation error detected"}`},
		{lambda.Schema(), awserr.New("AccessDeniedException", "no").WithStatus(403), 403, nil, `{"Message":"no"}`},
		{apigateway.Schema(), &apigateway.NotFoundException{Message: new("Invalid API identifier specified")}, 404,
			map[string]string{"X-Amzn-Errortype": "NotFoundException"}, `{"message":"Invalid API identifier specified"}`},
		{apigateway.Schema(), &apigateway.TooManyRequestsException{Message: new("slow"), RetryAfterSeconds: new("1")}, 429,
			map[string]string{"Retry-After": "1"}, `{"message":"slow"}`},
		{apigateway.Schema(), &awserr.Generic{Code: "UnknownOperationException", Status: 404}, 404,
			map[string]string{"X-Amzn-Errortype": "UnknownOperationException"}, `{}`},
	} {
		w := &codec.Response{Header: http.Header{}}
		New().EncodeError(test.svc, nil, "id-1", test.err, w)
		if w.Status != test.status || !sameMembers(string(w.Body), test.want) {
			t.Errorf("%v\ngot  %d %s\nwant %d %s", test.err, w.Status, w.Body, test.status, test.want)
		}
		if w.Header.Get("Content-Type") != "application/json" || w.Header.Get("X-Amzn-Requestid") != "id-1" {
			t.Errorf("header %v", w.Header)
		}
		for k, v := range test.header {
			if w.Header.Get(k) != v {
				t.Errorf("%v: header %s is %q", test.err, k, w.Header.Get(k))
			}
		}
	}
}

// sameMembers compares flat objects without regard to order.
func sameMembers(a, b string) bool {
	split := func(s string) map[string]bool {
		out := map[string]bool{}
		for part := range strings.SplitSeq(strings.Trim(s, "{}"), `,"`) {
			out[strings.TrimPrefix(part, `"`)] = true
		}
		return out
	}
	return reflect.DeepEqual(split(a), split(b))
}

// FuzzDecode checks that any request is read or refused with a client error, and that what was read is written and read
// again as the same.
func FuzzDecode(f *testing.F) {
	f.Add(uint8(0), "a%2Fb", "number=1&names=a&names=b&x=y&time=2014-04-29T18:30:38Z", "X-Names", `a, "b,\"c" ,d`, []byte(`{"body":"x"}`))
	f.Add(uint8(0), "", "", "X-Times", "Tue, 29 Apr 2014 18:30:38 GMT, Tue, 29 Apr 2014 18:30:38 GMT", []byte(nil))
	f.Add(uint8(0), "0", "", "X-Names", "a, \"b\n\\!c,d", []byte(`{}`)) // a quote that does not end, and a control character
	f.Add(uint8(0), "x", "", "X-Meta-A", "b", []byte(`{}`))
	f.Add(uint8(0), "x", "", "X-Json", "eyJGb28iOiJCYXIifQ==", []byte(`{"body":null}`))
	f.Add(uint8(1), "x", "", "X-Blob", "AAEC", []byte("raw"))
	f.Add(uint8(2), "x", "", "Content-Type", "text/plain", []byte("raw"))
	f.Fuzz(func(t *testing.T, op uint8, label, rawQuery, name, value string, body []byte) {
		query, err := codec.ParseParams(rawQuery)
		if err != nil {
			return
		}
		i := int(op) % len(everywhere.Operations)
		values, err := decode(t, i, &codec.Request{Labels: codec.Params{{Key: "Label", Value: label}}, Query: query, Header: header(name, value), Body: body})
		if err != nil {
			var known awserr.Error
			if !errors.As(err, &known) || known.HTTPStatus() != 400 {
				t.Fatal(err)
			}
			return
		}
		w := encode(t, i, values)
		if names, ok := values["HNames"]; ok && len(names.([]any)) > 0 {
			again, err := decode(t, i, &codec.Request{Header: w.Header})
			if err != nil || !reflect.DeepEqual(again["HNames"], names) {
				t.Fatalf("%q written as %q is %q, %v", names, w.Header, again, err)
			}
		}
	})
}
