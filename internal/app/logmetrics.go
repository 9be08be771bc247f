package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"brume/internal/service/logs"
	"brume/internal/wire/sigv4"
)

const (
	// metricsPath is where the root of an account reads what metric filters counted.
	metricsPath = "/_brume/logs/metrics"
	// maxMetricPoints is how many values one answer has.
	maxMetricPoints = 10_000
)

var errMetricsFrom = errors.New("from is a time such as 2026-01-31T00:00:00Z")

// metricsHandler answers for metricsPath with the values of an account since "from", of a "namespace" and a "name" if these are
// given, and next for everything else.
func metricsHandler(service *logs.Service, credentials sigv4.Credentials, log *slog.Logger, next http.Handler) http.Handler {
	return rootHandler(metricsPath, credentials, log, next, func(ctx context.Context, account string, q url.Values) (any, error) {
		from, err := time.Parse(time.RFC3339, q.Get("from"))
		if err != nil {
			return nil, errMetricsFrom
		}
		var out struct {
			Points    []*logs.MetricPoint `json:"points"`
			Truncated bool                `json:"truncated"`
		}
		out.Points = []*logs.MetricPoint{}
		err = service.MetricPoints(ctx, account, from, func(p *logs.MetricPoint) bool {
			if q.Has("namespace") && q.Get("namespace") != p.Namespace || q.Has("name") && q.Get("name") != p.Name {
				return true
			}
			if len(out.Points) == maxMetricPoints {
				out.Truncated = true
				return false
			}
			out.Points = append(out.Points, p)
			return true
		})
		return out, err
	})
}
