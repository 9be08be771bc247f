package apigateway

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"

	api "brume/internal/api/apigateway"
	"brume/internal/kv"
)

func getKey(r kv.Reader, sc scope, id string) (*api.ApiKey, error) {
	row, err := get[api.ApiKey](r, keyKey(sc, id))
	if err == nil && row == nil {
		err = noKey()
	}
	return row, err
}

// CreateApiKey makes a key, which lets nobody in until it is enabled and in a usage plan. A value of one's own has 20 to
// 128 characters.
// https://docs.aws.amazon.com/apigateway/latest/api/API_CreateApiKey.html
func (s *Service) CreateApiKey(ctx context.Context, in *api.CreateApiKeyInput) (*api.ApiKey, error) {
	sc := scopeOf(ctx)
	if value(in.Value) != "" {
		if err := checkKeyValue(*in.Value); err != nil {
			return nil, err
		}
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	var row *api.ApiKey
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		row = &api.ApiKey{
			Value: in.Value, Name: in.Name, CustomerId: in.CustomerId, Description: in.Description, Enabled: new(value(in.Enabled)),
			StageKeys: []string{}, Tags: in.Tags,
		}
		for _, sk := range in.StageKeys {
			if _, err := getStage(tx, sc, value(sk.RestApiId), value(sk.StageName)); err != nil {
				return err
			}
			row.StageKeys = append(row.StageKeys, value(sk.RestApiId)+"/"+value(sk.StageName))
		}
		return insertKey(tx, sc, row)
	})
	if err != nil {
		return nil, err
	}
	return row, nil
}

func checkKeyValue(v string) error {
	switch {
	case len(v) < 20:
		return invalid("API Key value should be at least 20 characters")
	case len(v) > 128:
		return invalid("API Key value should be at most 128 characters")
	case strings.IndexFunc(v, func(r rune) bool { return r <= ' ' || r >= 0x7f }) >= 0:
		return invalid("API Key value can only contain printable ASCII characters")
	}
	return nil
}

// insertKey gives a new key its id, its times and, if it has none, its value, and writes it.
func insertKey(tx kv.Tx, sc scope, row *api.ApiKey) error {
	row.Id, row.CreatedDate = new(newID(10)), now(tx)
	row.LastUpdatedDate = row.CreatedDate
	if value(row.Value) == "" {
		row.Value = new(newKeyValue())
	}
	hash := keyHashKey(sc, sha256.Sum256([]byte(*row.Value)))
	_, taken, err := tx.Get(hash)
	if err != nil {
		return err
	}
	if taken {
		return conflict("API Key already exists")
	}
	if err := tx.Set(hash, []byte(*row.Id)); err != nil {
		return err
	}
	return put(tx, keyKey(sc, *row.Id), row)
}

// withoutValue is a key as it is shown to those who did not ask for its value.
func withoutValue(row *api.ApiKey, include *bool) *api.ApiKey {
	if !value(include) {
		row.Value = nil
	}
	return row
}

func (s *Service) GetApiKey(ctx context.Context, in *api.GetApiKeyInput) (*api.ApiKey, error) {
	var row *api.ApiKey
	err := s.store.View(ctx, func(r kv.Reader) (err error) {
		row, err = getKey(r, scopeOf(ctx), *in.ApiKey)
		return err
	})
	if err != nil {
		return nil, err
	}
	return withoutValue(row, in.IncludeValue), nil
}

func (s *Service) GetApiKeys(ctx context.Context, in *api.GetApiKeysInput) (*api.ApiKeys, error) {
	prefix := inScope(tagKey, scopeOf(ctx))
	out := &api.ApiKeys{}
	err := s.store.View(ctx, func(r kv.Reader) (err error) {
		out.Items, out.Position, err = page(r, prefix, in.Position, in.Limit, func(k *api.ApiKey) bool {
			return strings.HasPrefix(value(k.Name), value(in.NameQuery)) && (in.CustomerId == nil || value(k.CustomerId) == *in.CustomerId)
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range out.Items {
		withoutValue(&out.Items[i], in.IncludeValues)
	}
	return out, nil
}

func (s *Service) UpdateApiKey(ctx context.Context, in *api.UpdateApiKeyInput) (*api.ApiKey, error) {
	sc := scopeOf(ctx)
	var row *api.ApiKey
	err := s.store.Update(ctx, func(tx kv.Tx) (err error) {
		if row, err = getKey(tx, sc, *in.ApiKey); err != nil {
			return err
		}
		err = applyPatches(in.PatchOperations, []patchRule{
			{"replace", "/name", setString(&row.Name)},
			{"add replace remove", "/description", setString(&row.Description)},
			{"add replace remove", "/customerId", setString(&row.CustomerId)},
			{"replace", "/enabled", setBool(&row.Enabled)},
			{"add remove", "/stages", func(p *patch) error {
				apiID, stage, ok := strings.Cut(value(p.value), "/")
				if !ok {
					return p.bad()
				}
				row.StageKeys = slices.DeleteFunc(row.StageKeys, func(k string) bool { return k == *p.value })
				if p.op == "remove" {
					return nil
				}
				row.StageKeys = append(row.StageKeys, *p.value)
				_, err := getStage(tx, sc, apiID, stage)
				return err
			}},
		})
		if err != nil {
			return err
		}
		row.LastUpdatedDate = now(tx)
		if err := put(tx, keyKey(sc, *row.Id), row); err != nil {
			return err
		}
		return touchPlans(tx, sc)
	})
	if err != nil {
		return nil, err
	}
	return withoutValue(row, nil), nil
}

func (s *Service) DeleteApiKey(ctx context.Context, in *api.DeleteApiKeyInput) (*api.DeleteApiKeyOutput, error) {
	sc, id := scopeOf(ctx), *in.ApiKey
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		row, err := getKey(tx, sc, id)
		if err != nil {
			return err
		}
		plans, err := plansOf(tx, sc, id)
		if err != nil {
			return err
		}
		for _, plan := range plans {
			if err := leavePlan(tx, sc, plan, id); err != nil {
				return err
			}
		}
		if err := tx.Delete(keyHashKey(sc, sha256.Sum256([]byte(*row.Value)))); err != nil {
			return err
		}
		if err := tx.Delete(keyKey(sc, id)); err != nil {
			return err
		}
		return touchPlans(tx, sc)
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteApiKeyOutput), nil
}
