package logs

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	api "brume/internal/api/logs"
	"brume/internal/call"
	"brume/internal/kv"
	"brume/internal/schema"
	"brume/internal/service/logs/pattern"
)

// Limits of Live Tail.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartLiveTail.html
const (
	maxTails      = 15 // of an account
	maxTailGroups = 10
	tailLifetime  = 3 * time.Hour
	tailInterval  = time.Second
	maxTailEvents = 500 // in an update; what comes on top is left out, and the update says so
)

// tails are the sessions of Live Tail.
type tails struct {
	n    atomic.Int32 // so that without any a batch costs nothing
	mu   sync.Mutex
	list []*tail
}

// tail is one session.
type tail struct {
	scope    scope
	groups   map[uint64]string // identifiers, by the ids of groups
	streams  []string
	prefixes []string
	filter   *pattern.Pattern
	stop     chan struct{} // closed when the server ends

	mu      sync.Mutex
	events  []api.LiveTailSessionLogEvent
	sampled bool
}

func (s *tails) add(t *tail) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, other := range s.list {
		if other.scope.account == t.scope.account {
			n++
		}
	}
	if n >= maxTails {
		return limitExceeded()
	}
	t.stop = make(chan struct{})
	s.list = append(s.list, t)
	s.n.Add(1)
	return nil
}

func (s *tails) remove(t *tail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.list)
	s.list = slices.DeleteFunc(s.list, func(other *tail) bool { return other == t })
	s.n.Add(int32(len(s.list) - n))
}

// EndLiveTail ends all sessions of Live Tail. A server that is to stop would wait for them in vain.
func (s *Service) EndLiveTail() {
	s.tails.mu.Lock()
	defer s.tails.mu.Unlock()
	for _, t := range s.tails.list {
		close(t.stop)
	}
	s.tails.n.Add(-int32(len(s.tails.list)))
	s.tails.list = nil
}

// publish shows a batch that was stored to the sessions.
func (s *tails) publish(b *batch) {
	if s.n.Load() == 0 {
		return
	}
	s.mu.Lock()
	list := slices.Clone(s.list)
	s.mu.Unlock()
	for _, t := range list {
		t.take(b)
	}
}

func (t *tail) take(b *batch) {
	identifier, ok := t.groups[b.group.ID]
	if !ok || len(t.streams) > 0 && !slices.Contains(t.streams, b.stream) ||
		len(t.prefixes) > 0 && !slices.ContainsFunc(t.prefixes, func(p string) bool { return strings.HasPrefix(b.stream, p) }) {
		return
	}
	for i := range b.events {
		e := &b.events[i]
		if !t.filter.Match(e.message) {
			continue
		}
		t.mu.Lock()
		full := len(t.events) >= maxTailEvents
		if full {
			t.sampled = true
		} else {
			t.events = append(t.events, api.LiveTailSessionLogEvent{
				LogStreamName: &b.stream, LogGroupIdentifier: &identifier, Message: &e.message, Timestamp: &e.timestamp, IngestionTime: &e.ingestion,
			})
		}
		t.mu.Unlock()
		if full {
			return
		}
	}
}

// update is what came since the last one.
func (t *tail) update() *api.LiveTailSessionUpdate {
	t.mu.Lock()
	defer t.mu.Unlock()
	u := &api.LiveTailSessionUpdate{SessionMetadata: &api.LiveTailSessionMetadata{Sampled: new(t.sampled)}, SessionResults: t.events}
	if u.SessionResults == nil {
		u.SessionResults = []api.LiveTailSessionLogEvent{}
	}
	t.events, t.sampled = nil, false
	return u
}

// tailGroup is the name of the group that an identifier of Live Tail, which must be an ARN, speaks of.
func tailGroup(sc scope, identifier string) (string, error) {
	if !strings.HasPrefix(identifier, "arn:") || strings.HasSuffix(identifier, ":*") {
		return "", invalidParameter("Invalid log group identifier '%s': it must be the ARN of a log group, without :* at its end.", identifier)
	}
	return groupName(sc, identifier)
}

// StartLiveTail shows events as they are stored, once a second, until the caller goes or three hours are over.
func (s *Service) StartLiveTail(ctx context.Context, in *api.StartLiveTailInput) (*api.StartLiveTailOutput, error) {
	sc := scopeOf(ctx)
	filter, err := compilePattern(in.LogEventFilterPattern)
	if err != nil {
		return nil, err
	}
	if len(in.LogGroupIdentifiers) > maxTailGroups {
		return nil, invalidParameter("No more than %d log groups may be given.", maxTailGroups)
	}
	if len(in.LogStreamNames) > 0 && len(in.LogStreamNamePrefixes) > 0 {
		return nil, invalidParameter("logStreamNames and logStreamNamePrefixes are mutually exclusive parameters.")
	}
	if len(in.LogStreamNames)+len(in.LogStreamNamePrefixes) > 0 && len(in.LogGroupIdentifiers) != 1 {
		return nil, invalidParameter("Log streams may be given only for a single log group.")
	}
	t := &tail{scope: sc, groups: map[uint64]string{}, streams: in.LogStreamNames, prefixes: in.LogStreamNamePrefixes, filter: filter}
	err = s.store.View(ctx, func(tx kv.Reader) error {
		for _, identifier := range in.LogGroupIdentifiers {
			name, err := tailGroup(sc, identifier)
			if err != nil {
				return err
			}
			group, err := getGroup(tx, sc, name)
			if err != nil {
				return err
			}
			if group.Class != api.LogGroupClassStandard {
				return &api.InvalidOperationException{Message: new("Live Tail is for log groups of the class STANDARD only.")}
			}
			t.groups[group.ID] = sc.account + ":" + name
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	start := &api.LiveTailSessionStart{
		RequestId: new(call.From(ctx).RequestID), SessionId: new(newUUID()), LogGroupIdentifiers: in.LogGroupIdentifiers,
		LogStreamNames: in.LogStreamNames, LogStreamNamePrefixes: in.LogStreamNamePrefixes, LogEventFilterPattern: in.LogEventFilterPattern,
	}
	return &api.StartLiveTailOutput{ResponseStream: func(send func(*schema.Event) error) error { return s.tailEvents(ctx, t, start, send) }}, nil
}

// tailEvents is a session, from its start to its end.
func (s *Service) tailEvents(ctx context.Context, t *tail, start *api.LiveTailSessionStart, send func(*schema.Event) error) error {
	// Only here, so that a session that is never sent does not stay.
	if err := s.tails.add(t); err != nil {
		return err
	}
	defer s.tails.remove(t)
	if err := send(&schema.Event{Name: "sessionStart", Shape: "LiveTailSessionStart", Members: start}); err != nil {
		return err
	}
	ticker := time.NewTicker(tailInterval)
	defer ticker.Stop()
	end := time.NewTimer(tailLifetime)
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.stop:
			return &api.SessionStreamingException{Message: new("The server is stopping.")}
		case <-end.C:
			return &api.SessionTimeoutException{Message: new("The session has ended after three hours.")}
		case <-ticker.C:
			if err := send(&schema.Event{Name: "sessionUpdate", Shape: "LiveTailSessionUpdate", Members: t.update()}); err != nil {
				return err
			}
		}
	}
}
