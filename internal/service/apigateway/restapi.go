package apigateway

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	api "brume/internal/api/apigateway"
	"brume/internal/awserr"
	"brume/internal/customdomain"
	"brume/internal/kv"
	"brume/internal/policy"
)

// now is the time of a transaction as API Gateway shows times: in whole seconds.
func now(r kv.Reader) *time.Time { return new(r.Now().UTC().Truncate(time.Second)) }

// getAPI returns an API, or the error that there is none.
func getAPI(r kv.Reader, sc scope, id string) (*api.RestApi, error) {
	row, err := get[api.RestApi](r, restAPIKey(sc, id))
	if err == nil && row == nil {
		err = noAPI(sc, id)
	}
	return row, err
}

func (s *Service) CreateRestApi(ctx context.Context, in *api.CreateRestApiInput) (*api.RestApi, error) {
	sc := scopeOf(ctx)
	row := newRestAPI(*in.Name)
	row.Description, row.Version, row.BinaryMediaTypes, row.MinimumCompressionSize = in.Description, in.Version, in.BinaryMediaTypes, in.MinimumCompressionSize
	row.Tags, row.DisableExecuteApiEndpoint = in.Tags, new(value(in.DisableExecuteApiEndpoint))
	if in.ApiKeySource != nil {
		row.ApiKeySource = in.ApiKeySource
	}
	if in.EndpointConfiguration != nil && len(in.EndpointConfiguration.Types) > 0 {
		row.EndpointConfiguration = in.EndpointConfiguration
	}
	if err := checkAPI(row); err != nil {
		return nil, err
	}
	if err := checkTags(row.Tags); err != nil {
		return nil, err
	}
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		if err := insertRestAPI(tx, sc, row); err != nil {
			return err
		}
		if in.CloneFrom != nil {
			if err := cloneParts(tx, sc, *in.CloneFrom, row); err != nil {
				return err
			}
		}
		if value(in.Policy) == "" {
			return nil
		}
		if err := setPolicy(sc, row, *in.Policy); err != nil {
			return err
		}
		return put(tx, restAPIKey(sc, *row.Id), row)
	})
	if err != nil {
		return nil, err
	}
	return row, nil
}

// cloneParts makes the resources and other parts of an API those of another one. They keep their ids, which are the API's
// own; deployments and stages are not cloned.
func cloneParts(tx kv.Tx, sc scope, from string, row *api.RestApi) error {
	original, err := getAPI(tx, sc, from)
	if err != nil {
		return err
	}
	for _, tag := range append(childTags(), tagResource) {
		if err := deleteRange(tx, kv.Prefix(inScope(tag, sc, *row.Id))); err != nil {
			return err
		}
		source, target := inScope(tag, sc, from), inScope(tag, sc, *row.Id)
		var pairs []kv.Pair
		for pair, err := range tx.Scan(kv.Prefix(source)) {
			if err != nil {
				return err
			}
			pairs = append(pairs, kv.Pair{Key: slices.Concat(target, pair.Key[len(source):]), Value: slices.Clone(pair.Value)})
		}
		for _, pair := range pairs {
			if err := tx.Set(pair.Key, pair.Value); err != nil {
				return err
			}
		}
	}
	row.RootResourceId = original.RootResourceId
	return put(tx, restAPIKey(sc, *row.Id), row)
}

// newRestAPI is an API with nothing but a name set.
func newRestAPI(name string) *api.RestApi {
	return &api.RestApi{
		Name: &name, ApiKeySource: new("HEADER"), DisableExecuteApiEndpoint: new(false),
		EndpointConfiguration: &api.EndpointConfiguration{Types: []string{"EDGE"}},
	}
}

