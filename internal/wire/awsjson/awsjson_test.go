package awsjson

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"brume/internal/api/dynamodb"
	"brume/internal/api/logs"
	"brume/internal/awserr"
	"brume/internal/schema"
	"brume/internal/schema/schematest"
	"brume/internal/wire/codec"
)

func operation(t testing.TB, svc *schema.Service, name string) *schema.Operation {
	t.Helper()
	for i := range svc.Operations {
		if svc.Operations[i].Name == name {
			return &svc.Operations[i]
		}
	}
	t.Fatalf("%s has no operation %s", svc.Name, name)
	return nil
}

// everything has a member of each kind.
var everything = &schema.Service{Name: "test", Protocol: schema.AWSJSON, JSONVersion: "1.1", Shapes: []schema.Shape{
	0: {Name: "In", Kind: schema.Structure, Members: []schema.Member{
		{Name: "String", Wire: "String", Shape: 1}, {Name: "Blob", Wire: "Blob", Shape: 2}, {Name: "Bool", Wire: "Bool", Shape: 3},
		{Name: "Integer", Wire: "Integer", Shape: 4}, {Name: "Long", Wire: "Long", Shape: 5}, {Name: "Float", Wire: "Float", Shape: 6},
		{Name: "Double", Wire: "Double", Shape: 7}, {Name: "Time", Wire: "Time", Shape: 8}, {Name: "List", Wire: "List", Shape: 9},
		{Name: "Map", Wire: "Map", Shape: 10}, {Name: "In", Wire: "In", Shape: 0}, {Name: "Lists", Wire: "Lists", Shape: 11},
		{Name: "Ins", Wire: "Ins", Shape: 12}, {Name: "Events", Wire: "Events", Shape: -1},
	}},
	1:  {Name: "String", Kind: schema.String},
	2:  {Name: "Blob", Kind: schema.Blob},
	3:  {Name: "Bool", Kind: schema.Boolean},
	4:  {Name: "Integer", Kind: schema.Integer},
	5:  {Name: "Long", Kind: schema.Long},
	6:  {Name: "Float", Kind: schema.Float},
	7:  {Name: "Double", Kind: schema.Double},
	8:  {Name: "Time", Kind: schema.Timestamp},
	9:  {Name: "List", Kind: schema.List, Members: []schema.Member{{Name: "member", Shape: 1}}},
	10: {Name: "Map", Kind: schema.Map, Members: []schema.Member{{Name: "key", Shape: 1}, {Name: "value", Shape: 9}}},
	11: {Name: "Lists", Kind: schema.List, Members: []schema.Member{{Name: "member", Shape: 9}}},
	12: {Name: "Ins", Kind: schema.List, Members: []schema.Member{{Name: "member", Shape: 0}}},
}, Operations: []schema.Operation{{Name: "Op", Method: "POST", Path: "/", Input: 0, Output: 0}}}

func decode(body string) (map[string]any, error) {
	in := schematest.New(everything, 0, map[string]any{})
	err := New().Decode(everything, &everything.Operations[0], &codec.Request{Body: []byte(body)}, in)
	return in.Values, err
}

