package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"brume/internal/kv"
	"brume/internal/outbox"
	"brume/internal/service/lambda/environment"
	"brume/internal/service/lambda/eventsource"
)

// mappingRetry is how long RunMappings waits after it could not read or write the mappings.
const mappingRetry = 5 * time.Second

// RunMappings reads the event sources of all mappings until ctx ends. It is woken by each change of a mapping, and brings
// mappings from the states that operations leave them in to those that they lead to, also after a crash.
func (s *Service) RunMappings(ctx context.Context) {
	wake := make(chan struct{}, 1)
	wake <- struct{}{}
	stop := s.store.Watch(table(tagMapping), func([]byte) {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
	defer stop()
	run := &mappingRunner{service: s, pollers: map[mappingRef]*runningPoller{}}
	defer run.stopAll()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
		}
		if err := run.reconcile(ctx); err != nil && ctx.Err() == nil {
			s.log.LogAttrs(ctx, slog.LevelError, "event source mappings cannot be run", slog.String("error", err.Error()))
			select {
			case <-time.After(mappingRetry):
			case <-ctx.Done():
				return
			}
			select {
			case wake <- struct{}{}:
			default:
			}
		}
	}
}

// A mappingRunner has the pollers of mappings.
type mappingRunner struct {
	service *Service
	pollers map[mappingRef]*runningPoller
}

type runningPoller struct {
	generation int64
	cancel     context.CancelFunc
	done       chan struct{}
}

func (p *runningPoller) stop() {
	p.cancel()
	<-p.done
}

func (r *mappingRunner) stopAll() {
	for _, p := range r.pollers {
		p.cancel()
	}
	for _, p := range r.pollers {
		<-p.done
	}
}

// reconcile makes what runs what should.
func (r *mappingRunner) reconcile(ctx context.Context) error {
	s := r.service
	rows := map[mappingRef]*mappingRow{}
	if err := s.store.View(ctx, func(rd kv.Reader) (err error) {
		clear(rows)
		for m, row := range eachMapping(rd, table(tagMapping), &err) {
			rows[m] = row
		}
		return err
	}); err != nil {
		return err
	}
	for m, p := range r.pollers {
		row := rows[m]
		if row == nil || !row.Enabled || row.State == stateDeleting || row.Generation != p.generation {
			p.stop()
			delete(r.pollers, m)
		}
	}
	for m, row := range rows {
		if row.Enabled && row.State != stateDeleting && r.pollers[m] == nil {
			r.pollers[m] = s.startPoller(ctx, m, row)
		}
		if isTransitional(row.State) {
			if err := s.settleMapping(ctx, m, row); err != nil {
				return err
			}
		}
	}
	return nil
}

// settleMapping brings a mapping into the state that its poller is in, or removes it.
func (s *Service) settleMapping(ctx context.Context, m mappingRef, seen *mappingRow) error {
	return s.store.Update(ctx, func(tx kv.Tx) error {
		row, err := getMapping(tx, m)
		if err == errNoMapping || err == nil && row.Generation != seen.Generation {
			return nil // it changed since; that has woken the loop
		}
		if err != nil {
			return err
		}
		switch {
		case row.State == stateDeleting:
			if err := deletePrefix(tx, checkpointsPrefix(m.uuid), func([]byte) error { return nil }); err != nil {
				return err
			}
			return tx.Delete(mappingKey(m))
		case row.Enabled:
			row.State = stateEnabled
		default:
			row.State = stateDisabled
		}
		return putJSON(tx, mappingKey(m), row)
	})
}

func (s *Service) startPoller(ctx context.Context, m mappingRef, row *mappingRow) *runningPoller {
	ctx, cancel := context.WithCancel(ctx)
	p := &runningPoller{generation: row.Generation, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		defer cancel()
		host := &mappingHost{service: s, m: m, row: row}
		for ctx.Err() == nil {
			again := host.run(ctx)
			if !again {
				return
			}
		}
	}()
	return p
}

// A mappingHost is what a poller works for.
type mappingHost struct {
	service *Service
	m       mappingRef
	row     *mappingRow
}

// run polls with the role that the function has, and says whether it is to do so again: with another role, or after a
// while.
func (h *mappingHost) run(ctx context.Context) (again bool) {
	c, err := h.service.callable(ctx, h.row.function(h.m.scope))
	var mapping *eventsource.Mapping
	if err == nil {
		mapping, err = h.row.compile(h.m, c.fn.Role)
	}
	if err != nil {
		if ctx.Err() == nil {
			h.Processed(ctx, "PROBLEM: "+err.Error())
		}
		return pause(ctx, 30*time.Second)
	}
	h.running(ctx, c.fn.Role, func(ctx context.Context) {
		if h.row.isQueue() {
			eventsource.RunQueue(ctx, mapping, h.service.queues, h)
		} else {
			eventsource.Run(ctx, mapping, h.service.streams, h)
		}
	})
	// The stream has ended, or the role has changed.
	return pause(ctx, time.Second)
}

// running runs a poller until the function's role is another one.
func (h *mappingHost) running(ctx context.Context, role string, run func(ctx context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changed := make(chan struct{}, 1)
	stop := h.service.store.Watch(functionKey(h.m.scope, h.row.Function), func([]byte) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer stop()
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-ctx.Done():
				return
			case <-changed:
			}
			c, err := h.service.callable(ctx, h.row.function(h.m.scope))
			if err == nil && c.fn.Role != role {
				cancel()
			}
		}
	}()
	run(ctx)
	if ctx.Err() == nil { // the stream has ended: nothing more comes, and nobody need look
		<-ctx.Done()
	}
	cancel()
	<-watched
}

