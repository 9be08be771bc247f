package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// The wordings are those of IAM's MalformedPolicyDocument. The grammar is
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
func TestMalformed(t *testing.T) {
	const (
		syntax      = "Syntax errors in policy."
		trustSyntax = "Syntax error in policy."
		legacy      = "The policy failed legacy parsing"
		vendor      = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
	)
	statement := func(s string) string { return `{"Version":"2012-10-17","Statement":` + s + `}` }
	allow := func(rest string) string { return statement(`{"Effect":"Allow",` + rest + `}`) }
	condition := func(c string) string { return allow(`"Action":"*","Resource":"*","Condition":` + c) }
	assume := func(rest string) string {
		return allow(`"Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"` + rest)
	}
	principal := func(p string) string { return allow(`"Action":"sts:AssumeRole","Principal":` + p) }

	for _, c := range []struct {
		kind     Kind
		document string
		want     string
	}{
		// JSON.
		{Identity, ``, syntax},
		{Identity, `[]`, syntax},
		{Identity, `"x"`, syntax},
		{Identity, `{"Version":"2012-10-17"`, syntax},
		{Identity, allow(`"Action":"*","Resource":"*"`) + `x`, syntax},
		{Identity, allow(`"Action":"*","Resource":"*"`) + `{}`, syntax},
		{Identity, allow(`"Action":"*","Resource":"*",`), syntax},
		{Identity, allow(`"Action":"s3:*","Action":"*","Resource":"*"`), syntax},
		{Identity, allow("\"Action\":\"*\",\"Resource\":\"*\",\"Sid\":\"\xff\""), syntax},
		{Identity, condition(`{"StringEquals":{"a:b":"1","a:b":"2"}}`), syntax},
		{Identity, condition(`[[[[[[[[[[]]]]]]]]]]`), syntax},
		{Trust, `{`, "This policy contains invalid Json"},
		// Top elements.
		{Identity, `{"Version":"2012-10-17"}`, syntax},
		{Identity, `{"Version":"2012-10-18","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, syntax},
		{Identity, `{"Version":2012,"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, syntax},
		{Identity, `{"version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, syntax},
		{Identity, `{"Id":1,"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, syntax},
		{Identity, `{"Comment":"x","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, syntax},
		{Identity, statement(`[]`), syntax},
		{Identity, statement(`"Allow"`), syntax},
		{Identity, statement(`["Allow"]`), syntax},
		{Trust, statement(`[]`), "Could not parse the policy: Statement is empty!"},
		{Trust, `{"Version":"2013","Statement":[]}`, "The policy must contain a valid version string"},
		// Sid and Effect.
		{Identity, allow(`"Sid":"a b","Action":"*","Resource":"*"`), "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"},
		{Identity, allow(`"Sid":1,"Action":"*","Resource":"*"`), syntax},
		{Identity, statement(`[{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"},{"Sid":"a","Effect":"Deny","Action":"*","Resource":"*"}]`), "Statement IDs (SID) in a single policy must be unique."},
		{Identity, statement(`{"Action":"*","Resource":"*"}`), syntax},
		{Identity, statement(`{"Effect":"allow","Action":"*","Resource":"*"}`), syntax},
		{Identity, statement(`{"Effect":["Allow"],"Action":"*","Resource":"*"}`), syntax},
		{Trust, statement(`{"Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}`), "Missing required field Effect"},
		{Trust, statement(`{"Effect":"allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}`), "Invalid effect: allow"},
		{Trust, statement(`[{"Sid":"a","Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"},{"Sid":"a","Effect":"Allow","Principal":{"AWS":"*"},"Action":"sts:AssumeRole"}]`), "The Statement Ids in the policy are not unique"},
		// Statement elements.
		{Identity, allow(`"Action":"*","Resource":"*","Foo":"x"`), syntax},
		{Identity, allow(`"Action":"*","NotAction":"s3:*","Resource":"*"`), syntax},
		{Identity, allow(`"Action":"*","Resource":"*","NotResource":"*"`), syntax},
		{Identity, allow(`"Action":"*","Resource":"*","Principal":"*"`), "Policy document should not specify a principal."},
		{Identity, allow(`"Action":"*","Resource":"*","NotPrincipal":{"AWS":"*"}`), "Policy document should not specify a principal."},
		// Actions.
		{Identity, allow(`"Resource":"*"`), "Policy statement must contain actions."},
		{Identity, allow(`"Action":[],"Resource":"*"`), "Policy statement must contain actions."},
		{Identity, allow(`"Action":[1],"Resource":"*"`), syntax},
		{Identity, allow(`"Action":{},"Resource":"*"`), syntax},
		{Identity, allow(`"Action":"GetItem","Resource":"*"`), vendor},
		{Identity, allow(`"Action":"","Resource":"*"`), vendor},
		{Identity, allow(`"Action":"a:b:c","Resource":"*"`), "Actions/Condition can contain only one colon."},
		{Identity, allow(`"Action":"a b:c","Resource":"*"`), "Vendor a b is not valid"},
		{Identity, allow(`"Action":":c","Resource":"*"`), "Vendor  is not valid"},
		{Identity, allow(`"Action":"s3:","Resource":"*"`), legacy},
		// Resources.
		{Identity, allow(`"Action":"*"`), "Policy statement must contain resources."},
		{Identity, allow(`"Action":"*","Resource":[]`), "Policy statement must contain resources."},
		{Identity, allow(`"Action":"*","Resource":{"a":"b"}`), syntax},
		{Identity, allow(`"Action":"*","Resource":"bucket"`), `Resource bucket must be in ARN format or "*".`},
		{Identity, allow(`"Action":"*","Resource":""`), `Resource  must be in ARN format or "*".`},
		{Identity, allow(`"Action":"*","Resource":"arn:mars:s3:::b"`), `Partition "mars" is not valid for resource "arn:mars:s3:::b".`},
		{Identity, allow(`"Action":"*","Resource":"arn:mars"`), `Partition "mars" is not valid for resource "arn:mars:*:*:*:*".`},
		{Identity, allow(`"Action":"*","Resource":"arn:aws:s*:::b"`), "Resource vendor must be fully qualified and cannot contain regexes."},
		{Identity, allow(`"Action":"*","Resource":"arn:aws:s3"`), "Resource vendor must be fully qualified and cannot contain regexes."},
		{Identity, allow(`"Action":"*","Resource":"arn:aws::::b"`), legacy},
		{Identity, allow(`"Action":"*","Resource":"arn:aws:iam:us-east-1::user/b"`), "IAM resource arn:aws:iam:us-east-1::user/b cannot contain region information."},
		{Identity, allow(`"Action":"*","Resource":"arn:aws:s3:::${aws:username"`), syntax},
		{Identity, allow(`"Action":"*","Resource":"arn:aws:s3:::${username}"`), syntax},
		{Identity, allow(`"Action":"*","Resource":"arn:aws:s3:::${aws:a${b}}"`), syntax},
		{Identity, allow(`"Action":"*","Resource":"arn:aws:s3:::${aws:a 'x'}"`), syntax},
		{Identity, allow(`"Action":"*","Resource":"arn:aws:s3:::${aws:a, 'x}"`), syntax},
		// Conditions.
		{Identity, condition(`"x"`), syntax},
		{Identity, condition(`{"StringSimilar":{"a:b":"c"}}`), syntax},
		{Identity, condition(`{"ForSomeValues:StringEquals":{"a:b":"c"}}`), syntax},
		{Identity, condition(`{"NumericLike":{"a:b":"1"}}`), syntax},
		{Identity, condition(`{"Numeric":{"a:b":"1"}}`), syntax},
		{Identity, condition(`{"NullIfExists":{"a:b":"true"}}`), syntax},
		{Identity, condition(`{"ForAnyValue:Null":{"a:b":"true"}}`), syntax},
		{Identity, condition(`{"StringEquals":"x"}`), syntax},
		{Identity, condition(`{"StringEquals":{"a:b":null}}`), syntax},
		{Identity, condition(`{"StringEquals":{"a:b":[["c"]]}}`), syntax},
		{Identity, condition(`{"StringEquals":{"ab":"c"}}`), vendor},
		{Identity, condition(`{"NumericEquals":{"a:b":"x"}}`), legacy},
		{Identity, condition(`{"NumericEquals":{"a:b":"1e3"}}`), legacy},
		{Identity, condition(`{"NumericEquals":{"a:b":"${aws:username}"}}`), legacy},
		{Identity, condition(`{"DateEquals":{"aws:CurrentTime":"tomorrow"}}`), legacy},
		{Identity, condition(`{"Bool":{"a:b":"yes"}}`), legacy},
		{Identity, condition(`{"Null":{"a:b":"maybe"}}`), legacy},
		{Identity, condition(`{"BinaryEquals":{"a:b":"?"}}`), legacy},
		{Identity, condition(`{"IpAddress":{"aws:SourceIp":"10.0.0.0/33"}}`), legacy},
		{Identity, condition(`{"IpAddress":{"aws:SourceIp":"fe80::1%eth0"}}`), legacy},
		// Trust policies.
		{Trust, statement(`{"Effect":"Allow","Action":"sts:AssumeRole"}`), "Missing required field Principal"},
		{Trust, principal(`{}`), "Missing required field Principal cannot be empty!"},
		{Trust, principal(`{"AWS":[]}`), "Missing required field Principal cannot be empty!"},
		{Trust, principal(`[]`), trustSyntax},
		{Trust, principal(`{"AWS":1}`), trustSyntax},
		{Trust, principal(`"everyone"`), "Invalid principal in policy"},
		{Trust, principal(`{"Robot":"x"}`), `Invalid principal in policy: "Robot"`},
		{Trust, principal(`{"CanonicalUser":"79a59"}`), `Invalid principal in policy: "CanonicalUser":"79a59"`},
		{Trust, principal(`{"AWS":"bob"}`), `Invalid principal in policy: "AWS":"bob"`},
		{Trust, principal(`{"AWS":"arn:aws:iam::111122223333:user/*"}`), `Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:user/*"`},
		{Trust, principal(`{"AWS":"arn:aws:iam::111122223333:group/g"}`), `Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:group/g"`},
		{Trust, principal(`{"AWS":"arn:aws:iam::1:root"}`), `Invalid principal in policy: "AWS":"arn:aws:iam::1:root"`},
		{Trust, principal(`{"AWS":"arn:aws:sts::111122223333:assumed-role/r"}`), `Invalid principal in policy: "AWS":"arn:aws:sts::111122223333:assumed-role/r"`},
		{Trust, principal(`{"Service":"lambda"}`), `Invalid principal in policy: "SERVICE":"lambda"`},
		{Trust, principal(`{"Service":"*"}`), `Invalid principal in policy: "SERVICE":"*"`},
		{Trust, principal(`{"Federated":"*"}`), `Invalid principal in policy: "Federated":"*"`},
		{Trust, statement(`{"Effect":"Allow","NotPrincipal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}`), "Allow with NotPrincipal is not allowed."},
		{Trust, statement(`{"Effect":"Deny","NotPrincipal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}`), "AssumeRole policy must not contain NotPrincipal field."},
		{Trust, assume(`,"Resource":"*"`), "Has prohibited field Resource"},
		{Trust, assume(`,"NotResource":"*"`), "AssumeRole policy must not contain resources."},
		{Trust, allow(`"Principal":{"AWS":"*"}`), "Missing required field Action"},
		{Trust, allow(`"Principal":{"AWS":"*"},"Action":"*"`), "AssumeRole policy may only specify STS AssumeRole actions."},
		{Trust, allow(`"Principal":{"AWS":"*"},"Action":["sts:AssumeRole","s3:GetObject"]`), "AssumeRole policy may only specify STS AssumeRole actions."},
		{Resource, allow(`"Principal":"*","Action":"s3:*"`), "Policy statement must contain resources."},
		{Resource, allow(`"Action":"s3:*","Resource":"*"`), "Missing required field Principal"},
	} {
		doc, err := Parse(c.document, c.kind)
		var m *MalformedError
		if !errors.As(err, &m) || m.Message != c.want || doc != nil {
			t.Errorf("%s\n got %v\nwant %s", c.document, err, c.want)
		}
	}
}

func TestParseAccepts(t *testing.T) {
	for _, c := range []struct {
		kind     Kind
		document string
	}{
		{Identity, `{"Statement":[{"Effect":"Allow","Action":["*"],"Resource":["*"]}]}`},
		{Identity, `{"Version":"2008-10-17","Id":"x","Statement":{"Sid":"","Effect":"Deny","NotAction":"s3:*","NotResource":"arn:aws:s3:::b"}}`},
		{Identity, `{"Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"arn:aws:s3:::${aws:username"}}`},
		{Identity, "\n\t {\"Version\" : \"2012-10-17\", \"Statement\" : {\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"arn:*:ec2:*:*:x\", \"Condition\":{}}} \n"},
		{Identity, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"a:b":[true,"false"]},"DateLessThan":{"aws:CurrentTime":["2026","2026-01","1772600767"]}}}}`},
		{Trust, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}`},
		{Trust, `{"Statement":{"Effect":"Allow","Principal":{"AWS":["*","111122223333","arn:aws:iam::111122223333:root","arn:aws:iam::111122223333:role/a/b","arn:aws:sts::111122223333:assumed-role/a/b","arn:aws:sts::111122223333:federated-user/b","AIDAACKCEVSQ6C2EXAMPLE"],"Service":["lambda.amazonaws.com","states.us-east-1.amazonaws.com"],"Federated":"cognito-identity.amazonaws.com"},"Action":["sts:AssumeRole","STS:TagSession"]}}`},
		{Resource, `{"Version":"2012-10-17","Statement":{"Sid":"with space","Effect":"Deny","NotPrincipal":{"CanonicalUser":"79a59"},"Action":"s3:*","Resource":"execute-api:/*"}}`},
	} {
		if _, err := Parse(c.document, c.kind); err != nil {
			t.Errorf("%s: %v", c.document, err)
		}
	}
}

func TestDocumentSizeLimit(t *testing.T) {
	const head, tail = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"`, `}}`
	at := head + strings.Repeat(" ", MaxDocumentSize-len(head)-len(tail)) + tail
	if _, err := Parse(at, Identity); err != nil {
		t.Error("at the limit:", err)
	}
	if _, err := Parse(at+" ", Identity); err == nil {
		t.Error("over the limit: no error")
	}
}

func TestSize(t *testing.T) {
	if got := Size(" {\r\n\t\"a\" : \"é\" } "); got != len(`{"a":"x"}`) {
		t.Errorf("got %d", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`{"Version":"2012-10-17","Statement":[{"Sid":"a","Effect":"Allow","NotAction":["iam:*"],"Resource":"arn:aws:s3:::b/${aws:username, 'x'}/?*","Condition":{"ForAllValues:StringLikeIfExists":{"aws:TagKeys":["a*"]},"NumericLessThan":{"a:b":1.5},"DateLessThan":{"aws:CurrentTime":"2026-01-01T00:00:00Z"},"IpAddress":{"aws:SourceIp":"10.0.0.0/8"},"ArnLike":{"aws:SourceArn":"arn:aws:s3:::*"},"BinaryEquals":{"a:b":"QQ=="},"Null":{"a:b":true}}}]}`)
	f.Add(`{"Statement":{"Effect":"Deny","Principal":{"AWS":["*","111122223333","arn:aws:iam::111122223333:user/a"],"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}}`)
	f.Add(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","NotPrincipal":{"AWS":"AIDAACKCEVSQ6C2EXAMPLE"},"Action":"*","NotResource":"${aws:x}${*}"}}`)
	f.Add(`{"Version":"2008-10-17","Statement":[[[[]]]]}`)
	f.Fuzz(func(t *testing.T, document string) {
		info := (&scenario{Principal: "role/worker/session"}).info(t)
		for _, kind := range []Kind{Identity, Trust, Resource} {
			d, err := Parse(document, kind)
			if err != nil {
				var m *MalformedError
				if !errors.As(err, &m) || m.Message == "" {
					t.Fatalf("error without a wording: %v", err)
				}
				continue
			}
			// What parses can be evaluated, and alone never lets anybody past a default that denies all.
			policies := &Policies{Tags: map[string]string{"a": "*"}}
			check := &Check{Action: "sts:AssumeRole", Resource: "arn:aws:iam::111122223333:role/r", Context: map[string][]string{"a:b": {"1", "x"}}}
			if kind == Identity {
				policies.Identity = []*Document{d}
			} else {
				check.ResourcePolicy = d.Bind(map[string]string{"arn:aws:iam::111122223333:role/worker": "AROAROLEWORKER"})
			}
			first := Evaluate(info, policies, check)
			if first.Allowed && !strings.Contains(document, "Allow") && !strings.Contains(document, `\u`) {
				t.Fatalf("allowed without an Allow: %s", document)
			}
			if again := Evaluate(info, policies, check); again.Allowed != first.Allowed {
				t.Fatal("two evaluations differ")
			}
			policies.Boundary = mustParse(t, `{"Statement":{"Effect":"Deny","Action":"*","Resource":"*"}}`, Identity)
			if Evaluate(info, policies, check).Allowed {
				t.Fatalf("stronger than an explicit deny: %s", document)
			}
		}
	})
}

func ExampleParse() {
	_, err := Parse(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"bucket"}}`, Identity)
	fmt.Println(err.(*MalformedError).Message)
	// Output: Resource bucket must be in ARN format or "*".
}