func TestDecode(t *testing.T) {
	for _, test := range []struct {
		body string
		want map[string]any
	}{
		{`{}`, map[string]any{}},
		{` { "String" : "a" } `, map[string]any{"String": "a"}},
		{`{"Long":1,"String":"out of order","Integer":2}`, map[string]any{"Long": 1.0, "String": "out of order", "Integer": 2.0}},
		{`{"String":"first","String":"last"}`, map[string]any{"String": "last"}},
		{`{"List":["a"],"List":["b"]}`, map[string]any{"List": []any{"b"}}},
		{`{"String":null,"List":[null,"a",null],"Map":{"k":null,"l":[null]}}`, map[string]any{"List": []any{"a"}, "Map": map[string]any{"l": []any{}}}},
		{`{"Unknown":{"a":[1,{"b":null}]},"Other":"x","string":"names have case","String":"a"}`, map[string]any{"String": "a"}},
		{`{"Events":{"a":1},"String":"a"}`, map[string]any{"String": "a"}},
		{`{"String":"\u00e9\ud83d\ude00\ud800\"\\\/\b\f\n\r\t"}`, map[string]any{"String": "é😀\ufffd\"\\/\b\f\n\r\t"}},
		{`{"Str\u0069ng":"escaped name","Map":{"\u006b":[]}}`, map[string]any{"String": "escaped name", "Map": map[string]any{"k": []any{}}}},
		{`{"Blob":"","String":""}`, map[string]any{"Blob": "", "String": ""}},
		{`{"Blob":"AAH/"}`, map[string]any{"Blob": "\x00\x01\xff"}},
		{`{"Integer":2147483647,"Long":-9223372036854775808}`, map[string]any{"Integer": 2147483647.0, "Long": -9223372036854775808.0}},
		{`{"Integer":1.9,"Long":-1.9}`, map[string]any{"Integer": 1.0, "Long": -1.0}}, // cut off, as by AWS
		{`{"Integer":1e3,"Long":1.5e3}`, map[string]any{"Integer": 1000.0, "Long": 1500.0}},
		{`{"Float":1.5,"Double":-1e300}`, map[string]any{"Float": 1.5, "Double": -1e300}},
		{`{"Float":"Infinity","Double":"-Infinity"}`, map[string]any{"Float": math.Inf(1), "Double": math.Inf(-1)}},
		{`{"Time":1398796238}`, map[string]any{"Time": 1398796238.0}},
		{`{"Time":1398796238.125}`, map[string]any{"Time": 1398796238.125}},
		{`{"Time":1.398796238E9}`, map[string]any{"Time": 1398796238.0}},
		{`{"Time":"2014-04-29T18:30:38Z"}`, map[string]any{"Time": 1398796238.0}},
		{`{"Lists":[[],["a"],["b","c"]]}`, map[string]any{"Lists": []any{[]any{}, []any{"a"}, []any{"b", "c"}}}},
		{`{"Ins":[{"Ins":[{}],"Map":{"a":["b"]}},{"String":"x"}],"String":"y"}`, map[string]any{"String": "y", "Ins": []any{
			map[string]any{"Ins": []any{map[string]any{}}, "Map": map[string]any{"a": []any{"b"}}}, map[string]any{"String": "x"},
		}}},
	} {
		if got, err := decode(test.body); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s\ngot  %v, %v\nwant %v", test.body, got, err, test.want)
		}
	}
	if got, err := decode(`{"Double":"NaN"}`); err != nil || !math.IsNaN(got["Double"].(float64)) {
		t.Errorf("NaN: %v, %v", got, err)
	}
}

