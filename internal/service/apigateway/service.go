package apigateway

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"log/slog"
	"net/url"
	"sync"

	api "brume/internal/api/apigateway"
	"brume/internal/call"
	"brume/internal/edge"
	"brume/internal/gatewaylog"
	"brume/internal/kv"
	"brume/internal/kv/jsonrow"
	"brume/internal/recent"
)

// Config is what a Service works with.
type Config struct {
	Store kv.Store
	// Lambda runs the functions of integrations and authorizers.
	Lambda Lambda
	// HTTP reaches the endpoints of HTTP integrations, Services the other services of AWS.
	HTTP     HTTP
	Services Services
	// Logs takes the logs of stages; nil if nothing is to be logged.
	Logs *gatewaylog.Queue
	// Authorizer decides what callers of APIs may do.
	Authorizer Authorizer
	// Keys fetches the keys of those who issue tokens; nil if no token is to be taken.
	Keys KeySource
	// Issuers are the URLs of those who issue the tokens of user pools, by the pool's id.
	Issuers map[string]string
	// Endpoint is where clients reach Brume, as documents and SDKs name it.
	Endpoint *url.URL
	// Buckets are shared with other kinds of APIs, since one throttle of an account is for all of them.
	Buckets *edge.Buckets
	Log     *slog.Logger
}

// Service implements the control plane, as api.Service, and the data plane, by Invoke. Create it with New.
type Service struct {
	api.Unimplemented
	store      kv.Store
	lambda     Lambda
	http       HTTP
	services   Services
	logs       *gatewaylog.Queue
	authorizer Authorizer
	keySource  KeySource
	issuers    map[string]string
	log        *slog.Logger
	endpoint   *url.URL

	apis       apiCache
	keys       keyCache
	authorized *recent.Map[authorizedKey, *authorized]
	buckets    *edge.Buckets
	counters   counters
	sockets    SocketStages // nil for none
	flushing   sync.Mutex   // one flush at a time
}

var _ api.Service = (*Service)(nil)

// New returns the service. Run must run beside it.
func New(c Config) *Service {
	return &Service{
		store: c.Store, lambda: c.Lambda, http: c.HTTP, services: c.Services, logs: c.Logs, authorizer: c.Authorizer, keySource: c.Keys, issuers: c.Issuers, endpoint: c.Endpoint, log: c.Log,
		authorized: recent.NewMap[authorizedKey, *authorized](maxAuthorized), buckets: c.Buckets,
	}
}

// SocketStages knows the stages of WebSocket APIs, which usage plans can name.
type SocketStages interface {
	HasStage(r kv.Reader, account, region, apiID, stage string) (bool, error)
}

// SetSocketStages lets usage plans name the stages of WebSocket APIs. It is called before the first request.
func (s *Service) SetSocketStages(sockets SocketStages) { s.sockets = sockets }

// scope is whose state a call acts on.
type scope struct{ account, region string }

func scopeOf(ctx context.Context) scope {
	info := call.From(ctx)
	return scope{info.Account, info.Region}
}

// get reads the row at key; nil if there is none.
func get[T any](r kv.Reader, key []byte) (*T, error) { return jsonrow.Get[T](r, key) }

func decode[T any](pair kv.Pair) (*T, error) { return jsonrow.Decode[T](pair) }

func put(tx kv.Tx, key []byte, v any) error { return jsonrow.Put(tx, key, v) }

// rows yields the rows of a range.
func rows[T any](r kv.Reader, rg kv.Range) iter.Seq2[*T, error] { return jsonrow.All[T](r, rg) }

// deleteRange removes every row of a range.
func deleteRange(tx kv.Tx, rg kv.Range) error { return jsonrow.DeleteRange(tx, rg) }

// touchAPI counts a change that requests to an API can see.
func touchAPI(tx kv.Tx, sc scope, apiID string) error {
	key := indexKey(apiID)
	v, ok, err := tx.Get(key)
	if err != nil {
		return err
	}
	row := indexRow{scope: sc}
	if ok {
		if row, err = parseIndexRow(v); err != nil {
			return err
		}
	}
	row.version++
	return tx.Set(key, row.encode())
}

// touchPlans counts a change of the keys or plans of an account and region.
func touchPlans(tx kv.Tx, sc scope) error {
	n, err := plansVersion(tx, sc)
	if err != nil {
		return err
	}
	return tx.Set(versionKey(sc), binary.BigEndian.AppendUint64(nil, n+1))
}

func plansVersion(r kv.Reader, sc scope) (uint64, error) {
	v, ok, err := r.Get(versionKey(sc))
	if err != nil || !ok {
		return 0, err
	}
	if len(v) != 8 {
		return 0, fmt.Errorf("apigateway: the version row has %d bytes", len(v))
	}
	return binary.BigEndian.Uint64(v), nil
}
