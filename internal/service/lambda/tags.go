package lambda

import (
	"context"
	"maps"
	"strings"

	api "brume/internal/api/lambda"
	"brume/internal/kv"
)

// Limits of tags.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html
const (
	maxTags     = 50
	maxTagKey   = 128
	maxTagValue = 256
)

func checkTags(tags map[string]string) error {
	if len(tags) > maxTags {
		return invalid("Number of tags exceeds resource tag limit.")
	}
	for k, v := range tags {
		switch {
		case strings.HasPrefix(strings.ToLower(k), "aws:"):
			return invalid("Tag keys that begin with aws: are reserved for system use: %s", k)
		case k == "" || len([]rune(k)) > maxTagKey:
			return invalid("A tag key must have between 1 and %d characters.", maxTagKey)
		case len([]rune(v)) > maxTagValue:
			return invalid("The value of a tag must not have more than %d characters.", maxTagValue)
		}
	}
	return nil
}

// taggable is the function that an ARN names: only functions have tags, their versions and aliases have not.
func taggable(ctx context.Context, arn *string) (ref, error) {
	r, err := resolveName(ctx, arn, nil)
	if err != nil {
		return ref{}, err
	}
	if r.qualifier != "" {
		return ref{}, invalid("Tags on function aliases and versions are not supported. Please specify either a function ARN, or an event source mapping ARN.")
	}
	return r, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_TagResource.html
func (s *Service) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	err := s.updateTags(ctx, in.Resource, func(tags map[string]string) error {
		maps.Copy(tags, in.Tags)
		return checkTags(tags)
	})
	if err != nil {
		return nil, err
	}
	return &api.TagResourceOutput{}, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_UntagResource.html
func (s *Service) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	err := s.updateTags(ctx, in.Resource, func(tags map[string]string) error {
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &api.UntagResourceOutput{}, nil
}

func (s *Service) updateTags(ctx context.Context, arn *string, change func(map[string]string) error) error {
	r, err := taggable(ctx, arn)
	if err != nil {
		return err
	}
	return s.store.Update(ctx, func(tx kv.Tx) error {
		f, err := s.getFunction(tx, r)
		if err != nil {
			return err
		}
		if f.Tags == nil {
			f.Tags = make(map[string]string)
		}
		if err := change(f.Tags); err != nil {
			return err
		}
		return putJSON(tx, functionKey(r.scope, r.name), f)
	})
}

// https://docs.aws.amazon.com/lambda/latest/api/API_ListTags.html
func (s *Service) ListTags(ctx context.Context, in *api.ListTagsInput) (*api.ListTagsOutput, error) {
	r, err := taggable(ctx, in.Resource)
	if err != nil {
		return nil, err
	}
	out := &api.ListTagsOutput{Tags: map[string]string{}}
	err = s.store.View(ctx, func(rd kv.Reader) error {
		f, err := s.peek(rd, r)
		if err == nil {
			maps.Copy(out.Tags, f.row.Tags)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