// The words are DynamoDB's, as they stand in public issues, https://github.com/localstack/localstack/issues/9412 for one;
// for text that is not JSON it has none.
func TestSerializationExceptions(t *testing.T) {
	deep := strings.Repeat(`{"In":`, 600) + "{}" + strings.Repeat("}", 600)
	for _, test := range []struct{ body, want string }{
		{``, ""}, {`{`, ""}, {`x`, ""}, {`{} {}`, ""}, {`{"String":"a",}`, ""}, {`{"String"}`, ""}, {`{"String":}`, ""}, {deep, ""},
		{`{"String":"` + "\xff" + `"}`, ""}, {`{"Unknown":[1,}`, ""}, {`{"String":tru}`, ""}, {`{"Integer":01}`, ""}, {`{"Integer":-}`, ""},
		{`[]`, "Unrecognized collection type class com.amazonaws.test.In"},
		{`"a"`, "Unexpected field type"},
		{`{"String":1}`, "NUMBER_VALUE cannot be converted to String"},
		{`{"String":1.5}`, "DECIMAL_VALUE cannot be converted to String"},
		{`{"String":true}`, "TRUE_VALUE cannot be converted to String"},
		{`{"String":false}`, "FALSE_VALUE cannot be converted to String"},
		{`{"String":[]}`, "Unrecognized collection type class java.lang.String"},
		{`{"String":{}}`, "Start of structure or map found where not expected"},
		{`{"Integer":"1"}`, "STRING_VALUE cannot be converted to Integer"},
		{`{"Long":true}`, "TRUE_VALUE cannot be converted to Long"},
		{`{"Double":"1"}`, "STRING_VALUE cannot be converted to Double"},
		{`{"Float":true}`, "TRUE_VALUE cannot be converted to Float"},
		{`{"Bool":"true"}`, "Unexpected token received from parser"},
		{`{"Bool":1}`, "NUMBER_VALUE cannot be converted to Boolean"},
		{`{"Blob":1}`, "only base-64-encoded strings are convertible to bytes"},
		{`{"Blob":[]}`, "Unrecognized collection type class java.nio.ByteBuffer"},
		{`{"Blob":"23456"}`, "Base64 encoded length is expected a multiple of 4 bytes but found: 5"},
		{`{"Blob":"=+/="}`, "Invalid last non-pad Base64 character dectected"},
		{`{"Blob":"+/+="}`, "Invalid last non-pad Base64 character dectected"},
		{`{"Blob":"ab\n\n"}`, "Invalid Base64 character: '\n'"},
		{`{"Blob":"a!bc"}`, "Invalid Base64 character: '!'"},
		{`{"List":"a"}`, "Unexpected field type"},
		{`{"List":{}}`, "Start of structure or map found where not expected"},
		{`{"List":[1]}`, "NUMBER_VALUE cannot be converted to String"},
		{`{"Map":"a"}`, "Unexpected field type"},
		{`{"Map":[]}`, "Unrecognized collection type java.util.Map<java.lang.String, java.util.List<java.lang.String>>"},
		{`{"Map":1}`, "Unexpected field type"},
		{`{"Map":{"a":1}}`, "class sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl cannot be cast to class java.lang.Class " +
			"(sun.reflect.generics.reflectiveObjects.ParameterizedTypeImpl and java.lang.Class are in module java.base of loader 'bootstrap')"},
		{`{"In":1}`, "Unexpected field type"},
		{`{"In":[]}`, "Unrecognized collection type class com.amazonaws.test.In"},
		{`{"Ins":[1]}`, "Unexpected value type in payload"},
		{`{"Ins":[[]]}`, "Unrecognized collection type class com.amazonaws.test.In"},
		{`{"Time":true}`, "TRUE_VALUE cannot be converted to Date"},
		{`{"Time":"soon"}`, "soon cannot be converted to Date"},
		{`{"Integer":2147483648}`, "Numeric value (2147483648) out of range of int (-2147483648 - 2147483647)"},
		{`{"Long":9223372036854775808}`, "Numeric value (9223372036854775808) out of range of long (-9223372036854775808 - 9223372036854775807)"},
		{`{"Long":1e400}`, "Numeric value (1e400) out of range of long (-9223372036854775808 - 9223372036854775807)"},
		{`{"Double":1e400}`, "Numeric value (1e400) out of range of double"},
		{`{"Float":1e40}`, "Numeric value (1e40) out of range of float"},
	} {
		_, err := decode(test.body)
		var known *awserr.Generic
		if !errors.As(err, &known) || known.Code != "SerializationException" || known.Status != 400 || known.Message != test.want {
			t.Errorf("%.100s\ngot  %v\nwant %s", test.body, err, test.want)
		}
	}
}

