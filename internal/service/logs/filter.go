package logs

import (
	"container/heap"
	"context"
	"errors"
	"iter"
	"slices"

	api "brume/internal/api/logs"
	"brume/internal/kv"
	"brume/internal/service/logs/pattern"
)

// maxScanned is how many events one call of FilterLogEvents looks at before it hands back what it found so far and a
// token; as in AWS, a page may be empty and yet have a next one.
const maxScanned = 100_000

// maxFilterStreams is how many streams FilterLogEvents may be asked for by name.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
const maxFilterStreams = 100

func (s *Service) FilterLogEvents(ctx context.Context, in *api.FilterLogEventsInput) (*api.FilterLogEventsOutput, error) {
	sc := scopeOf(ctx)
	name, err := oneGroup(sc, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	if in.LogStreamNamePrefix != nil && len(in.LogStreamNames) > 0 {
		return nil, invalidParameter("logStreamNames and logStreamNamePrefix are mutually exclusive parameters.")
	}
	if len(in.LogStreamNames) > maxFilterStreams {
		return nil, invalidParameter("No more than %d log stream names may be given.", maxFilterStreams)
	}
	filter, err := compilePattern(in.FilterPattern)
	if err != nil {
		return nil, err
	}
	from, to := window(in.StartTime, in.EndTime)
	var after cursor
	if in.NextToken != nil {
		if after, err = parseCursor(*in.NextToken); err != nil {
			return nil, err
		}
		from = maxPosition(from, position{timestamp: after.at.timestamp})
	}
	limit := eventLimit(in.Limit)
	out := &api.FilterLogEventsOutput{Events: []api.FilteredLogEvent{}, SearchedLogStreams: []api.SearchedLogStream{}}
	err = s.store.View(ctx, func(tx kv.Reader) error {
		group, err := getGroup(tx, sc, name)
		if err != nil {
			return err
		}
		if err := checkReadable(group); err != nil {
			return err
		}
		streams, err := chooseStreams(tx, group, name, in)
		if err != nil {
			return err
		}
		scanned, size := 0, 0
		for found, err := range merge(tx, streams, from, to, false) {
			if err != nil {
				return err
			}
			at := cursor{found.event.position, found.stream.ID}
			if in.NextToken != nil && at.compare(after) <= 0 {
				continue
			}
			if scanned++; scanned > maxScanned || len(out.Events) == limit || size > maxPageBytes {
				out.NextToken = new(after.text())
				return nil
			}
			after = at
			if !filter.Match(found.event.message) {
				continue
			}
			size += len(found.event.message) + eventOverhead
			out.Events = append(out.Events, api.FilteredLogEvent{
				LogStreamName: new(found.stream.name),
				Timestamp:     new(found.event.timestamp),
				Message:       new(found.event.message),
				IngestionTime: new(found.event.ingestion),
				EventId:       new(at.text()),
			})
		}
		return nil
	})
	return out, err
}

func chooseStreams(tx kv.Reader, group *groupRow, groupName string, in *api.FilterLogEventsInput) ([]namedStream, error) {
	if len(in.LogStreamNames) == 0 {
		prefix := ""
		if in.LogStreamNamePrefix != nil {
			prefix = *in.LogStreamNamePrefix
		}
		return listStreams(tx, group, groupName, prefix)
	}
	var streams []namedStream
	names := slices.Sorted(slices.Values(in.LogStreamNames))
	for _, name := range slices.Compact(names) {
		row, err := getStream(tx, group, name)
		if err != nil {
			return nil, err
		}
		streams = append(streams, namedStream{name, *row, group.ID, groupName})
	}
	return streams, nil
}

// cursor is where an event stands among those of all streams of its group.
type cursor struct {
	at     position
	stream uint64
}

func (c cursor) compare(d cursor) int {
	if n := c.at.compare(d.at); n != 0 || c.stream == d.stream {
		return n
	}
	if c.stream < d.stream {
		return -1
	}
	return 1
}

func (c cursor) text() string { return c.at.text() + (position{number: c.stream}).text()[16:] }

func parseCursor(token string) (cursor, error) {
	if len(token) != 56 {
		return cursor{}, checkToken(false)
	}
	at, err := parsePosition(token[:36])
	if err != nil {
		return cursor{}, checkToken(false)
	}
	stream, err := parsePosition(position{}.text()[:16] + token[36:])
	return cursor{at, stream.number}, checkToken(err == nil)
}

// found is an event with the stream it is in.
type found struct {
	event  event
	stream *namedStream
}

// merge yields the events of several streams in the order of their cursors, or in the reverse order.
func merge(tx kv.Reader, streams []namedStream, from, to position, reverse bool) iter.Seq2[found, error] {
	return func(yield func(found, error) bool) {
		h := sourceHeap{reverse: reverse}
		for i := range streams {
			st := &streams[i]
			// A stream that the window cannot touch needs no scan.
			if st.LastEvent == nil || *st.LastEvent < from.timestamp || *st.FirstEvent > to.timestamp {
				continue
			}
			next, stop := iter.Pull2(tx.Scan(kv.Range{
				Start: eventKey(st.group, st.ID, from), End: eventKey(st.group, st.ID, to), Reverse: reverse,
			}))
			defer stop()
			src := &source{stream: st, next: next}
			if ok, err := src.advance(); err != nil {
				yield(found{}, err)
				return
			} else if ok {
				h.list = append(h.list, src)
			}
		}
		heap.Init(&h)
		for len(h.list) > 0 {
			src := h.list[0]
			if !yield(found{src.head, src.stream}, nil) {
				return
			}
			switch ok, err := src.advance(); {
			case err != nil:
				yield(found{}, err)
				return
			case ok:
				heap.Fix(&h, 0)
			default:
				heap.Pop(&h)
			}
		}
	}
}

// source is one stream of a merge with its next event.
type source struct {
	stream *namedStream
	next   func() (kv.Pair, error, bool)
	head   event
}

func (s *source) advance() (bool, error) {
	pair, err, ok := s.next()
	if err != nil || !ok {
		return false, err
	}
	s.head, err = parseEvent(pair)
	return true, err
}

type sourceHeap struct {
	list    []*source
	reverse bool
}

func (h *sourceHeap) Len() int      { return len(h.list) }
func (h *sourceHeap) Swap(i, j int) { h.list[i], h.list[j] = h.list[j], h.list[i] }
func (h *sourceHeap) Less(i, j int) bool {
	a, b := h.list[i], h.list[j]
	if h.reverse {
		a, b = b, a
	}
	return cursor{a.head.position, a.stream.ID}.compare(cursor{b.head.position, b.stream.ID}) < 0
}
func (h *sourceHeap) Push(x any) { h.list = append(h.list, x.(*source)) }
func (h *sourceHeap) Pop() any {
	last := h.list[len(h.list)-1]
	h.list = h.list[:len(h.list)-1]
	return last
}

// compilePattern compiles a filter pattern; none matches everything.
func compilePattern(text *string) (*pattern.Pattern, error) {
	if text == nil {
		text = new("")
	}
	p, err := pattern.Parse(*text)
	var bad *pattern.Error
	if errors.As(err, &bad) {
		return nil, invalidParameter("%s", bad.Message)
	}
	return p, err
}
