package logs

import (
	"context"
	"encoding/json"
	"maps"
	"strconv"
	"strings"

	api "brume/internal/api/logs"
	"brume/internal/kv"
	"brume/internal/service/logs/pattern"
)

// Limits of metric filters.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
const (
	maxMetricFilters = 100 // of a group
	maxRegexFilters  = 5   // of a group, with regular expressions
	maxDimensions    = 3
)

// metricFilterRow is what is stored of a metric filter.
type metricFilterRow struct {
	Pattern         string           `json:"pattern"`
	Transformations []transformation `json:"transformations"`
	CreationTime    int64            `json:"creationTime"`
}

// transformation says what to count for an event.
type transformation struct {
	Namespace  string            `json:"namespace"`
	Name       string            `json:"name"`
	Value      string            `json:"value"` // a number, or a reference
	Default    *float64          `json:"default,omitempty"`
	Dimensions map[string]string `json:"dimensions,omitempty"` // references by name
	Unit       string            `json:"unit,omitempty"`
}

func newTransformation(p *pattern.Pattern, in *api.MetricTransformation) (t transformation, err error) {
	t = transformation{Namespace: *in.MetricNamespace, Name: *in.MetricName, Value: *in.MetricValue, Default: in.DefaultValue,
		Dimensions: in.Dimensions}
	if in.Unit != nil {
		t.Unit = *in.Unit
	}
	if strings.HasPrefix(t.Value, "$") {
		if !p.Has(t.Value) {
			return t, invalidParameter("Invalid metric transformation: the filter pattern has no field '%s'.", t.Value)
		}
	} else if _, err := strconv.ParseFloat(t.Value, 64); err != nil {
		return t, invalidParameter("Invalid metric transformation: '%s' is neither a number nor a field of the filter pattern.", t.Value)
	}
	if len(t.Dimensions) > maxDimensions {
		return t, invalidParameter("Invalid metric transformation: no more than %d dimensions are allowed.", maxDimensions)
	}
	if len(t.Dimensions) > 0 && t.Default != nil {
		return t, invalidParameter("Invalid metric transformation: dimensions and default value are mutually exclusive properties.")
	}
	for name, reference := range t.Dimensions {
		if !p.Has(reference) {
			return t, invalidParameter("Invalid metric transformation: the dimension '%s' is no field of the filter pattern.", name)
		}
	}
	return t, nil
}

// PutMetricFilter makes a filter or replaces one.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutMetricFilter.html
func (s *Service) PutMetricFilter(ctx context.Context, in *api.PutMetricFilterInput) (*api.PutMetricFilterOutput, error) {
	p, err := compilePattern(in.FilterPattern)
	if err != nil {
		return nil, err
	}
	row := metricFilterRow{Pattern: *in.FilterPattern}
	for i := range in.MetricTransformations {
		t, err := newTransformation(p, &in.MetricTransformations[i])
		if err != nil {
			return nil, err
		}
		row.Transformations = append(row.Transformations, t)
	}
	err = s.updateFilters(ctx, *in.LogGroupName, func(tx kv.Tx, group *groupRow) error {
		if err := checkFilterable(group); err != nil {
			return err
		}
		key := metricFilterKey(group.ID, *in.FilterName)
		_, exists, err := tx.Get(key)
		if err != nil {
			return err
		}
		if !exists {
			if group.MetricFilters >= maxMetricFilters {
				return limitExceeded()
			}
			group.MetricFilters++
		}
		if p.Regexes() > 0 {
			if err := s.checkRegexFilters(tx, group, key); err != nil {
				return err
			}
		}
		row.CreationTime = tx.Now().UnixMilli()
		return setJSON(tx, key, row)
	})
	return new(api.PutMetricFilterOutput), err
}

func limitExceeded() error {
	return &api.LimitExceededException{Message: new("Resource limit exceeded.")}
}

// checkRegexFilters says whether a group may have another filter with regular expressions beside that at key.
func (s *Service) checkRegexFilters(tx kv.Reader, group *groupRow, key []byte) error {
	n := 1
	for _, prefix := range [][]byte{metricFilterPrefix(group.ID), subscriptionPrefix(group.ID)} {
		for pair, err := range tx.Scan(kv.Prefix(prefix)) {
			if err != nil {
				return err
			}
			if string(pair.Key) == string(key) {
				continue
			}
			var row struct {
				Pattern string `json:"pattern"`
			}
			if err := json.Unmarshal(pair.Value, &row); err != nil {
				return err
			}
			p, err := s.compiled(row.Pattern)
			if err != nil {
				return err
			}
			if p.Regexes() > 0 {
				n++
			}
		}
	}
	if n > maxRegexFilters {
		return limitExceeded()
	}
	return nil
}

// updateFilters changes filters of a group and what the group knows of them.
func (s *Service) updateFilters(ctx context.Context, name string, change func(kv.Tx, *groupRow) error) error {
	sc := scopeOf(ctx)
	return s.store.Update(ctx, func(tx kv.Tx) error {
		group, err := getGroup(tx, sc, name)
		if err != nil {
			return err
		}
		if err := change(tx, group); err != nil {
			return err
		}
		return setJSON(tx, groupKey(sc, name), group)
	})
}

// deleteFilter removes the filter at key, of which the group has count.
func deleteFilter(tx kv.Tx, key []byte, count *int32, what string) error {
	_, exists, err := tx.Get(key)
	if err != nil {
		return err
	}
	if !exists {
		return &api.ResourceNotFoundException{Message: new("The specified " + what + " does not exist.")}
	}
	*count--
	return tx.Delete(key)
}

