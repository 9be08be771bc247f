package policy

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// The messages are those that IAM gives for such documents, and of several mistakes the one that it tells of first, as
// users have reported them and as the tests of moto have them recorded.
func TestValidate(t *testing.T) {
	const (
		syntax    = "Syntax errors in policy."
		version   = "Policy document must be version 2012-10-17 or greater."
		legacy    = "The policy failed legacy parsing"
		unique    = "Statement IDs (SID) in a single policy must be unique."
		actions   = "Policy statement must contain actions."
		resources = "Policy statement must contain resources."
		vendor    = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
		colon     = "Actions/Condition can contain only one colon."
		region    = "Resource arn:aws:s3:us-east-1::b can not contain region information."
	)
	const allow = `"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:::b"`
	notARN := func(resource string) string { return "Resource " + resource + ` must be in ARN format or "*".` }
	for statements, want := range map[string]string{
		`{` + allow + `}`:             "",
		`{` + allow + `,"Extra":"x"}`: syntax,
		`[]`:                          syntax,
		`"afd"`:                       syntax,
		`["afd"]`:                     syntax,
		`[{` + allow + `},{"Effect":"Allow","Action":"s3:ListBucket","Resource":"x"},{"Effect":"no"}]`:        syntax,
		`{"Effect":"invalid","Action":"s3:ListBucket","Resource":"*"}`:                                        syntax,
		`{"Action":"s3:ListBucket","Resource":"*"}`:                                                           syntax,
		`{"Effect":"denY","Action":"s3:ListBucket","Resource":"*"}`:                                           legacy,
		`[{"Sid":"a","Effect":"aLLow","Action":"s3:ListBucket","Resource":"*"},{"Sid":"a","Effect":"Allow"}]`: legacy,
		`[{"Sid":"a",` + allow + `},{"Sid":"a","Effect":"Allow"}]`:                                            unique,
		`{"Effect":"Allow"}`:                                                                                                actions,
		`{"Effect":"Allow","Action":[],"Resource":"*"}`:                                                                     actions,
		`[{"Effect":"Deny"},{` + allow + `}]`:                                                                               actions,
		`{"Effect":"Allow","Action":"s3:ListBucket"}`:                                                                       resources,
		`{"Effect":"Allow","Action":"s3:ListBucket","Resource":[]}`:                                                         resources,
		`{"Effect":"Allow","Action":"invalid"}`:                                                                             resources,
		`{"Effect":"Allow","Action":"invalid","Resource":"*"}`:                                                              vendor,
		`{"Effect":"Allow","NotAction":"","Resource":"*"}`:                                                                  vendor,
		`{"Effect":"Allow","Action":"a a:ListBucket","Resource":"*"}`:                                                       "Vendor a a is not valid",
		`{"Effect":"Allow","Action":"s3:List:Bucket","Resource":"*"}`:                                                       colon,
		`{"Effect":"Allow","Action":"s:3:ListBucket","Resource":"sdfsadf"}`:                                                 notARN("sdfsadf"),
		`{"Effect":"Allow","Action":"s3:ListBucket","Resource":"invalid resource"}`:                                         notARN("invalid resource"),
		`{"Effect":"Allow","Action":"s3:ListBucket","Resource":""}`:                                                         notARN(""),
		`{"Effect":"Allow","Action":"s3:ListBucket","Resource":"a:aws:s3:::b"}`:                                             notARN("a:aws:s3:::b"),
		`{"Effect":"Allow","NotAction":"s3s:ListBucket","Resource":"a:bsdf"}`:                                               `Partition "bsdf" is not valid for resource "arn:bsdf:*:*:*:*".`,
		`{"Effect":"Allow","NotAction":"s3s:ListBucket","Resource":"a:b:cadf"}`:                                             `Partition "b" is not valid for resource "arn:b:cadf:*:*:*".`,
		`{"Effect":"Allow","NotAction":"s3s:ListBucket","Resource":"a:b:c:d:e:f:g:h"}`:                                      `Partition "b" is not valid for resource "arn:b:c:d:e:f:g:h".`,
		`{"Effect":"Allow","Action":"s3:ListBucket","Resource":"aws:s3:::b"}`:                                               `Partition "s3" is not valid for resource "arn:s3:::b:*".`,
		`{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:error:s3:::b"}`:                                         `Partition "error" is not valid for resource "arn:error:s3:::b".`,
		`{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws"}`:                                                  "Resource vendor must be fully qualified and cannot contain regexes.",
		`{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s*:::b"}`:                                           "Resource vendor must be fully qualified and cannot contain regexes.",
		`{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3::b"}`:                                            legacy,
		`{"Effect":"Allow","Resource":"arn:aws:s3::b"}`:                                                                     legacy,
		`{"Effect":"Allow","Action":"s3:ListBucket","NotResource":"arn:aws:s3::b"}`:                                         legacy,
		`{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws::::b"}`:                                             legacy,
		`{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws::b"}`:                                               legacy,
		`{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:us-east-1::b"}`:                                  region,
		`{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:s3:us-east-1:123456789012:accesspoint/a"}`:          "",
		`{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:iam:us-east-1::b"}`:                                 "IAM resource arn:aws:iam:us-east-1::b cannot contain region information.",
		`{"Effect":"Allow","Action":"s3:ListBucket","Resource":"arn:aws:iam:::b"}`:                                          `IAM resource path must either be "*" or start with ` + iamResources + `.`,
		`{"Effect":"Allow","Action":"s3:ListBucket","Resource":["arn:aws:iam:::user/b","arn:aws:iam::*:*"]}`:                "",
		`{"Effect":"Allow","Action":"s3:ListBucket","Resource":["arn:aws:fdsasf:x","arn:aws:ec2:us-east-1::b"]}`:            "",
		`{"Effect":"Allow","Action":"s3:ListBucket","Resource":{"a":"*"}}`:                                                  syntax,
		`{"Effect":"Deny","Action":"s3:ListBucket","Resource":["adfdf",{}]}`:                                                syntax,
		`{` + allow + `,"NotResource":[]}`:                                                                                  syntax,
		`{` + allow + `,"NotAction":"iam:x"}`:                                                                               syntax,
		`{` + allow + `,"Sid":{}}`:                                                                                          syntax,
		`{` + allow + `,"Condition":[]}`:                                                                                    syntax,
		`{` + allow + `,"Condition":{"a":"b"}}`:                                                                             syntax,
		`{` + allow + `,"Condition":{"x":{"a":"1"}}}`:                                                                       syntax,
		`{` + allow + `,"Condition":{"ForAnyValue::StringEquals":{"a":"x"}}}`:                                               syntax,
		`{` + allow + `,"Condition":{"DateGreaterThan":{"a:b":{}}}}`:                                                        syntax,
		`{` + allow + `,"Condition":{"DateGreaterThan":{"a:b":"sdfdsf"}}}`:                                                  legacy,
		`{` + allow + `,"Condition":{"DateLessThan":{"a:b":"9223372036854775808"}}}`:                                        legacy,
		`{"Effect":"Allow","Action":"s3:x","Resource":"arn:error:s3:::b","Condition":{"DateGreaterThan":{"a:b":"sdfdsf"}}}`: legacy,
		`{` + allow + `,"Condition":{"StringEquals":{"aws:username":"x"}}}`:                                                 "",
		`{` + allow + `,"Principal":"*"}`:                                                                                   "Policy document should not specify a principal.",
	} {
		document := `{"Version":"2012-10-17","Statement":` + statements + `}`
		for _, isManaged := range []bool{true, false} {
			check(t, document, isManaged, want)
		}
		// The version comes after the syntax and before all else, and only policies of their own need it.
		for _, head := range []string{`{"Version":"2008-10-17","Statement":`, `{"Statement":`} {
			wantOld := version
			if want == syntax {
				wantOld = syntax
			}
			check(t, head+statements+"}", true, wantOld)
			check(t, head+statements+"}", false, want)
		}
		check(t, `{"Version":"2013-10-17","Statement":`+statements+`}`, false, syntax)
		check(t, `{"Version":"2012-10-17","Id":[],"Statement":`+statements+`}`, true, syntax)
	}
	check(t, "This is not a json document", true, syntax)
	check(t, `{"Version":"2012-10-17"}`, true, syntax)
}

