package policy

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"brume/internal/call"
	"brume/test/npm"
)

// iamSimulate is another evaluation of policies. It is AGPL: it runs as a process of its own, in this test alone.
const iamSimulate = "@cloud-copilot/iam-simulate@0.1.173"

// A trial is a request with the policies that decide it, as simulate.mjs reads it.
type trial struct {
	Principal      any              `json:"principal"`
	Action         string           `json:"action"`
	Resource       string           `json:"resource"`
	Account        string           `json:"account"`
	Context        map[string]any   `json:"context"`
	Identity       []map[string]any `json:"identity"`
	Boundary       map[string]any   `json:"boundary,omitempty"`
	Session        map[string]any   `json:"session,omitempty"`
	ResourcePolicy map[string]any   `json:"resourcePolicy,omitempty"`
	info           *call.Info
	check          Check
	tags           map[string]string
}

// Random policies and requests are decided as another implementation decides them. What the two are known to disagree
// about is left out of the trials, and stands in TestDisagreements.
func TestDifferential(t *testing.T) {
	modules := npm.Install(t, iamSimulate)
	trials, seed := 4000, uint64(1)
	if os.Getenv("BRUME_SOAK") != "" {
		trials, seed = 200_000, uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
	}
	compare(t, modules, trials, seed)
}

func compare(t *testing.T, modules string, n int, seed uint64) {
	t.Helper()
	g := &generator{rand.New(rand.NewPCG(seed, 0))}
	all := make([]*trial, n)
	for i := range all {
		all[i] = g.trial()
	}
	theirs := simulate(t, modules, all)
	counts := map[string]int{}
	differ := 0
	for i, tr := range all {
		ours := tr.ours(t)
		counts[ours]++
		if ours == theirs[i] {
			continue
		}
		if differ++; differ <= 5 {
			t.Errorf("trial %d of seed %d: we say %s, they say %s\n%s", i, seed, ours, theirs[i], tr)
		}
	}
	t.Logf("%v, %d disagreements", counts, differ)
	if counts["Allowed"] < n/20 || counts["ExplicitlyDenied"] < n/20 || counts["ImplicitlyDenied"] < n/20 {
		t.Errorf("the trials do not try enough: %v", counts)
	}
}

// simulate has others decide.
func simulate(t *testing.T, modules string, all []*trial) []string {
	t.Helper()
	var in, stderr bytes.Buffer
	enc := json.NewEncoder(&in)
	for _, tr := range all {
		if err := enc.Encode(tr); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "node", filepath.Join("testdata", "simulate.mjs"), filepath.Join(modules, "@cloud-copilot"))
	cmd.Stdin, cmd.Stderr = &in, &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	decisions := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(decisions) != len(all) {
		t.Fatalf("%d answers to %d trials", len(decisions), len(all))
	}
	return decisions
}

// ours is our decision in their words.
func (tr *trial) ours(t *testing.T) string {
	t.Helper()
	d, err := tr.decide()
	switch {
	case err != nil:
		t.Fatalf("%v\n%s", err, tr)
	case d.Allowed:
		return "Allowed"
	case d.ExplicitDeny:
		return "ExplicitlyDenied"
	}
	return "ImplicitlyDenied"
}

func (tr *trial) String() string {
	out, _ := json.Marshal(tr)
	return string(out)
}

func (tr *trial) decide() (Decision, error) {
	policies := &Policies{Tags: tr.tags}
	parse := func(document map[string]any, kind Kind) (*Document, error) {
		if document == nil {
			return nil, nil
		}
		text, err := json.Marshal(document)
		if err != nil {
			return nil, err
		}
		return Parse(string(text), kind)
	}
	for _, p := range tr.Identity {
		if tr.info.Principal.Type == call.Account {
			break
		}
		doc, err := parse(p, Identity)
		if err != nil {
			return Decision{}, err
		}
		policies.Identity = append(policies.Identity, doc)
	}
	var err error
	if policies.Boundary, err = parse(tr.Boundary, Identity); err != nil {
		return Decision{}, err
	}
	if tr.Session != nil {
		doc, err := parse(tr.Session, Identity)
		if err != nil {
			return Decision{}, err
		}
		policies.Session = []*Document{doc}
	}
	if tr.check.ResourcePolicy, err = parse(tr.ResourcePolicy, Resource); err != nil {
		return Decision{}, err
	}
	return Evaluate(tr.info, policies, &tr.check), nil
}

