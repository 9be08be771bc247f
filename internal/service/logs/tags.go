package logs

import (
	"context"
	"maps"
	"strings"

	api "brume/internal/api/logs"
	"brume/internal/kv"
)

// maxTags is how many tags a log group may have.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_TagResource.html
const maxTags = 50

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return &api.TooManyTagsException{Message: new("Too many tags provided.")}
	}
	for k := range tags {
		if strings.HasPrefix(strings.ToLower(k), "aws:") {
			return invalidParameter("Tag keys beginning with aws: are reserved for system use.")
		}
	}
	return nil
}

func (s *Service) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	name, err := groupName(scopeOf(ctx), *in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return new(api.TagResourceOutput), s.tag(ctx, name, in.Tags)
}

func (s *Service) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	name, err := groupName(scopeOf(ctx), *in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return new(api.UntagResourceOutput), s.untag(ctx, name, in.TagKeys)
}

func (s *Service) ListTagsForResource(ctx context.Context, in *api.ListTagsForResourceInput) (*api.ListTagsForResourceOutput, error) {
	name, err := groupName(scopeOf(ctx), *in.ResourceArn)
	if err != nil {
		return nil, err
	}
	tags, err := s.tags(ctx, name)
	return &api.ListTagsForResourceOutput{Tags: tags}, err
}

// TagLogGroup is the older form of TagResource.
func (s *Service) TagLogGroup(ctx context.Context, in *api.TagLogGroupInput) (*api.TagLogGroupOutput, error) {
	return new(api.TagLogGroupOutput), s.tag(ctx, *in.LogGroupName, in.Tags)
}

// UntagLogGroup is the older form of UntagResource.
func (s *Service) UntagLogGroup(ctx context.Context, in *api.UntagLogGroupInput) (*api.UntagLogGroupOutput, error) {
	return new(api.UntagLogGroupOutput), s.untag(ctx, *in.LogGroupName, in.Tags)
}

// ListTagsLogGroup is the older form of ListTagsForResource.
func (s *Service) ListTagsLogGroup(ctx context.Context, in *api.ListTagsLogGroupInput) (*api.ListTagsLogGroupOutput, error) {
	tags, err := s.tags(ctx, *in.LogGroupName)
	return &api.ListTagsLogGroupOutput{Tags: tags}, err
}

func (s *Service) tag(ctx context.Context, group string, tags map[string]string) error {
	if err := checkTags(tags); err != nil {
		return err
	}
	return s.updateGroup(ctx, group, func(row *groupRow) error {
		if row.Tags == nil {
			row.Tags = map[string]string{}
		}
		maps.Copy(row.Tags, tags)
		return checkTags(row.Tags)
	})
}

func (s *Service) untag(ctx context.Context, group string, keys []string) error {
	return s.updateGroup(ctx, group, func(row *groupRow) error {
		for _, k := range keys {
			delete(row.Tags, k)
		}
		return nil
	})
}

func (s *Service) tags(ctx context.Context, group string) (map[string]string, error) {
	tags := map[string]string{}
	err := s.store.View(ctx, func(tx kv.Reader) error {
		row, err := getGroup(tx, scopeOf(ctx), group)
		if err == nil && row.Tags != nil {
			tags = row.Tags
		}
		return err
	})
	return tags, err
}
