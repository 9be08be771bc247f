package logs

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"brume/internal/kv"
)

const (
	// pointAge is how long values of metrics are kept: as long as CloudWatch keeps those of a minute.
	// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#metrics-retention
	pointAge = 15 * 24 * time.Hour
	// maxPoints is how many rows of values are kept for all accounts; the oldest days go first.
	maxPoints = 500_000
	// maxDimension is the longest value of a dimension.
	maxDimension = 1024
)

// pointKey says which value of a metric: minute is in seconds since 1970, dimensions is JSON or empty.
type pointKey struct {
	namespace, name string
	minute          int64
	dimensions      string
}

// point is what a stream added to a metric within a minute.
type point struct {
	Count   int64    `json:"n,omitempty"`
	Sum     float64  `json:"sum,omitempty"`
	Min     float64  `json:"min,omitempty"`
	Max     float64  `json:"max,omitempty"`
	Unit    string   `json:"unit,omitempty"`
	Default *float64 `json:"default,omitempty"` // counts if nothing else does
}

func (p *point) merge(q *point) {
	if q.Count > 0 {
		if p.Count == 0 {
			p.Min, p.Max = q.Min, q.Max
		}
		p.Min, p.Max = min(p.Min, q.Min), max(p.Max, q.Max)
		p.Count, p.Sum = p.Count+q.Count, p.Sum+q.Sum
	}
	if q.Unit != "" {
		p.Unit = q.Unit
	}
	if q.Default != nil {
		p.Default = q.Default
	}
}

// A MetricPoint is what metric filters counted within a minute.
type MetricPoint struct {
	Region     string            `json:"region"`
	Namespace  string            `json:"namespace"`
	Name       string            `json:"name"`
	Dimensions map[string]string `json:"dimensions,omitempty"`
	Time       time.Time         `json:"time"` // the beginning of the minute
	Unit       string            `json:"unit,omitempty"`
	Count      int64             `json:"count"`
	Sum        float64           `json:"sum"`
	Min        float64           `json:"min"`
	Max        float64           `json:"max"`
}

// MetricPoints yields what the filters of an account counted from a time on, by region, namespace, name and time, until yield
// returns false. It is for whoever keeps metrics.
func (s *Service) MetricPoints(ctx context.Context, account string, from time.Time, yield func(*MetricPoint) bool) error {
	return s.store.View(ctx, func(tx kv.Reader) error {
		var key pointKey
		var region string
		var sum point
		emit := func() bool {
			if sum.Count == 0 && sum.Default != nil {
				sum.merge(&point{Count: 1, Sum: *sum.Default, Min: *sum.Default, Max: *sum.Default})
			}
			if sum.Count == 0 {
				return true
			}
			p := &MetricPoint{Region: region, Namespace: key.namespace, Name: key.name, Time: time.Unix(key.minute, 0).UTC(),
				Unit: sum.Unit, Count: sum.Count, Sum: sum.Sum, Min: sum.Min, Max: sum.Max}
			if key.dimensions != "" && json.Unmarshal([]byte(key.dimensions), &p.Dimensions) != nil {
				return true // written by us, so never
			}
			return yield(p)
		}
		for pair, err := range tx.Scan(kv.Prefix(pointAccount(account))) {
			if err != nil {
				return err
			}
			sc, k, _, err := parsePointKey(pair.Key)
			if err != nil {
				return err
			}
			if k.minute < from.Unix() {
				continue
			}
			if k != key || sc.region != region {
				if !emit() {
					return nil
				}
				key, region, sum = k, sc.region, point{}
			}
			var p point
			if err := json.Unmarshal(pair.Value, &p); err != nil {
				return err
			}
			sum.merge(&p)
		}
		emit()
		return nil
	})
}

// forgetPoints removes values that are too old, and the oldest of too many.
func (s *Service) forgetPoints(ctx context.Context, limit int) error {
	const day = 24 * 60 * 60
	days, total, newest := map[int64]int{}, 0, int64(0)
	var oldest int64
	each := func(fn func(key []byte, minute int64)) error {
		return s.store.View(ctx, func(tx kv.Reader) error {
			oldest = tx.Now().Add(-pointAge).Unix()
			for pair, err := range tx.Scan(kv.Prefix(table(tagPoint))) {
				if err != nil {
					return err
				}
				_, k, _, err := parsePointKey(pair.Key)
				if err != nil {
					return err
				}
				fn(pair.Key, k.minute)
			}
			return nil
		})
	}
	err := each(func(_ []byte, minute int64) {
		days[minute/day]++
		total++
		newest = max(newest, minute/day)
	})
	if err != nil || total == 0 {
		return err
	}
	cut := oldest
	for d, kept := newest, 0; d >= oldest/day; d-- {
		if kept += days[d]; kept > limit {
			cut = max(cut, (d+1)*day)
			break
		}
	}
	var keys [][]byte
	if err := each(func(key []byte, minute int64) {
		if minute < cut {
			keys = append(keys, append([]byte(nil), key...))
		}
	}); err != nil {
		return err
	}
	if cut > oldest && len(keys) > 0 {
		s.log.LogAttrs(ctx, slog.LevelWarn, "too many values of metrics: the oldest are removed", slog.Int("removed", len(keys)))
	}
	for len(keys) > 0 {
		n := min(len(keys), chunk)
		err := s.store.Update(ctx, func(tx kv.Tx) error {
			for _, k := range keys[:n] {
				if err := tx.Delete(k); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}
