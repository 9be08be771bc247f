package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	api "brume/internal/api/lambda"
	"brume/internal/kv"
	"brume/internal/service/lambda/environment"
)

const provisionedPageSize = 50

// provisionedRow is how many environments a version or an alias has ready.
type provisionedRow struct {
	Requested int32     `json:"requested"`
	Modified  time.Time `json:"modified"`
}

// Provisions remembers what environments were told to keep ready, so that they can be told of what is no more, and so that it
// can be metered.
type provisions struct {
	mu   sync.Mutex
	kept map[ref]*kept // by function
}

// kept is what a function has ready.
type kept struct {
	versions map[string]*environment.Function
	rows     map[ref]keptRow // by version or alias
	metered  time.Time       // up to when
}

type keptRow struct {
	fn *environment.Function // the version that it leads to
	*provisionedRow
}

// A ProvisionMeter is told what was kept ready.
type ProvisionMeter interface {
	Provisioned(f *environment.Function, n int32, d time.Duration)
}

// provisionUnit is what the time of a provision is rounded up to.
// https://aws.amazon.com/lambda/pricing/#Provisioned_Concurrency_Pricing
const provisionUnit = 5 * time.Minute

// meter counts what was ready since it was last called. The time between is a whole number of milliseconds.
func (k *kept) meter(m ProvisionMeter, now time.Time) {
	d := now.Sub(k.metered).Truncate(time.Millisecond)
	if d <= 0 {
		return
	}
	k.metered = k.metered.Add(d)
	for _, row := range k.rows {
		m.Provisioned(row.fn, row.Requested, d)
	}
}

// end counts the rest of the unit that what has ended had begun, where now is what is kept instead.
func (k *kept) end(m ProvisionMeter, rows map[ref]keptRow, now time.Time) {
	for at, row := range k.rows {
		left := int32(0)
		if still, ok := rows[at]; ok {
			left = still.Requested
		}
		if rest := provisionUnit - now.Sub(row.Modified)%provisionUnit; left < row.Requested && rest < provisionUnit {
			m.Provisioned(row.fn, row.Requested-left, rest)
		}
	}
}

// MeterProvisions counts what is kept ready, every second until ctx ends, and then for the last time.
func (s *Service) MeterProvisions(ctx context.Context) {
	tick := time.NewTicker(meterInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		s.provisions.mu.Lock()
		for _, k := range s.provisions.kept {
			k.meter(s.meter, time.Now())
		}
		s.provisions.mu.Unlock()
		if ctx.Err() != nil {
			return
		}
	}
}

func decodeProvisioned(data []byte) (*provisionedRow, error) {
	row := &provisionedRow{}
	if err := json.Unmarshal(data, row); err != nil {
		return nil, fmt.Errorf("lambda: row of a provisioned concurrency: %w", err)
	}
	return row, nil
}

func noProvisioned() error {
	return &api.ProvisionedConcurrencyConfigNotFoundException{Type: new(userFault), Message: new("No Provisioned Concurrency Config found for this function")}
}

// provisionedTarget is the version or the alias that a configuration is for, and the version that it leads to.
func (s *Service) provisionedTarget(ctx context.Context, rd kv.Reader, name, qualifier *string) (r ref, version uint64, err error) {
	if r, err = resolveName(ctx, name, qualifier); err != nil {
		return r, 0, err
	}
	_, v, err := s.find(rd, r)
	if err != nil {
		return r, 0, err
	}
	if v.Number == 0 {
		return r, 0, invalid("Provisioned Concurrency Configs cannot be applied to unpublished function versions.")
	}
	return r, v.Number, nil
}

// provisionedStatus says how far a version's provision is.
func (s *Service) provisionedStatus(r ref, version uint64, row *provisionedRow) *api.GetProvisionedConcurrencyConfigOutput {
	now := s.environments.Provisioned(r.account, r.region, r.name, (&versionRow{Number: version}).version())
	out := &api.GetProvisionedConcurrencyConfigOutput{
		RequestedProvisionedConcurrentExecutions: new(row.Requested), LastModified: new(lastModified(row.Modified)),
		AllocatedProvisionedConcurrentExecutions: new(min(int32(now.Allocated), row.Requested)),
		AvailableProvisionedConcurrentExecutions: new(min(int32(now.Available), row.Requested)),
		Status:                                   new(api.ProvisionedConcurrencyStatusEnumInProgress),
	}
	switch {
	case now.Reason != "":
		out.Status, out.StatusReason = new(api.ProvisionedConcurrencyStatusEnumFailed), new(now.Reason)
	case int32(now.Allocated) >= row.Requested:
		out.Status = new(api.ProvisionedConcurrencyStatusEnumReady)
	}
	return out
}

