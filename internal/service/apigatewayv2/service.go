package apigatewayv2

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"strconv"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/call"
	"brume/internal/edge"
	"brume/internal/gatewaylog"
	"brume/internal/jwks"
	"brume/internal/kv"
	"brume/internal/kv/jsonrow"
	"brume/internal/policy"
	"brume/internal/recent"
)

// An Authorizer decides what the caller of ctx may do, by all the policies that apply to it.
type Authorizer interface {
	// Authorize returns nil if all checks pass, and otherwise an awserr.Error with the code AccessDenied.
	Authorize(ctx context.Context, checks []policy.Check) error
}

// LogRoles knows the role that an account has set for the logs of its APIs in a region.
type LogRoles interface {
	// LogRole is "" if none is set.
	LogRole(r kv.Reader, account, region string) (string, error)
}

// Config is what a Service works with.
type Config struct {
	Store kv.Store
	// Lambda runs the functions of integrations and authorizers, HTTP reaches the endpoints of integrations.
	Lambda edge.Lambda
	HTTP   edge.HTTP
	// Services calls the other services of AWS for integrations of WebSocket APIs; nil for none.
	Services edge.Services
	// Authorizer decides what callers of APIs may do.
	Authorizer Authorizer
	// Keys fetches the keys of those who issue tokens.
	Keys jwks.Keys
	// Issuers are the URLs of those who issue the tokens of Cognito user pools, by the pool's id.
	Issuers map[string]string
	// REST knows what custom domain names may lead to besides; nil for nothing.
	REST REST
	// Logs takes the access logs; nil if nothing is to be logged.
	Logs *gatewaylog.Queue
	// LogRoles knows the roles that execution logs are written as; nil if there are none.
	LogRoles LogRoles
	// Endpoint is the URL under which clients reach an API.
	Endpoint func(apiID, region string) string
	// Buckets are shared with other kinds of APIs, since one throttle of an account is for all of them.
	Buckets *edge.Buckets
	// APIKeys admits those who show an API key; nil lets none of them in.
	APIKeys edge.Keys
	Log     *slog.Logger
}

// Service implements the control plane, as api.Service, and the data plane, by Invoke. Create it with New.
type Service struct {
	api.Unimplemented
	Config
	apis        apiCache
	authorized  *recent.Map[authorizedKey, *authorized]
	connections *connections
}

var _ api.Service = (*Service)(nil)

// New returns the service.
func New(c Config) *Service {
	return &Service{Config: c, authorized: recent.NewMap[authorizedKey, *authorized](maxAuthorized), connections: newConnections()}
}

// scope is whose state a call acts on.
type scope struct{ account, region string }

func scopeOf(ctx context.Context) scope {
	info := call.From(ctx)
	return scope{info.Account, info.Region}
}

// An apiRow is all of an API but for what is deployed of it. Its parts are in the order of their ids.
type apiRow struct {
	API api.Api
	definition
	Stages      []api.Stage
	Deployments []api.Deployment
	// before is the definition as it was read.
	before []byte
}

// A definition is what is deployed of an API.
type definition struct {
	Cors         *api.Cors
	Routes       []api.Route
	Integrations []api.Integration
	Authorizers  []api.Authorizer
	// What follows is of WebSocket APIs alone. Selection and KeySelection say how routes and API keys are found.
	Selection            *string               `json:",omitempty"`
	KeySelection         *string               `json:",omitempty"`
	Models               []api.Model           `json:",omitempty"`
	RouteResponses       []routeResponse       `json:",omitempty"`
	IntegrationResponses []integrationResponse `json:",omitempty"`
}

func getAPI(r kv.Reader, sc scope, id string) (*apiRow, error) {
	row, err := jsonrow.Get[apiRow](r, apiKey(sc, id))
	if err == nil && row == nil {
		err = notFound("Invalid API identifier specified %s:%s", sc.account, id)
	}
	if err != nil {
		return nil, err
	}
	row.API.CorsConfiguration = row.Cors
	return row, nil
}

// viewAPI reads an API.
func (s *Service) viewAPI(ctx context.Context, id string) (row *apiRow, err error) {
	err = s.Store.View(ctx, func(r kv.Reader) error {
		row, err = getAPI(r, scopeOf(ctx), id)
		return err
	})
	return row, err
}