// insertRestAPI gives a new API its ids, and writes it with a root resource and the default models.
func insertRestAPI(tx kv.Tx, sc scope, row *api.RestApi) error {
	id, root := newID(10), newID(10)
	// Ids are unique across accounts: a request to an API names nothing else.
	for {
		_, taken, err := tx.Get(indexKey(id))
		if err != nil {
			return err
		}
		if !taken {
			break
		}
		id = newID(10)
	}
	row.Id, row.RootResourceId, row.CreatedDate = &id, &root, now(tx)
	if err := put(tx, restAPIKey(sc, id), row); err != nil {
		return err
	}
	if err := put(tx, resourceKey(sc, id, root), &api.Resource{Id: &root, Path: new("/")}); err != nil {
		return err
	}
	for _, m := range defaultModels() {
		if err := putNewModel(tx, sc, id, m); err != nil {
			return err
		}
	}
	return touchAPI(tx, sc, id)
}

// setPolicy sets the resource policy of an API; an empty one removes it. Resources in the short form "execute-api:/stage/…"
// become ARNs of the API.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-resource-policies-create-attach.html
func setPolicy(sc scope, row *api.RestApi, document string) error {
	row.Policy = nil
	if strings.TrimSpace(document) == "" {
		return nil
	}
	var doc any
	if err := json.Unmarshal([]byte(document), &doc); err != nil {
		return invalid("Invalid policy document. Please check the policy syntax and ensure that Principals are valid.")
	}
	expandResources(doc, "arn:aws:execute-api:"+sc.region+":"+sc.account+":"+*row.Id+"/")
	full, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	if len(full) > maxPolicy {
		return invalid("The resource policy is larger than the maximum of %d bytes", maxPolicy)
	}
	if _, err := policy.Parse(string(full), policy.Resource); err != nil {
		return invalid("Invalid policy document. Please check the policy syntax and ensure that Principals are valid.")
	}
	row.Policy = new(string(full))
	return nil
}

// maxPolicy bounds a resource policy, in bytes.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
const maxPolicy = 8192

// expandResources puts prefix in the place of "execute-api:/" in every Resource and NotResource.
func expandResources(v any, prefix string) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			expandResources(item, prefix)
		}
	case map[string]any:
		for name, item := range v {
			if name != "Resource" && name != "NotResource" {
				expandResources(item, prefix)
				continue
			}
			list, ok := item.([]any)
			if !ok {
				list = []any{item}
			}
			for i := range list {
				if s, ok := list[i].(string); ok {
					if rest, ok := strings.CutPrefix(s, "execute-api:/"); ok {
						list[i] = prefix + rest
					}
				}
			}
			if len(list) == 1 && !ok {
				v[name] = list[0]
			}
		}
	}
}

// checkAPI checks what can be set on an API.
func checkAPI(row *api.RestApi) error {
	if strings.TrimSpace(value(row.Name)) == "" {
		return invalid("API name cannot be empty")
	}
	if len(*row.Name) > 1024 {
		return invalid("API name is too long. Maximum length is 1024 characters")
	}
	if n := row.MinimumCompressionSize; n != nil && (*n < 0 || *n > MaxBody) {
		return invalid("Invalid minimum compression size, must be between 0 and 10485760")
	}
	if k := *row.ApiKeySource; k != "HEADER" && k != "AUTHORIZER" {
		return invalid("Invalid API key source '%s'. Valid values are HEADER and AUTHORIZER", k)
	}
	for _, t := range row.BinaryMediaTypes {
		if main, sub, ok := strings.Cut(t, "/"); !ok || main == "" || sub == "" || len(t) > 255 {
			return invalid("Invalid binary media type: %s", t)
		}
	}
	e := row.EndpointConfiguration
	if len(e.Types) != 1 {
		return invalid("RestApi endpoint configuration must have exactly one type")
	}
	switch e.Types[0] {
	case "EDGE", "REGIONAL":
	case "PRIVATE":
		return awserr.NotImplemented("a RestApi of the endpoint type PRIVATE")
	default:
		return invalid("Invalid endpoint type: %s", e.Types[0])
	}
	if len(e.VpcEndpointIds) > 0 {
		return invalid("VPCEndpointIds are only supported for PRIVATE endpoint types")
	}
	return nil
}

func (s *Service) GetRestApi(ctx context.Context, in *api.GetRestApiInput) (*api.RestApi, error) {
	sc := scopeOf(ctx)
	var row *api.RestApi
	err := s.store.View(ctx, func(r kv.Reader) (err error) {
		row, err = getAPI(r, sc, *in.RestApiId)
		return err
	})
	return row, err
}

