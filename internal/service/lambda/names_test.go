package lambda

import (
	"regexp"
	"testing"
)

func TestParseName(t *testing.T) {
	for in, want := range map[string]struct {
		account, region, name, qualifier string
	}{
		"f":                                 {"", "", "f", ""},
		"my-Function_1":                     {"", "", "my-Function_1", ""},
		"f:1":                               {"", "", "f", "1"},
		"f:$LATEST":                         {"", "", "f", "$LATEST"},
		"f:prod":                            {"", "", "f", "prod"},
		"function:f":                        {"", "", "f", ""},
		"function":                          {"", "", "function", ""},
		"123456789012":                      {"", "", "123456789012", ""},
		"123456789012:f":                    {"123456789012", "", "f", ""},
		"123456789012:function:f":           {"123456789012", "", "f", ""},
		"123456789012:function:f:7":         {"123456789012", "", "f", "7"},
		"us-east-1:123456789012:function:f": {"123456789012", "us-east-1", "f", ""},
		"us-gov-west-1:f":                   {"", "us-gov-west-1", "f", ""},
		fnARN + "f":                         {account, region, "f", ""},
		fnARN + "f:prod":                    {account, region, "f", "prod"},
		"arn:aws-cn:lambda:cn-north-1:123456789012:function:f": {account, "cn-north-1", "f", ""},
	} {
		r, region, ok := parseName(in)
		if !ok || r.account != want.account || region != want.region || r.name != want.name || r.qualifier != want.qualifier {
			t.Errorf("%q: %+v, %q, %v", in, r, region, ok)
		}
	}
	for _, in := range []string{
		"", ":", "f:", ":f", "f:1:2", "f g", "f/g", "f.g", "arn:aws:lambda:eu-central-1:123456789012:f", "arn:aws:lambda:function:f",
		"arn:aws:lambda:eu-central-1:function:f", "arn:aws:s3:::bucket", "arn:aws:lambda:eu-central-1:123456789012:layer:l",
		"arn:aws:lambda:eu-central-1:123456789012:function:f:1:2", "f:$OLDEST", "arn:evil:lambda:eu-central-1:123456789012:function:f",
	} {
		if r, region, ok := parseName(in); ok {
			t.Errorf("%q is taken for %+v in %q", in, r, region)
		}
	}
}

// The service model's own pattern, with account and region.
var modelPattern = regexp.MustCompile(`^(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}(-gov)?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?$`)

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"f", "f:1", "123456789012:function:f:$LATEST", fnARN + "f:prod", "us-gov-west-1:f", "function:f", "a:b:c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, region, ok := parseName(s)
		if !ok {
			return
		}
		m := modelPattern.FindStringSubmatch(s)
		if m == nil {
			t.Fatalf("%q is no name for the service model", s)
		}
		if r.name != m[7] || r.qualifier != m[9] || r.account+":" != m[5] && r.account+m[5] != "" || region+":" != m[3] && region+m[3] != "" {
			t.Fatalf("%q: %+v in %q, but the model sees %q", s, r, region, m)
		}
	})
}
