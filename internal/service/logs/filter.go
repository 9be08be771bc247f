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
		streams, err := chooseStreams(tx, group, in)
		if err != nil {
			return err
		}
		scanned, size := 0, 0
		for found, err := range merge(tx, group, streams, from, to) {
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

func chooseStreams(tx kv.Reader, group *groupRow, in *api.FilterLogEventsInput) ([]namedStream, error) {
	if len(in.LogStreamNames) == 0 {
		prefix := ""
		if in.LogStreamNamePrefix != nil {
			prefix = *in.LogStreamNamePrefix
		}
		return listStreams(tx, group, prefix)
	}
	var streams []namedStream
	names := slices.Sorted(slices.Values(in.LogStreamNames))
	for _, name := range slices.Compact(names) {
		row, err := getStream(tx, group, name)
		if err != nil {
			return nil, err
		}
		streams = append(streams, namedStream{name, *row})
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

// merge yields the events of several streams in the order of their cursors.
func merge(tx kv.Reader, group *groupRow, streams []namedStream, from, to position) iter.Seq2[found, error] {
	return func(yield func(found, error) bool) {
		var h sourceHeap
		for i := range streams {
			st := &streams[i]
			// A stream that the window cannot touch needs no scan.
			if st.LastEvent == nil || *st.LastEvent < from.timestamp || *st.FirstEvent > to.timestamp {
				continue
			}
			next, stop := iter.Pull2(tx.Scan(kv.Range{
				Start: eventKey(group.ID, st.ID, from), End: eventKey(group.ID, st.ID, to),
			}))
			defer stop()
			src := &source{stream: st, next: next}
			if ok, err := src.advance(); err != nil {
				yield(found{}, err)
				return
			} else if ok {
				h = append(h, src)
			}
		}
		heap.Init(&h)
		for len(h) > 0 {
			src := h[0]
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

type sourceHeap []*source

func (h sourceHeap) Len() int      { return len(h) }
func (h sourceHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h sourceHeap) Less(i, j int) bool {
	a, b := cursor{h[i].head.position, h[i].stream.ID}, cursor{h[j].head.position, h[j].stream.ID}
	return a.compare(b) < 0
}
func (h *sourceHeap) Push(x any) { *h = append(*h, x.(*source)) }
func (h *sourceHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
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
