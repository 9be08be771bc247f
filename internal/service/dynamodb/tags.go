package dynamodb

import (
	"context"
	"maps"
	"slices"
	"strings"
	"unicode"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/kv"
)

// maxTags is how many tags a table may have.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Tagging.html
const maxTags = 50

// setTags replaces or adds tags.
func (row *tableRow) setTags(tags []api.Tag) error {
	set := maps.Clone(row.Tags)
	seen := map[string]bool{}
	for _, t := range tags {
		switch {
		case !isTag(*t.Key) || *t.Key == "":
			return awserr.Validation("The Tag Key provided is invalid, Key: %s", *t.Key)
		case !isTag(*t.Value):
			return awserr.Validation("The Tag Value provided is invalid, Value: %s", *t.Value)
		case strings.HasPrefix(strings.ToLower(*t.Key), "aws:"):
			return awserr.Validation("Tag Key cannot be prefixed with aws:, Key: %s", *t.Key)
		case seen[*t.Key]:
			return awserr.Validation("Duplicate Tag Keys provided as input: Duplicate Tag Key found %s", *t.Key)
		}
		seen[*t.Key] = true
		if set == nil {
			set = map[string]string{}
		}
		set[*t.Key] = *t.Value
	}
	if len(set) > maxTags {
		return awserr.Validation("Number of Tags exceed the current limit for the provided ResourceArn")
	}
	row.Tags = set
	return nil
}

// isTag reports whether a tag's key or value has only characters that are allowed.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Tagging.html
func isTag(s string) bool {
	for _, c := range s {
		if !unicode.IsLetter(c) && !unicode.IsDigit(c) && !unicode.IsSpace(c) && !strings.ContainsRune("+-=._:/@", c) {
			return false
		}
	}
	return true
}

// TagResource sets tags of a table.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TagResource.html
func (s *Service) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	if len(in.Tags) == 0 {
		return nil, awserr.Validation("Atleast one Tag needs to be provided as Input.")
	}
	return new(api.TagResourceOutput), s.updateTags(ctx, *in.ResourceArn, func(row *tableRow) error { return row.setTags(in.Tags) })
}

// UntagResource removes tags of a table.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UntagResource.html
func (s *Service) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	if len(in.TagKeys) == 0 {
		return nil, awserr.Validation("Atleast one Tag Key needs to be provided as Input.")
	}
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
		err = noResource(arn)
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
