package logs

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	api "brume/internal/api/logs"
	"brume/internal/kv"
	"brume/internal/service/logs/insights"
)

// Limits of queries.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
const (
	queryWorkers     = 2
	maxActiveQueries = 30 // of an account
	queryTimeout     = 60 * time.Minute
	maxQueryGroups   = 50
	// maxEndedQueries and maxResultBytes are how many queries are kept for their results, and how large all of these may be
	// together; the oldest go first.
	maxEndedQueries = 1000
	maxResultBytes  = 128 << 20
)

// queries are those of a Service, in memory, in the order of their start.
type queries struct {
	mu    sync.Mutex
	list  []*query
	bytes int // of all results
	work  chan *query
}

// query is one that was started. What follows status is guarded by queries.mu.
type query struct {
	id       string
	scope    scope
	groups   []string
	text     string
	compiled *insights.Query
	from, to position
	limit    int
	created  time.Time

	status     string
	cancel     context.CancelFunc // once it runs
	results    [][]api.ResultField
	bytes      int
	matched    int64
	scanned    int64
	scannedLen int64
}

func newQueries() *queries {
	// The channel has room for every query that may be active in any account that the list has room for.
	return &queries{work: make(chan *query, maxEndedQueries)}
}

func (q *query) active() bool {
	return q.status == api.QueryStatusScheduled || q.status == api.QueryStatusRunning
}

// find returns a query of a scope.
func (s *queries) find(sc scope, id string) (*query, error) {
	for _, q := range s.list {
		if q.id == id && q.scope == sc {
			return q, nil
		}
	}
	return nil, &api.ResourceNotFoundException{Message: new("Query with id " + id + " does not exist.")}
}

// add takes a query, and forgets old ones.
func (s *queries) add(q *query) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	active := 0
	for _, other := range s.list {
		if other.active() && other.scope.account == q.scope.account {
			active++
		}
	}
	if active >= maxActiveQueries {
		return &api.LimitExceededException{Message: new("Account maximum query concurrency limit of 30 reached.")}
	}
	s.list = append(s.list, q)
	s.forget()
	select {
	case s.work <- q:
		return nil
	default:
		s.list = s.list[:len(s.list)-1]
		return &api.LimitExceededException{Message: new("Too many queries wait.")}
	}
}

// forget removes the oldest queries that have ended while there are too many.
func (s *queries) forget() {
	for len(s.list) > maxEndedQueries || s.bytes > maxResultBytes {
		i := slices.IndexFunc(s.list, func(q *query) bool { return !q.active() })
		if i < 0 || i == len(s.list)-1 {
			return // the newest stays
		}
		s.bytes -= s.list[i].bytes
		s.list = slices.Delete(s.list, i, i+1)
	}
}

