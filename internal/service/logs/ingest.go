package logs

import (
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"brume/internal/kv"
	"brume/internal/service/logs/pattern"
)

// batch is what one PutLogEvents stored.
type batch struct {
	scope  scope
	group  *groupRow
	name   string // of the group
	stream string
	id     uint64 // of the stream
	events []event
}

// compiled returns the pattern of a filter that was stored, and so is a valid one.
func (s *Service) compiled(text string) (*pattern.Pattern, error) {
	if p, ok := s.patterns.Get(text); ok {
		return p, nil
	}
	p, err := pattern.Parse(text)
	if err != nil {
		return nil, err
	}
	s.patterns.Set(text, p)
	return p, nil
}

// count adds what a batch says to the metrics of the group's filters.
func (s *Service) count(tx kv.Tx, b *batch) error {
	if b.group.MetricFilters == 0 {
		return nil
	}
	points := map[pointKey]*point{}
	for pair, err := range tx.Scan(kv.Prefix(metricFilterPrefix(b.group.ID))) {
		if err != nil {
			return err
		}
		var f metricFilterRow
		if err := json.Unmarshal(pair.Value, &f); err != nil {
			return err
		}
		p, err := s.compiled(f.Pattern)
		if err != nil {
			return err
		}
		for _, e := range b.events {
			found, ok := p.Find(e.message)
			for i := range f.Transformations {
				f.Transformations[i].add(points, e.timestamp, found, ok)
			}
		}
	}
	for k, p := range points {
		key := pointRowKey(b.scope, k, b.id)
		var row point
		if _, err := getJSON(tx, key, &row); err != nil {
			return err
		}
		row.merge(p)
		if err := setJSON(tx, key, row); err != nil {
			return err
		}
	}
	return nil
}

// add counts an event, which matched if ok.
func (t *transformation) add(points map[pointKey]*point, timestamp int64, e pattern.Event, ok bool) {
	key := pointKey{namespace: t.Namespace, name: t.Name, minute: time.UnixMilli(timestamp).Truncate(time.Minute).Unix()}
	if !ok {
		if t.Default != nil {
			p := points[key]
			if p == nil {
				p = new(point)
				points[key] = p
			}
			p.Default, p.Unit = t.Default, t.Unit
		}
		return
	}
	text := t.Value
	if strings.HasPrefix(text, "$") {
		if text, ok = e.Value(text); !ok {
			return
		}
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil || value != value || value > 1e300 || value < -1e300 {
		return
	}
	if len(t.Dimensions) > 0 {
		dimensions := make(map[string]string, len(t.Dimensions))
		for name, reference := range t.Dimensions {
			v, ok := e.Value(reference)
			if !ok || v == "" || len(v) > maxDimension {
				return
			}
			dimensions[name] = v
		}
		text, err := json.Marshal(dimensions)
		if err != nil {
			return // strings in a map always are JSON
		}
		key.dimensions = string(text)
	}
	p := points[key]
	if p == nil {
		p = new(point)
		points[key] = p
	}
	p.merge(&point{Count: 1, Sum: value, Min: value, Max: value, Unit: t.Unit})
}

// passOn enqueues the deliveries of a batch to the group's subscriptions, and returns how many.
func (s *Service) passOn(tx kv.Tx, b *batch) (jobs int, dropped int64, err error) {
	if b.group.Subscriptions == 0 {
		return 0, 0, nil
	}
	for pair, err := range tx.Scan(kv.Prefix(subscriptionPrefix(b.group.ID))) {
		if err != nil {
			return 0, 0, err
		}
		_, filter, err := parseFilterKey(tagSubscription, pair.Key)
		if err != nil {
			return 0, 0, err
		}
		var row subscriptionRow
		if err := json.Unmarshal(pair.Value, &row); err != nil {
			return 0, 0, err
		}
		// A function's own log lines, in a group that it shares, would make it run without end.
		if strings.Contains(b.stream, "/"+functionOf(row.Destination)+"[") {
			continue
		}
		p, err := s.compiled(row.Pattern)
		if err != nil {
			return 0, 0, err
		}
		events := matchedEvents(p, b)
		if len(events) == 0 {
			continue
		}
		if s.pending.Load() >= maxPending {
			dropped += int64(len(events))
			continue
		}
		n, lost, err := enqueueDelivery(tx, b, filter, &row, events)
		if err != nil {
			return 0, 0, err
		}
		jobs, dropped = jobs+n, dropped+lost
	}
	return jobs, dropped, nil
}

// passedOn is for after the commit of passOn's transaction: it shows the batch to Live Tail, and counts.
func (s *Service) passedOn(ctx context.Context, b *batch, jobs int, dropped int64) {
	s.tails.publish(b)
	s.pending.Add(int64(jobs))
	if dropped > 0 {
		s.drop(ctx, b.name, dropped, "too many deliveries wait, or an event is too large for one")
	}
}

// drop counts and says that events do not reach the subscriptions of a group.
func (s *Service) drop(ctx context.Context, group string, n int64, why string) {
	s.log.LogAttrs(ctx, slog.LevelWarn, "log events are not delivered to a subscription", slog.String("group", group),
		slog.Int64("events", n), slog.Int64("sinceStart", s.dropped.Add(n)), slog.String("reason", why))
}
