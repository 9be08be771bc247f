package app

import (
	"testing"
	"time"

	"brume/internal/call"
	"brume/internal/policy"
)

// What revokes the sessions of a role ends those that are there, and none that a service takes up later.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html
func TestRevokedSessionsOfServices(t *testing.T) {
	role := &policy.Role{Account: "000000000000", Name: "r", ARN: "arn:aws:iam::000000000000:role/r", ID: "AROA"}
	for before, allowed := range map[time.Duration]bool{-time.Minute: true, time.Minute: false} {
		doc, err := policy.Parse(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},
			{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:TokenIssueTime":"`+time.Now().Add(before).UTC().Format(time.RFC3339)+`"}}}]}`, policy.Identity)
		if err != nil {
			t.Fatal(err)
		}
		info := &call.Info{Account: role.Account, Principal: sessionOf(role, "s"), Time: time.Now()}
		check := &policy.Check{Action: "logs:PutLogEvents", Resource: "*"}
		if d := policy.Evaluate(info, &policy.Policies{Identity: []*policy.Document{doc}}, check); d.Allowed != allowed {
			t.Errorf("sessions from before now%+v: %+v", before, d)
		}
	}
}
