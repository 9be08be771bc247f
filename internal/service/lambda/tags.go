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

// A tagged is what has tags: a function or an event source mapping.
type tagged interface {
	// readTags returns them; they must not be changed.
	readTags(s *Service, rd kv.Reader) (map[string]string, error)
	// writeTags puts others in their place.
	writeTags(s *Service, tx kv.Tx, tags map[string]string) error
	arn() string
}

// taggable is what an ARN names: versions and aliases have no tags.
func taggable(ctx context.Context, arn *string) (tagged, error) {
	if m, ok := parseMappingARN(ctx, *arn); ok {
		return m, nil
	}
	r, err := resolveName(ctx, arn, nil)
	if err != nil {
		return nil, err
	}
	if r.qualifier != "" {
		return nil, invalid("Tags on function aliases and versions are not supported. Please specify either a function ARN, or an event source mapping ARN.")
	}
	return r, nil
}

// parseMappingARN reads the ARN of an event source mapping of the caller's account and region.
func parseMappingARN(ctx context.Context, arn string) (mappingRef, bool) {
	m := mappingRef{scopeOf(ctx), arn[strings.LastIndexByte(arn, ':')+1:]}
	return m, m.arn() == arn
}

func (r ref) readTags(s *Service, rd kv.Reader) (map[string]string, error) {
	f, err := s.peek(rd, r)
	if err != nil {
		return nil, err
	}
	return f.row.Tags, nil
}

func (r ref) writeTags(s *Service, tx kv.Tx, tags map[string]string) error {
	f, err := s.getFunction(tx, r)
	if err != nil {
		return err
	}
	f.Tags = tags
	return putJSON(tx, functionKey(r.scope, r.name), f)
}

func (m mappingRef) readTags(_ *Service, rd kv.Reader) (map[string]string, error) {
	row, err := getMapping(rd, m)
	if err != nil {
		return nil, err
	}
	return row.Tags, nil
}

func (m mappingRef) writeTags(_ *Service, tx kv.Tx, tags map[string]string) error {
	row, err := getMapping(tx, m)
	if err != nil {
		return err
	}
	row.Tags = tags
	return putJSON(tx, mappingKey(m), row)
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
	what, err := taggable(ctx, arn)
	if err != nil {
		return err
	}
	return s.store.Update(ctx, func(tx kv.Tx) error {
		shared, err := what.readTags(s, tx)
		if err != nil {
			return err
		}
		tags := maps.Clone(shared)
		if tags == nil {
			tags = make(map[string]string)
		}
		if err := change(tags); err != nil {
			return err
		}
		return what.writeTags(s, tx, tags)
	})
}

// https://docs.aws.amazon.com/lambda/latest/api/API_ListTags.html
func (s *Service) ListTags(ctx context.Context, in *api.ListTagsInput) (*api.ListTagsOutput, error) {
	what, err := taggable(ctx, in.Resource)
	if err != nil {
		return nil, err
	}
	out := &api.ListTagsOutput{Tags: map[string]string{}}
	err = s.store.View(ctx, func(rd kv.Reader) error {
		tags, err := what.readTags(s, rd)
		maps.Copy(out.Tags, tags)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
