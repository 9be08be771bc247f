package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	api "brume/internal/api/lambda"
	"brume/internal/kv"
)

// aliasRow is what is stored of an alias.
type aliasRow struct {
	Version     uint64 `json:"version"` // 0: $LATEST
	Description string `json:"description,omitempty"`
	// Weights are the shares of calls, between 0 and 1, that other versions get.
	Weights    map[uint64]float64 `json:"weights,omitempty"`
	RevisionID string             `json:"revisionId"`
}

var errNoAlias = errors.New("lambda: no such alias")

func getAlias(rd kv.Reader, r ref) (*aliasRow, error) {
	data, ok, err := rd.Get(aliasKey(r.scope, r.name, r.qualifier))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errNoAlias
	}
	return decodeAlias(data)
}

func decodeAlias(data []byte) (*aliasRow, error) {
	a := &aliasRow{}
	if err := json.Unmarshal(data, a); err != nil {
		return nil, fmt.Errorf("lambda: row of an alias: %w", err)
	}
	return a, nil
}

func aliasNotFound(r ref) error { return notFound("Cannot find alias arn: %s", r.arn()) }

// aliasConfiguration is a as the API shows it.
func aliasConfiguration(r ref, a *aliasRow) *api.AliasConfiguration {
	v := &versionRow{Number: a.Version}
	out := &api.AliasConfiguration{
		AliasArn: new(r.arn()), Name: new(r.qualifier), FunctionVersion: new(v.version()), Description: new(a.Description),
		RevisionId: new(a.RevisionID),
	}
	if len(a.Weights) > 0 {
		weights := make(map[string]float64, len(a.Weights))
		for number, weight := range a.Weights {
			weights[strconv.FormatUint(number, 10)] = weight
		}
		out.RoutingConfig = &api.AliasRoutingConfiguration{AdditionalVersionWeights: weights}
	}
	return out
}

// resolveAlias reads the names of a function and of an alias.
func resolveAlias(ctx context.Context, function, alias *string) (ref, error) {
	r, err := resolveName(ctx, function, nil)
	if err != nil {
		return ref{}, err
	}
	r.qualifier = *alias
	if !r.isAlias() || !isIdentifier(*alias) {
		return ref{}, failsConstraint(*alias, "name", `Member must satisfy regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)`)
	}
	return r, nil
}

// lead makes a lead to a version and, by weights, to others. Nil leaves it where it leads.
func (s *Service) lead(rd kv.Reader, r ref, a *aliasRow, version *string, routing *api.AliasRoutingConfiguration) error {
	exists := func(qualifier string) (uint64, error) {
		at := r.at(qualifier)
		if at.isAlias() {
			return 0, functionNotFound(at.arn())
		}
		number, err := versionNumber(at)
		if err == nil && number != 0 {
			_, err = s.getVersion(rd, at, number)
		}
		return number, err
	}
	if version != nil {
		number, err := exists(*version)
		if err != nil {
			return err
		}
		a.Version = number
	}
	if routing != nil {
		a.Weights = nil
		weights := routing.AdditionalVersionWeights
		if len(weights) > 1 {
			return invalid("Number of items in AdditionalVersionWeights cannot be greater than 1")
		}
		for _, v := range slices.Sorted(maps.Keys(weights)) {
			weight := weights[v]
			if weight < 0 || weight > 1 {
				return failsConstraint(weight, "routingConfig.additionalVersionWeights."+v+".member", "Member must have value between 0.0 and 1.0")
			}
			if v == latest {
				return invalid("$LATEST is not supported for an alias pointing to more than 1 version")
			}
			number, err := exists(v)
			if err != nil {
				return err
			}
			a.Weights = map[uint64]float64{number: weight}
		}
	}
	if len(a.Weights) > 0 && a.Version == 0 {
		return invalid("$LATEST is not supported for an alias pointing to more than 1 version")
	}
	if _, twice := a.Weights[a.Version]; twice {
		return invalid("Invalid function version %d. Function version %d is already included in routing configuration.", a.Version, a.Version)
	}
	return nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_CreateAlias.html
func (s *Service) CreateAlias(ctx context.Context, in *api.CreateAliasInput) (*api.AliasConfiguration, error) {
	r, err := resolveAlias(ctx, in.FunctionName, in.Name)
	if err != nil {
		return nil, err
	}
	var a *aliasRow
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		if _, err := s.peek(tx, r.function()); err != nil {
			return err
		}
		if _, err := getAlias(tx, r); err != errNoAlias {
			if err == nil {
				err = conflict("Alias already exists: %s", r.arn())
			}
			return err
		}
		a = &aliasRow{RevisionID: newUUID()}
		set(&a.Description, in.Description)
		if err := s.lead(tx, r, a, in.FunctionVersion, in.RoutingConfig); err != nil {
			return err
		}
		return putJSON(tx, aliasKey(r.scope, r.name, r.qualifier), a)
	})
	if err != nil {
		return nil, err
	}
	return aliasConfiguration(r, a), nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html
