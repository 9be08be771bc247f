package schema_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"brume/internal/api/dynamodb"
	"brume/internal/api/iam"
	"brume/internal/api/lambda"
	"brume/internal/api/logs"
	"brume/internal/awserr"
	"brume/internal/schema"
	"brume/internal/schema/schematest"
)

// input returns the index of an operation's input.
func input(t testing.TB, svc *schema.Service, op string) int {
	t.Helper()
	for i := range svc.Operations {
		if svc.Operations[i].Name == op {
			return svc.Operations[i].Input
		}
	}
	t.Fatalf("%s has no operation %s", svc.Name, op)
	return 0
}

// The forms of the messages are on record in the issues that explain.go names, and at
// https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html.
func TestMessages(t *testing.T) {
	long := strings.Repeat("x", 70)
	for _, test := range []struct {
		name string
		svc  *schema.Service
		op   string
		in   schema.Struct
		code string
		want string
	}{
		{"nothing wrong", dynamodb.Schema(), "DescribeTable", &dynamodb.DescribeTableInput{TableName: new("t")}, "", ""},
		{"required", dynamodb.Schema(), "BatchGetItem", &dynamodb.BatchGetItemInput{}, "ValidationException",
			"1 validation error detected: Value null at 'requestItems' failed to satisfy constraint: Member must not be null"},
		{"required and enumeration in a list", dynamodb.Schema(), "CreateTable", &dynamodb.CreateTableInput{
			TableName:            new("abc"),
			AttributeDefinitions: []dynamodb.AttributeDefinition{},
			KeySchema: []dynamodb.KeySchemaElement{
				{KeyType: new("HASH")}, {AttributeName: new("a")}, {KeyType: new("Woop"), AttributeName: new("a")},
			},
		}, "ValidationException",
			"3 validation errors detected: " +
				"Value null at 'keySchema.1.member.attributeName' failed to satisfy constraint: Member must not be null; " +
				"Value null at 'keySchema.2.member.keyType' failed to satisfy constraint: Member must not be null; " +
				"Value 'Woop' at 'keySchema.3.member.keyType' failed to satisfy constraint: Member must satisfy enum value set: [HASH, RANGE]"},
		{"length of a list", dynamodb.Schema(), "BatchExecuteStatement", &dynamodb.BatchExecuteStatementInput{Statements: []dynamodb.BatchStatementRequest{}}, "ValidationException",
			"1 validation error detected: Value '[]' at 'statements' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{"number below its least", dynamodb.Schema(), "ListTables", &dynamodb.ListTablesInput{Limit: new(int32(0))}, "ValidationException",
			"1 validation error detected: Value '0' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1"},
		{"number above its greatest and a pattern", dynamodb.Schema(), "ListTables",
			&dynamodb.ListTablesInput{Limit: new(int32(101)), ExclusiveStartTableName: new("a;bc")}, "ValidationException",
			"2 validation errors detected: Value 'a;bc' at 'exclusiveStartTableName' failed to satisfy constraint: " +
				"Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; " +
				"Value '101' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 100"},
		{"lists in a map", dynamodb.Schema(), "BatchWriteItem", &dynamodb.BatchWriteItemInput{
			RequestItems: map[string][]dynamodb.WriteRequest{"t": {}},
		}, "ValidationException",
			"1 validation error detected: Value '{t=[]}' at 'requestItems' failed to satisfy constraint: Map value must satisfy constraint: " +
				"[Member must have length less than or equal to 25, Member must have length greater than or equal to 1]"},
		{"inside lists in a map", dynamodb.Schema(), "BatchWriteItem", &dynamodb.BatchWriteItemInput{
			RequestItems: map[string][]dynamodb.WriteRequest{"t": {{}, {DeleteRequest: &dynamodb.DeleteRequest{}}}},
		}, "ValidationException",
			"1 validation error detected: Value null at 'requestItems.t.member.2.member.deleteRequest.key' failed to satisfy constraint: Member must not be null"},
		{"the query protocol's code", iam.Schema(), "CreateRole",
			&iam.CreateRoleInput{RoleName: &long, AssumeRolePolicyDocument: new("{}")}, "ValidationError",
			"1 validation error detected: Value '" + long + "' at 'roleName' failed to satisfy constraint: Member must have length less than or equal to 64"},
		{"elements of a list as a whole", iam.Schema(), "UntagUser",
			&iam.UntagUserInput{UserName: new("u"), TagKeys: []string{"ok", ""}}, "ValidationError",
			"1 validation error detected: Value '[ok, ]' at 'tagKeys' failed to satisfy constraint: Member must satisfy constraint: " +
				"[Member must have length less than or equal to 128, Member must have length greater than or equal to 1, " +
				`Member must satisfy regular expression pattern: [\p{L}\p{Z}\p{N}_.:/=+\-@]+]`},
		{"only the first letter of a name is lowered", lambda.Schema(), "UpdateFunctionConfiguration",
			&lambda.UpdateFunctionConfigurationInput{FunctionName: new("f"), KMSKeyArn: new("x")}, "ValidationException",
			"1 validation error detected: Value 'x' at 'kMSKeyArn' failed to satisfy constraint: " +
				`Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:[a-z0-9-.]+:.*)|()`},
		{"sensitive keys of a map", lambda.Schema(), "UpdateFunctionConfiguration", &lambda.UpdateFunctionConfigurationInput{
			FunctionName: new("f"), Environment: &lambda.Environment{Variables: map[string]string{"secret name": "secret value"}}}, "ValidationException",
			"1 validation error detected: Value at 'environment.variables' failed to satisfy constraint: Map keys must satisfy constraint: " +
				"[Member must satisfy regular expression pattern: [a-zA-Z]([a-zA-Z0-9_])+]"},
		{"logs have a code of their own", logs.Schema(), "CreateLogGroup",
			&logs.CreateLogGroupInput{LogGroupName: new("a b")}, "InvalidParameterException",
			"1 validation error detected: Value 'a b' at 'logGroupName' failed to satisfy constraint: " +
				`Member must satisfy regular expression pattern: [\.\-_/#A-Za-z0-9]+`},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := schema.NewValidator(test.svc).Validate(input(t, test.svc, test.op), test.in)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var known awserr.Error
			if !errors.As(err, &known) {
				t.Fatalf("error %v", err)
			}
			if known.ErrorCode() != test.code || known.HTTPStatus() != 400 {
				t.Errorf("code %s, status %d", known.ErrorCode(), known.HTTPStatus())
			}
			if known.ErrorMessage() != test.want {
				t.Errorf("got  %s\nwant %s", known.ErrorMessage(), test.want)
			}
		})
	}
}

