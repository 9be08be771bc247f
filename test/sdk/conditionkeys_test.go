package sdk

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// The global condition keys have their values in real calls, and those that a call does not have are absent.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html
func TestGlobalConditionKeys(t *testing.T) {
	account := newAccount()
	root := rootOf(account)
	admin := iam.NewFromConfig(root)
	arn, user := newUser(t, root, "alice", allow("sts:*", "*"))
	id := *ok(admin.GetUser(t.Context(), &iam.GetUserInput{UserName: aws.String("alice")}))(t).User.UserId
	ok(admin.TagUser(t.Context(), &iam.TagUserInput{UserName: aws.String("alice"), Tags: []iamtypes.Tag{{Key: aws.String("team"), Value: aws.String("blue")}}}))(t)
	trust := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]}}`
	role := ok(admin.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("worker"), Path: aws.String("/p/"), AssumeRolePolicyDocument: &trust}))(t).Role
	assumed := ok(sts.NewFromConfig(user).AssumeRole(t.Context(), &sts.AssumeRoleInput{
		RoleArn: role.Arn, RoleSessionName: aws.String("ss"), SourceIdentity: aws.String("carol"),
		Tags: []ststypes.Tag{{Key: aws.String("Team"), Value: aws.String("red")}},
	}))(t)
	federated := ok(sts.NewFromConfig(user).GetFederationToken(t.Context(), &sts.GetFederationTokenInput{
		Name: aws.String("guest"), Policy: aws.String(allow("*", "*")),
	}))(t)
	temporary := ok(sts.NewFromConfig(user).GetSessionToken(t.Context(), nil))(t)
	now := time.Now().UTC()

	callers := map[string]aws.Config{
		"alice": user, "worker": session(assumed.Credentials), "guest": session(federated.Credentials), "temporary": session(temporary.Credentials),
	}
	list := func(caller string) error {
		client := dynamodb.NewFromConfig(callers[caller], func(o *dynamodb.Options) {
			o.APIOptions = append(o.APIOptions, smithyhttp.AddHeaderValue("Referer", "https://console.example.com/x"))
		})
		_, err := client.ListTables(context.WithoutCancel(t.Context()), nil)
		return err
	}
	set := func(caller, condition string) {
		t.Helper()
		document := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"dynamodb:ListTables","Resource":"*","Condition":` + condition + `}]}`
		var err error
		if caller == "worker" {
			_, err = admin.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("worker"), PolicyName: aws.String("inline"), PolicyDocument: &document})
		} else {
			_, err = admin.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: aws.String("alice"), PolicyName: aws.String("inline"), PolicyDocument: &document})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	later, earlier := now.Add(time.Hour).Format(time.RFC3339), now.Add(-time.Hour).Format(time.RFC3339)
	for _, tt := range []struct {
		caller, operator, key, value, other string
	}{
		{"alice", "ArnEquals", "aws:PrincipalArn", arn, arn + "x"},
		{"worker", "ArnEquals", "aws:PrincipalArn", *role.Arn, *assumed.AssumedRoleUser.Arn},
		{"guest", "ArnEquals", "aws:PrincipalArn", *federated.FederatedUser.Arn, arn},
		{"temporary", "ArnEquals", "aws:PrincipalArn", arn, arn + "x"},
		{"alice", "StringEquals", "aws:PrincipalAccount", account, "111122223333"},
		{"worker", "StringEquals", "aws:ResourceAccount", account, "111122223333"},
		{"alice", "StringEquals", "aws:PrincipalType", "User", "AssumedRole"},
		{"worker", "StringEquals", "aws:PrincipalType", "AssumedRole", "User"},
		{"guest", "StringEquals", "aws:PrincipalType", "FederatedUser", "User"},
		{"alice", "StringEquals", "aws:userid", id, *role.RoleId},
		{"worker", "StringEquals", "aws:userid", *role.RoleId + ":ss", *role.RoleId},
		{"guest", "StringEquals", "aws:userid", account + ":guest", id},
		{"alice", "StringEquals", "aws:username", "alice", "bob"},
		{"alice", "StringEquals", "aws:PrincipalTag/team", "blue", "red"},
		{"worker", "StringEquals", "aws:PrincipalTag/team", "red", "blue"},
		{"guest", "StringEquals", "aws:PrincipalTag/team", "blue", "red"},
		{"worker", "StringEquals", "aws:SourceIdentity", "carol", "alice"},
		{"alice", "IpAddress", "aws:SourceIp", "127.0.0.0/8", "10.0.0.0/8"},
		{"alice", "Bool", "aws:SecureTransport", "false", "true"},
		{"alice", "Bool", "aws:ViaAWSService", "false", "true"},
		{"alice", "Bool", "aws:PrincipalIsAWSService", "false", "true"},
		{"alice", "StringEquals", "aws:RequestedRegion", region, "us-west-2"},
		{"alice", "StringEquals", "aws:Referer", "https://console.example.com/x", "x"},
		{"alice", "StringLike", "aws:UserAgent", "aws-sdk-go-v2/*", "curl/*"},
		{"alice", "DateLessThan", "aws:CurrentTime", later, earlier},
		{"alice", "NumericLessThan", "aws:EpochTime", fmt.Sprint(now.Unix() + 3600), fmt.Sprint(now.Unix() - 3600)},
		{"worker", "DateGreaterThan", "aws:TokenIssueTime", earlier, later},
		{"temporary", "DateGreaterThan", "aws:TokenIssueTime", earlier, later},
		{"worker", "Bool", "aws:MultiFactorAuthPresent", "false", "true"},
		{"temporary", "Bool", "aws:MultiFactorAuthPresent", "false", "true"},
	} {
		t.Run(tt.caller+"/"+tt.key, func(t *testing.T) {
			set(tt.caller, `{"`+tt.operator+`":{"`+tt.key+`":"`+tt.value+`"}}`)
			if err := list(tt.caller); err != nil {
				t.Errorf("%s: %v", tt.value, err)
			}
			set(tt.caller, `{"`+tt.operator+`":{"`+strings.ToUpper(tt.key[:3])+tt.key[3:]+`":"`+tt.other+`"}}`)
			if err := list(tt.caller); err == nil {
				t.Errorf("%s is taken for %s", tt.other, tt.value)
			}
		})
	}
	for caller, keys := range map[string][]string{
		"alice": {"aws:TokenIssueTime", "aws:MultiFactorAuthPresent", "aws:MultiFactorAuthAge", "aws:SourceIdentity", "aws:FederatedProvider",
			"aws:SourceArn", "aws:SourceAccount", "aws:CalledVia", "aws:PrincipalServiceName", "aws:PrincipalTag/none", "aws:TagKeys"},
		"worker": {"aws:username", "aws:MultiFactorAuthAge", "aws:FederatedProvider"},
		"guest":  {"aws:username"},
	} {
		for _, key := range keys {
			t.Run(caller+" has no "+key, func(t *testing.T) {
				set(caller, `{"Null":{"`+key+`":"true"}}`)
				if err := list(caller); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// The condition keys of a request's and a resource's tags, and those of IAM and STS, have their values in real calls.
func TestConditionKeysOfRequests(t *testing.T) {
	account := newAccount()
	root := rootOf(account)
	admin := iam.NewFromConfig(root)
	role := newRole(t, root, "worker", `{"AWS":"`+account+`"}`, "")
	ok(admin.TagRole(t.Context(), &iam.TagRoleInput{RoleName: aws.String("worker"), Tags: []iamtypes.Tag{{Key: aws.String("env"), Value: aws.String("test")}}}))(t)
	_, user := newUser(t, root, "alice", "")
	assume := func(in *sts.AssumeRoleInput) error {
		in.RoleArn, in.RoleSessionName = &role, aws.String("ss")
		_, err := sts.NewFromConfig(user).AssumeRole(t.Context(), in)
		return err
	}
	attach := func(arn string) error {
		_, err := iam.NewFromConfig(user).AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: aws.String("worker"), PolicyArn: &arn})
		return err
	}
	tags := []ststypes.Tag{{Key: aws.String("team"), Value: aws.String("blue")}}
	for _, tt := range []struct {
		condition string
		right     func() error
		wrong     func() error
	}{
		{`{"StringEquals":{"sts:ExternalId":"x-1"}}`,
			func() error { return assume(&sts.AssumeRoleInput{ExternalId: aws.String("x-1")}) }, func() error { return assume(&sts.AssumeRoleInput{}) }},
		{`{"NumericLessThanEquals":{"sts:DurationSeconds":"900"}}`,
			func() error { return assume(&sts.AssumeRoleInput{DurationSeconds: aws.Int32(900)}) },
			func() error { return assume(&sts.AssumeRoleInput{DurationSeconds: aws.Int32(901)}) }},
		{`{"StringEquals":{"aws:RequestTag/team":"blue"},"ForAllValues:StringEquals":{"aws:TagKeys":["team"],"sts:TransitiveTagKeys":["team"]}}`,
			func() error { return assume(&sts.AssumeRoleInput{Tags: tags, TransitiveTagKeys: []string{"team"}}) },
			func() error {
				return assume(&sts.AssumeRoleInput{Tags: append(tags, ststypes.Tag{Key: aws.String("more"), Value: aws.String("1")})})
			}},
		{`{"StringEquals":{"aws:ResourceTag/env":"test","iam:ResourceTag/env":"test"},"ArnEquals":{"iam:PolicyARN":"arn:aws:iam::aws:policy/ReadOnlyAccess"}}`,
			func() error { return attach("arn:aws:iam::aws:policy/ReadOnlyAccess") }, func() error { return attach("arn:aws:iam::aws:policy/AdministratorAccess") }},
	} {
		t.Run(tt.condition, func(t *testing.T) {
			ok(admin.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: aws.String("alice"), PolicyName: aws.String("inline"), PolicyDocument: aws.String(
				`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":` + tt.condition + `}]}`)}))(t)
			if err := tt.right(); err != nil {
				t.Error(err)
			}
			hasCode(t, tt.wrong(), 403, "AccessDenied", "because no identity-based policy allows the ")
		})
	}
}
