package iam

import (
	"strings"
	"testing"

	api "brume/internal/api/iam"
	"brume/internal/schema"
	"brume/internal/service/iam/managed"
)

// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create-service-linked-role.html
func TestServiceLinkedRoles(t *testing.T) {
	f := newFixture(t)
	create := func(service string, suffix *string) (*api.CreateServiceLinkedRoleOutput, error) {
		return run[api.CreateServiceLinkedRoleOutput](f, root(), &api.CreateServiceLinkedRoleInput{AWSServiceName: &service, CustomSuffix: suffix, Description: new("d")})
	}
	const service, name = "elasticbeanstalk.amazonaws.com", "AWSServiceRoleForElasticBeanstalk"
	role := must(create(service, nil))(t).Role
	if *role.Arn != arn(account, "role/aws-service-role/"+service+"/"+name) || !strings.Contains(*role.AssumeRolePolicyDocument, service) {
		t.Errorf("%+v", role)
	}
	_, err := create(service, nil)
	fails(t, err, "InvalidInput", "Service role name "+name+" has been taken in this account, please try a different suffix.")
	_, err = create(service, new("x"))
	fails(t, err, "InvalidInput", "Custom suffix is not allowed for "+service)
	_, err = create("nothing.amazonaws.com", nil)
	fails(t, err, "InvalidInput", "")
	if r := must(create("autoscaling.amazonaws.com", new("blue")))(t).Role; *r.RoleName != "AWSServiceRoleForAutoScaling_blue" {
		t.Errorf("%+v", r)
	}
	attached := must(run[api.ListAttachedRolePoliciesOutput](f, root(), &api.ListAttachedRolePoliciesInput{RoleName: new(name)}))(t).AttachedPolicies
	if len(attached) != 1 || *attached[0].PolicyName != "AWSElasticBeanstalkServiceRolePolicy" {
		t.Errorf("%+v", attached)
	}

	// Nobody but the service changes what the role can do.
	ok(t, f.do(root(), &api.CreateInstanceProfileInput{InstanceProfileName: new("i")}))
	for _, in := range []schema.Struct{
		&api.DeleteRoleInput{RoleName: new(name)},
		&api.AttachRolePolicyInput{RoleName: new(name), PolicyArn: new(powerUser)},
		&api.DetachRolePolicyInput{RoleName: new(name), PolicyArn: attached[0].PolicyArn},
		&api.PutRolePolicyInput{RoleName: new(name), PolicyName: new("p"), PolicyDocument: new(allowAll)},
		&api.DeleteRolePolicyInput{RoleName: new(name), PolicyName: new("p")},
		&api.UpdateAssumeRolePolicyInput{RoleName: new(name), PolicyDocument: new(lambdaTrust)},
		&api.PutRolePermissionsBoundaryInput{RoleName: new(name), PermissionsBoundary: new(powerUser)},
		&api.DeleteRolePermissionsBoundaryInput{RoleName: new(name)},
		&api.UpdateRoleInput{RoleName: new(name), MaxSessionDuration: new(int32(7200))},
		&api.AddRoleToInstanceProfileInput{InstanceProfileName: new("i"), RoleName: new(name)},
	} {
		fails(t, f.do(root(), in), "UnmodifiableEntity", "Cannot perform the operation on the protected role '"+name+"' - this role is only modifiable by AWS")
	}
	ok(t, f.do(root(), &api.UpdateRoleDescriptionInput{RoleName: new(name), Description: new("new")}))
	ok(t, f.do(root(), &api.TagRoleInput{RoleName: new(name), Tags: []api.Tag{{Key: new("a"), Value: new("b")}}}))
	fails(t, f.do(root(), &api.CreateRoleInput{RoleName: new("fake"), Path: new("/aws-service-role/" + service + "/"), AssumeRolePolicyDocument: new(lambdaTrust)}), "InvalidInput", "")

	status := func(task *string) (*api.GetServiceLinkedRoleDeletionStatusOutput, error) {
		return run[api.GetServiceLinkedRoleDeletionStatusOutput](f, root(), &api.GetServiceLinkedRoleDeletionStatusInput{DeletionTaskId: task})
	}
	task := must(run[api.DeleteServiceLinkedRoleOutput](f, root(), &api.DeleteServiceLinkedRoleInput{RoleName: new(name)}))(t).DeletionTaskId
	if !strings.HasPrefix(*task, "task/aws-service-role/"+service+"/"+name+"/") {
		t.Error(*task)
	}
	if s := must(status(task))(t); *s.Status != "SUCCEEDED" {
		t.Errorf("%+v", s)
	}
	_, err = status(new((*task)[:len(*task)-1] + "x"))
	fails(t, err, "NoSuchEntity", "")
	_, err = status(new("nothing"))
	fails(t, err, "InvalidInput", "")
	fails(t, f.do(root(), &api.GetRoleInput{RoleName: new(name)}), "NoSuchEntity", "")
	fails(t, f.do(root(), &api.DeleteServiceLinkedRoleInput{RoleName: new(name)}), "NoSuchEntity", "")
	ok(t, f.do(root(), &api.CreateRoleInput{RoleName: new("own"), AssumeRolePolicyDocument: new(lambdaTrust)}))
	fails(t, f.do(root(), &api.DeleteServiceLinkedRoleInput{RoleName: new("own")}), "InvalidInput", "")
	must(create(service, nil))(t)

	// The permission to create such roles can be given for one service.
	bob := f.user(t, "bob")
	ok(t, f.do(root(), &api.PutUserPolicyInput{UserName: new("bob"), PolicyName: new("p"), PolicyDocument: new(
		`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:CreateServiceLinkedRole","Resource":"arn:aws:iam::*:role/aws-service-role/*","Condition":{"StringLike":{"iam:AWSServiceName":"*.dynamodb.amazonaws.com"}}}}`)}))
	ok(t, f.do(bob, &api.CreateServiceLinkedRoleInput{AWSServiceName: new("replication.dynamodb.amazonaws.com")}))
	fails(t, f.do(bob, &api.CreateServiceLinkedRoleInput{AWSServiceName: new("ecs.amazonaws.com")}), "AccessDenied", "")
}

// Every linked service has the policy that is said of it.
func TestLinkedServices(t *testing.T) {
	for _, l := range linkedServices() {
		if _, ok := managed.Get(arn(awsAccount, "policy"+serviceRolePath+l.policy)); !ok {
			t.Errorf("%s: no policy %s", l.service, l.policy)
		}
		if !strings.HasSuffix(l.service, ".amazonaws.com") || l.role == "" {
			t.Errorf("%+v", l)
		}
	}
}