// table has one of everything that can be constrained.
var table = &schema.Service{Name: "test", Shapes: []schema.Shape{
	0: {Name: "In", Kind: schema.Structure, Members: []schema.Member{
		{Name: "Text", Shape: 1}, {Name: "Data", Shape: 2}, {Name: "Count", Shape: 3}, {Name: "Ratio", Shape: 4},
		{Name: "List", Shape: 5}, {Name: "Map", Shape: 6}, {Name: "Choice", Shape: 7}, {Name: "Free", Shape: 8},
		{Name: "Nested", Shape: 0}, {Name: "Secret", Shape: 9}, {Name: "Grid", Shape: 10}, {Name: "Structs", Shape: 11}, {Name: "ByName", Shape: 12},
		{Name: "Dotted", Shape: 13},
	}},
	1:  {Name: "Text", Kind: schema.String, Min: 2, HasMin: true, Max: 4, HasMax: true},
	2:  {Name: "Data", Kind: schema.Blob, Min: 1, HasMin: true, Max: 3, HasMax: true},
	3:  {Name: "Count", Kind: schema.Long, Min: -5, HasMin: true, Max: 5, HasMax: true},
	4:  {Name: "Ratio", Kind: schema.Double, Min: 0, HasMin: true, Max: 0.5, HasMax: true},
	5:  {Name: "List", Kind: schema.List, Members: []schema.Member{{Name: "member", Shape: 1}}, Min: 1, HasMin: true, Max: 2, HasMax: true},
	6:  {Name: "Map", Kind: schema.Map, Members: []schema.Member{{Name: "key", Shape: 1}, {Name: "value", Shape: 3}}, Max: 2, HasMax: true},
	7:  {Name: "Choice", Kind: schema.Structure, Union: true, Members: []schema.Member{{Name: "A", Shape: 8}, {Name: "B", Shape: 1}}},
	8:  {Name: "Free", Kind: schema.String},
	9:  {Name: "Secret", Kind: schema.String, Sensitive: true, Enum: []string{"x"}},
	10: {Name: "Grid", Kind: schema.List, Members: []schema.Member{{Name: "member", Shape: 5}}},
	11: {Name: "Structs", Kind: schema.List, Members: []schema.Member{{Name: "member", Shape: 14}}},
	12: {Name: "ByName", Kind: schema.Map, Members: []schema.Member{{Name: "key", Shape: 8}, {Name: "value", Shape: 14}}},
	13: {Name: "Dotted", Kind: schema.String, Pattern: `(?!no)a.*|b`, Regexp: `a.*|b`},
	14: {Name: "Element", Kind: schema.Structure, Members: []schema.Member{{Name: "Name", Shape: 1, Required: true}, {Name: "Secret", Shape: 9}, {Name: "Last", Shape: 8, Required: true}}},
}}

