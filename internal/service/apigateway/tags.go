package apigateway

import (
	"context"
	"maps"
	"strings"

	api "brume/internal/api/apigateway"
	"brume/internal/customdomain"
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

// arnPrefix is what stands before the path in the ARN of everything that API Gateway has.
func arnPrefix(sc scope) string { return "arn:aws:apigateway:" + sc.region + "::/" }

// changeTags lets change work on the tags of the resource that an ARN names, and writes them if tx is not nil.
//
// The ARNs are arn:aws:apigateway:REGION::/restapis/ID, /restapis/ID/stages/NAME, /apikeys/ID, /usageplans/ID,
// /clientcertificates/ID and /domainnames/NAME.
func changeTags(r kv.Reader, tx kv.Tx, sc scope, arn string, change func(tags map[string]string) error) error {
	path, ok := strings.CutPrefix(arn, arnPrefix(sc))
	if !ok {
		return invalid("Invalid ARN specified in the request")
	}
	part := strings.Split(path, "/")
	update := func(key []byte, row any, tags *map[string]string) error {
		if *tags == nil {
			*tags = map[string]string{}
		}
		if err := change(*tags); err != nil || tx == nil {
			return err
		}
		return put(tx, key, row)
	}
	switch {
	case len(part) == 2 && part[0] == "restapis":
		row, err := getAPI(r, sc, part[1])
		if err != nil {
			return err
		}
		return update(restAPIKey(sc, part[1]), row, &row.Tags)
	case len(part) == 4 && part[0] == "restapis" && part[2] == "stages":
		row, err := getStage(r, sc, part[1], part[3])
		if err != nil {
			return err
		}
		return update(stageKey(sc, part[1], part[3]), row, &row.Tags)
	case len(part) == 2 && part[0] == "apikeys":
		row, err := getKey(r, sc, part[1])
		if err != nil {
			return err
		}
		return update(keyKey(sc, part[1]), row, &row.Tags)
	case len(part) == 2 && part[0] == "usageplans":
		row, err := getPlan(r, sc, part[1])
		if err != nil {
			return err
		}
		return update(planKey(sc, part[1]), row, &row.Tags)
	case len(part) == 2 && part[0] == "clientcertificates":
		row, err := getCertificate(r, sc, part[1])
		if err != nil {
			return err
		}
		return update(certificateKey(sc, part[1]), row, &row.Tags)
	case len(part) == 2 && part[0] == "domainnames":
		row, err := getDomain(r, sc, part[1])
		if err != nil {
			return err
		}
		return update(customdomain.Key(part[1]), row, &row.Tags)
	}
	return notFound("Invalid Resource identifier specified")
}

func (s *Service) GetTags(ctx context.Context, in *api.GetTagsInput) (*api.Tags, error) {
	out := &api.Tags{}
	err := s.store.View(ctx, func(r kv.Reader) error {
		return changeTags(r, nil, scopeOf(ctx), *in.ResourceArn, func(tags map[string]string) error {
			out.Tags = tags
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) TagResource(ctx context.Context, in *api.TagResourceInput) (*api.TagResourceOutput, error) {
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		return changeTags(tx, tx, scopeOf(ctx), *in.ResourceArn, func(tags map[string]string) error {
			maps.Copy(tags, in.Tags)
			return checkTags(tags)
		})
	})
	if err != nil {
		return nil, err
	}
	return new(api.TagResourceOutput), nil
}

func (s *Service) UntagResource(ctx context.Context, in *api.UntagResourceInput) (*api.UntagResourceOutput, error) {
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		return changeTags(tx, tx, scopeOf(ctx), *in.ResourceArn, func(tags map[string]string) error {
			for _, k := range in.TagKeys {
				delete(tags, k)
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return new(api.UntagResourceOutput), nil
}
