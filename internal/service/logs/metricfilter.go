package logs

import (
	"context"

	api "brume/internal/api/logs"
)

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
