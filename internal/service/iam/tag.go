package iam

import (
	"cmp"
	"context"
	"slices"
	"strings"

	api "brume/internal/api/iam"
)

// maxTags is how many tags a resource may have.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html
const maxTags = 50

type tag struct{ Key, Value string }

// newTags adds tags to old ones. Keys differ by more than case; of one that is there already the value is replaced.
func newTags(old []tag, in []api.Tag) ([]tag, error) {
	tags := slices.Clone(old)
	seen := map[string]bool{}
	for _, t := range in {
		key := fold(*t.Key)
		if seen[key] {
			return nil, invalidInput("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[key] = true
		if strings.HasPrefix(key, "aws:") {
			return nil, invalidInput("Tag keys beginning with aws: are reserved for system use.")
		}
		i := slices.IndexFunc(tags, func(t tag) bool { return fold(t.Key) == key })
		if i < 0 {
			tags = append(tags, tag{*t.Key, *t.Value})
		} else {
			tags[i] = tag{*t.Key, *t.Value}
		}
	}
	if len(tags) > maxTags {
		return nil, limitExceeded("The number of tags has reached the maximum limit.")
	}
	slices.SortFunc(tags, func(a, b tag) int { return cmp.Compare(fold(a.Key), fold(b.Key)) })
	return tags, nil
}

func withoutTags(tags []tag, keys []string) []tag {
	return slices.DeleteFunc(slices.Clone(tags), func(t tag) bool {
		return slices.ContainsFunc(keys, func(key string) bool { return fold(key) == fold(t.Key) })
	})
}

func outTags(tags []tag) []api.Tag {
	if len(tags) == 0 {
		return nil
	}
	out := make([]api.Tag, len(tags))
	for i := range tags {
		out[i] = api.Tag{Key: &tags[i].Key, Value: &tags[i].Value}
	}
	return out
}

func tagPage(tags []tag, marker *string, maxItems *int32) (out []api.Tag, truncated *bool, next *string, err error) {
	p, err := newPage(marker, maxItems)
	if err != nil {
		return nil, nil, nil, err
	}
	items := make([]item[api.Tag], len(tags))
	for i := range tags {
		items[i] = item[api.Tag]{fold(tags[i].Key), api.Tag{Key: &tags[i].Key, Value: &tags[i].Value}}
	}
	return take(p, beyond(items, p.after))
}

// listTags is the page of the tags that of returns.
func (s *Service) listTags(ctx context.Context, marker *string, maxItems *int32, of func(r reader) ([]tag, error)) (
	out []api.Tag, truncated *bool, next *string, err error,
) {
	err = s.view(ctx, func(r reader) error {
		tags, err := of(r)
		if err != nil {
			return err
		}
		out, truncated, next, err = tagPage(tags, marker, maxItems)
		return err
	})
	return out, truncated, next, err
}

// retag changes the tags of a user or role.
func (s *Service) retag(ctx context.Context, k kind, name string, add []api.Tag, remove []string) error {
	return s.update(ctx, func(t txn) error {
		i, err := t.identity(k, name)
		if err != nil {
			return err
		}
		if i.Tags, err = newTags(withoutTags(i.Tags, remove), add); err != nil {
			return err
		}
		return t.put(i)
	})
}

func (r reader) tagsOf(k kind, name string) ([]tag, error) {
	i, err := r.identity(k, name)
	if err != nil {
		return nil, err
	}
	return i.Tags, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagUser.html
func (s *Service) TagUser(ctx context.Context, in *api.TagUserInput) (*api.TagUserOutput, error) {
	return &api.TagUserOutput{}, s.retag(ctx, kindUser, *in.UserName, in.Tags, nil)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagUser.html
func (s *Service) UntagUser(ctx context.Context, in *api.UntagUserInput) (*api.UntagUserOutput, error) {
	return &api.UntagUserOutput{}, s.retag(ctx, kindUser, *in.UserName, nil, in.TagKeys)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListUserTags.html
func (s *Service) ListUserTags(ctx context.Context, in *api.ListUserTagsInput) (*api.ListUserTagsOutput, error) {
	tags, truncated, marker, err := s.listTags(ctx, in.Marker, in.MaxItems, func(r reader) ([]tag, error) {
		return r.tagsOf(kindUser, *in.UserName)
	})
	return &api.ListUserTagsOutput{Tags: tags, IsTruncated: truncated, Marker: marker}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagRole.html
func (s *Service) TagRole(ctx context.Context, in *api.TagRoleInput) (*api.TagRoleOutput, error) {
	return &api.TagRoleOutput{}, s.retag(ctx, kindRole, *in.RoleName, in.Tags, nil)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagRole.html
func (s *Service) UntagRole(ctx context.Context, in *api.UntagRoleInput) (*api.UntagRoleOutput, error) {
	return &api.UntagRoleOutput{}, s.retag(ctx, kindRole, *in.RoleName, nil, in.TagKeys)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListRoleTags.html
func (s *Service) ListRoleTags(ctx context.Context, in *api.ListRoleTagsInput) (*api.ListRoleTagsOutput, error) {
	tags, truncated, marker, err := s.listTags(ctx, in.Marker, in.MaxItems, func(r reader) ([]tag, error) {
		return r.tagsOf(kindRole, *in.RoleName)
	})
	return &api.ListRoleTagsOutput{Tags: tags, IsTruncated: truncated, Marker: marker}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagPolicy.html
func (s *Service) TagPolicy(ctx context.Context, in *api.TagPolicyInput) (*api.TagPolicyOutput, error) {
	return &api.TagPolicyOutput{}, s.retagPolicy(ctx, *in.PolicyArn, in.Tags, nil)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagPolicy.html
func (s *Service) UntagPolicy(ctx context.Context, in *api.UntagPolicyInput) (*api.UntagPolicyOutput, error) {
	return &api.UntagPolicyOutput{}, s.retagPolicy(ctx, *in.PolicyArn, nil, in.TagKeys)
}

func (s *Service) retagPolicy(ctx context.Context, policyARN string, add []api.Tag, remove []string) error {
	return s.update(ctx, func(t txn) error {
		p, err := t.ownPolicy(policyARN)
		if err != nil {
			return err
		}
		if p.Tags, err = newTags(withoutTags(p.Tags, remove), add); err != nil {
			return err
		}
		return t.putPolicy(p)
	})
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListPolicyTags.html
func (s *Service) ListPolicyTags(ctx context.Context, in *api.ListPolicyTagsInput) (*api.ListPolicyTagsOutput, error) {
	tags, truncated, marker, err := s.listTags(ctx, in.Marker, in.MaxItems, func(r reader) ([]tag, error) {
		p, err := r.policy(*in.PolicyArn)
		if err != nil {
			return nil, err
		}
		return p.Tags, nil
	})
	return &api.ListPolicyTagsOutput{Tags: tags, IsTruncated: truncated, Marker: marker}, err
}
