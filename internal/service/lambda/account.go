package lambda

import (
	"context"

	api "brume/internal/api/lambda"
	"brume/internal/kv"
	"brume/internal/service/lambda/code"
)

// totalCodeSize is Lambda's quota for all code in a region, in bytes. Brume does not enforce it: the disk is its user's.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
const totalCodeSize = 75 << 30

// https://docs.aws.amazon.com/lambda/latest/api/API_GetAccountSettings.html
func (s *Service) GetAccountSettings(ctx context.Context, _ *api.GetAccountSettingsInput) (*api.GetAccountSettingsOutput, error) {
	sc := scopeOf(ctx)
	var size, count int64
	var reserved int
	err := s.store.View(ctx, func(rd kv.Reader) error {
		for pair, err := range rd.Scan(kv.Prefix(inScope(tagFunction, sc))) {
			if err != nil {
				return err
			}
			_, name, err := parseFunctionKey(pair.Key)
			if err != nil {
				return err
			}
			f, err := s.decodeFunction(ref{sc, name, ""}, pair.Value)
			if err != nil {
				return err
			}
			count++
			size += f.Latest.Code.Size
		}
		for pair, err := range rd.Scan(kv.Prefix(inScope(tagVersion, sc))) {
			if err != nil {
				return err
			}
			_, name, _, err := parseVersionKey(pair.Key)
			if err != nil {
				return err
			}
			v, err := s.decodeVersion(ref{sc, name, ""}, pair.Value)
			if err != nil {
				return err
			}
			size += v.Code.Size
		}
		row, err := s.reserved(rd, sc)
		if err == nil {
			reserved = row.sum()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return &api.GetAccountSettingsOutput{
		AccountLimit: &api.AccountLimit{
			TotalCodeSize: new(int64(totalCodeSize)), CodeSizeUnzipped: new(int64(code.MaxUnzipped)), CodeSizeZipped: new(int64(code.MaxZipped)),
			ConcurrentExecutions: new(int32(s.concurrency)), UnreservedConcurrentExecutions: new(int32(max(s.concurrency-reserved, 0))),
		},
		AccountUsage: &api.AccountUsage{TotalCodeSize: &size, FunctionCount: &count},
	}, nil
}
