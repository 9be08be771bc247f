package policy

import (
	"fmt"
	"testing"
)

// powerUser is the document of arn:aws:iam::aws:policy/PowerUserAccess in its form.
const powerUser = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","NotAction":["iam:*","organizations:*","account:*"],"Resource":"*"},{"Effect":"Allow","Action":["account:GetAccountInformation","account:GetPrimaryEmail","account:ListRegions","iam:CreateServiceLinkedRole","iam:DeleteServiceLinkedRole","iam:ListRoles","organizations:DescribeEffectivePolicy","organizations:DescribeOrganization"],"Resource":"*"}]}`

// BenchmarkEvaluate decides one DynamoDB call with PowerUserAccess and ten customer policies, all of which have to be
// looked through for a Deny.
func BenchmarkEvaluate(b *testing.B) {
	policies := &Policies{Tags: map[string]string{"team": "blue"}}
	policies.Identity = append(policies.Identity, mustParse(b, powerUser, Identity))
	for i := range 10 {
		policies.Identity = append(policies.Identity, mustParse(b, fmt.Sprintf(`{"Version":"2012-10-17","Statement":[
			{"Effect":"Allow","Action":["dynamodb:GetItem","dynamodb:PutItem","dynamodb:Query"],"Resource":"arn:aws:dynamodb:*:111122223333:table/Table%d-*"},
			{"Effect":"Allow","Action":"s3:Get*","Resource":"arn:aws:s3:::bucket-%d/${aws:username}/*"},
			{"Effect":"Deny","Action":"dynamodb:*","Resource":"*","Condition":{"StringNotEquals":{"aws:RequestedRegion":["us-east-1","eu-west-%d"]}}},
			{"Effect":"Deny","Action":["*:Delete*"],"Resource":"*","Condition":{"BoolIfExists":{"aws:MultiFactorAuthPresent":"false"}}}]}`, i, i, i), Identity))
	}
	info := (&scenario{Principal: "user/bob"}).info(b)
	check := []Check{{Action: "dynamodb:PutItem", Resource: "arn:aws:dynamodb:us-east-1:111122223333:table/Users", Context: map[string][]string{"dynamodb:LeadingKeys": {"bob"}}}}
	b.ReportAllocs()
	for b.Loop() {
		if err := Authorize(info, policies, check); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(powerUser, Identity); err != nil {
			b.Fatal(err)
		}
	}
}
