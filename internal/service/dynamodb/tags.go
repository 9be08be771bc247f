package dynamodb

import (
	"context"
	"maps"
	"slices"
	"strings"

	api "brume/internal/api/dynamodb"
	"brume/internal/kv"
)

// maxTags is how many tags a table may have.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Tagging.html
const maxTags = 50

// setTags replaces or adds tags.
func (row *tableRow) setTags(tags []api.Tag) error {
	set := maps.Clone(row.Tags)
	for _, t := range tags {
		if strings.HasPrefix(strings.ToLower(*t.Key), "aws:") {
			return invalid("Tag keys beginning with 'aws:' are reserved for system use: %s", *t.Key)
		}
		if set == nil {
			set = map[string]string{}
		}
		set[*t.Key] = *t.Value
	}
	if len(set) > maxTags {
		return invalid("Too many tags: a table may have %d", maxTags)
	}
	row.Tags = set
	return nil
}

// TagResource sets tags of a table.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TagResource.html
func (s *Service) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	return new(api.TagResourceOutput), s.updateTags(ctx, *in.ResourceArn, func(row *tableRow) error { return row.setTags(in.Tags) })
}

// UntagResource removes tags of a table.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UntagResource.html
func (s *Service) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	return new(api.UntagResourceOutput), s.updateTags(ctx, *in.ResourceArn, func(row *tableRow) error {
		row.Tags = maps.Clone(row.Tags)
		for _, k := range in.TagKeys {
			delete(row.Tags, k)
		}
		return nil
	})
}

// ListTagsOfResource lists the tags of a table.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ListTagsOfResource.html
func (s *Service) ListTagsOfResource(ctx context.Context, in *api.ListTagsOfResourceInput) (*api.ListTagsOfResourceOutput, error) {
	var out *api.ListTagsOfResourceOutput
	err := s.view(ctx, func(r kv.Reader) error {
		t, err := s.tagged(ctx, r, *in.ResourceArn)
		if err != nil {
			return err
		}
		out = &api.ListTagsOfResourceOutput{Tags: []api.Tag{}}
		for _, k := range slices.Sorted(maps.Keys(t.Tags)) {
			out.Tags = append(out.Tags, api.Tag{Key: new(k), Value: new(t.Tags[k])})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) tagged(ctx context.Context, r kv.Reader, arn string) (*table, error) {
	sc := scopeOf(ctx)
	name, err := sc.tableOfARN(arn)
	if err != nil {
		return nil, err
	}
	t, err := s.findTable(r, sc, name)
	if err == nil && t == nil {
		err = &api.ResourceNotFoundException{Message: new("Requested resource not found: ResourcArn: " + arn + " not found")}
	}
	return t, err
}

func (s *Service) updateTags(ctx context.Context, arn string, change func(*tableRow) error) error {
	return s.update(ctx, func(tx kv.Tx) error {
		t, err := s.tagged(ctx, tx, arn)
		if err != nil {
			return err
		}
		row := t.tableRow
		if err := change(&row); err != nil {
			return err
		}
		return setTable(tx, t.scope, &row)
	})
}