func (s *Service) UpdateAlias(ctx context.Context, in *api.UpdateAliasInput) (*api.AliasConfiguration, error) {
	r, err := resolveAlias(ctx, in.FunctionName, in.Name)
	if err != nil {
		return nil, err
	}
	var a *aliasRow
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		if _, err := s.peek(tx, r.function()); err != nil {
			return err
		}
		if a, err = getAlias(tx, r); err != nil {
			if err == errNoAlias {
				err = aliasNotFound(r)
			}
			return err
		}
		if in.RevisionId != nil && *in.RevisionId != a.RevisionID {
			return staleRevision("GetFunction/GetAlias")
		}
		set(&a.Description, in.Description)
		if err := s.lead(tx, r, a, in.FunctionVersion, in.RoutingConfig); err != nil {
			return err
		}
		a.RevisionID = newUUID()
		return putJSON(tx, aliasKey(r.scope, r.name, r.qualifier), a)
	})
	if err != nil {
		return nil, err
	}
	if err := s.reprovision(ctx, r.function()); err != nil {
		return nil, err
	}
	return aliasConfiguration(r, a), nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_GetAlias.html
func (s *Service) GetAlias(ctx context.Context, in *api.GetAliasInput) (*api.AliasConfiguration, error) {
	r, err := resolveAlias(ctx, in.FunctionName, in.Name)
	if err != nil {
		return nil, err
	}
	var out *api.AliasConfiguration
	err = s.store.View(ctx, func(rd kv.Reader) error {
		if _, err := s.peek(rd, r.function()); err != nil {
			return err
		}
		a, err := getAlias(rd, r)
		if err == errNoAlias {
			err = aliasNotFound(r)
		}
		if err == nil {
			out = aliasConfiguration(r, a)
		}
		return err
	})
	return out, err
}

// https://docs.aws.amazon.com/lambda/latest/api/API_ListAliases.html
func (s *Service) ListAliases(ctx context.Context, in *api.ListAliasesInput) (*api.ListAliasesOutput, error) {
	r, err := resolveName(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	p, err := newPage(in.Marker, in.MaxItems, pageSize)
	if err != nil {
		return nil, err
	}
	out := &api.ListAliasesOutput{Aliases: []api.AliasConfiguration{}}
	err = s.store.View(ctx, func(rd kv.Reader) error {
		if _, err := s.peek(rd, r.function()); err != nil {
			return err
		}
		for pair, err := range rd.Scan(kv.Prefix(aliasesPrefix(r.scope, r.name))) {
			if err != nil {
				return err
			}
			_, _, alias, err := parseAliasKey(pair.Key)
			if err != nil {
				return err
			}
			a, err := decodeAlias(pair.Value)
			if err != nil {
				return err
			}
			_, weighted := a.Weights[versionOf(in.FunctionVersion)]
			if in.FunctionVersion != nil && !weighted && (&versionRow{Number: a.Version}).version() != *in.FunctionVersion {
				continue
			}
			if p.take(alias) {
				out.Aliases = append(out.Aliases, *aliasConfiguration(r.at(alias), a))
			} else if p.full() {
				return nil
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out.NextMarker = p.next()
	return out, nil
}

// versionOf is the number that a version's text stands for, 0 for anything else.
func versionOf(s *string) uint64 {
	if s == nil {
		return 0
	}
	n, err := strconv.ParseUint(*s, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// https://docs.aws.amazon.com/lambda/latest/api/API_DeleteAlias.html
func (s *Service) DeleteAlias(ctx context.Context, in *api.DeleteAliasInput) (*api.DeleteAliasOutput, error) {
	r, err := resolveAlias(ctx, in.FunctionName, in.Name)
	if err != nil {
		return nil, err
	}
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		if _, err := s.peek(tx, r.function()); err != nil {
			return err
		}
		// That there is none is no error in AWS either.
		if err := tx.Delete(policyKey(r.scope, r.name, r.qualifier)); err != nil {
			return err
		}
		for _, key := range [][]byte{eventConfigKey(r), provisionedKey(r)} {
			if err := tx.Delete(key); err != nil {
				return err
			}
		}
		if row, err := getURL(tx, r); err == nil {
			if err := deleteURL(tx, r, row); err != nil {
				return err
			}
		} else if err != errNoURL {
			return err
		}
		return tx.Delete(aliasKey(r.scope, r.name, r.qualifier))
	})
	if err != nil {
		return nil, err
	}
	if err := s.reprovision(ctx, r.function()); err != nil {
		return nil, err
	}
	return &api.DeleteAliasOutput{}, nil
}
