package apigatewayv2

import (
	"context"
	"maps"
	"strings"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/customdomain"
	"brume/internal/kv"
	"brume/internal/kv/jsonrow"
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

// A tagged is what has tags: an API, a stage of one, or a domain name.
type tagged struct{ api, stage, domain string }

// arnPrefix is what stands before the path in the ARN of everything that API Gateway has.
func arnPrefix(sc scope) string { return "arn:aws:apigateway:" + sc.region + "::/" }

// taggedAt reads the segments of a path: apis/ID, apis/ID/stages/NAME or domainnames/NAME, and what lies below them.
func taggedAt(segments []string) (t tagged, rest int) {
	switch {
	case len(segments) >= 4 && segments[0] == "apis" && segments[2] == "stages":
		return tagged{api: segments[1], stage: segments[3]}, len(segments) - 4
	case len(segments) >= 2 && segments[0] == "apis":
		return tagged{api: segments[1]}, len(segments) - 2
	case len(segments) >= 2 && segments[0] == "domainnames":
		return tagged{domain: segments[1]}, len(segments) - 2
	}
	return tagged{}, 0
}

// pathOfARN is the path, in segments, that the ARN of a resource of API Gateway ends in; nil if it is none.
func pathOfARN(sc scope, arn string) []string {
	path, ok := strings.CutPrefix(arn, arnPrefix(sc))
	if !ok {
		return nil
	}
	return strings.Split(path, "/")
}

// taggable reads an ARN: arn:aws:apigateway:REGION::/apis/ID, …/stages/NAME, or …::/domainnames/NAME.
func taggable(sc scope, arn string) (tagged, error) {
	t, rest := taggedAt(pathOfARN(sc, arn))
	if t == (tagged{}) || rest > 0 {
		return tagged{}, invalid("Invalid resource ARN specified in the request")
	}
	return t, nil
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

// tagsAt returns the tags that count for what lies at a path. What lies below an API, a stage or a domain name has its tags, and
// a stage those of its API too, unless it has its own. What does not exist has none.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-tagging-supported-resources.html
func tagsAt(r kv.Reader, sc scope, segments []string) (map[string]string, error) {
	t, _ := taggedAt(segments)
	switch {
	case t.domain != "":
		row, err := customdomain.Get(r, sc.account, sc.region, t.domain)
		if err != nil || row == nil {
			return nil, err
		}
		return row.Tags, nil
	case t.api != "":
		row, err := jsonrow.Get[apiRow](r, apiKey(sc, t.api))
		if err != nil || row == nil {
			return nil, err
		}
		tags := map[string]string{}
		maps.Copy(tags, row.API.Tags)
		if i, found := find(row.Stages, t.stage, stageName); found {
			maps.Copy(tags, row.Stages[i].Tags)
		}
		return tags, nil
	}
	return nil, nil
}

func (s *Service) GetTags(ctx context.Context, in *api.GetTagsInput) (*api.GetTagsOutput, error) {
	t, err := taggable(scopeOf(ctx), *in.ResourceArn)
	if err != nil {
		return nil, err
	}
	if t.domain != "" {
		row, err := s.viewDomain(ctx, t.domain)
		if err != nil {
			return nil, err
		}
		return &api.GetTagsOutput{Tags: row.Tags}, nil
	}
	row, err := s.viewAPI(ctx, t.api)
	if err != nil {
		return nil, err
	}
	tags, err := row.tagsOf(t.stage)
	if err != nil {
		return nil, err
	}
	return &api.GetTagsOutput{Tags: *tags}, nil
}

func (s *Service) changeTags(ctx context.Context, arn string, change func(tags map[string]string)) error {
	t, err := taggable(scopeOf(ctx), arn)
	if err != nil {
		return err
	}
	in := func(tags *map[string]string) error {
		if *tags == nil {
			*tags = map[string]string{}
		}
		change(*tags)
		return checkTags(*tags)
	}
	if t.domain != "" {
		return s.changeDomain(ctx, t.domain, func(_ kv.Tx, row *customdomain.Row) error { return in(&row.Tags) })
	}
	return s.changeAPI(ctx, t.api, func(_ kv.Tx, row *apiRow) error {
		tags, err := row.tagsOf(t.stage)
		if err != nil {
			return err
		}
		return in(tags)
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