// A generator makes trials out of a small vocabulary, so that things match often enough.
type generator struct{ *rand.Rand }

func pick[T any](g *generator, list ...T) T { return list[g.IntN(len(list))] }

func (g *generator) chance(percent int) bool { return g.IntN(100) < percent }

const (
	home   = "111111111111"
	abroad = "222222222222"
)

func (g *generator) trial() *trial {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	tr := &trial{
		Action:   pick(g, "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:DeleteItem"),
		Resource: "arn:aws:dynamodb:us-east-1:" + pick(g, home, home, home, abroad) + ":table/" + pick(g, "alpha", "beta", "alice", "alpha/index/i"),
		Context:  map[string]any{},
	}
	tr.Account = strings.Split(tr.Resource, ":")[4]
	p := call.Principal{Account: home}
	switch g.IntN(10) {
	case 0, 1, 2, 3:
		p.Type, p.ARN, p.ID, p.Name = call.User, "arn:aws:iam::"+home+":user/alice", "AIDAALICE", "alice"
		tr.Principal = p.ARN
	case 4, 5, 6:
		p.Type, p.ARN, p.ID, p.Name = call.AssumedRole, "arn:aws:sts::"+home+":assumed-role/deploy/ci", "AROADEPLOY:ci", "deploy"
		p.Session = &call.Session{RoleARN: "arn:aws:iam::" + home + ":role/deploy", Name: "ci", IssuedAt: now.Add(-time.Hour), MFA: g.chance(50)}
		tr.Principal = p.ARN
	case 7:
		p.Type, p.ARN, p.ID = call.Account, "arn:aws:iam::"+home+":root", home
		tr.Principal = p.ARN
	case 8:
		p = call.Principal{Type: call.Service, ARN: "lambda.amazonaws.com"}
		tr.Principal = p.ARN
	case 9:
		p = call.Principal{Type: call.Anonymous}
		tr.Principal = map[string]string{"type": "Anonymous"}
	}
	if p.Type == call.Account {
		// They know no root; we ask for no policy of one.
		tr.Identity = []map[string]any{{"Version": "2012-10-17", "Statement": map[string]any{"Effect": "Allow", "Action": "*", "Resource": "*"}}}
	}
	hasIdentity := p.Type == call.User || p.Type == call.AssumedRole
	tr.info = &call.Info{Account: tr.Account, Region: "us-east-1", Principal: p, Time: now, Secure: g.chance(70), UserAgent: "aws-cli/2"}
	if g.chance(70) {
		tr.info.SourceIP = netip.MustParseAddr(pick(g, "192.0.2.7", "198.51.100.1"))
	}
	if g.chance(20) {
		tr.info.SourceARN, tr.info.SourceAccount = "arn:aws:s3:::alpha", home
	}
	if hasIdentity && g.chance(60) {
		tr.tags = map[string]string{"team": pick(g, "alpha", "beta", "al*")}
	}
	tr.check = Check{Action: tr.Action, Resource: tr.Resource, ResourceAccount: tr.Account, Context: g.context()}
	tr.fillContext()
	if hasIdentity {
		for range 1 + g.IntN(2) {
			tr.Identity = append(tr.Identity, g.policy(false))
		}
		if g.chance(25) {
			tr.Boundary = g.policy(false)
		}
	}
	if p.Type == call.AssumedRole && g.chance(40) {
		tr.Session = g.policy(false)
	}
	if g.chance(50) || !hasIdentity {
		tr.ResourcePolicy = g.policy(true)
		// What is granted to a session itself is disagreed about where there is a session policy.
		for tr.Session != nil && grantsToSessions(tr.ResourcePolicy) {
			tr.ResourcePolicy = g.policy(true)
		}
	}
	return tr
}

func grantsToSessions(policy map[string]any) bool {
	for _, s := range policy["Statement"].([]any) {
		principal, err := json.Marshal(s.(map[string]any)["Principal"])
		if err != nil || bytes.Contains(principal, []byte("*")) || bytes.Contains(principal, []byte("assumed-role")) {
			return true
		}
	}
	return false
}

