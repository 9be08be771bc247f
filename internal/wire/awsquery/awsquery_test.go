package awsquery

import (
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"brume/internal/api/iam"
	"brume/internal/api/sts"
	"brume/internal/awserr"
	"brume/internal/schema"
	"brume/internal/schema/schematest"
	"brume/internal/wire/codec"
)

// everything has a member of each kind, flattened and not, recursive.
var everything = &schema.Service{Name: "test", Protocol: schema.AWSQuery, APIVersion: "2014-01-01", XMLNamespace: "https://x/", Shapes: []schema.Shape{
	0: {Name: "In", Kind: schema.Structure, ResultWrapper: "OpResult", Members: []schema.Member{
		{Name: "String", Wire: "String", Shape: 1}, {Name: "Blob", Wire: "Blob", Shape: 2}, {Name: "Bool", Wire: "Bool", Shape: 3},
		{Name: "Integer", Wire: "Integer", Shape: 4}, {Name: "Double", Wire: "Double", Shape: 7}, {Name: "Time", Wire: "Time", Shape: 8},
		{Name: "List", Wire: "List", Shape: 9}, {Name: "Flat", Wire: "Flat", Shape: 9, Flattened: true}, {Name: "Named", Wire: "Named", Shape: 13, Flattened: true},
		{Name: "Map", Wire: "Map", Shape: 10}, {Name: "FlatMap", Wire: "FlatMap", Shape: 11}, {Name: "In", Wire: "In", Shape: 0}, {Name: "Ins", Wire: "Ins", Shape: 12},
		{Name: "Lists", Wire: "Lists", Shape: 14},
	}},
	1:  {Name: "String", Kind: schema.String},
	2:  {Name: "Blob", Kind: schema.Blob},
	3:  {Name: "Bool", Kind: schema.Boolean},
	4:  {Name: "Integer", Kind: schema.Integer},
	7:  {Name: "Double", Kind: schema.Double},
	8:  {Name: "Time", Kind: schema.Timestamp},
	9:  {Name: "List", Kind: schema.List, Members: []schema.Member{{Name: "member", Shape: 1}}},
	10: {Name: "Map", Kind: schema.Map, Members: []schema.Member{{Name: "key", Shape: 1}, {Name: "value", Shape: 9}}},
	11: {Name: "FlatMap", Kind: schema.Map, Flattened: true, Members: []schema.Member{{Name: "key", Wire: "Name", Shape: 1}, {Name: "value", Wire: "Value", Shape: 1}}},
	12: {Name: "Ins", Kind: schema.List, Members: []schema.Member{{Name: "member", Shape: 0}}},
	13: {Name: "Named", Kind: schema.List, Members: []schema.Member{{Name: "member", Wire: "Item", Shape: 1}}},
	14: {Name: "Lists", Kind: schema.List, Members: []schema.Member{{Name: "member", Shape: 9}}},
}, Operations: []schema.Operation{{Name: "Op", Method: "POST", Path: "/", Input: 0, Output: 0}}}

func decodeForm(t testing.TB, form string) (map[string]any, error) {
	t.Helper()
	params, err := codec.ParseParams(form)
	if err != nil {
		t.Fatal(err)
	}
	in := schematest.New(everything, 0, map[string]any{})
	err = New().Decode(everything, &everything.Operations[0], &codec.Request{Form: params}, in)
	return in.Values, err
}

