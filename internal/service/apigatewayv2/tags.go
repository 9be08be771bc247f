package apigatewayv2

import (
	"context"
	"maps"
	"strings"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/kv"
)

// checkTags refuses tags beyond the limits.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-tagging-supported-resources.html
func checkTags(tags map[string]string) error {
	if len(tags) > 50 {
		return invalid("The number of tags exceeds the limit of 50")
	}
	for k, v := range tags {
		if k == "" || len(k) > 128 || len(v) > 256 || strings.HasPrefix(strings.ToLower(k), "aws:") {
			return invalid("Invalid tag: %s", clip(k))
		}
	}
	return nil
}

// taggable reads the ARN of an API or a stage: arn:aws:apigateway:REGION::/apis/ID, …/stages/NAME.
func taggable(sc scope, arn string) (apiID, stage string, err error) {
	path, ok := strings.CutPrefix(arn, "arn:aws:apigateway:"+sc.region+"::/apis/")
	if !ok {
		return "", "", invalid("Invalid resource ARN specified in the request")
	}
	apiID, stage, ok = strings.Cut(path, "/stages/")
	if apiID == "" || strings.Contains(apiID, "/") || ok && stage == "" {
		return "", "", invalid("Invalid resource ARN specified in the request")
	}
	return apiID, stage, nil
}

// tagsOf is where the tags of an API or, if one is named, of its stage are.
func (row *apiRow) tagsOf(stage string) (*map[string]string, error) {
	if stage == "" {
		return &row.API.Tags, nil
	}
	i, found := find(row.Stages, stage, stageName)
	if !found {
		return nil, noStage(stage)
	}
	return &row.Stages[i].Tags, nil
}

func (s *Service) GetTags(ctx context.Context, in *api.GetTagsInput) (*api.GetTagsOutput, error) {
	id, stage, err := taggable(scopeOf(ctx), *in.ResourceArn)
	if err != nil {
		return nil, err
	}
	row, err := s.viewAPI(ctx, id)
	if err != nil {
		return nil, err
	}
	tags, err := row.tagsOf(stage)
	if err != nil {
		return nil, err
	}
	return &api.GetTagsOutput{Tags: *tags}, nil
}

func (s *Service) changeTags(ctx context.Context, arn string, change func(tags map[string]string)) error {
	id, stage, err := taggable(scopeOf(ctx), arn)
	if err != nil {
		return err
	}
	return s.changeAPI(ctx, id, func(_ kv.Tx, row *apiRow) error {
		tags, err := row.tagsOf(stage)
		if err != nil {
			return err
		}
		if *tags == nil {
			*tags = map[string]string{}
		}
		change(*tags)
		return checkTags(*tags)
	})
}

func (s *Service) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	if err := s.changeTags(ctx, *in.ResourceArn, func(tags map[string]string) { maps.Copy(tags, in.Tags) }); err != nil {
		return nil, err
	}
	return new(api.TagResourceOutput), nil
}

func (s *Service) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	err := s.changeTags(ctx, *in.ResourceArn, func(tags map[string]string) {
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
	})
	if err != nil {
		return nil, err
	}
	return new(api.UntagResourceOutput), nil
}
