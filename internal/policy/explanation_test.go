package policy

import (
	"encoding/json"
	"reflect"
	"testing"

	"brume/internal/awserr"
)

// https://docs.aws.amazon.com/STS/latest/APIReference/API_DecodeAuthorizationMessage.html
func TestExplanation(t *testing.T) {
	deny := mustParse(t, `{"Version":"2012-10-17","Statement":[{"Sid":"NoTables","Effect":"Deny","Action":"dynamodb:*","Resource":"*"}]}`, Identity)
	s := &scenario{Principal: "role/worker/s"}
	info := s.info(t)
	check := Check{Action: "dynamodb:GetItem", Resource: "arn:aws:dynamodb:us-east-1:111122223333:table/t", Context: map[string][]string{"dynamodb:LeadingKeys": {"a", "b"}}}
	err := Authorize(info, &Policies{Identity: []*Document{deny}, Tags: map[string]string{"team": "blue"}}, []Check{check})
	denied, ok := err.(*awserr.Generic)
	if !ok || denied.Explain == nil {
		t.Fatal(err)
	}
	var got struct {
		Allowed, ExplicitDeny bool
		MatchedStatements     struct {
			Items []struct{ StatementID, Effect, SourcePolicyType string }
		}
		Context struct {
			Principal        struct{ ID, ARN string }
			Action, Resource string
			Conditions       struct {
				Items []struct {
					Key    string
					Values struct{ Items []struct{ Value string } }
				}
			}
		}
	}
	if err := json.Unmarshal(denied.Explain(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Allowed || !got.ExplicitDeny || len(got.MatchedStatements.Items) != 1 || got.MatchedStatements.Items[0].StatementID != "NoTables" ||
		got.MatchedStatements.Items[0].Effect != "DENY" || got.MatchedStatements.Items[0].SourcePolicyType != "identity-based policy" ||
		got.Context.Principal.ID != info.Principal.ID || got.Context.Principal.ARN != info.Principal.ARN ||
		got.Context.Action != check.Action || got.Context.Resource != check.Resource {
		t.Errorf("%s", denied.Explain())
	}
	keys := map[string][]string{}
	for _, item := range got.Context.Conditions.Items {
		for _, v := range item.Values.Items {
			keys[item.Key] = append(keys[item.Key], v.Value)
		}
	}
	for key, want := range map[string][]string{
		"dynamodb:LeadingKeys": {"a", "b"}, "aws:PrincipalTag/team": {"blue"}, "aws:PrincipalType": {"AssumedRole"},
		"aws:PrincipalArn": {"arn:aws:iam::111122223333:role/worker"}, "aws:RequestedRegion": {"us-east-1"}, "aws:MultiFactorAuthPresent": {"false"},
		"aws:username": nil, "aws:SourceArn": nil,
	} {
		if !reflect.DeepEqual(keys[key], want) {
			t.Errorf("%s: %q, want %q", key, keys[key], want)
		}
	}
}