// pause waits, and says whether ctx lasts.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// Invoke implements eventsource.Host.
func (h *mappingHost) Invoke(ctx context.Context, payload []byte) (*eventsource.Outcome, error) {
	r := h.row.function(h.m.scope)
	c, err := h.service.callable(ctx, r)
	if err != nil {
		return nil, err
	}
	id := newUUID()
	result, err := h.service.run(ctx, c, &environment.Invocation{RequestID: id, FunctionARN: r.arn(), Payload: payload})
	if err != nil {
		return nil, err
	}
	return &eventsource.Outcome{RequestID: id, Version: c.fn.Version, Response: result.Payload, Failed: result.Failed}, nil
}

// Load implements eventsource.Host.
func (h *mappingHost) Load(ctx context.Context, shard string) (at eventsource.Checkpoint, known bool, err error) {
	err = h.service.store.View(ctx, func(rd kv.Reader) error {
		data, ok, err := rd.Get(checkpointKey(h.m.uuid, shard))
		if err != nil || !ok {
			return err
		}
		known = true
		if err := json.Unmarshal(data, &at); err != nil {
			return fmt.Errorf("lambda: checkpoint of an event source mapping: %w", err)
		}
		return nil
	})
	return at, known, err
}

var errMappingGone = errors.New("lambda: the event source mapping is gone")

// Save implements eventsource.Host.
func (h *mappingHost) Save(ctx context.Context, shard string, at eventsource.Checkpoint) error {
	return h.service.store.Update(ctx, func(tx kv.Tx) error {
		if _, err := getMapping(tx, h.m); err != nil {
			return errMappingGone
		}
		return putJSON(tx, checkpointKey(h.m.uuid, shard), at)
	})
}

// A streamRecord is what a destination gets to know of records that were given up.
// https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
type streamRecord struct {
	RequestContext  recordRequest   `json:"requestContext"`
	ResponseContext *recordResponse `json:"responseContext,omitempty"`
	Version         string          `json:"version"`
	Timestamp       string          `json:"timestamp"`
	Info            streamBatchInfo `json:"DDBStreamBatchInfo"`
}

type streamBatchInfo struct {
	Shard string `json:"shardId"`
	First string `json:"startSequenceNumber"`
	Last  string `json:"endSequenceNumber"`
	From  string `json:"approximateArrivalOfFirstRecord"`
	To    string `json:"approximateArrivalOfLastRecord"`
	Size  int    `json:"batchSize"`
	ARN   string `json:"streamArn"`
}

// Discard implements eventsource.Host.
func (h *mappingHost) Discard(ctx context.Context, d *eventsource.Discarded) error {
	s, r := h.service, h.row.function(h.m.scope)
	first, last := d.Records[0], d.Records[len(d.Records)-1]
	s.log.LogAttrs(ctx, slog.LevelWarn, "records of a stream were given up", slog.String("mapping", h.m.uuid), slog.String("condition", d.Condition),
		slog.Int("records", len(d.Records)), slog.String("first", first.Sequence), slog.String("last", last.Sequence))
	if h.row.OnFailure == "" {
		return nil
	}
	c, err := s.callable(ctx, r)
	if err != nil {
		return err
	}
	rec := &streamRecord{
		RequestContext: recordRequest{FunctionARN: r.arn(), Condition: d.Condition, Count: d.Count},
		Version:        "1.0", Timestamp: time.Now().UTC().Format(recordTime),
		Info: streamBatchInfo{
			Shard: d.Shard, First: first.Sequence, Last: last.Sequence, Size: len(d.Records), ARN: h.row.Source,
			From: first.Time.UTC().Format(time.RFC3339), To: last.Time.UTC().Format(time.RFC3339),
		},
	}
	if d.Outcome != nil {
		rec.RequestContext.RequestID = d.Outcome.RequestID
		rec.ResponseContext = &recordResponse{Status: 200, Version: d.Outcome.Version}
		if d.Outcome.Failed {
			rec.ResponseContext.Function = functionError
		}
	}
	body, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	payload, err := json.Marshal(&Message{
		Target: h.row.OnFailure, Role: c.fn.Role, Source: c.fn.ARN, Body: body, Account: r.account, Region: r.region,
	})
	if err != nil {
		return err
	}
	return s.store.Update(ctx, func(tx kv.Tx) error {
		_, err := outbox.Enqueue(tx, outbox.Job{Queue: DestinationQueue, Payload: payload})
		return err
	})
}

// Processed implements eventsource.Host.
func (h *mappingHost) Processed(ctx context.Context, result string) {
	s := h.service
	err := s.store.View(ctx, func(rd kv.Reader) error {
		row, err := getMapping(rd, h.m)
		if err == nil && row.Result == result {
			return errSame
		}
		return err
	})
	if err == nil {
		err = s.store.Update(ctx, func(tx kv.Tx) error {
			row, err := getMapping(tx, h.m)
			if err != nil {
				return err
			}
			row.Result = result
			return putJSON(tx, mappingKey(h.m), row)
		})
	}
	if err != nil && err != errSame && err != errNoMapping && ctx.Err() == nil {
		s.log.LogAttrs(ctx, slog.LevelError, "the result of an event source mapping cannot be stored", slog.String("error", err.Error()))
	}
}

var errSame = errors.New("lambda: nothing changed")
