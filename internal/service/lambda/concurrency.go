package lambda

import (
	"context"

	api "brume/internal/api/lambda"
	"brume/internal/kv"
)

// minUnreserved is what functions without a concurrency of their own must be left.
// https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
const minUnreserved = 100

// https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionConcurrency.html
func (s *Service) PutFunctionConcurrency(ctx context.Context, in *api.PutFunctionConcurrencyInput) (*api.Concurrency, error) {
	n := *in.ReservedConcurrentExecutions
	if err := s.reserve(ctx, in.FunctionName, &n); err != nil {
		return nil, err
	}
	return &api.Concurrency{ReservedConcurrentExecutions: &n}, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunctionConcurrency.html
func (s *Service) DeleteFunctionConcurrency(ctx context.Context, in *api.DeleteFunctionConcurrencyInput) (*api.DeleteFunctionConcurrencyOutput, error) {
	if err := s.reserve(ctx, in.FunctionName, nil); err != nil {
		return nil, err
	}
	return &api.DeleteFunctionConcurrencyOutput{}, nil
}

// reserve gives a function n concurrent invocations of its own, or none.
func (s *Service) reserve(ctx context.Context, name *string, n *int32) error {
	r, err := resolveName(ctx, name, nil)
	if err != nil {
		return err
	}
	if r.qualifier != "" {
		return invalid("This operation is permitted on Lambda functions only. Aliases and versions do not support this operation. Please specify either a function name or an unqualified function ARN.")
	}
	return s.store.Update(ctx, func(tx kv.Tx) error {
		f, err := s.getFunction(tx, r)
		if err != nil {
			return err
		}
		provisioned := int32(0)
		for _, row := range eachProvisioned(tx, provisionedPrefix(r.scope, r.name), &err) {
			provisioned += row.Requested
		}
		if err != nil {
			return err
		}
		if n != nil && *n < provisioned {
			return invalid("ReservedConcurrentExecutions %d should not be lower than function's total provisioned concurrency [%d].", *n, provisioned)
		}
		f.Reserved = n
		if err := s.setReserved(tx, r, n); err != nil {
			return err
		}
		return putJSON(tx, functionKey(r.scope, r.name), f)
	})
}

// setReserved keeps the sum of all functions' own concurrency, and sees that enough is left for the others.
func (s *Service) setReserved(tx kv.Tx, r ref, n *int32) error {
	row := &reservedRow{}
	data, ok, err := tx.Get(reservedKey(r.scope))
	if err == nil && ok {
		row, err = decodeReserved(data)
	}
	if err != nil {
		return err
	}
	if row.Functions == nil {
		row.Functions = make(map[string]int32)
	}
	delete(row.Functions, r.name)
	if n != nil {
		row.Functions[r.name] = *n
		if least := min(minUnreserved, s.concurrency); *n > 0 && s.concurrency-row.sum() < least {
			return invalid("Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d].", least)
		}
	}
	return putJSON(tx, reservedKey(r.scope), row)
}

// https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionConcurrency.html
func (s *Service) GetFunctionConcurrency(ctx context.Context, in *api.GetFunctionConcurrencyInput) (*api.GetFunctionConcurrencyOutput, error) {
	r, err := resolveName(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	out := &api.GetFunctionConcurrencyOutput{}
	err = s.store.View(ctx, func(rd kv.Reader) error {
		f, err := s.peek(rd, r.function())
		if err == nil && f.row.Reserved != nil {
			out.ReservedConcurrentExecutions = new(*f.row.Reserved)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
