package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"brume/internal/awserr"
	"brume/internal/call"
)

// A scenario is one decision of testdata/evaluation, with where AWS documents it.
type scenario struct {
	Name   string
	Source string
	// Principal is "root", "user/bob", "role/worker/session", "federated/name/bob" for whom bob asked (or root), "web/ARN of
	// a provider", "service/name.amazonaws.com" or "anonymous", followed by "@account" if the account is not the resource's.
	Principal   string
	Action      string
	Resource    string
	Identity    []json.RawMessage
	Boundary    json.RawMessage
	Session     []json.RawMessage
	ResourceDoc json.RawMessage   `json:"resourcePolicy"`
	TrustDoc    json.RawMessage   `json:"trustPolicy"`
	Bind        map[string]string // ARN to unique id, in the resource or trust policy
	Context     map[string][]string
	Tags        map[string]string
	Call        struct {
		SourceIP, ViaService, SourceARN, SourceAccount, Region, Time, SourceIdentity string
		Referer, UserAgent, FederatedProvider                                        string
		Keys                                                                         map[string][]string
		Insecure, MFA, Temporary                                                     bool
	}
	// Want is "allow", or the end of the message: "because no …", "with an explicit deny in …".
	Want string
}

const testAccount = "111122223333"

func (s *scenario) info(t testing.TB) *call.Info {
	t.Helper()
	who, account, other := strings.Cut(s.Principal, "@")
	if !other {
		account = testAccount
	}
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	if s.Call.Time != "" {
		var err error
		if now, err = time.Parse(time.RFC3339, s.Call.Time); err != nil {
			t.Fatal(err)
		}
	}
	p := call.Principal{Account: account}
	session := &call.Session{IssuedAt: now.Add(-time.Minute), MFA: s.Call.MFA, SourceIdentity: s.Call.SourceIdentity,
		FederatedProvider: s.Call.FederatedProvider, Keys: s.Call.Keys}
	if s.Call.Temporary {
		p.Session = session
	}
	kind, name, _ := strings.Cut(who, "/")
	switch kind {
	case "root":
		p.Type, p.ARN, p.ID = call.Account, "arn:aws:iam::"+account+":root", account
	case "user":
		p.Type, p.ARN, p.ID = call.User, "arn:aws:iam::"+account+":user/"+name, "AIDAUSER"+strings.ToUpper(name)
		p.Name = name[strings.LastIndex(name, "/")+1:]
	case "role":
		role, sessionName, _ := strings.Cut(name, "/")
		session.Name, session.RoleARN = sessionName, "arn:aws:iam::"+account+":role/"+role
		p.Type, p.ARN, p.Session = call.AssumedRole, "arn:aws:sts::"+account+":assumed-role/"+name, session
		p.ID, p.Name = "AROAROLE"+strings.ToUpper(role)+":"+sessionName, role
	case "federated":
		federated, issuer, _ := strings.Cut(name, "/")
		session.Name, session.IssuerID, session.IssuerARN = federated, "AIDAUSER"+strings.ToUpper(issuer), "arn:aws:iam::"+account+":user/"+issuer
		if issuer == "root" {
			session.IssuerID, session.IssuerARN = account, "arn:aws:iam::"+account+":root"
		}
		p.Type, p.ARN, p.Session = call.FederatedUser, "arn:aws:sts::"+account+":federated-user/"+federated, session
		p.ID, p.Name = account+":"+federated, federated
	case "web":
		p = call.Principal{Type: call.WebIdentity, ARN: name}
	case "service":
		p = call.Principal{Type: call.Service, ARN: name}
	case "anonymous":
		p = call.Principal{Type: call.Anonymous}
	default:
		t.Fatalf("principal %q", s.Principal)
	}
	info := &call.Info{
		Account: testAccount, Region: "us-east-1", Principal: p, Secure: !s.Call.Insecure, Time: now,
		ViaService: s.Call.ViaService, SourceARN: s.Call.SourceARN, SourceAccount: s.Call.SourceAccount,
		Referer: s.Call.Referer, UserAgent: s.Call.UserAgent,
	}
	if s.Call.Region != "" {
		info.Region = s.Call.Region
	}
	if s.Call.SourceIP != "" {
		info.SourceIP = netip.MustParseAddr(s.Call.SourceIP)
	}
	return info
}

