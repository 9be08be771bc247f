package managed

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"brume/internal/policy"
)

func TestAll(t *testing.T) {
	id := regexp.MustCompile(`^ANPA[A-Z2-7]{17}$`)
	ids := map[string]bool{}
	last, n := "", 0
	for p := range All() {
		n++
		if p.Name <= last || !strings.HasPrefix(p.Path, "/") || !strings.HasSuffix(p.Path, "/") ||
			p.ARN != "arn:aws:iam::aws:policy"+p.Path+p.Name || !strings.HasPrefix(p.DefaultVersionID, "v") {
			t.Errorf("%+v after %s", p, last)
		}
		last = p.Name
		if p.Created.Year() < 2010 || p.Updated.Before(p.Created) || p.VersionCreated.Before(p.Created) {
			t.Errorf("%s: dates %v %v %v", p.Name, p.Created, p.Updated, p.VersionCreated)
		}
		if !json.Valid([]byte(p.Document)) {
			t.Errorf("%s: document is no JSON", p.Name)
		}
		if _, err := policy.Parse(p.Document, policy.Identity); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
		if got := p.ID(); !id.MatchString(got) || ids[got] {
			t.Errorf("%s: id %s", p.Name, got)
		}
		ids[p.ID()] = true
		if found, ok := Get(p.ARN); !ok || found != p {
			t.Errorf("Get(%s): %+v %v", p.ARN, found, ok)
		}
	}
	if n < 1500 {
		t.Errorf("only %d policies", n)
	}
}

func TestGet(t *testing.T) {
	for arn, path := range map[string]string{
		"arn:aws:iam::aws:policy/PowerUserAccess":                              "/",
		"arn:aws:iam::aws:policy/AmazonDynamoDBFullAccess":                     "/",
		"arn:aws:iam::aws:policy/CloudWatchLogsFullAccess":                     "/",
		"arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole":     "/service-role/",
		"arn:aws:iam::aws:policy/job-function/ViewOnlyAccess":                  "/job-function/",
		"arn:aws:iam::aws:policy/aws-service-role/AWSSupportServiceRolePolicy": "/aws-service-role/",
	} {
		if p, ok := Get(arn); !ok || p.Path != path || p.ARN != arn {
			t.Errorf("%s: %+v %v", arn, p, ok)
		}
	}
	for _, arn := range []string{
		"", "PowerUserAccess", "arn:aws:iam::aws:policy/", "arn:aws:iam::aws:policy/AAAA", "arn:aws:iam::aws:policy/zzzz",
		"arn:aws:iam::aws:policy/poweruseraccess", "arn:aws:iam::aws:policy/PowerUser",
		"arn:aws:iam::aws:policy/service-role/PowerUserAccess", "arn:aws:iam::aws:policy/AWSLambdaBasicExecutionRole",
		"arn:aws:iam::111122223333:policy/PowerUserAccess",
	} {
		if p, ok := Get(arn); ok {
			t.Errorf("%q: %s", arn, p.ARN)
		}
	}
}

// What the walkthrough tells of PowerUserAccess must be so.
func TestPowerUserAccess(t *testing.T) {
	p, _ := Get("arn:aws:iam::aws:policy/PowerUserAccess")
	if !strings.Contains(p.Document, `"NotAction":["iam:*"`) {
		t.Errorf("%s", p.Document)
	}
}

func BenchmarkGet(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := Get("arn:aws:iam::aws:policy/PowerUserAccess"); !ok {
			b.Fatal("not there")
		}
	}
}