func (s *Service) GetRestApis(ctx context.Context, in *api.GetRestApisInput) (*api.RestApis, error) {
	prefix := inScope(tagAPI, scopeOf(ctx))
	out := &api.RestApis{}
	err := s.store.View(ctx, func(r kv.Reader) (err error) {
		out.Items, out.Position, err = page[api.RestApi](r, prefix, in.Position, in.Limit, nil)
		return err
	})
	return out, err
}

func (s *Service) UpdateRestApi(ctx context.Context, in *api.UpdateRestApiInput) (*api.RestApi, error) {
	sc := scopeOf(ctx)
	var row *api.RestApi
	err := s.store.Update(ctx, func(tx kv.Tx) (err error) {
		if row, err = getAPI(tx, sc, *in.RestApiId); err != nil {
			return err
		}
		err = applyPatches(in.PatchOperations, []patchRule{
			{"replace", "/name", setString(&row.Name)},
			{"add replace remove", "/description", setString(&row.Description)},
			{"replace", "/version", setString(&row.Version)},
			{"replace", "/apiKeySource", setString(&row.ApiKeySource)},
			{"replace", "/disableExecuteApiEndpoint", setBool(&row.DisableExecuteApiEndpoint)},
			{"add replace remove", "/minimumCompressionSize", setInt(&row.MinimumCompressionSize)},
			{"replace remove", "/policy", func(p *patch) error {
				if p.op == "remove" {
					p.value = nil
				}
				return setPolicy(sc, row, value(p.value))
			}},
			{"add remove replace", "/binaryMediaTypes/*", func(p *patch) error {
				row.BinaryMediaTypes = slices.DeleteFunc(row.BinaryMediaTypes, func(t string) bool { return t == p.last() })
				if p.op == "add" {
					row.BinaryMediaTypes = append(row.BinaryMediaTypes, p.last())
				}
				if p.op == "replace" {
					row.BinaryMediaTypes = append(row.BinaryMediaTypes, value(p.value))
				}
				return nil
			}},
			{"add remove", "/endpointConfiguration/vpcEndpointIds/*", func(p *patch) error {
				ids := &row.EndpointConfiguration.VpcEndpointIds
				*ids = slices.DeleteFunc(*ids, func(id string) bool { return id == p.last() })
				if p.op == "add" {
					*ids = append(*ids, p.last())
				}
				return nil
			}},
			{"replace", "/endpointConfiguration/types/*", func(p *patch) error {
				types := row.EndpointConfiguration.Types
				i := slices.Index(types, p.last())
				if n, err := strconv.Atoi(p.last()); err == nil && n >= 0 && n < len(types) {
					i = n
				}
				if i < 0 {
					return p.bad()
				}
				types[i] = value(p.value)
				return nil
			}},
		})
		if err != nil {
			return err
		}
		if row.ApiKeySource == nil {
			row.ApiKeySource = new("HEADER")
		}
		if err := checkAPI(row); err != nil {
			return err
		}
		return put(tx, restAPIKey(sc, *row.Id), row)
	})
	if err != nil {
		return nil, err
	}
	return row, nil
}

func (s *Service) DeleteRestApi(ctx context.Context, in *api.DeleteRestApiInput) (*api.DeleteRestApiOutput, error) {
	sc, id := scopeOf(ctx), *in.RestApiId
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		if _, err := getAPI(tx, sc, id); err != nil {
			return err
		}
		domain, err := customdomain.LeadsTo(tx, sc.account, sc.region, id)
		if err != nil {
			return err
		}
		if domain != "" {
			return invalid("Deleting RestApi %s failed. Please remove all base path mappings related to the RestApi in your domains: %s", id, domain)
		}
		for _, tag := range append(childTags(), tagResource, tagDeployment, tagSnapshot, tagStage) {
			if err := deleteRange(tx, kv.Prefix(inScope(tag, sc, id))); err != nil {
				return err
			}
		}
		if err := tx.Delete(indexKey(id)); err != nil {
			return err
		}
		return tx.Delete(restAPIKey(sc, id))
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteRestApiOutput), nil
}