func TestEncode(t *testing.T) {
	at := float64(1398796238)
	for _, test := range []struct {
		values map[string]any
		want   string
	}{
		{map[string]any{}, `{}`},
		{map[string]any{"String": "<a>&\"\\\x01é\xff", "Bool": false}, `{"String":"<a>&\"\\\u0001é` + "\ufffd" + `","Bool":false}`},
		{map[string]any{"Blob": "\xff", "Integer": 1.0, "Long": -2.0}, `{"Blob":"/w==","Integer":1,"Long":-2}`},
		{map[string]any{"Float": float64(float32(1.2)), "Double": 1.3, "Time": at + 0.5}, `{"Float":1.2,"Double":1.3,"Time":1398796238.5}`},
		{map[string]any{"Double": math.NaN()}, `{"Double":"NaN"}`},
		{map[string]any{"List": []any{}, "Map": map[string]any{"b": []any{"x"}, "a\n": []any{}}}, `{"List":[],"Map":{"a\n":[],"b":["x"]}}`},
		{map[string]any{"In": map[string]any{"Time": at}, "Lists": []any{[]any{}, []any{"a"}}, "Ins": []any{map[string]any{}, map[string]any{"Time": at}}},
			`{"In":{"Time":1398796238},"Lists":[[],["a"]],"Ins":[{},{"Time":1398796238}]}`},
	} {
		w := &codec.Response{Header: http.Header{}}
		if err := New().Encode(everything, &everything.Operations[0], "id-1", schematest.New(everything, 0, test.values), w); err != nil {
			t.Fatal(err)
		}
		if got := string(w.Body); got != test.want {
			t.Errorf("got  %s\nwant %s", got, test.want)
		}
		if w.Status != 200 || w.Header.Get("Content-Type") != "application/x-amz-json-1.1" || w.Header.Get("X-Amzn-RequestId") != "id-1" || w.Header.Get("X-Amz-Crc32") != "" {
			t.Errorf("status %d, header %v", w.Status, w.Header)
		}
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
func TestErrors(t *testing.T) {
	for _, test := range []struct {
		svc    *schema.Service
		err    awserr.Error
		status int
		want   string
	}{
		{dynamodb.Schema(), &dynamodb.ResourceNotFoundException{Message: new("Requested resource not found")}, 400,
			`{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"Requested resource not found"}`},
		{dynamodb.Schema(), awserr.New("ResourceNotFoundException", "x"), 400,
			`{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"x"}`},
		{dynamodb.Schema(), &dynamodb.ConditionalCheckFailedException{Message: new("The conditional request failed"),
			Item: map[string]dynamodb.AttributeValue{"id": dynamodb.S("1")}}, 400,
			`{"__type":"com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException","message":"The conditional request failed","Item":{"id":{"S":"1"}}}`},
		{dynamodb.Schema(), &dynamodb.TransactionCanceledException{Message: new("m"), CancellationReasons: []dynamodb.CancellationReason{{Code: new("None")}, {}}}, 400,
			`{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","Message":"m","CancellationReasons":[{"Code":"None"},{}]}`},
		{dynamodb.Schema(), awserr.Validation("1 validation error detected"), 400,
			`{"__type":"com.amazon.coral.validate#ValidationException","message":"1 validation error detected"}`},
		{dynamodb.Schema(), codec.Serialization(nil, "NUMBER_VALUE cannot be converted to String"), 400,
			`{"__type":"com.amazon.coral.service#SerializationException","Message":"NUMBER_VALUE cannot be converted to String"}`},
		{dynamodb.Schema(), codec.Serialization(nil, ""), 400, `{"__type":"com.amazon.coral.service#SerializationException"}`},
		{dynamodb.Schema(), awserr.New("UnrecognizedClientException", "The security token included in the request is invalid."), 400,
			`{"__type":"com.amazon.coral.service#UnrecognizedClientException","message":"The security token included in the request is invalid."}`},
		{dynamodb.Schema(), awserr.New("AccessDeniedException", "no"), 400, `{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"no"}`},
		{dynamodb.Schema(), awserr.New("ThrottlingException", "slow"), 400, `{"__type":"com.amazon.coral.availability#ThrottlingException","message":"slow"}`},
		{dynamodb.Schema(), &dynamodb.InternalServerError{Message: new("x")}, 500, `{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"x"}`},
		{logs.Schema(), &logs.ResourceNotFoundException{Message: new("The specified log group does not exist.")}, 400,
			`{"__type":"ResourceNotFoundException","message":"The specified log group does not exist."}`},
		{logs.Schema(), awserr.New("InvalidParameterException", "x"), 400, `{"__type":"InvalidParameterException","message":"x"}`},
		{logs.Schema(), awserr.Internal(errors.New("secret")), 500,
			`{"__type":"InternalFailure","message":"The request processing has failed because of an unknown error, exception or failure."}`},
	} {
		w := &codec.Response{Header: http.Header{}}
		New().EncodeError(test.svc, nil, "id-1", test.err, w)
		if w.Status != test.status || string(w.Body) != test.want {
			t.Errorf("%v\ngot  %d %s\nwant %d %s", test.err, w.Status, w.Body, test.status, test.want)
		}
		if w.Header.Get("X-Amzn-RequestId") != "id-1" {
			t.Errorf("header %v", w.Header)
		}
		if test.svc.Name == "dynamodb" {
			if got, want := w.Header.Get("X-Amz-Crc32"), fmt.Sprint(crc32.ChecksumIEEE(w.Body)); got != want {
				t.Errorf("CRC-32 %s, want %s", got, want)
			}
		}
	}
	// What DynamoDB sent for an empty body once, with its checksum.
	w := &codec.Response{Header: http.Header{}}
	New().EncodeError(dynamodb.Schema(), nil, "", codec.Serialization(nil, ""), w)
	if got := w.Header.Get("X-Amz-Crc32"); got != "3948637019" {
		t.Errorf("CRC-32 %s", got)
	}
}

const putItem = `{"TableName":"Thread","Item":{"ForumName":{"S":"Amazon DynamoDB"},"Subject":{"S":"New discussion thread"},` +
	`"Message":{"S":"First post in this thread: how do I update multiple items?"},"LastPostedBy":{"S":"fred@example.com"},` +
	`"LastPostDateTime":{"N":"201303190422"},"Tags":{"SS":["Update","Multiple Items","HelpMe"]},"Open":{"BOOL":true},` +
	`"Meta":{"M":{"views":{"N":"12"},"parts":{"L":[{"S":"a"},{"B":"AAEC"}]}}}}}`

func TestPutItem(t *testing.T) {
	var in dynamodb.PutItemInput
	if err := New().Decode(dynamodb.Schema(), operation(t, dynamodb.Schema(), "PutItem"), &codec.Request{Body: []byte(putItem)}, &in); err != nil {
		t.Fatal(err)
	}
	want := dynamodb.PutItemInput{TableName: new("Thread"), Item: map[string]dynamodb.AttributeValue{
		"ForumName": dynamodb.S("Amazon DynamoDB"), "Subject": dynamodb.S("New discussion thread"),
		"Message":      dynamodb.S("First post in this thread: how do I update multiple items?"),
		"LastPostedBy": dynamodb.S("fred@example.com"), "LastPostDateTime": dynamodb.N("201303190422"),
		"Tags": dynamodb.SS{"Update", "Multiple Items", "HelpMe"}, "Open": dynamodb.BOOL(true),
		"Meta": dynamodb.M{"views": dynamodb.N("12"), "parts": dynamodb.L{dynamodb.S("a"), dynamodb.B{0, 1, 2}}},
	}}
	if !reflect.DeepEqual(in, want) {
		t.Errorf("got %v", in)
	}
	w := &codec.Response{Header: http.Header{}}
	if err := New().Encode(dynamodb.Schema(), operation(t, dynamodb.Schema(), "GetItem"), "", &dynamodb.GetItemOutput{Item: want.Item}, w); err != nil {
		t.Fatal(err)
	}
	var got, sent struct{ Item any }
	if err := errors.Join(json.Unmarshal(w.Body, &got), json.Unmarshal([]byte(putItem), &sent)); err != nil || !reflect.DeepEqual(got, sent) {
		t.Errorf("%v: %s", err, w.Body)
	}
}

// A decoded input owns what it holds: the codec may be used again.
func TestReuse(t *testing.T) {
	c := New()
	op := operation(t, dynamodb.Schema(), "DescribeTable")
	var first, second dynamodb.DescribeTableInput
	body := []byte(`{"TableName":"first\u0021"}`)
	if err := c.Decode(dynamodb.Schema(), op, &codec.Request{Body: body}, &first); err != nil {
		t.Fatal(err)
	}
	if err := c.Decode(dynamodb.Schema(), op, &codec.Request{Body: []byte(`{"TableName":"secon\u0064"}`)}, &second); err != nil {
		t.Fatal(err)
	}
	copy(body, bytes.Repeat([]byte("x"), len(body)))
	if *first.TableName != "first!" || *second.TableName != "second" {
		t.Errorf("%q, %q", *first.TableName, *second.TableName)
	}
}

// FuzzDecode checks that nothing but JSON is accepted, and that what has been read is written and read again as the same.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"String":"a","Blob":"AAEC","Bool":true,"Integer":1,"Long":2,"Float":1.5,"Double":2.5,"Time":1398796238.5}`,
		`{"List":["a",null],"Map":{"k":["v"]},"In":{"Ins":[{"Lists":[[],["x"]]}]}}`, `{"Double":"NaN"}`, `{"Time":"2014-04-29T18:30:38Z"}`,
		`{"String":"\ud83d\ude00"}`, `{"Integer":2147483648}`, `{"Blob":"a"}`, `{"Events":[1]}`, `[]`, `{"In":null}`, "{\"String\":\"\xff\"}",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		values, err := decode(string(data))
		if err != nil {
			var known awserr.Error
			if !errors.As(err, &known) || known.ErrorCode() != "SerializationException" || known.HTTPStatus() != 400 {
				t.Fatalf("%q: %v", data, err)
			}
			return
		}
		if !json.Valid(data) {
			t.Fatalf("%q accepted", data)
		}
		// What has been decoded can be encoded, and decodes to the same.
		w := &codec.Response{Header: http.Header{}}
		if err := New().Encode(everything, &everything.Operations[0], "", schematest.New(everything, 0, values), w); err != nil {
			t.Fatal(err)
		}
		again, err := decode(string(w.Body))
		if err != nil || !same(again, values) {
			t.Fatalf("%q: %v, encoded as %s, is %v, %v", data, values, w.Body, again, err)
		}
	})
}