func (s *Service) DeleteMetricFilter(ctx context.Context, in *api.DeleteMetricFilterInput) (*api.DeleteMetricFilterOutput, error) {
	err := s.updateFilters(ctx, *in.LogGroupName, func(tx kv.Tx, group *groupRow) error {
		return deleteFilter(tx, metricFilterKey(group.ID, *in.FilterName), &group.MetricFilters, "metric filter")
	})
	return new(api.DeleteMetricFilterOutput), err
}

// DescribeMetricFilters lists the filters of a group, or of all, by group and name.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeMetricFilters.html
func (s *Service) DescribeMetricFilters(ctx context.Context, in *api.DescribeMetricFiltersInput) (*api.DescribeMetricFiltersOutput, error) {
	if (in.MetricName == nil) != (in.MetricNamespace == nil) {
		return nil, invalidParameter("metricName and metricNamespace must be specified together.")
	}
	sc := scopeOf(ctx)
	prefix := ""
	if in.FilterNamePrefix != nil {
		prefix = *in.FilterNamePrefix
	}
	// A page begins behind the filter that its token names, GROUP:FILTER.
	var afterGroup, afterFilter string
	if in.NextToken != nil {
		after, err := parseNameToken(*in.NextToken)
		if err != nil {
			return nil, err
		}
		afterGroup, afterFilter, _ = strings.Cut(after, ":")
	}
	limit := pageLimit(in.Limit)
	out := &api.DescribeMetricFiltersOutput{MetricFilters: []api.MetricFilter{}}
	full := func(group, filter string, row *metricFilterRow) bool {
		if in.MetricName != nil && !row.counts(*in.MetricNamespace, *in.MetricName) {
			return false
		}
		if n := len(out.MetricFilters); n == limit {
			last := &out.MetricFilters[n-1]
			out.NextToken = new(nameToken(*last.LogGroupName + ":" + *last.FilterName))
			return true
		}
		out.MetricFilters = append(out.MetricFilters, row.describe(group, filter))
		return false
	}
	err := s.store.View(ctx, func(tx kv.Reader) error {
		if in.LogGroupName != nil {
			group, err := getGroup(tx, sc, *in.LogGroupName)
			if err != nil {
				return err
			}
			_, err = eachMetricFilter(tx, group.ID, prefix, afterFilter, func(filter string, row *metricFilterRow) bool {
				return full(*in.LogGroupName, filter, row)
			})
			return err
		}
		r := kv.Prefix(groupScope(sc))
		if afterGroup != "" {
			r.Start = groupKey(sc, afterGroup)
		}
		for pair, err := range tx.Scan(r) {
			if err != nil {
				return err
			}
			_, name, err := parseGroupKey(pair.Key)
			if err != nil {
				return err
			}
			var group groupRow
			if err := json.Unmarshal(pair.Value, &group); err != nil {
				return err
			}
			if group.MetricFilters == 0 {
				continue
			}
			after := ""
			if name == afterGroup {
				after = afterFilter
			}
			stopped, err := eachMetricFilter(tx, group.ID, prefix, after, func(filter string, row *metricFilterRow) bool {
				return full(name, filter, row)
			})
			if err != nil || stopped {
				return err
			}
		}
		return nil
	})
	return out, err
}

// eachMetricFilter calls stop for the filters of a group whose names begin with prefix and come after a name, until it is true.
func eachMetricFilter(tx kv.Reader, group uint64, prefix, after string, stop func(string, *metricFilterRow) bool) (stopped bool, err error) {
	for pair, err := range tx.Scan(kv.Prefix(metricFilterPrefix(group))) {
		if err != nil {
			return false, err
		}
		_, name, err := parseFilterKey(tagMetricFilter, pair.Key)
		if err != nil {
			return false, err
		}
		if name <= after || !strings.HasPrefix(name, prefix) {
			continue
		}
		var row metricFilterRow
		if err := json.Unmarshal(pair.Value, &row); err != nil {
			return false, err
		}
		if stop(name, &row) {
			return true, nil
		}
	}
	return false, nil
}

func (row *metricFilterRow) counts(namespace, name string) bool {
	for _, t := range row.Transformations {
		if t.Namespace == namespace && t.Name == name {
			return true
		}
	}
	return false
}

func (row *metricFilterRow) describe(group, name string) api.MetricFilter {
	f := api.MetricFilter{FilterName: new(name), FilterPattern: new(row.Pattern), CreationTime: new(row.CreationTime), LogGroupName: new(group)}
	for _, t := range row.Transformations {
		m := api.MetricTransformation{MetricName: new(t.Name), MetricNamespace: new(t.Namespace), MetricValue: new(t.Value),
			DefaultValue: t.Default, Dimensions: maps.Clone(t.Dimensions)}
		if t.Unit != "" {
			m.Unit = new(t.Unit)
		}
		f.MetricTransformations = append(f.MetricTransformations, m)
	}
	return f
}

// TestMetricFilter says which of some messages a pattern matches.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_TestMetricFilter.html
func (s *Service) TestMetricFilter(_ context.Context, in *api.TestMetricFilterInput) (*api.TestMetricFilterOutput, error) {
	filter, err := compilePattern(in.FilterPattern)
	if err != nil {
		return nil, err
	}
	out := &api.TestMetricFilterOutput{Matches: []api.MetricFilterMatchRecord{}}
	for i, message := range in.LogEventMessages {
		if e, ok := filter.Find(message); ok {
			out.Matches = append(out.Matches, api.MetricFilterMatchRecord{
				EventNumber: new(int64(i)), EventMessage: new(message), ExtractedValues: e.Values(),
			})
		}
	}
	return out, nil
}
