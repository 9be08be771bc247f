package lambda

import (
	"context"
	"fmt"

	api "brume/internal/api/lambda"
	"brume/internal/kv"
)

// https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html
func (s *Service) PublishVersion(ctx context.Context, in *api.PublishVersionInput) (*api.FunctionConfiguration, error) {
	r, err := resolveName(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	if err := mustBeLatest(r); err != nil {
		return nil, err
	}
	var v *versionRow
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		f, err := s.getFunction(tx, r)
		if err != nil {
			return err
		}
		if in.RevisionId != nil && *in.RevisionId != f.Latest.RevisionID {
			return staleRevision("GetFunction/GetAlias")
		}
		if in.CodeSha256 != nil && *in.CodeSha256 != "" && *in.CodeSha256 != f.Latest.codeSHA256() {
			return invalid("CodeSHA256 (%s) is different from current CodeSHA256 in $LATEST (%s). "+
				"Please try again with the CodeSHA256 in $LATEST.", *in.CodeSha256, f.Latest.codeSHA256())
		}
		if v, err = s.publish(tx, r, f, in.Description); err != nil {
			return err
		}
		return putJSON(tx, functionKey(r.scope, r.name), f)
	})
	if err != nil {
		return nil, err
	}
	return s.configuration(r.at(v.version()), v), nil
}

// publish makes a version of $LATEST, unless the one published last is the same. The caller writes f.
func (s *Service) publish(tx kv.Tx, r ref, f *functionRow, description *string) (*versionRow, error) {
	if f.LastVersion > 0 && f.Published == f.Latest.content() {
		v, err := s.getVersion(tx, r, f.LastVersion)
		if err == nil {
			return v, nil
		}
		if _, deleted := err.(*api.ResourceNotFoundException); !deleted {
			return nil, err
		}
	}
	f.LastVersion++
	f.Published = f.Latest.content()
	v := f.Latest
	v.Number = f.LastVersion
	set(&v.Description, description)
	v.RevisionID = newUUID()
	if err := s.packages.useAll(tx, &v, r); err != nil {
		return nil, err
	}
	return &v, putJSON(tx, versionKey(r.scope, r.name, v.Number), &v)
}

// sortable writes a number so that texts of numbers compare as the numbers do.
func sortable(n uint64) string { return fmt.Sprintf("%020d", n) }

// https://docs.aws.amazon.com/lambda/latest/api/API_ListVersionsByFunction.html
func (s *Service) ListVersionsByFunction(ctx context.Context, in *api.ListVersionsByFunctionInput) (*api.ListVersionsByFunctionOutput, error) {
	r, err := resolveName(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	p, err := newPage(in.Marker, in.MaxItems, pageSize)
	if err != nil {
		return nil, err
	}
	r = r.function()
	out := &api.ListVersionsByFunctionOutput{Versions: []api.FunctionConfiguration{}}
	err = s.store.View(ctx, func(rd kv.Reader) error {
		f, err := s.getFunction(rd, r)
		if err != nil {
			return err
		}
		if p.take(r.name + ":") {
			out.Versions = append(out.Versions, *s.configuration(r.at(latest), &f.Latest))
		}
		_, err = s.eachVersion(rd, r, p, &out.Versions)
		return err
	})
	if err != nil {
		return nil, err
	}
	out.NextMarker = p.next()
	return out, nil
}

// deleteVersion deletes a published version that no alias leads to.
func (s *Service) deleteVersion(ctx context.Context, r ref) (*api.DeleteFunctionOutput, error) {
	number, err := versionNumber(r)
	if err != nil {
		return nil, err
	}
	var generation int64
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		generation = 0
		var aliases []string
		if _, err := s.peek(tx, r.function()); err != nil {
			return err
		}
		data, ok, err := tx.Get(versionKey(r.scope, r.name, number))
		if err != nil || !ok {
			return err // AWS takes the deletion of a version that is not there as done
		}
		v, err := s.decodeVersion(r, data)
		if err != nil {
			return err
		}
		generation = v.Generation + 1
		for pair, err := range tx.Scan(kv.Prefix(aliasesPrefix(r.scope, r.name))) {
			if err != nil {
				return err
			}
			a, err := decodeAlias(pair.Value)
			if err != nil {
				return err
			}
			if _, weighted := a.Weights[number]; weighted || a.Version == number {
				_, _, alias, err := parseAliasKey(pair.Key)
				if err != nil {
					return err
				}
				aliases = append(aliases, alias)
			}
		}
		if aliases != nil {
			return conflict("Unable to delete version because the following aliases reference it: %v", aliases)
		}
		if err := tx.Delete(versionKey(r.scope, r.name, number)); err != nil {
			return err
		}
		if err := tx.Delete(policyKey(r.scope, r.name, r.qualifier)); err != nil {
			return err
		}
		for _, key := range [][]byte{eventConfigKey(r), provisionedKey(r), runtimeKey(r)} {
			if err := tx.Delete(key); err != nil {
				return err
			}
		}
		return s.packages.dropAll(tx, v, r)
	})
	if err != nil {
		return nil, err
	}
	if err := s.reprovision(ctx, r.function()); err != nil {
		return nil, err
	}
	if generation != 0 {
		s.environments.Retire(r.account, r.region, r.name, r.qualifier, generation)
	}
	return &api.DeleteFunctionOutput{}, nil
}
