package logs

import (
	"cmp"
	"context"
	"slices"
	"strings"

	api "brume/internal/api/logs"
	"brume/internal/kv"
)

// streamRow is what is stored of a log stream. Times are milliseconds since 1970.
type streamRow struct {
	ID            uint64 `json:"id"`
	CreationTime  int64  `json:"creationTime"`
	FirstEvent    *int64 `json:"firstEvent,omitempty"`
	LastEvent     *int64 `json:"lastEvent,omitempty"`
	LastIngestion *int64 `json:"lastIngestion,omitempty"`
	StoredBytes   int64  `json:"storedBytes,omitempty"`
	NextEvent     uint64 `json:"nextEvent,omitempty"` // the number of the next event, unique within the stream
}

func (s *Service) CreateLogStream(ctx context.Context, in *api.CreateLogStreamInput) (*api.CreateLogStreamOutput, error) {
	sc := scopeOf(ctx)
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		group, err := getGroup(tx, sc, *in.LogGroupName)
		if err != nil {
			return err
		}
		key := streamKey(group.ID, *in.LogStreamName)
		if _, exists, err := tx.Get(key); err != nil {
			return err
		} else if exists {
			return &api.ResourceAlreadyExistsException{Message: new("The specified log stream already exists")}
		}
		return setJSON(tx, key, streamRow{ID: newID(), CreationTime: tx.Now().UnixMilli()})
	})
	if err != nil {
		return nil, err
	}
	return new(api.CreateLogStreamOutput), nil
}

func (s *Service) DeleteLogStream(ctx context.Context, in *api.DeleteLogStreamInput) (*api.DeleteLogStreamOutput, error) {
	sc := scopeOf(ctx)
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		group, err := getGroup(tx, sc, *in.LogGroupName)
		if err != nil {
			return err
		}
		stream, err := getStream(tx, group, *in.LogStreamName)
		if err != nil {
			return err
		}
		if err := tx.Set(trashKey(eventPrefix(group.ID, stream.ID)), nil); err != nil {
			return err
		}
		return tx.Delete(streamKey(group.ID, *in.LogStreamName))
	})
	if err != nil {
		return nil, err
	}
	s.wake()
	return new(api.DeleteLogStreamOutput), nil
}

func getStream(tx kv.Reader, group *groupRow, name string) (*streamRow, error) {
	row := new(streamRow)
	ok, err := getJSON(tx, streamKey(group.ID, name), row)
	if err == nil && !ok {
		err = streamNotFound()
	}
	return row, err
}

// namedStream is a stream with its name and its group.
type namedStream struct {
	name string
	streamRow
	group     uint64
	groupName string
}

// listStreams returns the streams of a group whose names begin with prefix, by name.
func listStreams(tx kv.Reader, group *groupRow, groupName, prefix string) ([]namedStream, error) {
	var list []namedStream
	for pair, err := range tx.Scan(kv.Prefix(streamKeyPrefix(group.ID, prefix))) {
		if err != nil {
			return nil, err
		}
		_, name, err := parseStreamKey(pair.Key)
		if err != nil {
			return nil, err
		}
		s := namedStream{name: name, group: group.ID, groupName: groupName}
		if _, err := getJSON(tx, pair.Key, &s.streamRow); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

func (s *Service) DescribeLogStreams(ctx context.Context, in *api.DescribeLogStreamsInput) (*api.DescribeLogStreamsOutput, error) {
	sc := scopeOf(ctx)
	name, err := oneGroup(sc, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	byTime := in.OrderBy != nil && *in.OrderBy == api.OrderByLastEventTime
	prefix := ""
	if in.LogStreamNamePrefix != nil {
		prefix = *in.LogStreamNamePrefix
	}
	if byTime && prefix != "" {
		return nil, invalidParameter("Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	order := func(a, b namedStream) int { return strings.Compare(a.name, b.name) }
	if byTime {
		order = func(a, b namedStream) int {
			return cmp.Or(cmp.Compare(a.lastEventOrZero(), b.lastEventOrZero()), strings.Compare(a.name, b.name))
		}
	}
	if in.Descending != nil && *in.Descending {
		ascending := order
		order = func(a, b namedStream) int { return ascending(b, a) }
	}

	out := &api.DescribeLogStreamsOutput{LogStreams: []api.LogStream{}}
	err = s.store.View(ctx, func(tx kv.Reader) error {
		group, err := getGroup(tx, sc, name)
		if err != nil {
			return err
		}
		list, err := listStreams(tx, group, name, prefix)
		if err != nil {
			return err
		}
		slices.SortFunc(list, order)
		first := 0
		if in.NextToken != nil {
			after, err := parseNameToken(*in.NextToken)
			if err != nil {
				return err
			}
			first = 1 + slices.IndexFunc(list, func(s namedStream) bool { return s.name == after })
		}
		list = list[first:]
		if limit := pageLimit(in.Limit); len(list) > limit {
			list = list[:limit]
			out.NextToken = new(nameToken(list[limit-1].name))
		}
		for _, st := range list {
			out.LogStreams = append(out.LogStreams, st.describe(sc, name))
		}
		return nil
	})
	return out, err
}

func (s *namedStream) lastEventOrZero() int64 {
	if s.LastEvent == nil {
		return 0
	}
	return *s.LastEvent
}

func (s *namedStream) describe(sc scope, group string) api.LogStream {
	return api.LogStream{
		LogStreamName:       new(s.name),
		CreationTime:        new(s.CreationTime),
		FirstEventTimestamp: s.FirstEvent,
		LastEventTimestamp:  s.LastEvent,
		LastIngestionTime:   s.LastIngestion,
		UploadSequenceToken: new(sequenceToken(s.NextEvent)),
		Arn:                 new(sc.streamARN(group, s.name)),
		StoredBytes:         new(s.StoredBytes),
	}
}
