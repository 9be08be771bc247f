package logs

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	api "brume/internal/api/logs"
	"brume/internal/kv"
)

// Limits of PutLogEvents and GetLogEvents.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
const (
	maxBatchBytes = 1 << 20
	eventOverhead = 26 // bytes counted for each event beside its message
	maxBatchSpan  = 24 * time.Hour
	maxFuture     = 2 * time.Hour
	maxPast       = 14 * 24 * time.Hour
	maxPageEvents = 10_000
	maxPageBytes  = 1 << 20
)

func (s *Service) PutLogEvents(ctx context.Context, in *api.PutLogEventsInput) (*api.PutLogEventsOutput, error) {
	sc := scopeOf(ctx)
	if err := checkBatch(in.LogEvents); err != nil {
		return nil, err
	}
	out := new(api.PutLogEventsOutput)
	b := &batch{scope: sc, name: *in.LogGroupName, stream: *in.LogStreamName}
	var jobs int
	var dropped int64
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		group, err := getGroup(tx, sc, *in.LogGroupName)
		if err != nil {
			return err
		}
		stream, err := getStream(tx, group, *in.LogStreamName)
		if err != nil {
			return err
		}
		now := tx.Now()
		accepted, rejected := acceptable(in.LogEvents, now, group.RetentionDays)
		// Events that are rejected anyway do not count for the span.
		if n := len(accepted); n > 0 && *accepted[n-1].Timestamp-*accepted[0].Timestamp > maxBatchSpan.Milliseconds() {
			return invalidParameter("The batch of log events in a single PutLogEvents request cannot span more than 24 hours.")
		}
		out.RejectedLogEventsInfo = rejected
		b.group, b.id, b.events = group, stream.ID, make([]event, 0, len(accepted))
		for i := range accepted {
			e := event{position{*accepted[i].Timestamp, stream.NextEvent}, now.UnixMilli(), *accepted[i].Message}
			if err := putEvent(tx, group, stream, &e); err != nil {
				return err
			}
			b.events = append(b.events, e)
		}
		if err := s.count(tx, b); err != nil {
			return err
		}
		if jobs, dropped, err = s.passOn(tx, b); err != nil {
			return err
		}
		out.NextSequenceToken = new(sequenceToken(stream.NextEvent))
		return setJSON(tx, streamKey(group.ID, *in.LogStreamName), stream)
	})
	if err != nil {
		return nil, err
	}
	s.passedOn(ctx, b, jobs, dropped)
	return out, nil
}

func checkBatch(events []api.InputLogEvent) error {
	size := 0
	for i := range events {
		size += len(*events[i].Message) + eventOverhead
		if i > 0 && *events[i].Timestamp < *events[i-1].Timestamp {
			return invalidParameter("Log events in a single PutLogEvents request must be in chronological order.")
		}
	}
	if size > maxBatchBytes {
		return invalidParameter("Upload too large: %d bytes exceeds limit of %d", size, maxBatchBytes)
	}
	return nil
}

// acceptable splits off the events that are too old, expired by the group's retention, or too far in the future. The
// events are in the order of their times, so what is accepted is one run of them.
func acceptable(events []api.InputLogEvent, now time.Time, retentionDays int32) ([]api.InputLogEvent, *api.RejectedLogEventsInfo) {
	oldest := now.Add(-maxPast).UnixMilli()
	expired := int64(math.MinInt64)
	if retentionDays > 0 {
		expired = expiry(now, retentionDays)
	}
	newest := now.Add(maxFuture).UnixMilli()
	start, end := 0, len(events)
	tooOld, tooNew, gone := 0, end, 0
	for i := range events {
		switch t := *events[i].Timestamp; {
		case t < expired:
			gone, start = i+1, i+1
		case t < oldest:
			tooOld, start = i+1, i+1
		case t > newest && end == len(events):
			tooNew, end = i, i
		}
	}
	if start == 0 && end == len(events) {
		return events, nil
	}
	info := new(api.RejectedLogEventsInfo)
	if gone > 0 {
		info.ExpiredLogEventEndIndex = new(int32(gone))
	}
	if tooOld > 0 {
		info.TooOldLogEventEndIndex = new(int32(tooOld))
	}
	if tooNew < len(events) {
		info.TooNewLogEventStartIndex = new(int32(tooNew))
	}
	return events[start:end], info
}

// expiry is the time before which events of a group with this retention are gone, in milliseconds since 1970.
func expiry(now time.Time, retentionDays int32) int64 {
	return now.AddDate(0, 0, -int(retentionDays)).UnixMilli()
}

func putEvent(tx kv.Tx, group *groupRow, stream *streamRow, e *event) error {
	value := binary.AppendVarint(make([]byte, 0, len(e.message)+binary.MaxVarintLen64), e.ingestion)
	if err := tx.Set(eventKey(group.ID, stream.ID, e.position), append(value, e.message...)); err != nil {
		return err
	}
	stream.NextEvent++
	stream.StoredBytes += int64(len(e.message) + eventOverhead)
	if stream.FirstEvent == nil || e.timestamp < *stream.FirstEvent {
		stream.FirstEvent = new(e.timestamp)
	}
	if stream.LastEvent == nil || e.timestamp > *stream.LastEvent {
		stream.LastEvent = new(e.timestamp)
	}
	stream.LastIngestion = new(e.ingestion)
	return nil
}

// event is an event as stored.
type event struct {
	position
	ingestion int64
	message   string
}

func parseEvent(pair kv.Pair) (event, error) {
	_, _, at, err := parseEventKey(pair.Key)
	if err != nil {
		return event{}, err
	}
	ingestion, n := binary.Varint(pair.Value)
	if n <= 0 {
		return event{}, fmt.Errorf("logs: event %q is damaged", pair.Key)
	}
	return event{at, ingestion, string(pair.Value[n:])}, nil
}