func TestEdges(t *testing.T) {
	v := schema.NewValidator(table)
	list := func(n int) []any {
		return strings2any(strings.Split(strings.TrimSuffix(strings.Repeat("ab,", n), ","), ","))[:n]
	}
	for _, test := range []struct {
		in   map[string]any
		want string // of the message, behind "… detected: "; empty if all is well
	}{
		{map[string]any{}, ""},
		{map[string]any{"Text": "ab"}, ""},
		{map[string]any{"Text": "abcd"}, ""},
		{map[string]any{"Text": "ééé"}, ""},  // characters, not bytes
		{map[string]any{"Text": "éééé"}, ""}, // eight bytes
		{map[string]any{"Text": "a"}, "Value 'a' at 'text' failed to satisfy constraint: Member must have length greater than or equal to 2"},
		{map[string]any{"Text": "é"}, "Value 'é' at 'text' failed to satisfy constraint: Member must have length greater than or equal to 2"},
		{map[string]any{"Text": ""}, "Value '' at 'text' failed to satisfy constraint: Member must have length greater than or equal to 2"},
		{map[string]any{"Text": "abcde"}, "Value 'abcde' at 'text' failed to satisfy constraint: Member must have length less than or equal to 4"},
		{map[string]any{"Text": "ééééé"}, "Value 'ééééé' at 'text' failed to satisfy constraint: Member must have length less than or equal to 4"},
		{map[string]any{"Data": "abc"}, ""},
		{map[string]any{"Data": "éé"}, "Value 'java.nio.HeapByteBuffer[pos=0 lim=4 cap=4]' at 'data' failed to satisfy constraint: Member must have length less than or equal to 3"},
		{map[string]any{"Data": ""}, "Value 'java.nio.HeapByteBuffer[pos=0 lim=0 cap=0]' at 'data' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{map[string]any{"Count": -5.0}, ""},
		{map[string]any{"Count": 5.0}, ""},
		{map[string]any{"Count": -6.0}, "Value '-6' at 'count' failed to satisfy constraint: Member must have value greater than or equal to -5"},
		{map[string]any{"Count": 6.0}, "Value '6' at 'count' failed to satisfy constraint: Member must have value less than or equal to 5"},
		{map[string]any{"Ratio": 0.5}, ""},
		{map[string]any{"Ratio": 0.75}, "Value '0.75' at 'ratio' failed to satisfy constraint: Member must have value less than or equal to 0.5"},
		{map[string]any{"List": list(1)}, ""},
		{map[string]any{"List": list(2)}, ""},
		{map[string]any{"List": list(0)}, "Value '[]' at 'list' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{map[string]any{"List": list(3)}, "Value '[ab, ab, ab]' at 'list' failed to satisfy constraint: Member must have length less than or equal to 2"},
		{map[string]any{"List": []any{"a", "ab"}}, "Value '[a, ab]' at 'list' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 4, Member must have length greater than or equal to 2]"},
		{map[string]any{"Map": map[string]any{"ab": 1.0, "cd": 2.0}}, ""},
		{map[string]any{"Map": map[string]any{"ab": 6.0}}, "Value '{ab=6}' at 'map' failed to satisfy constraint: Map value must satisfy constraint: [Member must have value less than or equal to 5, Member must have value greater than or equal to -5]"},
		{map[string]any{"Map": map[string]any{"a": 1.0}}, "Value '{a=1}' at 'map' failed to satisfy constraint: Map keys must satisfy constraint: [Member must have length less than or equal to 4, Member must have length greater than or equal to 2]"},
		{map[string]any{"Choice": map[string]any{"A": ""}}, ""},
		{map[string]any{"Choice": map[string]any{}}, "Value 'Choice()' at 'choice' failed to satisfy constraint: Member must have exactly one member set"},
		{map[string]any{"Choice": map[string]any{"A": "x", "B": "yy"}}, "Value 'Choice(a=x, b=yy)' at 'choice' failed to satisfy constraint: Member must have exactly one member set"},
		{map[string]any{"Nested": map[string]any{"Nested": map[string]any{"Text": "a"}}}, "Value 'a' at 'nested.nested.text' failed to satisfy constraint: Member must have length greater than or equal to 2"},
		{map[string]any{"Secret": "x"}, ""},
		{map[string]any{"Secret": "y"}, "Value at 'secret' failed to satisfy constraint: Member must satisfy enum value set: [x]"},
		{map[string]any{"Grid": []any{[]any{"ab"}, []any{}}}, "Value '[[ab], []]' at 'grid' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 2, Member must have length greater than or equal to 1]"},
		{map[string]any{"Grid": []any{[]any{"ab"}, []any{"a"}}}, "Value '[a]' at 'grid.2.member' failed to satisfy constraint: Member must satisfy constraint: [Member must have length less than or equal to 4, Member must have length greater than or equal to 2]"},
		{map[string]any{"Structs": []any{map[string]any{"Name": "ab", "Last": ""}, map[string]any{"Name": "ab"}}}, "Value null at 'structs.2.member.last' failed to satisfy constraint: Member must not be null"},
		{map[string]any{"ByName": map[string]any{"k": map[string]any{"Last": "x"}}}, "Value null at 'byName.k.member.name' failed to satisfy constraint: Member must not be null"},
		{map[string]any{"Dotted": "axx"}, ""},
		{map[string]any{"Dotted": "bxx"}, "Value 'bxx' at 'dotted' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!no)a.*|b"},
		{map[string]any{"Dotted": "b\n"}, "Value 'b\n' at 'dotted' failed to satisfy constraint: Member must satisfy regular expression pattern: (?!no)a.*|b"},
	} {
		err := v.Validate(0, schematest.New(table, 0, test.in))
		got := ""
		if err != nil {
			got = err.(awserr.Error).ErrorMessage()
		}
		if want := test.want; want == "" && got != "" || want != "" && got != "1 validation error detected: "+want {
			t.Errorf("%v\ngot  %s\nwant %s", test.in, got, want)
		}
	}
}

func strings2any(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

func TestBounds(t *testing.T) {
	v := schema.NewValidator(table)
	var many []any
	for range 11 {
		many = append(many, map[string]any{"Name": strings.Repeat("é", 3000), "Last": "", "Secret": "hidden"})
	}
	err := v.Validate(0, schematest.New(table, 0, map[string]any{"Structs": many, "Text": "a", "List": []any{}}))
	message := err.(awserr.Error).ErrorMessage()
	if !strings.HasPrefix(message, "10 validation errors detected: ") || strings.Count(message, "; ") != 9 {
		t.Errorf("message %.200s", message)
	}
	if len(message) > 20_000 {
		t.Errorf("a message of %d bytes", len(message))
	}
	if strings.Contains(message, "hidden") {
		t.Error("a sensitive value shows")
	}
	if strings.ToValidUTF8(message, "") != message {
		t.Error("a character is cut")
	}
	// Within another value too.
	err = v.Validate(0, schematest.New(table, 0, map[string]any{"Structs": []any{map[string]any{"Name": "a", "Secret": "hidden"}}}))
	if strings.Contains(err.Error(), "hidden") {
		t.Error("a sensitive value shows")
	}
}

func TestNoInput(t *testing.T) {
	if err := schema.NewValidator(table).Validate(-1, nil); err != nil {
		t.Error(err)
	}
}

// An operation's input that is right costs nothing.
func TestAllocations(t *testing.T) {
	v := schema.NewValidator(dynamodb.Schema())
	shape := input(t, dynamodb.Schema(), "CreateTable")
	in := &dynamodb.CreateTableInput{
		TableName:            new("table"),
		AttributeDefinitions: []dynamodb.AttributeDefinition{{AttributeName: new("id"), AttributeType: new("S")}},
		KeySchema:            []dynamodb.KeySchemaElement{{AttributeName: new("id"), KeyType: new("HASH")}},
		BillingMode:          new("PAY_PER_REQUEST"),
	}
	n := testing.AllocsPerRun(100, func() {
		if err := v.Validate(shape, in); err != nil {
			t.Fatal(err)
		}
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkValidate(b *testing.B) {
	v := schema.NewValidator(dynamodb.Schema())
	shape := input(b, dynamodb.Schema(), "PutItem")
	in := &dynamodb.PutItemInput{
		TableName: new("table"),
		Item: map[string]dynamodb.AttributeValue{
			"id": dynamodb.S("1"), "n": dynamodb.N("12.5"), "s": dynamodb.SS{"a", "b"},
			"m": dynamodb.M{"x": dynamodb.L{dynamodb.BOOL(true)}},
		},
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Validate(shape, in); err != nil {
			b.Fatal(err)
		}
	}
}

// The ARN of a function comes with every one of its invocations.
func BenchmarkValidateInvoke(b *testing.B) {
	v := schema.NewValidator(lambda.Schema())
	shape := input(b, lambda.Schema(), "Invoke")
	in := &lambda.InvokeInput{FunctionName: new("arn:aws:lambda:us-east-1:123456789012:function:a-function-of-some-name")}
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Validate(shape, in); err != nil {
			b.Fatal(err)
		}
	}
}

// A text that was right once does not make others right.
func TestRememberedTexts(t *testing.T) {
	v := schema.NewValidator(lambda.Schema())
	shape := input(t, lambda.Schema(), "Invoke")
	arn := "arn:aws:lambda:us-east-1:123456789012:function:" + strings.Repeat("f", 20)
	for range 2 {
		for name, ok := range map[string]bool{arn: true, arn + "g": true, arn + "!": false, arn[:40] + "?": false, "": false} {
			if err := v.Validate(shape, &lambda.InvokeInput{FunctionName: &name}); (err == nil) != ok {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// FuzzValidate builds inputs out of bytes and checks that the quick walk and the one that explains agree, and that the
// order in which a map is walked changes nothing.
func FuzzValidate(f *testing.F) {
	f.Add([]byte{})
	for i := range table.Shapes[0].Members {
		f.Add([]byte{byte(i), 1, 2, 3, 4, 5, 6, 7, 8, 9})
		f.Add([]byte{byte(i), 0, byte(i + 1), 9, 200, 3})
	}
	v := schema.NewValidator(table)
	f.Fuzz(func(t *testing.T, data []byte) {
		in := build(&data, 0, 0).(map[string]any)
		err := v.Validate(0, schematest.New(table, 0, in))
		if err == nil {
			if m := v.Explain(0, schematest.New(table, 0, in)); !strings.HasPrefix(m, "0 ") {
				t.Fatalf("%v passed, but: %s", in, m)
			}
			return
		}
		message := err.(awserr.Error).ErrorMessage()
		n := 0
		if _, e := fmt.Sscanf(message, "%d validation error", &n); e != nil || n < 1 || n > 10 {
			t.Fatalf("%v: %s", in, message)
		}
		if again := v.Validate(0, schematest.New(table, 0, in)); again.(awserr.Error).ErrorMessage() != message {
			t.Fatalf("%v: %s, then %s", in, message, again)
		}
	})
}

func take(data *[]byte) byte {
	if len(*data) == 0 {
		return 0
	}
	b := (*data)[0]
	*data = (*data)[1:]
	return b
}

func build(data *[]byte, shape, depth int) any {
	s := &table.Shapes[shape]
	switch s.Kind {
	case schema.Structure:
		out := map[string]any{}
		for n := take(data) % 5; n > 0 && depth < 6; n-- {
			m := s.Members[int(take(data))%len(s.Members)]
			out[m.Name] = build(data, m.Shape, depth+1)
		}
		return out
	case schema.List:
		out := []any{}
		for n := take(data) % 4; n > 0 && depth < 6; n-- {
			out = append(out, build(data, s.Members[0].Shape, depth+1))
		}
		return out
	case schema.Map:
		out := map[string]any{}
		for n := take(data) % 4; n > 0 && depth < 6; n-- {
			out[string(rune(take(data)))] = build(data, s.Members[1].Shape, depth+1)
		}
		return out
	case schema.Long, schema.Double:
		return float64(int8(take(data))) / 4
	}
	return strings.Repeat(string(rune('a'+take(data)%26)), int(take(data)%7))
}
