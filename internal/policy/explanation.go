package policy

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"brume/internal/call"
)

// An explanation is what DecodeAuthorizationMessage shows of a denial.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_DecodeAuthorizationMessage.html
type explanation struct {
	Allowed           bool             `json:"allowed"`
	ExplicitDeny      bool             `json:"explicitDeny"`
	MatchedStatements items[matched]   `json:"matchedStatements"`
	Failures          items[struct{}]  `json:"failures"`
	Context           explainedContext `json:"context"`
}

type items[T any] struct {
	Items []T `json:"items"`
}

type matched struct {
	StatementID string `json:"statementId"`
	Effect      string `json:"effect"`
	// Source is ours: which kind of policy the statement is in.
	Source string `json:"sourcePolicyType"`
}

type explainedContext struct {
	Principal struct {
		ID  string `json:"id"`
		ARN string `json:"arn"`
	} `json:"principal"`
	Action     string              `json:"action"`
	Resource   string              `json:"resource"`
	Conditions items[explainedKey] `json:"conditions"`
}

type explainedKey struct {
	Key    string                `json:"key"`
	Values items[explainedValue] `json:"values"`
}

type explainedValue struct {
	Value string `json:"value"`
}

// explainedKeys are the global condition keys that every explanation looks for, as AWS writes them.
var explainedKeys = [...]string{
	"aws:CalledVia", "aws:CurrentTime", "aws:EpochTime", "aws:FederatedProvider", "aws:MultiFactorAuthAge",
	"aws:MultiFactorAuthPresent", "aws:PrincipalAccount", "aws:PrincipalArn", "aws:PrincipalIsAWSService",
	"aws:PrincipalServiceName", "aws:PrincipalType", "aws:Referer", "aws:RequestedRegion", "aws:ResourceAccount",
	"aws:SecureTransport", "aws:SourceAccount", "aws:SourceArn", "aws:SourceIdentity", "aws:SourceIp", "aws:TokenIssueTime",
	"aws:UserAgent", "aws:ViaAWSService", "aws:userid", "aws:username",
}

// Explanation says in JSON why a check was not allowed, with all that policies could have looked at.
func (d *Decision) Explanation(info *call.Info, policies *Policies, check *Check) []byte {
	out := explanation{
		Allowed: d.Allowed, ExplicitDeny: d.ExplicitDeny,
		MatchedStatements: items[matched]{[]matched{}}, Failures: items[struct{}]{[]struct{}{}},
	}
	if d.ExplicitDeny {
		out.MatchedStatements.Items = append(out.MatchedStatements.Items, matched{d.Sid, "DENY", d.policyType()})
	}
	c := &out.Context
	c.Principal.ID, c.Principal.ARN = info.Principal.ID, info.Principal.ARN
	c.Action, c.Resource = check.Action, check.Resource
	e := newEvaluation(info, policies, check)
	values := map[string][]string{}
	for _, key := range explainedKeys {
		var buf [1]string
		if found := e.lookup(strings.ToLower(key), &buf); len(found) > 0 {
			values[key] = slices.Clone(found)
		}
	}
	for key, value := range policies.Tags {
		values["aws:PrincipalTag/"+key] = []string{value}
	}
	maps.Copy(values, check.Context)
	c.Conditions.Items = make([]explainedKey, 0, len(values))
	for _, key := range slices.Sorted(maps.Keys(values)) {
		k := explainedKey{Key: key}
		for _, value := range values[key] {
			k.Values.Items = append(k.Values.Items, explainedValue{value})
		}
		c.Conditions.Items = append(c.Conditions.Items, k)
	}
	text, err := json.Marshal(&out)
	if err != nil {
		panic(err) // strings always encode
	}
	return text
}