// same compares, but for what times lose when they are written, and for NaN.
func same(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k := range a {
			if !same(a[k], b[k]) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !same(a[i], b[i]) {
				return false
			}
		}
		return true
	case float64:
		b, ok := b.(float64)
		return ok && (a == b || math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) < 0.0011)
	}
	return reflect.DeepEqual(a, b)
}

// FuzzPutItem decodes items as encoding/json does, encodes them again, and finds what it wrote to be what it read.
func FuzzPutItem(f *testing.F) {
	f.Add([]byte(putItem))
	f.Add([]byte(`{"TableName":"t","Item":{"a":{"NULL":true},"b":{},"c":{"S":"x","N":"1"}}}`))
	f.Add([]byte(`{"Item":{"\u0061\ud83d\ude00":{"L":[{"M":{"":{"B":"AP8="}}},{"BS":["","YQ=="]}]},"n":{"NS":["1","-0.5e3"]},"s":{"SS":["\"\\/\b\f\n\r\t"]}}}`))
	f.Add([]byte(`{"Item":{"a":{"S":null,"BOOL":false},"b":null,"a":{"N":"2"}}}`))
	c, put, get := New(), operation(f, dynamodb.Schema(), "PutItem"), operation(f, dynamodb.Schema(), "GetItem")
	f.Fuzz(func(t *testing.T, data []byte) {
		var in dynamodb.PutItemInput
		if err := c.Decode(dynamodb.Schema(), put, &codec.Request{Body: data}, &in); err != nil {
			return
		}
		if err := schema.NewValidator(dynamodb.Schema()).Validate(put.Input, &in); err != nil {
			if _, ok := err.(awserr.Error); !ok {
				t.Fatal(err)
			}
		}
		var want struct{ Item map[string]any }
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatalf("%s is no JSON: %v", data, err)
		}
		// encoding/json takes names in any case, and merges objects that come twice.
		if in.Item == nil || bytes.Count(bytes.ToLower(data), []byte(`item"`)) != 1 || !utf8.Valid(data) || bytes.Contains(data, []byte(`\u`)) || hasTwice(data) {
			return
		}
		for name, v := range in.Item {
			if got, ok := plain(v); ok && !reflect.DeepEqual(got, known(want.Item[name])) {
				t.Fatalf("%s: %q is %v, want %v", data, name, got, known(want.Item[name]))
			}
		}
		if !proper(dynamodb.M(in.Item)) {
			return
		}
		w := &codec.Response{Header: http.Header{}}
		if err := c.Encode(dynamodb.Schema(), get, "", &dynamodb.GetItemOutput{Item: in.Item}, w); err != nil {
			t.Fatal(err)
		}
		if !json.Valid(w.Body) {
			t.Fatalf("%s became %s", data, w.Body)
		}
		var again dynamodb.PutItemInput
		if err := c.Decode(dynamodb.Schema(), put, &codec.Request{Body: w.Body}, &again); err != nil {
			t.Fatalf("%s became %s: %v", data, w.Body, err)
		}
		if !reflect.DeepEqual(again.Item, in.Item) {
			t.Fatalf("%s became %s", data, w.Body)
		}
	})
}

