package lambda

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"

	api "brume/internal/api/lambda"
	"brume/internal/kv"
	"brume/internal/service/lambda/environment"
)

// maxCached is how many rows the cache keeps.
const maxCached = 4096

// A rowCache keeps what rows of the store decode to, so that a call of a function that did not change since the last one
// decodes nothing. A row is taken from the cache only if its bytes are the same, so it can never be out of date.
type rowCache struct {
	mu   sync.Mutex
	rows map[string]cachedRow
}

type cachedRow struct {
	raw   []byte
	value any
}

// cached returns what the row at key with the value raw decodes to. It is shared and must not be changed.
func cached[T any](c *rowCache, key, raw []byte, decode func() (*T, error)) (*T, error) {
	c.mu.Lock()
	row, ok := c.rows[string(key)]
	c.mu.Unlock()
	if ok && bytes.Equal(row.raw, raw) {
		return row.value.(*T), nil
	}
	v, err := decode()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rows == nil {
		c.rows = make(map[string]cachedRow)
	}
	if len(c.rows) >= maxCached && !ok {
		for k := range c.rows { // any of them
			delete(c.rows, k)
			break
		}
	}
	c.rows[string(key)] = cachedRow{bytes.Clone(raw), v}
	return v, nil
}

// A callable is a function as it is called.
type callable struct {
	fn *environment.Function
	// limits are those on how many of its invocations may run at one time.
	limits environment.Limits
	// recursion says that it may run in loops.
	recursion bool
}

// shared are rows of the cache.
type (
	sharedFunction struct {
		row    *functionRow
		latest *environment.Function
	}
	sharedVersion struct{ fn *environment.Function }
)

// resolve finds what a call of r runs.
func (s *Service) resolve(rd kv.Reader, r ref) (*callable, error) {
	f, err := s.peek(rd, r)
	if err != nil {
		return nil, err
	}
	c := &callable{fn: f.latest, recursion: f.row.Recursion == api.RecursiveLoopAllow}
	if f.row.Reserved != nil {
		c.limits.Reserved = int(*f.row.Reserved)
	} else {
		c.limits.Reserved = -1
		reserved, err := s.reserved(rd, r.scope)
		if err != nil {
			return nil, err
		}
		c.limits.Unreserved = max(s.concurrency-reserved.sum(), 0)
	}
	number, err := s.route(rd, r)
	if err != nil || number == 0 {
		return c, err
	}
	key := versionKey(r.scope, r.name, number)
	data, ok, err := rd.Get(key)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, functionNotFound(r.arn())
	}
	v, err := cached(&s.cache, key, data, func() (*sharedVersion, error) {
		row, err := s.decodeVersion(r, data)
		if err != nil {
			return nil, err
		}
		return &sharedVersion{row.function(r)}, nil
	})
	if err != nil {
		return nil, err
	}
	c.fn = v.fn
	return c, nil
}

// peek reads a function without making a copy of it.
func (s *Service) peek(rd kv.Reader, r ref) (*sharedFunction, error) {
	key := functionKey(r.scope, r.name)
	data, ok, err := rd.Get(key)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, functionNotFound(r.arn())
	}
	return cached(&s.cache, key, data, func() (*sharedFunction, error) {
		row, err := s.decodeFunction(r, data)
		if err != nil {
			return nil, err
		}
		return &sharedFunction{row, row.Latest.function(r)}, nil
	})
}

// route returns the number of the version that a call of r runs, 0 for $LATEST. An alias with weights decides by chance.
// https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html
func (s *Service) route(rd kv.Reader, r ref) (uint64, error) {
	if !r.isAlias() {
		return versionNumber(r)
	}
	a, err := getAlias(rd, r)
	if err != nil {
		if err == errNoAlias {
			err = functionNotFound(r.arn())
		}
		return 0, err
	}
	at := rand.Float64()
	for number, weight := range a.Weights {
		if at -= weight; at < 0 {
			return number, nil
		}
	}
	return a.Version, nil
}

// versionNumber returns the number of the version that r names, which names no alias; 0 for $LATEST.
func versionNumber(r ref) (uint64, error) {
	if r.qualifier == "" || r.qualifier == latest {
		return 0, nil
	}
	n, err := strconv.ParseUint(r.qualifier, 10, 64)
	if err != nil || n == 0 || r.qualifier[0] == '0' {
		return 0, functionNotFound(r.arn())
	}
	return n, nil
}

// find reads the version that r names, directly or by an alias without regard to its weights.
func (s *Service) find(rd kv.Reader, r ref) (*functionRow, *versionRow, error) {
	f, err := s.getFunction(rd, r)
	if err != nil {
		return nil, nil, err
	}
	var number uint64
	if r.isAlias() {
		a, err := getAlias(rd, r)
		if err == errNoAlias {
			err = functionNotFound(r.arn())
		}
		if err != nil {
			return nil, nil, err
		}
		number = a.Version
	} else if number, err = versionNumber(r); err != nil {
		return nil, nil, err
	}
	if number == 0 {
		return f, &f.Latest, nil
	}
	v, err := s.getVersion(rd, r, number)
	return f, v, err
}

// reservedRow is the concurrency that functions of an account and region have for themselves, by their names.
type reservedRow struct {
	Functions map[string]int32 `json:"functions"`
}

func (r *reservedRow) sum() int {
	n := 0
	for _, v := range r.Functions {
		n += int(v)
	}
	return n
}

// reserved reads the row, which is shared and must not be changed.
func (s *Service) reserved(rd kv.Reader, sc scope) (*reservedRow, error) {
	key := reservedKey(sc)
	data, ok, err := rd.Get(key)
	if err != nil || !ok {
		return &reservedRow{}, err
	}
	return cached(&s.cache, key, data, func() (*reservedRow, error) { return decodeReserved(data) })
}

func decodeReserved(data []byte) (*reservedRow, error) {
	row := &reservedRow{}
	if err := json.Unmarshal(data, row); err != nil {
		return nil, fmt.Errorf("lambda: reserved concurrency: %w", err)
	}
	return row, nil
}