func (s *Service) GetLogEvents(ctx context.Context, in *api.GetLogEventsInput) (*api.GetLogEventsOutput, error) {
	sc := scopeOf(ctx)
	groupName, err := oneGroup(sc, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	forward := in.StartFromHead != nil && *in.StartFromHead
	from, to := window(in.StartTime, in.EndTime)
	// A token is exclusive on the side that it comes from.
	if in.NextToken != nil {
		at, isForward, err := parseEventToken(*in.NextToken)
		if err != nil {
			return nil, err
		}
		if forward = isForward; forward {
			from = maxPosition(from, at.next())
		} else {
			to = minPosition(to, at)
		}
	}
	out := &api.GetLogEventsOutput{Events: []api.OutputLogEvent{}}
	err = s.store.View(ctx, func(tx kv.Reader) error {
		group, err := getGroup(tx, sc, groupName)
		if err != nil {
			return err
		}
		stream, err := getStream(tx, group, *in.LogStreamName)
		if err != nil {
			return err
		}
		if err := checkReadable(group); err != nil {
			return err
		}
		events, err := readPage(tx, group, stream, from, to, !forward, eventLimit(in.Limit))
		if err != nil {
			return err
		}
		first, last := from, from
		if !forward {
			first, last = to, to
		}
		if n := len(events); n > 0 {
			first, last = events[0].position, events[n-1].position
		} else if forward {
			last = from.previous()
		}
		out.NextBackwardToken = new(eventToken(first, false))
		out.NextForwardToken = new(eventToken(last, true))
		if len(events) == 0 && in.NextToken != nil {
			// At the end of the stream the caller gets back the token that they passed.
			if forward {
				out.NextForwardToken = in.NextToken
			} else {
				out.NextBackwardToken = in.NextToken
			}
		}
		for _, e := range events {
			out.Events = append(out.Events, api.OutputLogEvent{
				Timestamp: new(e.timestamp), Message: new(e.message), IngestionTime: new(e.ingestion),
			})
		}
		return nil
	})
	return out, err
}

// window turns a start (inclusive) and an end (exclusive), in milliseconds, into positions.
func window(start, end *int64) (from, to position) {
	to = position{math.MaxInt64, math.MaxUint64}
	if start != nil {
		from.timestamp = *start
	}
	if end != nil {
		to = position{timestamp: *end}
	}
	return from, to
}

func eventLimit(limit *int32) int {
	if limit == nil {
		return maxPageEvents
	}
	return min(int(*limit), maxPageEvents)
}

// readPage returns the events from ≤ position < to in ascending order: the first ones that fit a page, or with last the
// last ones.
func readPage(tx kv.Reader, group *groupRow, stream *streamRow, from, to position, last bool, limit int) ([]event, error) {
	r := kv.Range{Start: eventKey(group.ID, stream.ID, from), End: eventKey(group.ID, stream.ID, to), Reverse: last, Limit: limit}
	var events []event
	size := 0
	for pair, err := range tx.Scan(r) {
		if err != nil {
			return nil, err
		}
		e, err := parseEvent(pair)
		if err != nil {
			return nil, err
		}
		if size += len(e.message) + eventOverhead; size > maxPageBytes && len(events) > 0 {
			break
		}
		events = append(events, e)
	}
	if last {
		for i, j := 0, len(events)-1; i < j; i, j = i+1, j-1 {
			events[i], events[j] = events[j], events[i]
		}
	}
	return events, nil
}

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.timestamp, q.timestamp), cmp.Compare(p.number, q.number))
}

func (p position) next() position {
	if p.number == math.MaxUint64 {
		return position{p.timestamp + 1, 0}
	}
	return position{p.timestamp, p.number + 1}
}

func (p position) previous() position {
	if p.number == 0 {
		return position{p.timestamp - 1, math.MaxUint64}
	}
	return position{p.timestamp, p.number - 1}
}

func maxPosition(a, b position) position {
	if a.compare(b) < 0 {
		return b
	}
	return a
}

func minPosition(a, b position) position {
	if a.compare(b) > 0 {
		return b
	}
	return a
}

var errToken = errors.New("malformed token")

// eventToken is a token of GetLogEvents: a direction, and the event that the next page begins behind.
func eventToken(at position, forward bool) string {
	direction := "b/"
	if forward {
		direction = "f/"
	}
	return direction + at.text()
}

func parseEventToken(token string) (at position, forward bool, err error) {
	direction, rest, _ := strings.Cut(token, "/")
	at, err = parsePosition(rest)
	return at, direction == "f", checkToken(err == nil && (direction == "f" || direction == "b"))
}

// text writes a position in 36 digits that sort as positions do.
func (p position) text() string {
	return fmt.Sprintf("%016x%020d", uint64(p.timestamp)^(1<<63), p.number)
}

func parsePosition(text string) (position, error) {
	if len(text) != 36 {
		return position{}, errToken
	}
	ts, err := strconv.ParseUint(text[:16], 16, 64)
	if err != nil {
		return position{}, errToken
	}
	n, err := strconv.ParseUint(text[16:], 10, 64)
	if err != nil {
		return position{}, errToken
	}
	return position{int64(ts ^ (1 << 63)), n}, nil
}

// sequenceToken is what older clients pass along; nothing depends on it any more.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
func sequenceToken(n uint64) string { return fmt.Sprintf("%056d", n) }

// nameToken is a page token that names the last thing of the page before.
func nameToken(name string) string { return "n/" + name }

func parseNameToken(token string) (string, error) {
	name, ok := strings.CutPrefix(token, "n/")
	return name, checkToken(ok)
}
