package obs

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metrics counts and times the calls of operations. Its label values come from the service models and from a small set
// of error codes, so their number is bounded whatever clients send.
type Metrics struct {
	registry *prometheus.Registry
	calls    *prometheus.CounterVec
	errors   *prometheus.CounterVec
	latency  *prometheus.HistogramVec
}

// NewMetrics returns metrics with a registry of their own, which also knows the process and the Go runtime.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "brume_calls_total",
			Help: "Calls by service, operation and HTTP status.",
		}, []string{"service", "operation", "status"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "brume_errors_total",
			Help: "Failed calls by service, operation and AWS error code.",
		}, []string{"service", "operation", "code"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "brume_call_duration_seconds",
			Help:    "Time from the request's headers to the response's last byte.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"service", "operation"}),
	}
	m.registry.MustRegister(m.calls, m.errors, m.latency, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Gatherer is where the metrics are read.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// Call records one call. code is the AWS error code, empty for success.
func (m *Metrics) Call(service, operation string, status int, code string, d time.Duration) {
	m.calls.WithLabelValues(service, operation, statusText(status)).Inc()
	m.latency.WithLabelValues(service, operation).Observe(d.Seconds())
	if code != "" {
		m.errors.WithLabelValues(service, operation, code).Inc()
	}
}

func statusText(status int) string {
	if status == 200 {
		return "200"
	}
	return strconv.Itoa(status)
}
