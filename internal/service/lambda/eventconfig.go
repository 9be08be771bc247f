package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	api "brume/internal/api/lambda"
	"brume/internal/kv"
)

// eventConfigRow says how asynchronous invocations of a function, a version or an alias are treated. Nil and empty stand
// for Lambda's defaults.
type eventConfigRow struct {
	Retries   *int32    `json:"retries,omitempty"`
	Age       *int32    `json:"age,omitempty"` // seconds
	OnSuccess string    `json:"onSuccess,omitempty"`
	OnFailure string    `json:"onFailure,omitempty"`
	Modified  time.Time `json:"modified"`
}

const eventConfigPageSize = 50

func getEventConfig(rd kv.Reader, r ref) (*eventConfigRow, error) {
	data, ok, err := rd.Get(eventConfigKey(r))
	if err != nil || !ok {
		return nil, err
	}
	return decodeEventConfig(data)
}

func decodeEventConfig(data []byte) (*eventConfigRow, error) {
	row := &eventConfigRow{}
	if err := json.Unmarshal(data, row); err != nil {
		return nil, fmt.Errorf("lambda: row of an event invoke configuration: %w", err)
	}
	return row, nil
}

func (row *eventConfigRow) config(r ref) *api.FunctionEventInvokeConfig {
	if r.qualifier == "" {
		r.qualifier = latest
	}
	out := &api.FunctionEventInvokeConfig{
		LastModified: new(row.Modified), FunctionArn: new(r.arn()), MaximumRetryAttempts: row.Retries, MaximumEventAgeInSeconds: row.Age,
		DestinationConfig: &api.DestinationConfig{OnSuccess: &api.OnSuccess{}, OnFailure: &api.OnFailure{}},
	}
	if row.OnSuccess != "" {
		out.DestinationConfig.OnSuccess.Destination = new(row.OnSuccess)
	}
	if row.OnFailure != "" {
		out.DestinationConfig.OnFailure.Destination = new(row.OnFailure)
	}
	return out
}

// apply follows what a request says; nil leaves all as it is. Destinations were checked before.
func (row *eventConfigRow) apply(retries, age *int32, to *api.DestinationConfig) {
	if retries != nil {
		row.Retries = retries
	}
	if age != nil {
		row.Age = age
	}
	if to != nil && to.OnSuccess != nil {
		row.OnSuccess = ""
		set(&row.OnSuccess, to.OnSuccess.Destination)
	}
	if to != nil && to.OnFailure != nil {
		row.OnFailure = ""
		set(&row.OnFailure, to.OnFailure.Destination)
	}
}

// checkDestinations checks what a configuration is to send records to.
func (s *Service) checkDestinations(ctx context.Context, r ref, role string, to *api.DestinationConfig) error {
	if to == nil {
		return nil
	}
	if to.OnSuccess != nil && to.OnSuccess.Destination != nil && *to.OnSuccess.Destination != "" {
		if err := s.checkDestination(ctx, r, role, *to.OnSuccess.Destination, false); err != nil {
			return err
		}
	}
	if to.OnFailure != nil && to.OnFailure.Destination != nil && *to.OnFailure.Destination != "" {
		return s.checkDestination(ctx, r, role, *to.OnFailure.Destination, true)
	}
	return nil
}

// roleOf reads a name, and the execution role of what it names.
func (s *Service) roleOf(ctx context.Context, name, qualifier *string) (r ref, role string, err error) {
	if r, err = resolveName(ctx, name, qualifier); err != nil {
		return r, "", err
	}
	err = s.store.View(ctx, func(rd kv.Reader) error {
		_, v, err := s.find(rd, r)
		if err == nil {
			role = v.Role
		}
		return err
	})
	return r, role, err
}

// eventTarget is what a configuration is for, which must exist.
func (s *Service) eventTarget(ctx context.Context, rd kv.Reader, name, qualifier *string) (ref, error) {
	r, err := resolveName(ctx, name, qualifier)
	if err != nil {
		return ref{}, err
	}
	if r.qualifier == latest {
		r.qualifier = ""
	}
	_, _, err = s.find(rd, r)
	return r, err
}

func noEventConfig(r ref) error {
	if r.qualifier == "" {
		r.qualifier = latest
	}
	return notFound("The function %s doesn't have an EventInvokeConfig", r.arn())
}