// context are the keys that come with the check.
func (g *generator) context() map[string][]string {
	keys := map[string][]string{}
	vocabulary := map[string][]string{
		"dynamodb:LeadingKeys": {"alice", "bob", "alpha"}, "aws:TagKeys": {"team", "cost"}, "aws:RequestTag/team": {"alpha", "beta"},
		"aws:ResourceTag/team": {"alpha", "beta", "ALPHA"}, "test:number": {"1", "2.50", "10", "-100"},
		"test:date": {"2026-03-04T05:06:07Z", "2026-03-04"}, "test:bool": {"true", "false", "True"},
		"test:binary": {"YWxwaGE=", "YmV0YQ=="}, "test:arn": {"arn:aws:s3:::alpha", "arn:aws:iam::111111111111:role/deploy"},
	}
	// In order, so that a seed gives the same trials every time.
	for _, key := range slices.Sorted(maps.Keys(vocabulary)) {
		if !g.chance(60) {
			continue
		}
		n := 1
		if isList(key) {
			n = 1 + g.IntN(2)
		}
		for range n {
			keys[key] = append(keys[key], pick(g, vocabulary[key]...))
		}
	}
	return keys
}

func isList(key string) bool { return key == "dynamodb:LeadingKeys" || key == "aws:TagKeys" }

// globalKeys are those that we fill from the call; the other side is told what we fill in.
var globalKeys = []string{
	"aws:PrincipalArn", "aws:PrincipalAccount", "aws:PrincipalType", "aws:userid", "aws:username", "aws:PrincipalIsAWSService",
	"aws:PrincipalServiceName", "aws:TokenIssueTime", "aws:MultiFactorAuthPresent", "aws:MultiFactorAuthAge", "aws:SourceIp",
	"aws:SecureTransport", "aws:ResourceAccount", "aws:CurrentTime", "aws:EpochTime", "aws:RequestedRegion", "aws:UserAgent",
	"aws:ViaAWSService", "aws:SourceArn", "aws:SourceAccount", "aws:PrincipalTag/team",
}

func (tr *trial) fillContext() {
	for key, values := range tr.check.Context {
		if isList(key) {
			tr.Context[key] = values
		} else {
			tr.Context[key] = values[0]
		}
	}
	e := newEvaluation(tr.info, &Policies{Tags: tr.tags}, &tr.check)
	for _, key := range globalKeys {
		var buf [1]string
		if values := e.lookup(strings.ToLower(key), &buf); len(values) > 0 {
			tr.Context[key] = values[0]
		}
	}
}

func (g *generator) policy(ofResource bool) map[string]any {
	version := "2012-10-17"
	if g.chance(8) {
		version = "2008-10-17"
	}
	statements := make([]any, 1+g.IntN(3))
	for i := range statements {
		statements[i] = g.statement(ofResource, version)
	}
	return map[string]any{"Version": version, "Statement": statements}
}

func (g *generator) statement(ofResource bool, version string) map[string]any {
	s := map[string]any{"Effect": "Allow"}
	if g.chance(25) {
		s["Effect"] = "Deny"
	}
	if g.chance(12) {
		s["NotAction"] = g.some(func() string { return pick(g, "dynamodb:GetItem", "dynamodb:P*", "s3:*") })
	} else {
		s["Action"] = g.some(func() string {
			return pick(g, "*", "dynamodb:*", "dynamodb:GetItem", "dynamodb:Put*", "dynamodb:?etItem", "DynamoDB:getitem", "dynamodb:*Item", "s3:*", "dynamodb:G*t*m")
		})
	}
	if g.chance(12) {
		s["NotResource"] = g.some(g.plainResource)
	} else if version == "2008-10-17" {
		s["Resource"] = g.some(g.plainResource)
	} else {
		s["Resource"] = g.some(g.resource)
	}
	if ofResource {
		element := "Principal"
		if g.chance(10) && s["Effect"] == "Deny" {
			element = "NotPrincipal"
		}
		if s[element] = g.principal(); element == "NotPrincipal" {
			// Whom it exempts it names in full.
			s[element] = map[string]any{"AWS": pick(g, []string{"arn:aws:iam::" + home + ":root", "arn:aws:iam::" + home + ":user/alice",
				"arn:aws:iam::" + home + ":role/deploy", "arn:aws:sts::" + home + ":assumed-role/deploy/ci"}, []string{abroad})}
		}
	}
	if g.chance(45) {
		conditions := map[string]any{}
		for range 1 + g.IntN(2) {
			operator, keys := g.condition(version)
			conditions[operator] = keys
		}
		s["Condition"] = conditions
	}
	return s
}

