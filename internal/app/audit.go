package app

import (
	"context"
	"time"

	iamapi "brume/internal/api/iam"
	stsapi "brume/internal/api/sts"
	"brume/internal/call"
	"brume/internal/dispatch"
	"brume/internal/policy"
	"brume/internal/service/cloudtrail"
	"brume/internal/service/sts"
)

// trail hands the dispatcher's calls to CloudTrail.
type trail struct{ *cloudtrail.Service }

func (t trail) Record(ctx context.Context, done *dispatch.Done) {
	t.Service.Record(ctx, (*cloudtrail.Call)(done))
}

// recordRoleSession records that a service of this process took on a role, which it does without a call to STS.
func recordRoleSession(ctx context.Context, audit *cloudtrail.Service, service, roleARN, name string, c *sts.Credentials, err error) {
	done := &cloudtrail.Call{
		Service: stsapi.Schema(), In: &stsapi.AssumeRoleInput{RoleArn: &roleARN, RoleSessionName: &name},
		Checks: []policy.Check{{Action: "sts:AssumeRole", Resource: roleARN}}, Err: err,
	}
	if err == nil {
		done.Out = &stsapi.AssumeRoleOutput{Credentials: &stsapi.Credentials{AccessKeyId: &c.AccessKeyID, Expiration: &c.Expiry}}
	}
	info := *call.From(ctx)
	info.Principal = call.Principal{Type: call.Service, ARN: service}
	record(ctx, audit, "AssumeRole", info, done)
}

// recordRootKey records that an administrator gave root a key in the place of another, which needs no call to IAM.
func recordRootKey(ctx context.Context, audit *cloudtrail.Service, order Order, key *RootKey, region string) {
	info := call.Info{
		Account: key.Account, Region: region, UserAgent: "brume admin " + string(order),
		Principal: call.Principal{Type: call.Account, Account: key.Account, ARN: "arn:aws:iam::" + key.Account + ":root", ID: key.Account},
	}
	if key.Replaced != "" {
		record(ctx, audit, "DeleteAccessKey", info, &cloudtrail.Call{
			Service: iamapi.Schema(), In: &iamapi.DeleteAccessKeyInput{AccessKeyId: &key.Replaced}, Out: &iamapi.DeleteAccessKeyOutput{},
		})
	}
	record(ctx, audit, "CreateAccessKey", info, &cloudtrail.Call{
		Service: iamapi.Schema(), In: &iamapi.CreateAccessKeyInput{},
		Out: &iamapi.CreateAccessKeyOutput{AccessKey: &iamapi.AccessKey{AccessKeyId: &key.AccessKeyID}},
	})
}

// record puts what was done without a call into the trail, as the operation that a client would have called for it.
func record(ctx context.Context, audit *cloudtrail.Service, operation string, info call.Info, done *cloudtrail.Call) {
	for i, op := range done.Service.Operations {
		if op.Name == operation {
			done.Operation = &done.Service.Operations[i]
		}
	}
	info.Service, info.Operation = done.Service.Name, operation
	info.RequestID, info.Time = call.NewRequestID(), time.Now()
	audit.Record(call.With(ctx, &info), done)
}