// hasTwice reports whether an object of a JSON text has a member twice, of which one counts here and the other there.
func hasTwice(data []byte) bool {
	d := json.NewDecoder(bytes.NewReader(data))
	var objects []map[string]bool
	name := false
	for {
		token, err := d.Token()
		if err != nil {
			return false
		}
		switch {
		case token == json.Delim('{'):
			objects, name = append(objects, map[string]bool{}), true
			continue
		case token == json.Delim('['):
			objects = append(objects, nil)
		case token == json.Delim('}'), token == json.Delim(']'):
			objects = objects[:len(objects)-1]
		case name:
			top := objects[len(objects)-1]
			if s, _ := token.(string); top[s] {
				return true
			} else {
				top[s] = true
			}
			name = false
			continue
		}
		name = len(objects) > 0 && objects[len(objects)-1] != nil
	}
}

// known is what DynamoDB knows of a value as encoding/json reads it: unknown types and what is null are left out.
func known(v any) any {
	m, _ := v.(map[string]any)
	out := map[string]any{}
	for typ, v := range m {
		switch typ {
		case "S", "N", "B", "BOOL", "NULL":
			if v != nil {
				out[typ] = v
			}
		case "SS", "NS", "BS":
			if l, ok := v.([]any); ok {
				out[typ] = slices.DeleteFunc(l, func(e any) bool { return e == nil })
			}
		case "L":
			if l, ok := v.([]any); ok {
				list := []any{}
				for _, e := range l {
					if e != nil {
						list = append(list, known(e))
					}
				}
				out[typ] = list
			}
		case "M":
			if m, ok := v.(map[string]any); ok {
				entries := map[string]any{}
				for name, e := range m {
					if e != nil {
						entries[name] = known(e)
					}
				}
				out[typ] = entries
			}
		}
	}
	return out
}