// changeAPI lets change work on an API, deploys what it made where that is due, and lets requests see it.
func (s *Service) changeAPI(ctx context.Context, id string, change func(tx kv.Tx, row *apiRow) error) error {
	sc := scopeOf(ctx)
	return s.Store.Update(ctx, func(tx kv.Tx) error {
		row, err := getAPI(tx, sc, id)
		if err != nil {
			return err
		}
		if row.before, err = json.Marshal(&row.definition); err != nil {
			return err
		}
		if err := change(tx, row); err != nil {
			return err
		}
		return putAPI(tx, sc, row)
	})
}

// putAPI writes an API that changed. Every change of its definition is deployed to the stages with auto-deploy.
func putAPI(tx kv.Tx, sc scope, row *apiRow) error {
	row.sync()
	if err := row.autoDeploy(tx); err != nil {
		return err
	}
	id := *row.API.ApiId
	old, ok, err := tx.Get(indexKey(id))
	if err != nil {
		return err
	}
	index := indexRow{scope: sc}
	if ok {
		if index, err = parseIndexRow(old); err != nil {
			return err
		}
	}
	index.version++
	if err := tx.Set(indexKey(id), index.encode()); err != nil {
		return err
	}
	return jsonrow.Put(tx, apiKey(sc, id), row)
}

// find is where the part with an id is, or would be.
func find[T any](list []T, id string, idOf func(*T) string) (int, bool) {
	return slices.BinarySearchFunc(list, id, func(v T, id string) int { return cmp.Compare(idOf(&v), id) })
}

// insert puts a part at its place.
func insert[T any](list []T, v T, idOf func(*T) string) []T {
	i, _ := find(list, idOf(&v), idOf)
	return slices.Insert(list, i, v)
}

// Pages of lists. https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis.html
const (
	defaultPage = 25
	maxPage     = 500
)

// pageOf is the part of a list that a call asks for. A token names the last item seen, so that it stays good whatever is
// added or removed.
func pageOf[T any](list []T, idOf func(*T) string, maxResults, token *string) (items []T, next *string, err error) {
	n := defaultPage
	if maxResults != nil {
		if n, err = strconv.Atoi(*maxResults); err != nil || n < 1 {
			return nil, nil, invalid("Invalid maxResults specified: %s", clip(*maxResults))
		}
		n = min(n, maxPage)
	}
	from := 0
	if token != nil {
		last, err := base64.RawURLEncoding.DecodeString(*token)
		if err != nil {
			return nil, nil, invalid("Invalid nextToken specified")
		}
		found := false
		if from, found = find(list, string(last), idOf); found {
			from++
		}
	}
	items = list[from:min(from+n, len(list))]
	if items == nil {
		items = []T{}
	}
	if from+n < len(list) {
		next = new(base64.RawURLEncoding.EncodeToString([]byte(idOf(&items[n-1]))))
	}
	return items, next, nil
}

// merge sets in row, a pointer to a struct, what is set in the input of an update, another one: members of the same name and
// type. Of maps single entries are set; an empty value takes one out.
func merge(row, in any) {
	to, from := reflect.ValueOf(row).Elem(), reflect.ValueOf(in).Elem()
	for i := range from.NumField() {
		v, target := from.Field(i), to.FieldByName(from.Type().Field(i).Name)
		switch {
		case v.IsNil() || !target.IsValid() || target.Type() != v.Type():
		case v.Kind() == reflect.Map:
			if target.IsNil() {
				target.Set(reflect.MakeMap(target.Type()))
			}
			for _, k := range v.MapKeys() {
				if e := v.MapIndex(k); e.Kind() == reflect.String && e.Len() == 0 || e.Kind() == reflect.Map && e.Len() == 0 {
					target.SetMapIndex(k, reflect.Value{})
				} else {
					target.SetMapIndex(k, e)
				}
			}
		default:
			target.Set(v)
		}
	}
}

// newID returns n characters of 0-9 and a-z.
func newID(n int) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz0123456789"
	out := make([]byte, 0, n)
	var buf [64]byte
	for {
		rand.Read(buf[:])
		for _, b := range buf {
			if b >= 252 { // the largest multiple of 36: each character is as likely as the others
				continue
			}
			if out = append(out, alphabet[b%36]); len(out) == n {
				return string(out)
			}
		}
	}
}

// value is what p points to, the zero value for nil.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// clip shortens what goes into a message.
func clip(s string) string {
	const most = 256
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

func invalid(format string, args ...any) error {
	return &api.BadRequestException{Message: new(fmt.Sprintf(format, args...))}
}

func conflict(format string, args ...any) error {
	return &api.ConflictException{Message: new(fmt.Sprintf(format, args...))}
}

func notFound(format string, args ...any) error {
	return &api.NotFoundException{Message: new(fmt.Sprintf(format, args...))}
}
