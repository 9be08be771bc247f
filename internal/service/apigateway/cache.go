package apigateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strings"
	"sync"

	api "brume/internal/api/apigateway"
	"brume/internal/edge"
	"brume/internal/kv"
)

// An apiCache holds the compiled stages of APIs. What it holds is good for the very index row that it was made under.
type apiCache struct{ m sync.Map } // API id → *cachedAPI

type cachedAPI struct {
	index  string // the index row's bytes
	mu     sync.RWMutex
	stages map[string]*stage
}

// stageIn returns a compiled stage, nil if there is none.
func (s *Service) stageIn(r kv.Reader, apiID, name string) (*stage, error) {
	index, ok, err := r.Get(indexKey(apiID))
	if err != nil {
		return nil, err
	}
	if !ok {
		s.apis.m.Delete(apiID)
		return nil, nil
	}
	var c *cachedAPI
	if v, ok := s.apis.m.Load(apiID); ok && v.(*cachedAPI).index == string(index) {
		c = v.(*cachedAPI)
	} else {
		c = &cachedAPI{index: string(index), stages: map[string]*stage{}}
		s.apis.m.Store(strings.Clone(apiID), c)
	}
	c.mu.RLock()
	st := c.stages[name]
	c.mu.RUnlock()
	if st != nil {
		return st, nil
	}
	row, err := parseIndexRow(index)
	if err != nil {
		return nil, err
	}
	stageRow, err := get[api.Stage](r, stageKey(row.scope, apiID, name))
	if err != nil || stageRow == nil {
		return nil, err
	}
	account, err := get[accountRow](r, accountKey(row.scope))
	if err != nil {
		return nil, err
	}
	compile := func(deploymentID string) (*stage, error) {
		snap, err := get[snapshot](r, snapshotKey(row.scope, apiID, deploymentID))
		if err != nil {
			return nil, err
		}
		if snap == nil {
			return nil, fmt.Errorf("apigateway: stage %s of API %s has no deployment", name, apiID)
		}
		return compileStage(row.scope, strings.Clone(apiID), stageRow, snap, account), nil
	}
	if st, err = compile(*stageRow.DeploymentId); err != nil {
		return nil, err
	}
	if canary := stageRow.CanarySettings; canary != nil && value(canary.DeploymentId) != "" {
		stageRow.DeploymentId, stageRow.Variables = canary.DeploymentId, canaryVariables(stageRow)
		if st.canary, err = compile(*canary.DeploymentId); err != nil {
			return nil, err
		}
		st.canary.isCanary, st.canaryPercent = true, value(canary.PercentTraffic)
	}
	c.mu.Lock()
	c.stages[st.name] = st
	c.mu.Unlock()
	return st, nil
}

// An apiKey is an API key with the plans it is in.
type apiKey struct {
	id, value string
	enabled   bool
	plans     []*usagePlan
}

// A usagePlan is a plan as requests need it.
type usagePlan struct {
	id     string
	limit  *limit
	quota  *quota
	stages map[string]map[string]*limit // "API:STAGE" → planKey of a method → limit
}

// planFor returns the plan that lets a key into a stage, nil if there is none.
func (k *apiKey) planFor(apiID, stage string) *usagePlan {
	for _, p := range k.plans {
		if _, ok := p.stages[apiID+":"+stage]; ok {
			return p
		}
	}
	return nil
}

// methodLimit is what the plan sets for one method; nil for nothing.
func (p *usagePlan) methodLimit(st *stage, m *method) *limit {
	return p.stages[st.apiID+":"+st.name][m.planKey]
}

// A keyCache holds resolved API keys. What it holds is good for one version of the account's keys and plans.
type keyCache struct {
	mu sync.RWMutex
	m  map[keyCacheID]cachedKey
}

type keyCacheID struct {
	scope
	hash [sha256.Size]byte
}

type cachedKey struct {
	version uint64
	key     *apiKey
}

// maxCachedKeys bounds the cache; beyond it the cache starts anew.
const maxCachedKeys = 1 << 16

// keyIn finds an API key by its value; nil if there is none. Values that are no key are not remembered, so that they
// cannot fill the cache.
func (s *Service) keyIn(r kv.Reader, sc scope, keyValue string) (*apiKey, error) {
	version, err := plansVersion(r, sc)
	if err != nil {
		return nil, err
	}
	id := keyCacheID{sc, sha256.Sum256([]byte(keyValue))}
	s.keys.mu.RLock()
	c, ok := s.keys.m[id]
	s.keys.mu.RUnlock()
	if !ok || c.version != version {
		key, err := loadKey(r, sc, id.hash)
		if err != nil || key == nil {
			return nil, err
		}
		c = cachedKey{version, key}
		s.keys.mu.Lock()
		if s.keys.m == nil || len(s.keys.m) >= maxCachedKeys {
			s.keys.m = make(map[keyCacheID]cachedKey)
		}
		s.keys.m[id] = c
		s.keys.mu.Unlock()
	}
	if subtle.ConstantTimeCompare([]byte(c.key.value), []byte(keyValue)) != 1 {
		return nil, nil
	}
	return c.key, nil
}

func loadKey(r kv.Reader, sc scope, hash [sha256.Size]byte) (*apiKey, error) {
	keyID, ok, err := r.Get(keyHashKey(sc, hash))
	if err != nil || !ok {
		return nil, err
	}
	row, err := get[api.ApiKey](r, keyKey(sc, string(keyID)))
	if err != nil || row == nil {
		return nil, err
	}
	k := &apiKey{id: *row.Id, value: *row.Value, enabled: value(row.Enabled)}
	for pair, err := range r.Scan(kv.Prefix(inScope(tagKeyPlan, sc, k.id))) {
		if err != nil {
			return nil, err
		}
		planID, err := lastElement(pair.Key, tagKeyPlan, 2)
		if err != nil {
			return nil, err
		}
		plan, err := get[api.UsagePlan](r, planKey(sc, planID))
		if err != nil {
			return nil, err
		}
		if plan != nil {
			k.plans = append(k.plans, compilePlan(plan))
		}
	}
	return k, nil
}

func compilePlan(row *api.UsagePlan) *usagePlan {
	p := &usagePlan{id: *row.Id, limit: compileLimit(row.Throttle), stages: make(map[string]map[string]*limit, len(row.ApiStages))}
	if q := row.Quota; q != nil {
		p.quota = &quota{limit: int64(value(q.Limit)), offset: int(value(q.Offset)), period: value(q.Period)}
	}
	for _, st := range row.ApiStages {
		methods := make(map[string]*limit, len(st.Throttle))
		for name, l := range st.Throttle {
			methods[methodSettingPath(name)] = compileLimit(&l)
		}
		p.stages[value(st.ApiId)+":"+value(st.Stage)] = methods
	}
	return p
}

// compileLimit is nil where no rate or no burst is set.
func compileLimit(row *api.ThrottleSettings) *limit {
	if row == nil || row.RateLimit == nil && row.BurstLimit == nil {
		return nil
	}
	l := edge.AccountLimit()
	if row.RateLimit != nil {
		l.Rate = *row.RateLimit
	}
	if row.BurstLimit != nil {
		l.Burst = int(*row.BurstLimit)
	}
	return &l
}
