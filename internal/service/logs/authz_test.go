package logs

import (
	"testing"

	api "brume/internal/api/logs"
	"brume/internal/policy"
	"brume/internal/schema"
)

// Policies see the one ARN of a group, in whatever form an operation names it, and its tags.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html
func TestChecks(t *testing.T) {
	s, ctx := newService(t)
	makeStream(s, ctx, "g", "s")
	const group = "arn:aws:logs:us-east-1:000000000000:log-group:g"
	must(s.TagResource(ctx, &api.TagResourceInput{ResourceArn: new(group), Tags: map[string]string{"team": "blue"}}))
	for _, tt := range []struct {
		operation string
		in        schema.Struct
		resource  string
	}{
		{"TagResource", &api.TagResourceInput{ResourceArn: new(group)}, group},
		{"UntagResource", &api.UntagResourceInput{ResourceArn: new(group + ":*")}, group},
		{"ListTagsForResource", &api.ListTagsForResourceInput{ResourceArn: new("g")}, group},
		{"DeleteLogGroup", &api.DeleteLogGroupInput{LogGroupName: new("g")}, group + ":log-stream:"},
		{"GetLogEvents", &api.GetLogEventsInput{LogGroupIdentifier: new(group), LogStreamName: new("s")}, group + ":log-stream:s"},
		{"PutLogEvents", &api.PutLogEventsInput{LogGroupName: new("g"), LogStreamName: new("s")}, group + ":log-stream:s"},
	} {
		checks, mapped, err := s.Checks(ctx, tt.operation, tt.in)
		if err != nil || !mapped || len(checks) != 1 || checks[0].Resource != tt.resource {
			t.Errorf("%s: %+v, %v", tt.operation, checks, err)
			continue
		}
		if keys, err := checks[0].More(); err != nil || len(keys) != 1 || keys["aws:ResourceTag/team"][0] != "blue" {
			t.Errorf("%s: %v, %v", tt.operation, keys, err)
		}
	}
	_, _, err := s.Checks(ctx, "TagResource", &api.TagResourceInput{ResourceArn: new("arn:aws-cn:logs:us-east-1:000000000000:log-group:g")})
	wantCode(t, err, "ResourceNotFoundException")
	missing := must3(s.Checks(ctx, "DeleteLogGroup", &api.DeleteLogGroupInput{LogGroupName: new("h")}))
	if keys, err := missing[0].More(); err != nil || len(keys) != 0 {
		t.Errorf("of a group that is not there: %v, %v", keys, err)
	}
	// All groups have no tags in common.
	if all := must3(s.Checks(ctx, "DescribeLogGroups", &api.DescribeLogGroupsInput{})); all[0].More != nil {
		t.Error("tags of all groups")
	}
}

func must3(checks []policy.Check, _ bool, err error) []policy.Check { return must(checks, err) }
