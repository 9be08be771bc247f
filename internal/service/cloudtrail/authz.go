package cloudtrail

import (
	"context"

	api "brume/internal/api/cloudtrail"
	"brume/internal/policy"
	"brume/internal/schema"
)

// Checks maps the input of an operation to the permissions it needs. None of them has a resource.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudtrail.html
func (s *Service) Checks(_ context.Context, operation string, in schema.Struct) (checks []policy.Check, mapped bool, err error) {
	switch in.(type) {
	case *api.LookupEventsInput, *api.DescribeTrailsInput, *api.ListTrailsInput:
		return []policy.Check{{Action: "cloudtrail:" + operation, Resource: "*"}}, true, nil
	}
	return nil, false, nil
}