// some is a string, or a list of one to three.
func (g *generator) some(one func() string) any {
	if g.chance(50) {
		return one()
	}
	list := make([]string, 1+g.IntN(3))
	for i := range list {
		list[i] = one()
	}
	return list
}

// plainResource has no variables: those that cannot be resolved are disagreed about in a NotResource, and so are all in
// the version 2008-10-17.
func (g *generator) plainResource() string {
	for {
		if r := g.resource(); !strings.Contains(r, "$") {
			return r
		}
	}
}

func (g *generator) resource() string {
	const prefix = "arn:aws:dynamodb:us-east-1:111111111111:table/"
	return pick(g, "*", "*", prefix+"alpha", prefix+"al*", prefix+"?eta", prefix+"*", prefix+"alpha/index/*", "arn:aws:dynamodb:*:*:table/alpha",
		"arn:aws:dynamodb:*:*:*", "arn:aws:dynamodb:us-east-1:222222222222:table/*", "arn:aws:s3:::alpha/*", prefix+"${aws:username}",
		prefix+"${aws:PrincipalTag/team}", prefix+"${aws:PrincipalTag/team, 'alpha'}", prefix+"${aws:PrincipalTag/team}*", "arn:aws:dynamodb:us-east-*:111111111111:table/a*a",
		prefix+"${aws:PrincipalTag/none, 'beta'}")
}

func (g *generator) principal() any {
	one := func() string {
		list := []string{home, "arn:aws:iam::" + home + ":root", "arn:aws:iam::" + home + ":user/alice", "arn:aws:iam::" + home + ":user/bob",
			"arn:aws:iam::" + home + ":role/deploy", "arn:aws:sts::" + home + ":assumed-role/deploy/ci", abroad}
		return pick(g, list...)
	}
	switch n := g.IntN(10); {
	case n < 2:
		return pick[any](g, "*", map[string]any{"AWS": "*"})
	case n < 4:
		return map[string]any{"Service": pick(g, "lambda.amazonaws.com", "events.amazonaws.com")}
	case n < 5:
		return map[string]any{"Service": "lambda.amazonaws.com", "AWS": one()}
	}
	return map[string]any{"AWS": g.some(one)}
}