// plain writes a value as known does, and reports whether it is one.
func plain(v dynamodb.AttributeValue) (any, bool) {
	texts := func(typ string, n int, at func(int) string) any {
		list := []any{}
		for i := range n {
			list = append(list, at(i))
		}
		return map[string]any{typ: list}
	}
	switch v := v.(type) {
	case dynamodb.S:
		return map[string]any{"S": string(v)}, true
	case dynamodb.N:
		return map[string]any{"N": string(v)}, true
	case dynamodb.B:
		return map[string]any{"B": base64.StdEncoding.EncodeToString(v)}, true
	case dynamodb.BOOL:
		return map[string]any{"BOOL": bool(v)}, true
	case dynamodb.NULL:
		return map[string]any{"NULL": bool(v)}, true
	case dynamodb.SS:
		return texts("SS", len(v), func(i int) string { return v[i] }), true
	case dynamodb.NS:
		return texts("NS", len(v), func(i int) string { return v[i] }), true
	case dynamodb.BS:
		return texts("BS", len(v), func(i int) string { return base64.StdEncoding.EncodeToString(v[i]) }), true
	case dynamodb.L:
		list := []any{}
		for _, e := range v {
			p, ok := plain(e)
			if !ok {
				return nil, false
			}
			list = append(list, p)
		}
		return map[string]any{"L": list}, true
	case dynamodb.M:
		m := map[string]any{}
		for name, e := range v {
			p, ok := plain(e)
			if !ok {
				return nil, false
			}
			m[name] = p
		}
		return map[string]any{"M": m}, true
	}
	return nil, false // Malformed
}

func proper(v dynamodb.AttributeValue) bool {
	_, ok := plain(v)
	return ok
}

func BenchmarkPutItem(b *testing.B) {
	svc := dynamodb.Schema()
	put, get := operation(b, svc, "PutItem"), operation(b, svc, "GetItem")
	body := []byte(putItem)
	b.Run("codec", func(b *testing.B) {
		c := New()
		w := &codec.Response{Header: http.Header{}}
		b.ReportAllocs()
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			var in dynamodb.PutItemInput
			if err := c.Decode(svc, put, &codec.Request{Body: body}, &in); err != nil {
				b.Fatal(err)
			}
			w.Body = w.Body[:0]
			if err := c.Encode(svc, get, "", &dynamodb.GetItemOutput{Item: in.Item}, w); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding_json", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			var in stdlibItem
			if err := json.Unmarshal(body, &in); err != nil {
				b.Fatal(err)
			}
			in.TableName = nil
			if _, err := json.Marshal(&in); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// stdlibItem is what encoding/json needs for the same.
type stdlibItem struct {
	TableName *string `json:",omitempty"`
	Item      map[string]stdlibValue
}

type stdlibValue struct {
	S    *string                `json:",omitempty"`
	N    *string                `json:",omitempty"`
	B    []byte                 `json:",omitempty"`
	SS   []string               `json:",omitempty"`
	NS   []string               `json:",omitempty"`
	BS   [][]byte               `json:",omitempty"`
	M    map[string]stdlibValue `json:",omitempty"`
	L    []stdlibValue          `json:",omitempty"`
	NULL *bool                  `json:",omitempty"`
	BOOL *bool                  `json:",omitempty"`
}