// https://docs.aws.amazon.com/lambda/latest/api/API_PutProvisionedConcurrencyConfig.html
func (s *Service) PutProvisionedConcurrencyConfig(ctx context.Context, in *api.PutProvisionedConcurrencyConfigInput) (*api.PutProvisionedConcurrencyConfigOutput, error) {
	var r ref
	var version uint64
	row := &provisionedRow{Requested: *in.ProvisionedConcurrentExecutions}
	err := s.store.Update(ctx, func(tx kv.Tx) (err error) {
		if r, version, err = s.provisionedTarget(ctx, tx, in.FunctionName, in.Qualifier); err != nil {
			return err
		}
		f, err := s.peek(tx, r.function())
		if err != nil {
			return err
		}
		if err := s.checkProvisioned(tx, r, f.row.Reserved, row.Requested); err != nil {
			return err
		}
		row.Modified = tx.Now()
		return putJSON(tx, provisionedKey(r), row)
	})
	if err != nil {
		return nil, err
	}
	if err := s.reprovision(ctx, r.function()); err != nil {
		return nil, err
	}
	return (*api.PutProvisionedConcurrencyConfigOutput)(s.provisionedStatus(r, version, row)), nil
}

// checkProvisioned refuses a provision that there is no room for: in what the function has reserved, or else in what no function
// has. An alias that leads to two versions can have none.
// https://docs.aws.amazon.com/lambda/latest/dg/provisioned-concurrency.html
func (s *Service) checkProvisioned(rd kv.Reader, r ref, reserved *int32, n int32) error {
	if r.isAlias() {
		a, err := getAlias(rd, r)
		if err != nil {
			return err
		}
		if len(a.Weights) > 0 {
			return invalid("Alias with weights can not be used with Provisioned Concurrency")
		}
	}
	account, err := s.reserved(rd, r.scope)
	if err != nil {
		return err
	}
	own, free := n, s.concurrency-account.sum()
	for at, other := range eachProvisioned(rd, inScope(tagProvisioned, r.scope), &err) {
		switch _, has := account.Functions[at.name]; {
		case at == r:
		case at.name == r.name:
			own += other.Requested
			free -= int(other.Requested)
		case !has:
			free -= int(other.Requested)
		}
	}
	switch least := min(minUnreserved, s.concurrency); {
	case err != nil:
		return err
	case reserved != nil && own > *reserved:
		return invalid("Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function")
	case reserved == nil && int(n) > max(free, 0):
		return invalid("Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [%d].", max(free, 0))
	case reserved == nil && free-int(n) < least:
		return invalid("Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of [%d].", least)
	}
	return nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_GetProvisionedConcurrencyConfig.html
func (s *Service) GetProvisionedConcurrencyConfig(ctx context.Context, in *api.GetProvisionedConcurrencyConfigInput) (out *api.GetProvisionedConcurrencyConfigOutput, err error) {
	err = s.store.View(ctx, func(rd kv.Reader) error {
		r, version, err := s.provisionedTarget(ctx, rd, in.FunctionName, in.Qualifier)
		if err != nil {
			return err
		}
		data, ok, err := rd.Get(provisionedKey(r))
		if err != nil {
			return err
		}
		if !ok {
			return noProvisioned()
		}
		row, err := decodeProvisioned(data)
		if err == nil {
			out = s.provisionedStatus(r, version, row)
		}
		return err
	})
	return out, err
}

// https://docs.aws.amazon.com/lambda/latest/api/API_DeleteProvisionedConcurrencyConfig.html
func (s *Service) DeleteProvisionedConcurrencyConfig(ctx context.Context, in *api.DeleteProvisionedConcurrencyConfigInput) (*api.DeleteProvisionedConcurrencyConfigOutput, error) {
	var r ref
	err := s.store.Update(ctx, func(tx kv.Tx) (err error) {
		if r, _, err = s.provisionedTarget(ctx, tx, in.FunctionName, in.Qualifier); err != nil {
			return err
		}
		return tx.Delete(provisionedKey(r)) // that there is none is no error in AWS either
	})
	if err != nil {
		return nil, err
	}
	if err := s.reprovision(ctx, r.function()); err != nil {
		return nil, err
	}
	return &api.DeleteProvisionedConcurrencyConfigOutput{}, nil
}

// https://docs.aws.amazon.com/lambda/latest/api/API_ListProvisionedConcurrencyConfigs.html
func (s *Service) ListProvisionedConcurrencyConfigs(ctx context.Context, in *api.ListProvisionedConcurrencyConfigsInput) (*api.ListProvisionedConcurrencyConfigsOutput, error) {
	r, err := resolveName(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	p, err := newPage(in.Marker, in.MaxItems, provisionedPageSize)
	if err != nil {
		return nil, err
	}
	out := &api.ListProvisionedConcurrencyConfigsOutput{ProvisionedConcurrencyConfigs: []api.ProvisionedConcurrencyConfigListItem{}}
	err = s.store.View(ctx, func(rd kv.Reader) (err error) {
		if _, err := s.peek(rd, r.function()); err != nil {
			return err
		}
		for at, row := range eachProvisioned(rd, provisionedPrefix(r.scope, r.name), &err) {
			if !p.take(at.qualifier) {
				if p.full() {
					break
				}
				continue
			}
			_, v, e := s.find(rd, at)
			if e != nil {
				return e
			}
			st := s.provisionedStatus(at, v.Number, row)
			out.ProvisionedConcurrencyConfigs = append(out.ProvisionedConcurrencyConfigs, api.ProvisionedConcurrencyConfigListItem{
				FunctionArn: new(at.arn()), RequestedProvisionedConcurrentExecutions: st.RequestedProvisionedConcurrentExecutions,
				AvailableProvisionedConcurrentExecutions: st.AvailableProvisionedConcurrentExecutions,
				AllocatedProvisionedConcurrentExecutions: st.AllocatedProvisionedConcurrentExecutions,
				Status:                                   st.Status, StatusReason: st.StatusReason, LastModified: st.LastModified,
			})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	out.NextMarker = p.next()
	return out, nil
}

// eachProvisioned yields the configurations whose keys have a prefix. What goes wrong is in err afterwards.
func eachProvisioned(rd kv.Reader, prefix []byte, err *error) func(yield func(ref, *provisionedRow) bool) {
	return func(yield func(ref, *provisionedRow) bool) {
		for pair, e := range rd.Scan(kv.Prefix(prefix)) {
			var at ref
			var row *provisionedRow
			if e == nil {
				at, e = parseRefKey(tagProvisioned, pair.Key)
			}
			if e == nil {
				row, e = decodeProvisioned(pair.Value)
			}
			if e != nil {
				*err = e
				return
			}
			if !yield(at, row) {
				return
			}
		}
	}
}

// reprovision tells the environments how many of each version of a function are to be ready: as many as the version and
// the aliases that lead to it say. It is called after each change of that, and may be called at any time.
func (s *Service) reprovision(ctx context.Context, r ref) error {
	s.provisions.mu.Lock()
	defer s.provisions.mu.Unlock()
	want := map[string]int{}
	now := &kept{versions: map[string]*environment.Function{}, rows: map[ref]keptRow{}}
	err := s.store.View(ctx, func(rd kv.Reader) (err error) {
		for at, row := range eachProvisioned(rd, provisionedPrefix(r.scope, r.name), &err) {
			_, v, e := s.find(rd, at)
			if e != nil {
				if _, gone := errors.AsType[*api.ResourceNotFoundException](e); gone {
					continue
				}
				return e
			}
			if v.Number == 0 {
				continue
			}
			want[v.version()] += int(row.Requested)
			now.versions[v.version()] = v.function(r)
			now.rows[at] = keptRow{now.versions[v.version()], row}
		}
		return err
	})
	if err != nil {
		return err
	}
	now.metered = time.Now()
	if before := s.provisions.kept[r]; before != nil {
		before.meter(s.meter, now.metered)
		before.end(s.meter, now.rows, now.metered)
		now.metered = before.metered
		for version, f := range before.versions {
			if want[version] == 0 {
				s.environments.Provision(f, 0)
			}
		}
	}
	for version, n := range want {
		s.environments.Provision(now.versions[version], n)
	}
	if s.provisions.kept == nil {
		s.provisions.kept = map[ref]*kept{}
	}
	if s.provisions.kept[r] = now; len(now.rows) == 0 {
		delete(s.provisions.kept, r)
	}
	return nil
}

// ProvisionAll makes ready what was asked for before this process started.
func (s *Service) ProvisionAll(ctx context.Context) error {
	functions := map[ref]bool{}
	err := s.store.View(ctx, func(rd kv.Reader) error {
		for pair, err := range rd.Scan(kv.Prefix(table(tagProvisioned))) {
			if err != nil {
				return err
			}
			at, err := parseRefKey(tagProvisioned, pair.Key)
			if err != nil {
				return err
			}
			functions[at.function()] = true
		}
		return nil
	})
	for r := range functions {
		if e := s.reprovision(ctx, r); e != nil {
			err = errors.Join(err, e)
		}
	}
	return err
}