func check(t *testing.T, document string, isManaged bool, want string) {
	t.Helper()
	err := Validate(document, isManaged)
	var m *MalformedError
	switch {
	case want == "" && err == nil:
	case want == "" || !errors.As(err, &m) || m.Message != want:
		t.Errorf("%s: got %v, want %q", document, err, want)
	}
}

// Validate ends on everything, and lets nothing through that Parse does not take.
func FuzzValidate(f *testing.F) {
	f.Add(`{"Version":"2012-10-17","Statement":[{"Sid":"a","Effect":"Allow","NotAction":["iam:*"],"Resource":"arn:aws:iam::1:user/${aws:username}","Condition":{"ForAllValues:StringLikeIfExists":{"aws:TagKeys":["a*"]}}}]}`)
	f.Fuzz(func(t *testing.T, document string) {
		if Validate(document, true) != nil {
			return
		}
		if _, err := Parse(document, Identity); err != nil || !json.Valid([]byte(document)) {
			t.Errorf("%q: %v", document, err)
		}
		if len(Spans(document)) == 0 {
			t.Errorf("%q has no statements", document)
		}
		for _, key := range ContextKeys(document) {
			if !strings.Contains(document, "{") || key == "" && !strings.Contains(document, `""`) {
				t.Errorf("%q: key %q", document, key)
			}
		}
	})
}
