package iam

import (
	"context"
	"strings"
	"sync"
	"time"

	"brume/internal/call"
	"brume/internal/kv"
)

// flushInterval is how long a use of a key waits for the store: what a crash may lose.
const flushInterval = time.Minute

// A useRow says when an access key or a role was last used.
type useRow struct {
	At              time.Time
	Service, Region string
}

// uses holds the uses that the store does not have yet: of keys and roles by their ids, and of services.
type uses struct {
	mu       sync.Mutex
	pending  map[string]useRow
	accesses map[access]seen
}

func newUses() *uses { return &uses{pending: map[string]useRow{}, accesses: map[access]seen{}} }

func (u *uses) drain() (map[string]useRow, map[access]seen) {
	u.mu.Lock()
	defer u.mu.Unlock()
	pending, accesses := u.pending, u.accesses
	u.pending, u.accesses = map[string]useRow{}, map[access]seen{}
	return pending, accesses
}

// RecordUse notes that a call was made with an access key or by a role. It writes nothing: Run does, once in a while.
func (s *Service) RecordUse(info *call.Info) {
	p := &info.Principal
	id := p.AccessKeyID
	if p.Type == call.AssumedRole {
		id, _, _ = strings.Cut(p.ID, ":")
	} else if p.Session != nil {
		return
	}
	if id == "" {
		return
	}
	s.uses.mu.Lock()
	s.uses.pending[id] = useRow{info.Time, info.Service, info.Region}
	s.uses.mu.Unlock()
}

// Run writes the uses of keys and roles to the store until ctx ends, and then a last time.
func (s *Service) Run(ctx context.Context) {
	ticker := time.NewTicker(flushInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.flushUses(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
			defer cancel()
			s.flushUses(last)
			return
		}
	}
}

// flushUses writes what is pending. What cannot be written now is tried again later.
func (s *Service) flushUses(ctx context.Context) {
	pending, accesses := s.uses.drain()
	if len(pending)+len(accesses) == 0 {
		return
	}
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		t := txn{reader{tx, ""}, tx}
		for id, use := range pending {
			exists, err := t.has(accessKeyKey(id))
			if err == nil && !exists {
				exists, err = t.has(idKey(id))
			}
			if err != nil {
				return err
			}
			if !exists {
				continue
			}
			use.At = use.At.UTC().Truncate(time.Second)
			if err := t.setJSON(lastUsedKey(id), use); err != nil {
				return err
			}
		}
		return t.writeAccesses(accesses)
	})
	if err == nil {
		return
	}
	s.log.ErrorContext(ctx, "writing when access keys and services were last used", "error", err)
	s.uses.mu.Lock()
	defer s.uses.mu.Unlock()
	for id, use := range pending {
		if _, newer := s.uses.pending[id]; !newer {
			s.uses.pending[id] = use
		}
	}
	for a, at := range accesses {
		if _, newer := s.uses.accesses[a]; !newer && len(s.uses.accesses) < maxPendingAccesses {
			s.uses.accesses[a] = at
		}
	}
}

// lastUse returns the last use of an access key or role, by its id.
func (s *Service) lastUse(r reader, id string) (use useRow, ok bool, err error) {
	s.uses.mu.Lock()
	use, ok = s.uses.pending[id]
	s.uses.mu.Unlock()
	if ok {
		use.At = use.At.UTC().Truncate(time.Second)
		return use, true, nil
	}
	ok, err = r.getJSON(lastUsedKey(id), &use)
	return use, ok, err
}
