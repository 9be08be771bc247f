package lambda

import (
	"context"

	api "brume/internal/api/lambda"
	"brume/internal/kv"
)

// The operations of this file answer for features that no function uses here. Tools ask for them whenever they read a
// function.

// GetFunctionCodeSigningConfig says that a function has no code signing configuration: there are none.
// https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionCodeSigningConfig.html
func (s *Service) GetFunctionCodeSigningConfig(ctx context.Context, in *api.GetFunctionCodeSigningConfigInput) (*api.GetFunctionCodeSigningConfigOutput, error) {
	r, err := s.existing(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	return &api.GetFunctionCodeSigningConfigOutput{FunctionName: new(r.name), CodeSigningConfigArn: new("")}, nil
}

// GetRuntimeManagementConfig says that a function runs with the interpreter that the machine has now.
// https://docs.aws.amazon.com/lambda/latest/api/API_GetRuntimeManagementConfig.html
func (s *Service) GetRuntimeManagementConfig(ctx context.Context, in *api.GetRuntimeManagementConfigInput) (*api.GetRuntimeManagementConfigOutput, error) {
	r, err := s.existing(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	return &api.GetRuntimeManagementConfigOutput{UpdateRuntimeOn: new(api.UpdateRuntimeOnAuto), FunctionArn: new(r.arn())}, nil
}

// existing reads a name whose function must exist, and its version or alias too.
func (s *Service) existing(ctx context.Context, name, qualifier *string) (ref, error) {
	r, err := resolveName(ctx, name, qualifier)
	if err != nil {
		return ref{}, err
	}
	return r, s.store.View(ctx, func(rd kv.Reader) error {
		_, _, err := s.find(rd, r)
		return err
	})
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
