package telemetry

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An API is one of the two ways to subscribe.
type API int

// The APIs.
const (
	Telemetry API = iota // PUT /2022-07-01/telemetry
	Logs                 // PUT /2020-08-15/logs
)

func (a API) String() string {
	if a == Logs {
		return "Logs"
	}
	return "Telemetry"
}

// Bounds of buffering.
// https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api-reference.html
const (
	minItems, maxItems, defaultItems = 1_000, 10_000, 10_000
	minBytes, maxBytes, defaultBytes = 262_144, 1_048_576, 262_144
	minTimeout, maxTimeout           = 25, 30_000
	defaultTimeout                   = 1_000
)

// MaxRequest is the longest body of a request that is read, in bytes.
const MaxRequest = 64 << 10

// reservedPort is the one of the Runtime API, which takes no telemetry.
const reservedPort = 9001

// A schema is how events are written for a subscriber.
type schema int

const (
	logs2020 schema = iota
	logs2021        // also has platform.runtimeDone
	telemetry2022
	telemetryJSON // lines of functions that log JSON are objects
	schemas
)

func (a API) schema(version string) (schema, bool) {
	switch {
	case a == Logs && (version == "" || version == "2020-08-15"):
		return logs2020, true
	case a == Logs && version == "2021-03-18":
		return logs2021, true
	case a == Telemetry && version == "2022-07-01":
		return telemetry2022, true
	case a == Telemetry && (version == "2022-12-13" || version == "2025-01-29"):
		return telemetryJSON, true
	}
	return 0, false
}

// A subscription is what an extension has asked for.
type subscription struct {
	schema  schema
	types   []string // of category, each once
	items   int
	bytes   int
	timeout time.Duration
	tcp     bool
	port    uint16
	url     string // of HTTP
	method  string
}

func (s *subscription) equal(o *subscription) bool {
	a, b := *s, *o
	a.types, b.types = nil, nil
	return fmt.Sprint(a) == fmt.Sprint(b) && slices.Equal(s.types, o.types)
}

var categories = []string{"platform", "function", "extension"}

// parse reads the body of a request. What is wrong with it is said in one message, as AWS does.
func parse(api API, body []byte) (*subscription, error) {
	var r struct {
		SchemaVersion string   `json:"schemaVersion"`
		Types         []string `json:"types"`
		Buffering     *struct {
			MaxItems  *int64 `json:"maxItems"`
			MaxBytes  *int64 `json:"maxBytes"`
			TimeoutMs *int64 `json:"timeoutMs"`
		} `json:"buffering"`
		Destination *struct {
			Protocol string `json:"protocol"`
			URI      string `json:"URI"`
			Port     *int64 `json:"port"`
			Method   string `json:"method"`
			Encoding string `json:"encoding"`
		} `json:"destination"`
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, fmt.Errorf("the request is not a subscription in JSON: %w", err)
	}
	s := &subscription{items: defaultItems, bytes: defaultBytes, timeout: defaultTimeout * time.Millisecond, method: "POST"}
	var problems []string
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }

	if d := r.Destination; d == nil {
		problem("destination is not provided")
	} else {
		if d.Encoding != "" && d.Encoding != "JSON" {
			problem("encoding should be JSON")
		}
		switch d.Protocol {
		case "HTTP":
			s.http(d.URI, problem)
			switch d.Method {
			case "", "POST", "PUT":
				s.method = "POST"
				if d.Method != "" {
					s.method = d.Method
				}
			default:
				problem("method should be POST or PUT")
			}
		case "TCP":
			s.tcp = true
			switch {
			case d.Port != nil && *d.Port >= 1 && *d.Port <= 65535:
				s.port = uint16(*d.Port)
			case d.Port != nil:
				problem("port should be between 1 and 65535")
			case d.URI != "":
				uri := d.URI
				if !strings.Contains(uri, "://") {
					uri = "tcp://" + uri
				}
				s.address(uri, "tcp", problem)
			default:
				problem("port is not provided")
			}
		default:
			problem("protocol should be HTTP or TCP")
		}
		if s.port == reservedPort {
			problem("port %d is reserved", reservedPort)
		}
	}
	if len(r.Types) == 0 {
		problem("types should not be empty")
	}
	for _, t := range r.Types {
		if !slices.Contains(categories, t) {
			problem("types should be platform, function or extension")
			break
		}
		if !slices.Contains(s.types, t) {
			s.types = append(s.types, t)
		}
	}
	var known bool
	if s.schema, known = api.schema(r.SchemaVersion); !known {
		problem("schemaVersion is not valid")
	}
	if b := r.Buffering; b != nil {
		number := func(name string, given *int64, low, high int64, to func(int)) {
			switch {
			case given == nil:
			case *given < low || *given > high:
				problem("%s should be between %d and %d", name, low, high)
			default:
				to(int(*given))
			}
		}
		number("maxItems", b.MaxItems, minItems, maxItems, func(n int) { s.items = n })
		number("maxBytes", b.MaxBytes, minBytes, maxBytes, func(n int) { s.bytes = n })
		number("timeoutMs", b.TimeoutMs, minTimeout, maxTimeout, func(n int) { s.timeout = time.Duration(n) * time.Millisecond })
	}
	if problems != nil {
		return nil, fmt.Errorf("%s", strings.Join(problems, "; "))
	}
	return s, nil
}

// http takes the URI of an HTTP destination.
func (s *subscription) http(uri string, problem func(string, ...any)) {
	if uri == "" {
		problem("URI is not provided")
		return
	}
	if u := s.address(uri, "http", problem); u != nil {
		s.url = (&url.URL{Scheme: "http", Host: u.Host, Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}).String()
	}
}

// address takes the port of a URI, which has to be one of the environment itself.
func (s *subscription) address(uri, scheme string, problem func(string, ...any)) *url.URL {
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Scheme != scheme || u.Opaque != "":
		problem("URI is not valid")
		return nil
	case u.Hostname() != "sandbox.localdomain" && u.Hostname() != "sandbox":
		problem("URI host should be sandbox.localdomain")
		return nil
	case u.Port() == "":
		problem("URI port is not provided")
		return nil
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || port == 0 {
		problem("URI port is not valid")
		return nil
	}
	s.port = uint16(port)
	return u
}