// condition is an operator with one or two keys and their values.
func (g *generator) condition(version string) (operator string, keys map[string]any) {
	families := []struct {
		operators, keys, values []string
	}{
		{[]string{"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike", "StringNotLike"},
			[]string{"dynamodb:LeadingKeys", "aws:TagKeys", "aws:RequestTag/team", "aws:ResourceTag/team", "aws:username", "aws:PrincipalTag/team", "aws:PrincipalType",
				"aws:userid", "aws:PrincipalAccount", "aws:RequestedRegion", "AWS:SourceAccount", "test:number", "aws:UserAgent", "aws:PrincipalServiceName"},
			[]string{"alice", "alpha", "beta", "a*", "?eta", "*", "ALPHA", "team", "cost", "${aws:username}", "${aws:PrincipalTag/team}", "User", home, "us-east-1",
				"${aws:PrincipalTag/none, 'alpha'}", "AIDA*", "${*}", "al${*}"}},
		{[]string{"NumericEquals", "NumericNotEquals", "NumericLessThan", "NumericLessThanEquals", "NumericGreaterThan", "NumericGreaterThanEquals"},
			[]string{"test:number", "aws:MultiFactorAuthAge"}, []string{"1", "2.5", "10", "-100", "3600", "1772600767"}},
		{[]string{"DateEquals", "DateNotEquals", "DateLessThan", "DateLessThanEquals", "DateGreaterThan", "DateGreaterThanEquals"},
			[]string{"test:date", "aws:CurrentTime", "aws:TokenIssueTime"}, []string{"2026-03-04T05:06:07Z", "2026-03-04T00:00:00Z", "2026-03-05"}},
		{[]string{"Bool"}, []string{"test:bool", "aws:SecureTransport", "aws:MultiFactorAuthPresent", "aws:PrincipalIsAWSService", "aws:ViaAWSService"}, []string{"true", "false"}},
		{[]string{"BinaryEquals"}, []string{"test:binary"}, []string{"YWxwaGE=", "YmV0YQ=="}},
		{[]string{"IpAddress", "NotIpAddress"}, []string{"aws:SourceIp"}, []string{"192.0.2.0/24", "192.0.2.7", "198.51.0.0/16"}},
		{[]string{"ArnEquals", "ArnNotEquals", "ArnLike", "ArnNotLike"}, []string{"test:arn", "aws:PrincipalArn", "aws:SourceArn"},
			[]string{"arn:aws:s3:::alpha", "arn:aws:s3:::a*", "arn:aws:iam::111111111111:role/*", "arn:aws:iam::*:user/alice", "arn:aws:iam::111111111111:*", "arn:aws:*:*:*:*"}},
	}
	if g.chance(12) {
		return "Null", map[string]any{pick(g, "aws:username", "dynamodb:LeadingKeys", "test:arn", "aws:PrincipalTag/team"): pick(g, "true", "false")}
	}
	f := pick(g, families...)
	operator = pick(g, f.operators...)
	key := pick(g, f.keys...)
	switch {
	case isList(key), g.chance(5):
		operator = pick(g, "ForAllValues:", "ForAnyValue:") + operator
	}
	if g.chance(20) && !strings.HasPrefix(operator, "ForAnyValue:") {
		operator += "IfExists"
	}
	keys = map[string]any{key: g.some(func() string {
		for {
			// Variables that cannot be resolved are disagreed about where the operator is negated.
			if v := pick(g, f.values...); version != "2008-10-17" && !strings.Contains(operator, "Not") || !strings.Contains(v, "$") {
				return v
			}
		}
	})}
	return operator, keys
}

