package lambda

import (
	"context"
	"encoding/json"
	"fmt"

	api "brume/internal/api/lambda"
	"brume/internal/kv"
)

// https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionCodeSigningConfig.html
func (s *Service) GetFunctionCodeSigningConfig(ctx context.Context, in *api.GetFunctionCodeSigningConfigInput) (*api.GetFunctionCodeSigningConfigOutput, error) {
	r, err := resolveName(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	out := &api.GetFunctionCodeSigningConfigOutput{FunctionName: new(r.name)}
	err = s.store.View(ctx, func(rd kv.Reader) error {
		f, err := s.peek(rd, r.function())
		if err == nil {
			out.CodeSigningConfigArn = new(f.row.CodeSigning)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// runtimeRow is a runtime management configuration. It is kept and has no effect: a function runs with the interpreter that
// the machine has.
type runtimeRow struct {
	UpdateOn string `json:"updateOn"`
	Version  string `json:"version,omitempty"`
}

// runtimeTarget is what a runtime management configuration is for, which must exist.
func (s *Service) runtimeTarget(ctx context.Context, rd kv.Reader, name, qualifier *string) (r, shown ref, err error) {
	if r, err = s.eventTarget(ctx, rd, name, qualifier); err != nil {
		return r, r, err
	}
	shown = r
	if shown.qualifier == "" {
		shown.qualifier = latest
	}
	return r, shown, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_PutRuntimeManagementConfig.html
func (s *Service) PutRuntimeManagementConfig(ctx context.Context, in *api.PutRuntimeManagementConfigInput) (*api.PutRuntimeManagementConfigOutput, error) {
	row := &runtimeRow{UpdateOn: *in.UpdateRuntimeOn}
	set(&row.Version, in.RuntimeVersionArn)
	switch manual := row.UpdateOn == api.UpdateRuntimeOnManual; {
	case manual && row.Version == "":
		return nil, invalid("RuntimeVersionArn is required when UpdateRuntimeOn is Manual.")
	case !manual && row.Version != "":
		return nil, invalid("RuntimeVersionArn can only be given when UpdateRuntimeOn is Manual.")
	}
	out := &api.PutRuntimeManagementConfigOutput{UpdateRuntimeOn: in.UpdateRuntimeOn, RuntimeVersionArn: in.RuntimeVersionArn}
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		r, shown, err := s.runtimeTarget(ctx, tx, in.FunctionName, in.Qualifier)
		if err != nil {
			return err
		}
		out.FunctionArn = new(shown.arn())
		return putJSON(tx, runtimeKey(r), row)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_GetRuntimeManagementConfig.html
func (s *Service) GetRuntimeManagementConfig(ctx context.Context, in *api.GetRuntimeManagementConfigInput) (*api.GetRuntimeManagementConfigOutput, error) {
	out := &api.GetRuntimeManagementConfigOutput{UpdateRuntimeOn: new(api.UpdateRuntimeOnAuto)}
	err := s.store.View(ctx, func(rd kv.Reader) error {
		r, shown, err := s.runtimeTarget(ctx, rd, in.FunctionName, in.Qualifier)
		if err != nil {
			return err
		}
		out.FunctionArn = new(shown.arn())
		data, ok, err := rd.Get(runtimeKey(r))
		if err != nil || !ok {
			return err
		}
		row := &runtimeRow{}
		if err := json.Unmarshal(data, row); err != nil {
			return fmt.Errorf("lambda: row of a runtime management configuration: %w", err)
		}
		out.UpdateRuntimeOn = new(row.UpdateOn)
		if row.Version != "" {
			out.RuntimeVersionArn = new(row.Version)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionRecursionConfig.html
func (s *Service) PutFunctionRecursionConfig(ctx context.Context, in *api.PutFunctionRecursionConfigInput) (*api.PutFunctionRecursionConfigOutput, error) {
	r, err := resolveName(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		f, err := s.getFunction(tx, r.function())
		if err != nil {
			return err
		}
		f.Recursion = *in.RecursiveLoop
		return putJSON(tx, functionKey(r.scope, r.name), f)
	})
	if err != nil {
		return nil, err
	}
	return &api.PutFunctionRecursionConfigOutput{RecursiveLoop: in.RecursiveLoop}, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionRecursionConfig.html
func (s *Service) GetFunctionRecursionConfig(ctx context.Context, in *api.GetFunctionRecursionConfigInput) (*api.GetFunctionRecursionConfigOutput, error) {
	r, err := resolveName(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	out := &api.GetFunctionRecursionConfigOutput{RecursiveLoop: new(api.RecursiveLoopTerminate)}
	err = s.store.View(ctx, func(rd kv.Reader) error {
		f, err := s.peek(rd, r.function())
		if err == nil && f.row.Recursion != "" {
			out.RecursiveLoop = new(f.row.Recursion)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
