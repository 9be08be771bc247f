package app

import (
	"context"
	"time"

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
	for i, op := range done.Service.Operations {
		if op.Name == "AssumeRole" {
			done.Operation = &done.Service.Operations[i]
		}
	}
	if err == nil {
		done.Out = &stsapi.AssumeRoleOutput{Credentials: &stsapi.Credentials{AccessKeyId: &c.AccessKeyID, Expiration: &c.Expiry}}
	}
	info := *call.From(ctx)
	info.Principal, info.Service, info.Operation = call.Principal{Type: call.Service, ARN: service}, "sts", "AssumeRole"
	info.RequestID, info.Time = call.NewRequestID(), time.Now()
	audit.Record(call.With(ctx, &info), done)
}