func TestDecode(t *testing.T) {
	var members, want []string
	for i := 12; i > 0; i-- {
		members = append(members, "List.member."+strconv.Itoa(i)+"=v"+strconv.Itoa(i))
		want = append([]string{"v" + strconv.Itoa(i)}, want...)
	}
	list := make([]any, len(want))
	for i, s := range want {
		list[i] = s
	}
	for _, test := range []struct {
		form string
		want map[string]any
	}{
		{"Action=Op&Version=2014-01-01&Unknown=1&Unknown.a.b=2", map[string]any{}},
		{"String=a%26b+c&Blob=AAH%2F&Bool=True&Integer=-7&Double=1.5&Time=2014-04-29T18:30:38Z",
			map[string]any{"String": "a&b c", "Blob": "\x00\x01\xff", "Bool": true, "Integer": -7.0, "Double": 1.5, "Time": 1398796238.0}},
		{"String=&Blob=&Time=1398796238", map[string]any{"String": "", "Blob": "", "Time": 1398796238.0}},
		{strings.Join(members, "&"), map[string]any{"List": list}},
		{"List=", map[string]any{"List": []any{}}},
		{"List.member.1=a&List.member.3=c", map[string]any{"List": []any{"a", "c"}}}, // gaps close up
		{"Flat.2=b&Flat.1=a", map[string]any{"Flat": []any{"a", "b"}}},
		{"Item.1=a&Named.1=b", map[string]any{"Named": []any{"a"}}},
		{"Map.entry.1.key=k&Map.entry.1.value.member.1=a&Map.entry.2.key=l&Map.entry.2.value=", map[string]any{"Map": map[string]any{"k": []any{"a"}, "l": []any{}}}},
		{"FlatMap.1.Name=a&FlatMap.1.Value=b&FlatMap.2.Value=&FlatMap.2.Name=c", map[string]any{"FlatMap": map[string]any{"a": "b", "c": ""}}},
		{"In.In.String=deep&In.String=less&In-.String=x&In0=y", map[string]any{"In": map[string]any{"String": "less", "In": map[string]any{"String": "deep"}}}},
		{"In=", map[string]any{"In": map[string]any{}}},
		{"Ins.member.2.Ins.member.1.String=b&Ins.member.1.Map.entry.1.key=k&Ins.member.1.Map.entry.1.value.member.1=v&Ins.member.1.String=a", map[string]any{"Ins": []any{
			map[string]any{"String": "a", "Map": map[string]any{"k": []any{"v"}}},
			map[string]any{"Ins": []any{map[string]any{"String": "b"}}},
		}}},
		{"Lists.member.1.member.1=a&Lists.member.1.member.2=b&Lists.member.2=", map[string]any{"Lists": []any{[]any{"a", "b"}, []any{}}}},
	} {
		if got, err := decodeForm(t, test.form); err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s\ngot  %v, %v\nwant %v", test.form, got, err, test.want)
		}
	}
}

