package logs

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	api "brume/internal/api/logs"
	"brume/internal/call"
	"brume/internal/policy"
	"brume/internal/schema"
)

// newDeliveryPolicy is the policy by which every log group takes what services deliver of its own account. In AWS who enables
// such a log puts it there, as AWSLogDeliveryWrite20150319.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/AWS-logs-infrastructure-CWL.html
func newDeliveryPolicy() *policy.Document {
	d, err := policy.Parse(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"delivery.logs.amazonaws.com"},
		"Action":["logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*","Condition":{"StringEquals":{"aws:SourceAccount":"${aws:ResourceAccount}"}}}}`, policy.Resource)
	if err != nil {
		panic(err) // it is a constant
	}
	return d
}

// Checks maps the input of an operation to the permissions it needs.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html
func (s *Service) Checks(ctx context.Context, operation string, in schema.Struct) (checks []policy.Check, mapped bool, err error) {
	sc := scopeOf(ctx)
	defer func() {
		for i := range checks {
			s.withResourceTags(ctx, sc, &checks[i])
		}
	}()
	// Operations on a group see its ARN with an empty stream behind it, so that the usual "log-group:NAME:*" matches.
	onGroup := func(name *string) ([]policy.Check, bool, error) {
		return []policy.Check{{Action: "logs:" + operation, Resource: sc.streamARN(*name, "")}}, true, nil
	}
	onStream := func(group, stream *string) ([]policy.Check, bool, error) {
		check := policy.Check{Action: "logs:" + operation, Resource: sc.streamARN(*group, *stream)}
		if call.From(ctx).Principal.Type == call.Service {
			check.ResourcePolicy = s.delivery
		}
		return []policy.Check{check}, true, nil
	}
	onIdentified := func(name, identifier, stream *string) ([]policy.Check, bool, error) {
		group, err := oneGroup(sc, name, identifier)
		if err != nil {
			return nil, true, err
		}
		if stream == nil {
			stream = new("")
		}
		return onStream(&group, stream)
	}
	// An identifier may be a bare name, or end in ":*": policies see the ARN.
	onGroups := func(names []string) (checks []policy.Check) {
		for _, name := range names {
			checks = append(checks, policy.Check{Action: "logs:" + operation, Resource: sc.streamARN(name, "")})
		}
		return checks
	}
	onAll := func() ([]policy.Check, bool, error) {
		return []policy.Check{{Action: "logs:" + operation, Resource: "*"}}, true, nil
	}
	onARN := func(identifier *string, keys map[string][]string) ([]policy.Check, bool, error) {
		name, err := groupName(sc, *identifier)
		if err != nil {
			return nil, true, err
		}
		return []policy.Check{{Action: "logs:" + operation, Resource: sc.groupARN(name), Context: keys}}, true, nil
	}

	switch in := in.(type) {
	case *api.CreateLogGroupInput:
		checks := []policy.Check{{
			Action: "logs:CreateLogGroup", Resource: sc.streamARN(*in.LogGroupName, ""), Context: requestTags(in.Tags),
		}}
		if len(in.Tags) > 0 {
			checks = append(checks, policy.Check{
				Action: "logs:TagResource", Resource: sc.groupARN(*in.LogGroupName), Context: requestTags(in.Tags),
			})
		}
		return checks, true, nil
	case *api.DescribeLogGroupsInput:
		return onGroup(new(""))
	case *api.DeleteLogGroupInput:
		return onGroup(in.LogGroupName)
	case *api.PutRetentionPolicyInput:
		return onGroup(in.LogGroupName)
	case *api.DeleteRetentionPolicyInput:
		return onGroup(in.LogGroupName)
	case *api.CreateLogStreamInput:
		return onStream(in.LogGroupName, in.LogStreamName)
	case *api.DeleteLogStreamInput:
		return onStream(in.LogGroupName, in.LogStreamName)
	case *api.PutLogEventsInput:
		return onStream(in.LogGroupName, in.LogStreamName)
	case *api.DescribeLogStreamsInput:
		return onIdentified(in.LogGroupName, in.LogGroupIdentifier, nil)
	case *api.FilterLogEventsInput:
		return onIdentified(in.LogGroupName, in.LogGroupIdentifier, nil)
	case *api.GetLogEventsInput:
		return onIdentified(in.LogGroupName, in.LogGroupIdentifier, in.LogStreamName)
	case *api.TagResourceInput:
		return onARN(in.ResourceArn, requestTags(in.Tags))
	case *api.UntagResourceInput:
		return onARN(in.ResourceArn, map[string][]string{"aws:TagKeys": in.TagKeys})
	case *api.ListTagsForResourceInput:
		return onARN(in.ResourceArn, nil)
	case *api.TagLogGroupInput:
		return []policy.Check{{Action: "logs:TagLogGroup", Resource: sc.streamARN(*in.LogGroupName, ""),
			Context: requestTags(in.Tags)}}, true, nil
	case *api.UntagLogGroupInput:
		return []policy.Check{{Action: "logs:UntagLogGroup", Resource: sc.streamARN(*in.LogGroupName, ""),
			Context: map[string][]string{"aws:TagKeys": in.Tags}}}, true, nil
	case *api.ListTagsLogGroupInput:
		return onGroup(in.LogGroupName)
	case *api.PutMetricFilterInput:
		return onGroup(in.LogGroupName)
	case *api.DeleteMetricFilterInput:
		return onGroup(in.LogGroupName)
	case *api.DescribeMetricFiltersInput:
		if in.LogGroupName == nil {
			return onGroup(new(""))
		}
		return onGroup(in.LogGroupName)
	case *api.PutSubscriptionFilterInput:
		return onGroup(in.LogGroupName)
	case *api.DeleteSubscriptionFilterInput:
		return onGroup(in.LogGroupName)
	case *api.DescribeSubscriptionFiltersInput:
		return onGroup(in.LogGroupName)
	case *api.StartLiveTailInput:
		var checks []policy.Check
		for _, identifier := range in.LogGroupIdentifiers {
			group, err := tailGroup(sc, identifier)
			if err != nil {
				return nil, true, err
			}
			checks = append(checks, policy.Check{Action: "logs:StartLiveTail", Resource: sc.streamARN(group, "")})
		}
		return checks, true, nil
	case *api.StartQueryInput:
		groups, err := queryGroups(sc, in)
		return onGroups(groups), true, err
	case *api.GetQueryResultsInput:
		groups, err := s.groupsOfQuery(sc, *in.QueryId)
		if err != nil {
			return onGroup(new("")) // the operation says so
		}
		return onGroups(groups), true, nil
	case *api.GetLogRecordInput:
		p, err := parsePointer(*in.LogRecordPointer)
		if err != nil {
			return onGroup(new("")) // likewise
		}
		return onGroup(&p.Group)
	case *api.GetLogGroupFieldsInput:
		return onIdentified(in.LogGroupName, in.LogGroupIdentifier, nil)
	case *api.StopQueryInput, *api.DescribeQueriesInput, *api.PutQueryDefinitionInput, *api.DescribeQueryDefinitionsInput,
		*api.DeleteQueryDefinitionInput:
		return onAll()
	case *api.TestMetricFilterInput:
		return onAll()
	}
	return nil, false, nil
}

// withResourceTags lets a check on a group, or on a stream of it, find the group's tags if a policy asks for them.
func (s *Service) withResourceTags(ctx context.Context, sc scope, c *policy.Check) {
	rest, ok := strings.CutPrefix(c.Resource, sc.groupARN(""))
	name, _, _ := strings.Cut(rest, ":")
	if !ok || name == "" {
		return
	}
	c.More = func() (map[string][]string, error) {
		tags, err := s.tags(ctx, name)
		if _, missing := errors.AsType[*api.ResourceNotFoundException](err); missing {
			return nil, nil
		}
		keys := make(map[string][]string, len(tags))
		for k, v := range tags {
			keys["aws:ResourceTag/"+k] = []string{v}
		}
		return keys, err
	}
}

// requestTags are the condition keys for tags in a request.
func requestTags(tags map[string]string) map[string][]string {
	if len(tags) == 0 {
		return nil
	}
	keys := map[string][]string{"aws:TagKeys": slices.Sorted(maps.Keys(tags))}
	for k, v := range tags {
		keys["aws:RequestTag/"+k] = []string{v}
	}
	return keys
}