func mustParse(t testing.TB, document string, kind Kind) *Document {
	t.Helper()
	d, err := Parse(document, kind)
	if err != nil {
		t.Fatalf("%v\n%s", err, document)
	}
	return d
}

func parseAll(t *testing.T, documents []json.RawMessage) []*Document {
	if documents == nil {
		return nil
	}
	out := make([]*Document, len(documents))
	for i := range documents {
		out[i] = mustParse(t, string(documents[i]), Identity)
	}
	return out
}

func TestEvaluate(t *testing.T) {
	files, err := filepath.Glob("testdata/evaluation/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %d files", err, len(files))
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		dec := json.NewDecoder(strings.NewReader(string(text)))
		dec.DisallowUnknownFields()
		var scenarios []scenario
		if err := dec.Decode(&scenarios); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		names := map[string]bool{}
		for _, s := range scenarios {
			t.Run(filepath.Base(file)+"/"+s.Name, func(t *testing.T) {
				if names[s.Name] || !strings.HasPrefix(s.Source, "https://") {
					t.Fatal("a scenario needs a name of its own and a source")
				}
				names[s.Name] = true
				info := s.info(t)
				policies := &Policies{Identity: parseAll(t, s.Identity), Session: parseAll(t, s.Session), Tags: s.Tags}
				if s.Boundary != nil {
					policies.Boundary = mustParse(t, string(s.Boundary), Identity)
				}
				check := Check{Action: s.Action, Resource: s.Resource, Context: s.Context}
				if s.ResourceDoc != nil {
					check.ResourcePolicy = mustParse(t, string(s.ResourceDoc), Resource)
				}
				if s.TrustDoc != nil {
					check.ResourcePolicy = mustParse(t, string(s.TrustDoc), Trust)
				}
				if s.Bind != nil {
					check.ResourcePolicy = check.ResourcePolicy.Bind(s.Bind)
				}
				got := "allow"
				if err := Authorize(info, policies, []Check{check}); err != nil {
					got = err.(*awserr.Generic).Message
				}
				want := s.Want
				if want != "allow" {
					who := info.Principal.ARN
					if who == "" {
						who = "anonymous"
					}
					want = "User: " + who + " is not authorized to perform: " + s.Action + " on resource: " + s.Resource + " " + want
				}
				if got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			})
		}
	}
}

// The statement that decides is named, for the policy simulator.
func TestDecisionNamesStatement(t *testing.T) {
	first := mustParse(t, `{"Version":"2012-10-17","Statement":{"Sid":"A","Effect":"Allow","Action":"s3:Get*","Resource":"*"}}`, Identity)
	second := mustParse(t, `{"Version":"2012-10-17","Statement":[{"Sid":"B","Effect":"Allow","Action":"s3:*","Resource":"*"},{"Sid":"C","Effect":"Deny","Action":"s3:PutObject","Resource":"*"}]}`, Identity)
	info := (&scenario{Principal: "user/bob"}).info(t)
	policies := &Policies{Identity: []*Document{first, second}}
	for _, c := range []struct {
		action string
		want   Decision
	}{
		{"s3:GetObject", Decision{Allowed: true, Source: SourceIdentity, Document: first, Sid: "A"}},
		{"s3:ListBucket", Decision{Allowed: true, Source: SourceIdentity, Document: second, Sid: "B"}},
		{"s3:PutObject", Decision{ExplicitDeny: true, Source: SourceIdentity, Document: second, Sid: "C"}},
		{"ec2:RunInstances", Decision{Source: SourceIdentity}},
	} {
		if got := Evaluate(info, policies, &Check{Action: c.action, Resource: "*"}); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.action, got, c.want)
		}
	}
}

