package environment

import (
	"context"
	"strings"
	"sync"
	"time"

	"brume/internal/call"
)

// recycleMargin is how long before the end of its credentials an environment gets its last invocation, apart from the time
// that this may take: SDKs begin to look for new credentials before the end. It is less for short sessions.
const recycleMargin = 15 * time.Minute

// A credentialCache keeps the sessions of execution roles, so that not every environment needs one of its own: all
// environments of a function are the same principal anyway. A session is given out during the first half of its life.
type credentialCache struct {
	mu       sync.Mutex
	sessions map[sessionKey]*session
}

// A sessionKey has the generation, because a new configuration is how people make Lambda forget a role that was deleted
// and made again under its old name.
type sessionKey struct {
	poolKey
	role       string
	generation int64
}

type session struct {
	*Credentials
	issued time.Time
}

func (s *session) life() time.Duration { return s.Expiry.Sub(s.issued) }

// recycle is when the session is too old for another invocation.
func (s *session) recycle() time.Time { return s.Expiry.Add(-min(recycleMargin, s.life()/4)) }

// credentials returns credentials for a new environment of f.
func (m *Manager) credentials(ctx context.Context, f *Function) (*session, error) {
	k := sessionKey{f.poolKey(), f.Role, f.Generation}
	now := time.Now()
	m.creds.mu.Lock()
	s := m.creds.sessions[k]
	m.creds.mu.Unlock()
	if s != nil && now.Before(s.issued.Add(s.life()/2)) {
		return s, nil
	}
	c, err := m.c.Roles.IssueRoleSession(f.caller(ctx), f.Role, f.Name, m.c.SessionDuration)
	if err != nil {
		return nil, err
	}
	s = &session{c, now}
	m.creds.mu.Lock()
	m.creds.sessions[k] = s
	m.creds.mu.Unlock()
	return s, nil
}

// caller puts into ctx who calls other services for f.
func (f *Function) caller(ctx context.Context) context.Context {
	return call.With(ctx, &call.Info{
		RequestID: call.NewRequestID(), Account: f.Account, Region: f.Region, Secure: true, Time: time.Now(),
		Principal: call.Principal{Type: call.Service, ARN: "lambda.amazonaws.com"},
		SourceARN: strings.TrimSuffix(f.ARN, ":"+f.Version), SourceAccount: f.Account,
	})
}

// prune forgets what has ended.
func (c *credentialCache) prune(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, s := range c.sessions {
		if s.Expiry.Before(now) {
			delete(c.sessions, k)
		}
	}
}