// https://github.com/brendanhay/amazonka/issues/209, https://github.com/boto/boto/pull/872, https://github.com/boto/boto/issues/37
func TestMalformedInput(t *testing.T) {
	for _, test := range []struct{ form, want string }{
		{"String=first&String=second", "Keys may not be repeated: String"},
		{"String.a=b", "Start of list found where not expected"},
		{"List=a", "Unexpected list element termination"},
		{"List.1=a", "Unexpected list element termination"},
		{"List.member.x=a", "Unexpected list element termination"},
		{"List.member.-1=a", "Unexpected list element termination"},
		{"List.member.1.x=a", "Start of list found where not expected"},
		{"Flat.x=a", "Unexpected list element termination"},
		{"Map.entry.1.key=k", "Unexpected complex element termination"},
		{"Map.entry.1.value.member.1=k", "Unexpected complex element termination"},
		{"In=a", "Unexpected complex element termination"},
		{"Ins.member.1=a", "Unexpected complex element termination"},
		{"Integer=x", "'x' can not be converted to an Integer"},
		{"Integer=", "'' can not be converted to an Integer"},
		{"Integer=2147483648", "'2147483648' can not be converted to an Integer"},
		{"Bool=1", "'1' can not be converted to a Boolean"},
		{"Double=NAN", "'NAN' can not be converted to a Double"},
		{"Time=now", "'now' can not be converted to a Date"},
		{"Blob=a", "'a' can not be converted to a Blob"},
		{strings.Repeat("In.", maxSegments) + "String=a", "Keys may not have more than 64 parts"},
	} {
		_, err := decodeForm(t, test.form)
		var known awserr.Error
		if !errors.As(err, &known) || known.ErrorCode() != "MalformedInput" || known.HTTPStatus() != 400 || known.ErrorMessage() != test.want {
			t.Errorf("%s: %v, want %s", test.form, err, test.want)
		}
	}
	if _, err := decodeForm(t, strings.Repeat("In.", maxSegments-1)+"String=a"); err != nil {
		t.Errorf("at the limit: %v", err)
	}
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateUser.html#API_CreateUser_Examples
func TestIAM(t *testing.T) {
	svc := iam.Schema()
	resolver, err := codec.NewResolver(svc)
	if err != nil {
		t.Fatal(err)
	}
	body := url.Values{"Action": {"CreateUser"}, "Version": {"2010-05-08"}, "UserName": {"Bob"}, "Path": {"/division_abc/"},
		"Tags.member.1.Key": {"a"}, "Tags.member.1.Value": {""}, "Tags.member.2.Key": {"b"}, "Tags.member.2.Value": {"c"}}.Encode()
	req := &codec.Request{Method: "POST", Path: "/", Body: []byte(body), Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}
	op, err := resolver.Resolve(req)
	if err != nil {
		t.Fatal(err)
	}
	var in iam.CreateUserInput
	if err := New().Decode(svc, op, req, &in); err != nil {
		t.Fatal(err)
	}
	want := iam.CreateUserInput{UserName: new("Bob"), Path: new("/division_abc/"), Tags: []iam.Tag{{Key: new("a"), Value: new("")}, {Key: new("b"), Value: new("c")}}}
	if !reflect.DeepEqual(in, want) {
		t.Errorf("decoded %+v", in)
	}
	w := &codec.Response{Header: http.Header{}}
	out := &iam.CreateUserOutput{User: &iam.User{Path: in.Path, UserName: in.UserName, UserId: new("AIDA"), Arn: new("arn:aws:iam::1:user/<Bob>"),
		CreateDate: new(time.Unix(1398796238, 0)), Tags: in.Tags}}
	if err := New().Encode(svc, op, "7a62c49f", out, w); err != nil {
		t.Fatal(err)
	}
	const doc = `<CreateUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><CreateUserResult><User><Path>/division_abc/</Path><UserName>Bob</UserName>` +
		`<UserId>AIDA</UserId><Arn>arn:aws:iam::1:user/&lt;Bob&gt;</Arn><CreateDate>2014-04-29T18:30:38Z</CreateDate>` +
		`<Tags><member><Key>a</Key><Value/></member><member><Key>b</Key><Value>c</Value></member></Tags></User></CreateUserResult>` +
		`<ResponseMetadata><RequestId>7a62c49f</RequestId></ResponseMetadata></CreateUserResponse>` + "\n"
	if string(w.Body) != doc || w.Status != 200 || w.Header.Get("Content-Type") != "text/xml" || w.Header.Get("X-Amzn-Requestid") != "7a62c49f" {
		t.Errorf("%d %v\n%s", w.Status, w.Header, w.Body)
	}
	// An output without members has no result element.
	if op = resolver.Operation("DeleteUser"); op == nil {
		t.Fatal("no DeleteUser")
	}
	w = &codec.Response{Header: http.Header{}}
	if err := New().Encode(svc, op, "id", &iam.DeleteUserOutput{}, w); err != nil {
		t.Fatal(err)
	}
	const empty = `<DeleteUserResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></DeleteUserResponse>` + "\n"
	if string(w.Body) != empty {
		t.Errorf("%s", w.Body)
	}
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html, https://github.com/NixOS/nixops/issues/328
func TestErrors(t *testing.T) {
	for _, test := range []struct {
		svc    *schema.Service
		err    awserr.Error
		status int
		want   string
	}{
		{iam.Schema(), &iam.NoSuchEntityException{Message: new("The user with name <Bob> cannot be found.")}, 404,
			`<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type><Code>NoSuchEntity</Code>` +
				`<Message>The user with name &lt;Bob&gt; cannot be found.</Message></Error><RequestId>id-1</RequestId></ErrorResponse>` + "\n"},
		{sts.Schema(), awserr.New("ValidationError", "m"), 400,
			`<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>ValidationError</Code>` +
				`<Message>m</Message></Error><RequestId>id-1</RequestId></ErrorResponse>` + "\n"},
		{sts.Schema(), &awserr.Generic{Code: "ServiceUnavailable", Status: 503}, 503,
			`<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Receiver</Type><Code>ServiceUnavailable</Code>` +
				`<Message/></Error><RequestId>id-1</RequestId></ErrorResponse>` + "\n"},
		{everything, &extraMembers{*schematest.New(everything, 0, map[string]any{"String": "more", "List": []any{"a"}})}, 400,
			`<ErrorResponse xmlns="https://x/"><Error><Type>Sender</Type><Code>In</Code><Message>said once</Message>` +
				`<String>more</String><List><member>a</member></List></Error><RequestId>id-1</RequestId></ErrorResponse>` + "\n"},
	} {
		w := &codec.Response{Header: http.Header{}}
		New().EncodeError(test.svc, nil, "id-1", test.err, w)
		if w.Status != test.status || string(w.Body) != test.want || w.Header.Get("Content-Type") != "text/xml" {
			t.Errorf("%v\ngot  %d %s\nwant %d %s", test.err, w.Status, w.Body, test.status, test.want)
		}
	}
}

// extraMembers is an exception with members beside its message.
type extraMembers struct{ schematest.Dynamic }

func (*extraMembers) Error() string        { return "" }
func (*extraMembers) ErrorCode() string    { return "In" }
func (*extraMembers) ErrorMessage() string { return "said once" }
func (*extraMembers) HTTPStatus() int      { return 400 }

// FuzzDecode checks that any form is read or refused with a client error, and that what was read makes a document that
// can be parsed.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		"String=a&Blob=AAH%2F&Bool=true&Integer=-7&Double=1.5&Time=1398796238", "List.member.1=a&List.member.2=b", "Flat.1=a", "Item.1=a", "List=",
		"Map.entry.1.key=k&Map.entry.1.value.member.1=a", "FlatMap.1.Name=a&FlatMap.1.Value=b", "In.In.In.String=x", "Ins.member.1.Ins.member.1.String=b",
		"Lists.member.1.member.1=a", "a..b=c&.=d&=e", "String=%00%ff", "In-.String=x&In.String=y&In0=z", "List.member.99999999999999999999=a",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, form string) {
		if _, err := codec.ParseParams(form); err != nil {
			return
		}
		values, err := decodeForm(t, form)
		if err != nil {
			var known awserr.Error
			if !errors.As(err, &known) || known.ErrorCode() != "MalformedInput" {
				t.Fatal(err)
			}
			return
		}
		w := &codec.Response{Header: http.Header{}}
		if err := New().Encode(everything, &everything.Operations[0], "id", schematest.New(everything, 0, values), w); err != nil {
			t.Fatal(err)
		}
		var doc struct {
			XMLName xml.Name
			Result  element `xml:"OpResult"`
		}
		if err := xml.Unmarshal(w.Body, &doc); err != nil || doc.XMLName.Local != "OpResponse" {
			t.Fatalf("%s: %v", w.Body, err)
		}
		if want, ok := values["String"].(string); ok {
			want = strings.Map(func(r rune) rune {
				if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xfffe || r == 0xffff {
					return 0xfffd
				}
				return r
			}, want)
			for _, c := range doc.Result.Children {
				if c.XMLName.Local == "String" && c.Text != want {
					t.Fatalf("%q became %q", want, c.Text)
				}
			}
		}
	})
}