// More is asked once, for keys of the service and tags of the resource alone, and its failure is no permission.
func TestMore(t *testing.T) {
	doc := func(text string) *Document {
		d, err := Parse(text, Identity)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	info := &call.Info{Account: "000000000000", Principal: call.Principal{Type: call.User, Account: "000000000000"}}
	const statement = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*","Condition":%s}}`
	for _, test := range []struct {
		condition string
		more      map[string][]string
		err       error
		calls     int
		allowed   bool
	}{
		{`{"StringEquals":{"aws:PrincipalAccount":"000000000000"}}`, nil, nil, 0, true},
		{`{"StringEquals":{"svc:k":"v"}}`, map[string][]string{"Svc:K": {"v"}}, nil, 1, true},
		{`{"StringEquals":{"svc:k":"v"}}`, map[string][]string{"svc:k": {"w"}}, nil, 1, false},
		{`{"StringEquals":{"svc:k":"v","svc:l":"v"}}`, map[string][]string{"svc:k": {"v"}, "svc:l": {"v"}}, nil, 1, true},
		{`{"StringEquals":{"aws:ResourceTag/team":"a"}}`, map[string][]string{"aws:ResourceTag/Team": {"a"}}, nil, 1, true},
		{`{"StringEquals":{"aws:RequestTag/team":"a"}}`, map[string][]string{"aws:RequestTag/team": {"a"}}, nil, 0, false},
		{`{"StringNotEquals":{"svc:k":"v"}}`, nil, nil, 1, true},
		{`{"StringNotEquals":{"svc:k":"v"}}`, nil, errors.New("disk"), 1, false},
	} {
		calls := 0
		checks := []Check{{Action: "svc:Do", Resource: "*", More: func() (map[string][]string, error) {
			calls++
			return test.more, test.err
		}}}
		policies := &Policies{Identity: []*Document{doc(fmt.Sprintf(statement, test.condition))}}
		err := Authorize(info, policies, checks)
		if (err == nil) != test.allowed || calls != test.calls || test.err != nil && !errors.Is(err, test.err) {
			t.Errorf("%s: %v after %d calls", test.condition, err, calls)
		}
	}
}

// Authorize needs every check, and reports the first that fails.
func TestAuthorizeSeveralChecks(t *testing.T) {
	doc := mustParse(t, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"lambda:*","Resource":"*"}}`, Identity)
	info := (&scenario{Principal: "user/bob"}).info(t)
	checks := []Check{
		{Action: "lambda:CreateFunction", Resource: "arn:aws:lambda:us-east-1:111122223333:function:f"},
		{Action: "iam:PassRole", Resource: "arn:aws:iam::111122223333:role/r"},
	}
	policies := &Policies{Identity: []*Document{doc}}
	if err := Authorize(info, policies, checks[:1]); err != nil {
		t.Error(err)
	}
	err := Authorize(info, policies, checks)
	denied, ok := err.(*awserr.Generic)
	if !ok || denied.Code != "AccessDenied" || denied.Status != 403 || !strings.Contains(denied.Message, "iam:PassRole") {
		t.Errorf("got %v", err)
	}
	if err := Authorize(info, &Policies{}, nil); err != nil {
		t.Error("no checks:", err)
	}
}

func TestPrincipals(t *testing.T) {
	d := mustParse(t, `{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"AWS":["111122223333","arn:aws:iam::111122223333:user/bob"],"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"},
		{"Effect":"Deny","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole"}]}`, Trust)
	want := []PrincipalElement{{"AWS", "111122223333"}, {"AWS", "arn:aws:iam::111122223333:user/bob"}, {"Service", "lambda.amazonaws.com"}}
	if got := d.Principals(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestUnknownPrincipalTypeIsDenied(t *testing.T) {
	all := mustParse(t, `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`, Identity)
	info := &call.Info{Account: testAccount, Principal: call.Principal{Type: "Martian", Account: testAccount}}
	if d := Evaluate(info, &Policies{Identity: []*Document{all}}, &Check{Action: "s3:GetObject", Resource: "*"}); d.Allowed {
		t.Error("allowed")
	}
}