// newUUID is a random id in the form of AWS's.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// queryGroups are the names of the groups that a query is for.
func queryGroups(sc scope, in *api.StartQueryInput) ([]string, error) {
	names := slices.Clone(in.LogGroupNames)
	given := 0
	if in.LogGroupName != nil {
		names = append(names, *in.LogGroupName)
		given++
	}
	if len(in.LogGroupNames) > 0 {
		given++
	}
	for _, identifier := range in.LogGroupIdentifiers {
		name, err := groupName(sc, identifier)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	if len(in.LogGroupIdentifiers) > 0 {
		given++
	}
	if given != 1 {
		return nil, invalidParameter("Exactly one of logGroupName, logGroupNames and logGroupIdentifiers must be given.")
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) > maxQueryGroups {
		return nil, invalidParameter("No more than %d log groups may be queried.", maxQueryGroups)
	}
	return names, nil
}

// StartQuery begins a query, which Run works on.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartQuery.html
func (s *Service) StartQuery(ctx context.Context, in *api.StartQueryInput) (*api.StartQueryOutput, error) {
	sc := scopeOf(ctx)
	names, err := queryGroups(sc, in)
	if err != nil {
		return nil, err
	}
	// Both times are in seconds, and included.
	const maxSeconds = math.MaxInt64 / 1000
	if *in.StartTime > *in.EndTime || *in.EndTime >= maxSeconds || *in.StartTime < 0 {
		return nil, invalidParameter("The query's start time must not be after its end time.")
	}
	compiled, err := insights.Parse(*in.QueryString)
	var bad *insights.Error
	if errors.As(err, &bad) {
		return nil, &api.MalformedQueryException{Message: new(bad.Message), QueryCompileError: &api.QueryCompileError{
			Message:  new(bad.Message),
			Location: &api.QueryCompileErrorLocation{StartCharOffset: new(int32(bad.Start)), EndCharOffset: new(int32(bad.End))},
		}}
	}
	if err != nil {
		return nil, err
	}
	q := &query{
		id: newUUID(), scope: sc, groups: names, text: *in.QueryString, compiled: compiled, limit: insights.MaxResults,
		from: position{timestamp: *in.StartTime * 1000}, to: position{timestamp: (*in.EndTime + 1) * 1000}, status: api.QueryStatusScheduled,
	}
	if in.Limit != nil {
		q.limit = int(*in.Limit)
	}
	err = s.store.View(ctx, func(tx kv.Reader) error {
		q.created = tx.Now()
		for _, name := range names {
			if _, ok, err := tx.Get(groupKey(sc, name)); err != nil {
				return err
			} else if !ok {
				return &api.ResourceNotFoundException{Message: new(fmt.Sprintf("Log group '%s' does not exist for account ID '%s'", name, sc.account))}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := s.queries.add(q); err != nil {
		return nil, err
	}
	return &api.StartQueryOutput{QueryId: &q.id}, nil
}

// runQueries works on queries until ctx ends.
func (s *Service) runQueries(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case q := <-s.queries.work:
			s.runQuery(ctx, q)
		}
	}
}

func (s *Service) runQuery(ctx context.Context, q *query) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	s.queries.mu.Lock()
	stopped := q.status != api.QueryStatusScheduled
	if !stopped {
		q.status, q.cancel = api.QueryStatusRunning, cancel
	}
	s.queries.mu.Unlock()
	if stopped {
		return
	}
	rows, run, err := s.scan(ctx, q)
	s.queries.mu.Lock()
	defer s.queries.mu.Unlock()
	if run != nil {
		q.matched = run.Matched()
	}
	switch {
	case q.status == api.QueryStatusCancelled:
	case errors.Is(err, context.DeadlineExceeded):
		q.status = api.QueryStatusTimeout
	case err != nil:
		q.status = api.QueryStatusFailed
		if ctx.Err() == nil {
			s.log.LogAttrs(ctx, slog.LevelError, "a query of logs failed", slog.String("error", err.Error()))
		}
	default:
		q.status = api.QueryStatusComplete
		for _, row := range rows {
			fields := make([]api.ResultField, 0, len(row))
			for _, f := range row {
				fields = append(fields, api.ResultField{Field: new(f.Name), Value: new(f.Value)})
				q.bytes += len(f.Name) + len(f.Value)
			}
			q.results = append(q.results, fields)
		}
		s.queries.bytes += q.bytes
		s.queries.forget()
	}
}

// scan runs a query over all records of its time, the newest first.
func (s *Service) scan(ctx context.Context, q *query) (rows [][]insights.Field, run *insights.Run, err error) {
	err = s.store.View(ctx, func(tx kv.Reader) error {
		run = q.compiled.Start(q.limit, tx.Now().UnixMilli())
		var scanned, size int64
		tell := func() {
			s.queries.mu.Lock()
			q.scanned, q.scannedLen, q.matched = scanned, size, run.Matched()
			s.queries.mu.Unlock()
		}
		defer tell()
		var streams []namedStream
		for _, name := range q.groups {
			var group groupRow
			if ok, err := getJSON(tx, groupKey(q.scope, name), &group); err != nil {
				return err
			} else if !ok {
				continue // it was deleted meanwhile
			}
			list, err := listStreams(tx, &group, name, "")
			if err != nil {
				return err
			}
			streams = append(streams, list...)
		}
		for found, err := range merge(tx, streams, q.from, q.to, true) {
			if err != nil {
				return err
			}
			if scanned++; scanned%1000 == 0 {
				if err := ctx.Err(); err != nil {
					return err
				}
				tell()
			}
			size += int64(len(found.event.message))
			if !run.Add(q.scope.record(&found)) {
				break
			}
		}
		rows = run.Results()
		return nil
	})
	return rows, run, err
}

// record is an event as queries see it.
func (sc scope) record(f *found) *insights.Record {
	return &insights.Record{
		Timestamp: f.event.timestamp, Ingestion: f.event.ingestion, Message: f.event.message, Stream: f.stream.name,
		Log: sc.account + ":" + f.stream.groupName, Pointer: pointer{f.stream.groupName, f.stream.name, f.event.timestamp, f.event.number}.text(),
	}
}

// pointer is what @ptr leads by.
type pointer struct {
	Group, Stream string
	Timestamp     int64
	Number        uint64
}

func (p pointer) text() string {
	text, err := json.Marshal(p)
	if err != nil {
		return "" // it always can be
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func parsePointer(text string) (p pointer, err error) {
	data, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = json.Unmarshal(data, &p)
	}
	if err != nil {
		return p, invalidParameter("Invalid log record pointer.")
	}
	return p, nil
}

// GetQueryResults returns what a query has found, once it is complete.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetQueryResults.html
func (s *Service) GetQueryResults(ctx context.Context, in *api.GetQueryResultsInput) (*api.GetQueryResultsOutput, error) {
	s.queries.mu.Lock()
	defer s.queries.mu.Unlock()
	q, err := s.queries.find(scopeOf(ctx), *in.QueryId)
	if err != nil {
		return nil, err
	}
	out := &api.GetQueryResultsOutput{Status: new(q.status), Results: q.results, Statistics: &api.QueryStatistics{
		RecordsMatched: new(float64(q.matched)), RecordsScanned: new(float64(q.scanned)), BytesScanned: new(float64(q.scannedLen)),
	}}
	if out.Results == nil {
		out.Results = [][]api.ResultField{}
	}
	return out, nil
}

// StopQuery ends a query. One that has ended by itself cannot be stopped.
func (s *Service) StopQuery(ctx context.Context, in *api.StopQueryInput) (*api.StopQueryOutput, error) {
	s.queries.mu.Lock()
	defer s.queries.mu.Unlock()
	q, err := s.queries.find(scopeOf(ctx), *in.QueryId)
	if err != nil {
		return nil, err
	}
	if !q.active() {
		return nil, invalidParameter("Query %s is not running: its status is %s.", q.id, q.status)
	}
	q.status = api.QueryStatusCancelled
	if q.cancel != nil {
		q.cancel()
	}
	return &api.StopQueryOutput{Success: new(true)}, nil
}

// DescribeQueries lists queries, the newest first.
func (s *Service) DescribeQueries(ctx context.Context, in *api.DescribeQueriesInput) (*api.DescribeQueriesOutput, error) {
	limit := 1000
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	after := ""
	if in.NextToken != nil {
		var err error
		if after, err = parseNameToken(*in.NextToken); err != nil {
			return nil, err
		}
	}
	s.queries.mu.Lock()
	defer s.queries.mu.Unlock()
	sc := scopeOf(ctx)
	out := &api.DescribeQueriesOutput{Queries: []api.QueryInfo{}}
	for _, q := range slices.Backward(s.queries.list) {
		if after != "" {
			if q.id == after {
				after = ""
			}
			continue
		}
		if q.scope != sc || in.Status != nil && *in.Status != q.status || in.LogGroupName != nil && !slices.Contains(q.groups, *in.LogGroupName) {
			continue
		}
		if n := len(out.Queries); n == limit {
			out.NextToken = new(nameToken(*out.Queries[n-1].QueryId))
			break
		}
		out.Queries = append(out.Queries, api.QueryInfo{
			QueryId: new(q.id), QueryString: new(q.text), Status: new(q.status), CreateTime: new(q.created.UnixMilli()),
			LogGroupName: new(strings.Join(q.groups, ",")),
		})
	}
	return out, nil
}

// groupsOfQuery are those that a query of the caller reads.
func (s *Service) groupsOfQuery(sc scope, id string) ([]string, error) {
	s.queries.mu.Lock()
	defer s.queries.mu.Unlock()
	q, err := s.queries.find(sc, id)
	if err != nil {
		return nil, err
	}
	return q.groups, nil
}

// GetLogRecord returns all fields of the event that @ptr of a result leads to.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogRecord.html
func (s *Service) GetLogRecord(ctx context.Context, in *api.GetLogRecordInput) (*api.GetLogRecordOutput, error) {
	p, err := parsePointer(*in.LogRecordPointer)
	if err != nil {
		return nil, err
	}
	sc := scopeOf(ctx)
	out := new(api.GetLogRecordOutput)
	err = s.store.View(ctx, func(tx kv.Reader) error {
		group, err := getGroup(tx, sc, p.Group)
		if err != nil {
			return err
		}
		stream, err := getStream(tx, group, p.Stream)
		if err != nil {
			return err
		}
		key := eventKey(group.ID, stream.ID, position{p.Timestamp, p.Number})
		data, ok, err := tx.Get(key)
		if err != nil {
			return err
		}
		if !ok {
			return &api.ResourceNotFoundException{Message: new("The specified log record does not exist.")}
		}
		e, err := parseEvent(kv.Pair{Key: key, Value: data})
		if err != nil {
			return err
		}
		st := namedStream{name: p.Stream, streamRow: *stream, group: group.ID, groupName: p.Group}
		out.LogRecord = insights.Values(sc.record(&found{e, &st}))
		return nil
	})
	return out, err
}

const (
	// fieldsWindow is how long before a time, and after it, GetLogGroupFields looks; without a time, twice as long into the past.
	fieldsWindow = 8 * time.Minute
	fieldsPast   = 15 * time.Minute
	// fieldsSample is how many events it looks at.
	fieldsSample = 10_000
)

// GetLogGroupFields says which fields the events around a time have, and how many of the events do.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogGroupFields.html
func (s *Service) GetLogGroupFields(ctx context.Context, in *api.GetLogGroupFieldsInput) (*api.GetLogGroupFieldsOutput, error) {
	sc := scopeOf(ctx)
	name, err := oneGroup(sc, in.LogGroupName, in.LogGroupIdentifier)
	if err != nil {
		return nil, err
	}
	counts, n := map[string]int{}, 0
	err = s.store.View(ctx, func(tx kv.Reader) error {
		group, err := getGroup(tx, sc, name)
		if err != nil {
			return err
		}
		streams, err := listStreams(tx, group, name, "")
		if err != nil {
			return err
		}
		from, to := tx.Now().Add(-fieldsPast).UnixMilli(), tx.Now().UnixMilli()
		if in.Time != nil {
			if *in.Time > math.MaxInt64/2000 {
				return invalidParameter("The time is out of range.")
			}
			from, to = *in.Time*1000-fieldsWindow.Milliseconds(), *in.Time*1000+fieldsWindow.Milliseconds()
		}
		for f, err := range merge(tx, streams, position{timestamp: from}, position{timestamp: to + 1}, true) {
			if err != nil {
				return err
			}
			for _, field := range insights.FieldNames(sc.record(&f)) {
				counts[field]++
			}
			if n++; n == fieldsSample {
				break
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := &api.GetLogGroupFieldsOutput{LogGroupFields: []api.LogGroupField{}}
	for field, count := range counts {
		out.LogGroupFields = append(out.LogGroupFields, api.LogGroupField{Name: new(field), Percent: new(int32(count * 100 / n))})
	}
	slices.SortFunc(out.LogGroupFields, func(a, b api.LogGroupField) int {
		if *a.Percent != *b.Percent {
			return int(*b.Percent - *a.Percent)
		}
		return strings.Compare(*a.Name, *b.Name)
	})
	return out, nil
}
