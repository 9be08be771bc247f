package iam

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	api "brume/internal/api/iam"
	"brume/internal/call"
	"brume/internal/kv"
	"brume/internal/policy"
)

// https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_last-accessed.html
func TestServiceLastAccessed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.calls.SetAccesses(f.Service)
		alice, bob := f.user(t, "alice"), f.user(t, "bob")
		ok(t, f.do(root(), &api.CreateGroupInput{GroupName: new("g")}))
		for _, name := range []string{"alice", "bob"} {
			ok(t, f.do(root(), &api.AddUserToGroupInput{GroupName: new("g"), UserName: &name}))
		}
		ok(t, f.do(root(), &api.CreatePolicyInput{PolicyName: new("p"), PolicyDocument: new(
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:List*","dynamodb:*","lambda:InvokeFunction"],"Resource":"*"},{"Effect":"Deny","Action":"s3:*","Resource":"*"}]}`)}))
		ok(t, f.do(root(), &api.AttachGroupPolicyInput{GroupName: new("g"), PolicyArn: new(arn(account, "policy/p"))}))
		report := func(of, granularity string) *string {
			t.Helper()
			return must(run[api.GenerateServiceLastAccessedDetailsOutput](f, root(), &api.GenerateServiceLastAccessedDetailsInput{Arn: new(arn(account, of)), Granularity: &granularity}))(t).JobId
		}
		get := func(job *string) map[string]api.ServiceLastAccessed {
			t.Helper()
			out := must(run[api.GetServiceLastAccessedDetailsOutput](f, root(), &api.GetServiceLastAccessedDetailsInput{JobId: job}))(t)
			if *out.JobStatus != "COMPLETED" || out.JobCompletionDate == nil {
				t.Errorf("%+v", out)
			}
			services := map[string]api.ServiceLastAccessed{}
			for _, s := range out.ServicesLastAccessed {
				services[*s.ServiceNamespace] = s
			}
			return services
		}
		// Denied attempts count as well.
		must(run[api.ListUsersOutput](f, alice, &api.ListUsersInput{}))(t)
		_, err := run[api.CreateUserOutput](f, alice, &api.CreateUserInput{UserName: new("x")})
		fails(t, err, "AccessDenied", "")
		time.Sleep(time.Hour)
		must(run[api.ListUsersOutput](f, as(call.From(bob).Principal), &api.ListUsersInput{}))(t)
		at := time.Now().UTC().Truncate(time.Second)

		services := get(report("user/alice", "SERVICE_LEVEL"))
		if len(services) != 3 || services["iam"].LastAuthenticated == nil || !services["iam"].LastAuthenticated.Equal(at.Add(-time.Hour)) ||
			*services["iam"].LastAuthenticatedRegion != "us-east-1" || services["dynamodb"].LastAuthenticated != nil ||
			*services["dynamodb"].TotalAuthenticatedEntities != 0 || *services["lambda"].ServiceName != "AWS Lambda" || services["iam"].TrackedActionsLastAccessed != nil {
			t.Errorf("%+v", services)
		}
		job := report("group/g", "ACTION_LEVEL")
		services = get(job)
		if s := services["iam"]; *s.TotalAuthenticatedEntities != 2 || *s.LastAuthenticatedEntity != arn(account, "user/bob") || !s.LastAuthenticated.Equal(at) ||
			len(s.TrackedActionsLastAccessed) != 2 || *s.TrackedActionsLastAccessed[0].ActionName != "CreateUser" || *s.TrackedActionsLastAccessed[0].LastAccessedEntity != arn(account, "user/alice") ||
			*s.TrackedActionsLastAccessed[1].LastAccessedEntity != arn(account, "user/bob") {
			t.Errorf("%+v", s)
		}
		for _, of := range []*string{job, report("policy/p", "SERVICE_LEVEL")} {
			for namespace, want := range map[string]string{"iam": "[bob true alice true]", "dynamodb": "[alice false bob false]"} {
				out := must(run[api.GetServiceLastAccessedDetailsWithEntitiesOutput](f, root(), &api.GetServiceLastAccessedDetailsWithEntitiesInput{JobId: of, ServiceNamespace: &namespace}))(t)
				var got []any
				for _, e := range out.EntityDetailsList {
					got = append(got, *e.EntityInfo.Name, e.LastAuthenticated != nil)
					if *e.EntityInfo.Type != "USER" {
						t.Errorf("%+v", e.EntityInfo)
					}
				}
				if fmt.Sprint(got) != want {
					t.Errorf("%s: %v", namespace, got)
				}
			}
		}
		_, err = run[api.GetServiceLastAccessedDetailsWithEntitiesOutput](f, root(), &api.GetServiceLastAccessedDetailsWithEntitiesInput{JobId: job, ServiceNamespace: new("s3")})
		fails(t, err, "NoSuchEntity", "")
		_, err = run[api.GetServiceLastAccessedDetailsOutput](f, root(), &api.GetServiceLastAccessedDetailsInput{JobId: new(call.NewRequestID())})
		fails(t, err, "NoSuchEntity", "")
		_, err = run[api.GenerateServiceLastAccessedDetailsOutput](f, root(), &api.GenerateServiceLastAccessedDetailsInput{Arn: new(arn(account, "user/nobody"))})
		fails(t, err, "NoSuchEntity", "")

		// It is known after a restart, in reports for a week, and for 400 days at all.
		again := over(t, f.store)
		time.Sleep(jobLife)
		must(run[api.GetServiceLastAccessedDetailsOutput](again, root(), &api.GetServiceLastAccessedDetailsInput{JobId: job}))(t)
		time.Sleep(time.Second)
		_, err = run[api.GetServiceLastAccessedDetailsOutput](again, root(), &api.GetServiceLastAccessedDetailsInput{JobId: job})
		fails(t, err, "NoSuchEntity", "")
		f = again
		if s := get(report("user/alice", "SERVICE_LEVEL")); s["iam"].LastAuthenticated == nil {
			t.Errorf("%+v", s)
		}
		time.Sleep(trackingPeriod)
		if s := get(report("user/alice", "SERVICE_LEVEL")); s["iam"].LastAuthenticated != nil {
			t.Errorf("%+v", s)
		}

		// Nothing is kept of who is gone, and nothing more noted.
		id := call.From(alice).Principal.ID
		ok(t, f.do(root(), &api.RemoveUserFromGroupInput{GroupName: new("g"), UserName: new("alice")}))
		ok(t, f.do(root(), &api.DeleteUserInput{UserName: new("alice")}))
		f.RecordAccess(call.From(alice), []policy.Check{{Action: "iam:ListUsers"}})
		f.flushUses(context.Background())
		ok(t, f.store.View(context.Background(), func(r kv.Reader) error {
			n, err := (reader{r, account}).count(accessScope(id), 0)
			if n != 0 {
				t.Errorf("%d rows of a deleted user", n)
			}
			return err
		}))
	})
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListPoliciesGrantingServiceAccess.html
func TestListPoliciesGrantingServiceAccess(t *testing.T) {
	f := newFixture(t)
	f.user(t, "alice")
	ok(t, f.do(root(), &api.CreateGroupInput{GroupName: new("g")}))
	ok(t, f.do(root(), &api.AddUserToGroupInput{GroupName: new("g"), UserName: new("alice")}))
	ok(t, f.do(root(), &api.PutGroupPolicyInput{GroupName: new("g"), PolicyName: new("of-group"), PolicyDocument: new(statement("Allow", "s3:*", "*"))}))
	ok(t, f.do(root(), &api.PutUserPolicyInput{UserName: new("alice"), PolicyName: new("of-user"), PolicyDocument: new(statement("Allow", "dynamodb:Get*", "*"))}))
	ok(t, f.do(root(), &api.AttachUserPolicyInput{UserName: new("alice"), PolicyArn: new("arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess")}))
	out := must(run[api.ListPoliciesGrantingServiceAccessOutput](f, root(), &api.ListPoliciesGrantingServiceAccessInput{Arn: new(arn(account, "user/alice")), ServiceNamespaces: []string{"s3", "dynamodb", "sqs"}}))(t)
	var got []string
	for _, e := range out.PoliciesGrantingServiceAccess {
		for _, p := range e.Policies {
			got = append(got, fmt.Sprintf("%s %s %s %s%s%s", *e.ServiceNamespace, *p.PolicyName, *p.PolicyType, str(p.PolicyArn), str(p.EntityType), str(p.EntityName)))
		}
	}
	want := []string{
		"s3 AmazonS3ReadOnlyAccess MANAGED arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess", "s3 of-group INLINE GROUPg", "dynamodb of-user INLINE USERalice",
	}
	if !slices.Equal(got, want) || len(out.PoliciesGrantingServiceAccess) != 3 {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func BenchmarkRecordAccess(b *testing.B) {
	s := New(nil, nil, slog.New(slog.DiscardHandler))
	info := &call.Info{Principal: call.Principal{Type: call.User, ID: "AIDAAAAAAAAAAAAAAAAAA"}, Region: "us-east-1", Time: time.Now()}
	checks := []policy.Check{{Action: "dynamodb:PutItem"}}
	b.ReportAllocs()
	for b.Loop() {
		s.RecordAccess(info, checks)
	}
}
