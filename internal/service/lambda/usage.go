package lambda

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"brume/internal/kv"
	"brume/internal/service/lambda/environment"
)

// meterInterval is how often what was used is stored, and so the most that a crash can lose of the meters.
const meterInterval = time.Second

// A Meter counts what functions use: per function, architecture and day. What it has counted is stored by Run every
// second, so counting costs an invocation no write.
type Meter struct {
	store kv.Store
	log   *slog.Logger
	mu    sync.Mutex
	used  map[meterKey]Usage
}

// Usage is what a function used.
type Usage struct {
	Requests int64 `json:"requests"`
	// MemoryMBMillis is the memory that it had times the time that it was billed for, StorageMBMillis the same of what its
	// ephemeral storage has over what is free.
	MemoryMBMillis  int64 `json:"memoryMBMillis"`
	StorageMBMillis int64 `json:"storageMBMillis,omitempty"`
	// ProvisionedMBMillis is the memory of what was kept ready times the time that it was, ProvisionedRunMBMillis what of
	// that was billed for running: it is not in MemoryMBMillis.
	ProvisionedMBMillis    int64 `json:"provisionedMBMillis,omitempty"`
	ProvisionedRunMBMillis int64 `json:"provisionedRunMBMillis,omitempty"`
}

// Add adds v to u.
func (u *Usage) Add(v Usage) {
	u.Requests += v.Requests
	u.MemoryMBMillis += v.MemoryMBMillis
	u.StorageMBMillis += v.StorageMBMillis
	u.ProvisionedMBMillis += v.ProvisionedMBMillis
	u.ProvisionedRunMBMillis += v.ProvisionedRunMBMillis
}

// A meterKey is whose usage it is, and of which day.
type meterKey struct {
	scope
	day, name, architecture string
}

// NewMeter returns a meter that stores what it counts.
func NewMeter(store kv.Store, log *slog.Logger) *Meter {
	return &Meter{store: store, log: log, used: map[meterKey]Usage{}}
}

// Record implements environment.Meter.
func (m *Meter) Record(f *environment.Function, u *environment.Usage) {
	ms := u.Billed.Milliseconds()
	used := Usage{Requests: 1, StorageMBMillis: int64(max(f.TmpMB-defaultTmpSize, 0)) * ms}
	if u.Provisioned {
		used.ProvisionedRunMBMillis = int64(f.MemoryMB) * ms
	} else {
		used.MemoryMBMillis = int64(f.MemoryMB) * ms
	}
	m.add(f, used)
}

// Provisioned counts n environments of a function that were kept ready for a time.
func (m *Meter) Provisioned(f *environment.Function, n int32, d time.Duration) {
	m.add(f, Usage{ProvisionedMBMillis: int64(n) * int64(f.MemoryMB) * d.Milliseconds()})
}

func (m *Meter) add(f *environment.Function, used Usage) {
	k := meterKey{scope{f.Account, f.Region}, time.Now().UTC().Format(time.DateOnly), f.Name, f.Architecture}
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.used[k]
	before.Add(used)
	m.used[k] = before
}

// Run stores what was counted until ctx ends. Who ends it calls Flush after the last Record.
func (m *Meter) Run(ctx context.Context) {
	tick := time.NewTicker(meterInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := m.Flush(ctx); err != nil && ctx.Err() == nil {
				m.log.LogAttrs(ctx, slog.LevelError, "usage cannot be stored", slog.String("error", err.Error()))
			}
		}
	}
}

// Flush stores what was counted. What it cannot store it keeps for the next time.
func (m *Meter) Flush(ctx context.Context) error {
	m.mu.Lock()
	used := m.used
	m.used = make(map[meterKey]Usage, len(used))
	m.mu.Unlock()
	if len(used) == 0 {
		return nil
	}
	err := m.store.Update(ctx, func(tx kv.Tx) error {
		for k, u := range used {
			stored, err := getUsage(tx, meterRowKey(k))
			if err != nil {
				return err
			}
			stored.Add(u)
			if err := putJSON(tx, meterRowKey(k), stored); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		for k, u := range used {
			now := m.used[k]
			now.Add(u)
			m.used[k] = now
		}
	}
	return err
}

func getUsage(rd kv.Reader, key []byte) (*Usage, error) {
	data, ok, err := rd.Get(key)
	if err != nil || !ok {
		return &Usage{}, err
	}
	return decodeUsage(data)
}

func decodeUsage(data []byte) (*Usage, error) {
	u := &Usage{}
	if err := json.Unmarshal(data, u); err != nil {
		return nil, fmt.Errorf("lambda: row of a meter: %w", err)
	}
	return u, nil
}

// A MeterReading is what a function used on a day.
type MeterReading struct {
	Region       string `json:"region"`
	Day          string `json:"day"` // in UTC: "2026-01-31"
	Function     string `json:"function"`
	Architecture string `json:"architecture"`
	Usage
}

// Read returns the readings of an account from one day to another, both included.
func (m *Meter) Read(ctx context.Context, account, from, to string) ([]MeterReading, error) {
	if err := m.Flush(ctx); err != nil {
		return nil, err
	}
	var out []MeterReading
	err := m.store.View(ctx, func(rd kv.Reader) error {
		out = nil
		for pair, err := range rd.Scan(kv.Prefix(meterPrefix(account))) {
			if err != nil {
				return err
			}
			k, err := parseMeterRowKey(pair.Key)
			if err != nil {
				return err
			}
			if k.day < from || k.day > to {
				continue
			}
			u, err := decodeUsage(pair.Value)
			if err != nil {
				return err
			}
			out = append(out, MeterReading{k.region, k.day, k.name, k.architecture, *u})
		}
		return nil
	})
	return out, err
}