// What we decide otherwise than iam-simulate, each with the page of AWS that says so, or why we keep to the safe side.
// Where they change their mind, the trials can have it too.
func TestDisagreements(t *testing.T) {
	modules := npm.Install(t, iamSimulate)
	const (
		allowed, implicit, explicit = "Allowed", "ImplicitlyDenied", "ExplicitlyDenied"

		user, role = "user", "role"
		userGuide  = "https://docs.aws.amazon.com/IAM/latest/UserGuide/"
	)
	const table = "arn:aws:dynamodb:us-east-1:111111111111:table/alpha"
	allow := func(more string) string { return `{"Effect":"Allow","Action":"*",` + more + `}` }
	deny := func(more string) string { return `{"Effect":"Deny","Action":"*",` + more + `}` }
	all, everything := `"Resource":"*"`, allow(`"Resource":"*"`)
	for _, tt := range []struct {
		what, source, principal, version string
		identity, boundary, session      string // statements
		resource                         string
		context                          map[string][]string
		ours, theirs                     string
	}{
		{"a variable in the account of a Resource", "AWS's own managed policies have it: arn:aws:secretsmanager:*:${aws:PrincipalAccount}:secret:*",
			user, "", allow(`"Resource":"arn:aws:dynamodb:us-east-1:${aws:PrincipalAccount}:table/*"`), "", "", "", nil, allowed, implicit},
		{"a variable in the version 2008-10-17", userGuide + "reference_policies_variables.html",
			user, "2008-10-17", allow(`"Resource":"arn:aws:dynamodb:*:*:table/${aws:none, 'alpha'}"`), "", "", "", nil, implicit, allowed},
		{"a star in the type of a Resource", userGuide + "reference_policies_elements_resource.html",
			user, "", allow(`"Resource":"arn:aws:dynamodb:us-east-1:111111111111:*/a*a"`), "", "", "", nil, allowed, implicit},
		{"seconds since 1970 with a date operator", userGuide + "reference_policies_elements_condition_operators.html#Conditions_Date",
			user, "", allow(all + `,"Condition":{"DateLessThan":{"aws:CurrentTime":"1893456000"}}`), "", "", "", nil, allowed, implicit},
		{"an address of another family", userGuide + "reference_policies_elements_condition_operators.html#Conditions_IPAddress",
			user, "", allow(all + `,"Condition":{"NotIpAddress":{"aws:SourceIp":"192.0.2.7"}}`), "", "", "", map[string][]string{"aws:SourceIp": {"2001:db8::7"}}, allowed, implicit},
		{"NotResource with a variable that cannot be resolved: it may mean this very resource", "the safe side", role, "",
			everything + "," + deny(`"NotResource":"arn:aws:dynamodb:*:*:table/${aws:username}"`), "", "", "", nil, explicit, allowed},
		{"a negated operator with a variable that cannot be resolved", "the safe side", role, "",
			everything + "," + deny(all+`,"Condition":{"StringNotEquals":{"aws:PrincipalAccount":"${aws:username}"}}`), "", "", "", nil, explicit, allowed},
		{"a negated operator with a value that cannot be compared", "the safe side", user, "",
			everything + "," + deny(all+`,"Condition":{"NumericNotEquals":{"test:number":"1"}}`), "", "", "", map[string][]string{"test:number": {"x"}}, explicit, allowed},
		{"a grant to a session itself is not limited by its session policy", userGuide + "reference_policies_evaluation-logic_policy-eval-basics-single-account.html",
			role, "", everything, "", allow(`"Resource":"arn:aws:s3:::x"`),
			allow(all + `,"Principal":{"AWS":"arn:aws:sts::111111111111:assumed-role/deploy/ci"}`), nil, allowed, implicit},
		{"a grant to everybody is not limited by the session policy", userGuide + "reference_policies_elements_principal.html#principal-role-session",
			role, "", everything, "", allow(`"Resource":"arn:aws:s3:::x"`), allow(all + `,"Principal":"*"`), nil, allowed, implicit},
		{"NotPrincipal exempts only whom it names in full", userGuide + "reference_policies_elements_notprincipal.html",
			role, "", everything, "", "", deny(all + `,"NotPrincipal":{"AWS":["arn:aws:iam::111111111111:root","arn:aws:iam::111111111111:user/alice"]}`), nil, explicit, allowed},
		{"ForAnyValue with IfExists and no value", "no page says which of the two wins; the operator's name says IfExists",
			user, "", allow(all + `,"Condition":{"ForAnyValue:StringEqualsIfExists":{"aws:TagKeys":"x"}}`), "", "", "", nil, allowed, implicit},
	} {
		t.Run(tt.what, func(t *testing.T) {
			policy := func(statements string) map[string]any {
				if statements == "" {
					return nil
				}
				version := tt.version
				if version == "" {
					version = "2012-10-17"
				}
				var out map[string]any
				if err := json.Unmarshal([]byte(`{"Version":"`+version+`","Statement":[`+statements+`]}`), &out); err != nil {
					t.Fatal(err)
				}
				return out
			}
			tr := &trial{
				Action: "dynamodb:GetItem", Resource: table, Account: home, Context: map[string]any{},
				Boundary: policy(tt.boundary), Session: policy(tt.session), ResourcePolicy: policy(tt.resource),
				info:  &call.Info{Account: home, Region: "us-east-1", Time: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), Secure: true},
				check: Check{Action: "dynamodb:GetItem", Resource: table, ResourceAccount: home, Context: tt.context},
			}
			if tt.identity != "" {
				tr.Identity = append(tr.Identity, policy(tt.identity))
			}
			p := &tr.info.Principal
			*p = call.Principal{Type: call.User, Account: home, ARN: "arn:aws:iam::" + home + ":user/alice", ID: "AIDAALICE", Name: "alice"}
			tr.Principal = p.ARN
			if tt.principal == role {
				*p = call.Principal{Type: call.AssumedRole, Account: home, ARN: "arn:aws:sts::" + home + ":assumed-role/deploy/ci", ID: "AROADEPLOY:ci", Name: "deploy",
					Session: &call.Session{RoleARN: "arn:aws:iam::" + home + ":role/deploy", Name: "ci", IssuedAt: tr.info.Time}}
				tr.Principal = p.ARN
			}
			tr.fillContext()
			if got := tr.ours(t); got != tt.ours {
				t.Errorf("we say %s, want %s (%s)", got, tt.ours, tt.source)
			}
			if got := simulate(t, modules, []*trial{tr})[0]; got != tt.theirs {
				t.Errorf("they say %s, no longer %s", got, tt.theirs)
			}
		})
	}
}