// https://docs.aws.amazon.com/lambda/latest/api/API_PutFunctionEventInvokeConfig.html
func (s *Service) PutFunctionEventInvokeConfig(ctx context.Context, in *api.PutFunctionEventInvokeConfigInput) (*api.FunctionEventInvokeConfig, error) {
	return s.changeEventConfig(ctx, (*api.UpdateFunctionEventInvokeConfigInput)(in), true)
}

// https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionEventInvokeConfig.html
func (s *Service) UpdateFunctionEventInvokeConfig(ctx context.Context, in *api.UpdateFunctionEventInvokeConfigInput) (*api.FunctionEventInvokeConfig, error) {
	return s.changeEventConfig(ctx, in, false)
}

func (s *Service) changeEventConfig(ctx context.Context, in *api.UpdateFunctionEventInvokeConfigInput, replace bool) (out *api.FunctionEventInvokeConfig, err error) {
	if in.MaximumRetryAttempts == nil && in.MaximumEventAgeInSeconds == nil && in.DestinationConfig == nil {
		return nil, invalid("You must specify at least one of error handling or destination setting.")
	}
	of, role, err := s.roleOf(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	if err := s.checkDestinations(ctx, of, role, in.DestinationConfig); err != nil {
		return nil, err
	}
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		r, err := s.eventTarget(ctx, tx, in.FunctionName, in.Qualifier)
		if err != nil {
			return err
		}
		row, err := getEventConfig(tx, r)
		switch {
		case err != nil:
			return err
		case replace:
			row = &eventConfigRow{}
		case row == nil:
			return noEventConfig(r)
		}
		row.apply(in.MaximumRetryAttempts, in.MaximumEventAgeInSeconds, in.DestinationConfig)
		row.Modified = tx.Now()
		out = row.config(r)
		return putJSON(tx, eventConfigKey(r), row)
	})
	return out, err
}

// https://docs.aws.amazon.com/lambda/latest/api/API_GetFunctionEventInvokeConfig.html
func (s *Service) GetFunctionEventInvokeConfig(ctx context.Context, in *api.GetFunctionEventInvokeConfigInput) (out *api.FunctionEventInvokeConfig, err error) {
	err = s.store.View(ctx, func(rd kv.Reader) error {
		r, err := s.eventTarget(ctx, rd, in.FunctionName, in.Qualifier)
		if err != nil {
			return err
		}
		row, err := getEventConfig(rd, r)
		if err != nil {
			return err
		}
		if row == nil {
			return noEventConfig(r)
		}
		out = row.config(r)
		return nil
	})
	return out, err
}

// https://docs.aws.amazon.com/lambda/latest/api/API_DeleteFunctionEventInvokeConfig.html
func (s *Service) DeleteFunctionEventInvokeConfig(ctx context.Context, in *api.DeleteFunctionEventInvokeConfigInput) (*api.DeleteFunctionEventInvokeConfigOutput, error) {
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		r, err := s.eventTarget(ctx, tx, in.FunctionName, in.Qualifier)
		if err != nil {
			return err
		}
		row, err := getEventConfig(tx, r)
		if err != nil {
			return err
		}
		if row == nil {
			return noEventConfig(r)
		}
		return tx.Delete(eventConfigKey(r))
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteFunctionEventInvokeConfigOutput{}, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctionEventInvokeConfigs.html
func (s *Service) ListFunctionEventInvokeConfigs(ctx context.Context, in *api.ListFunctionEventInvokeConfigsInput) (*api.ListFunctionEventInvokeConfigsOutput, error) {
	r, err := resolveName(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	p, err := newPage(in.Marker, in.MaxItems, eventConfigPageSize)
	if err != nil {
		return nil, err
	}
	out := &api.ListFunctionEventInvokeConfigsOutput{FunctionEventInvokeConfigs: []api.FunctionEventInvokeConfig{}}
	err = s.store.View(ctx, func(rd kv.Reader) error {
		if _, err := s.peek(rd, r.function()); err != nil {
			return err
		}
		for pair, err := range rd.Scan(kv.Prefix(eventConfigsPrefix(r.scope, r.name))) {
			if err != nil {
				return err
			}
			at, err := parseEventConfigKey(pair.Key)
			if err != nil {
				return err
			}
			row, err := decodeEventConfig(pair.Value)
			if err != nil {
				return err
			}
			if p.take(at.qualifier + ":") {
				out.FunctionEventInvokeConfigs = append(out.FunctionEventInvokeConfigs, *row.config(at))
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
