package apigateway

import (
	"context"
	"strings"

	api "brume/internal/api/apigateway"
	"brume/internal/edge"
	"brume/internal/kv"
)

// An accountRow is what can be set on an account in a region.
type accountRow struct {
	CloudwatchRoleArn *string `json:"cloudwatchRoleArn,omitempty"`
}

func (row *accountRow) show() *api.Account {
	l := edge.AccountLimit()
	return &api.Account{
		CloudwatchRoleArn: row.CloudwatchRoleArn, ThrottleSettings: &api.ThrottleSettings{BurstLimit: new(int32(l.Burst)), RateLimit: new(l.Rate)},
		Features: []string{"UsagePlans"}, ApiKeyVersion: new("4"),
	}
}

func (s *Service) GetAccount(ctx context.Context, _ *api.GetAccountInput) (*api.Account, error) {
	var row *accountRow
	err := s.store.View(ctx, func(r kv.Reader) (err error) {
		row, err = get[accountRow](r, accountKey(scopeOf(ctx)))
		return err
	})
	if err != nil {
		return nil, err
	}
	if row == nil {
		row = &accountRow{}
	}
	return row.show(), nil
}

func (s *Service) UpdateAccount(ctx context.Context, in *api.UpdateAccountInput) (*api.Account, error) {
	sc := scopeOf(ctx)
	var row *accountRow
	err := s.store.Update(ctx, func(tx kv.Tx) (err error) {
		if row, err = get[accountRow](tx, accountKey(sc)); err != nil {
			return err
		}
		if row == nil {
			row = &accountRow{}
		}
		err = applyPatches(in.PatchOperations, []patchRule{
			{"add replace remove", "/cloudwatchRoleArn", setString(&row.CloudwatchRoleArn)},
			{"add remove", "/features", func(*patch) error { return nil }}, // UsagePlans is there for everyone
		})
		if err != nil {
			return err
		}
		if arn := value(row.CloudwatchRoleArn); arn != "" && (!strings.HasPrefix(arn, "arn:aws:iam::") || !strings.Contains(arn, ":role/")) {
			return invalid("The role ARN does not have required permissions configured. Please grant trust permission for API Gateway and add the required role policy.")
		}
		// Compiled stages know the role.
		for rest, err := range rows[api.RestApi](tx, kv.Prefix(inScope(tagAPI, sc))) {
			if err != nil {
				return err
			}
			if err := touchAPI(tx, sc, *rest.Id); err != nil {
				return err
			}
		}
		return put(tx, accountKey(sc), row)
	})
	if err != nil {
		return nil, err
	}
	return row.show(), nil
}
