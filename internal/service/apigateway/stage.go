package apigateway

import (
	"context"
	"strings"
	"time"

	api "brume/internal/api/apigateway"
	"brume/internal/edge"
	"brume/internal/kv"
)

func getStage(r kv.Reader, sc scope, apiID, name string) (*api.Stage, error) {
	row, err := get[api.Stage](r, stageKey(sc, apiID, name))
	if err != nil || row != nil {
		return row, err
	}
	if _, err := getAPI(r, sc, apiID); err != nil {
		return nil, err
	}
	return nil, noStage()
}

// putStage writes a stage, which requests see from then on.
func putStage(tx kv.Tx, sc scope, apiID string, st *api.Stage) error {
	if err := put(tx, stageKey(sc, apiID, *st.StageName), st); err != nil {
		return err
	}
	return touchAPI(tx, sc, apiID)
}

func newStage(name string, created *time.Time) *api.Stage {
	return &api.Stage{
		StageName: &name, CacheClusterEnabled: new(false), CacheClusterStatus: new("NOT_AVAILABLE"), TracingEnabled: new(false),
		MethodSettings: map[string]api.MethodSetting{}, CreatedDate: created, LastUpdatedDate: created,
	}
}

// setCacheCluster records the settings of a cache, which there is not.
func setCacheCluster(st *api.Stage, enabled *bool, size *string) {
	if enabled != nil {
		st.CacheClusterEnabled = enabled
	}
	if size != nil {
		st.CacheClusterSize = size
	}
}

// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html
func checkStageName(name string) error {
	if name == "" || len(name) > 128 || strings.IndexFunc(name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-')
	}) >= 0 {
		return invalid("Stage name only allows a-zA-Z0-9_-")
	}
	return nil
}

// https://docs.aws.amazon.com/apigateway/latest/api/API_CreateStage.html
func checkVariables(variables map[string]string) error {
	for name, v := range variables {
		if name == "" || len(name) > 64 || strings.IndexFunc(name, func(r rune) bool {
			return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_')
		}) >= 0 {
			return invalid("Stage variable name only allows a-zA-Z0-9_")
		}
		if len(v) > 512 || strings.IndexFunc(v, func(r rune) bool {
			return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._~:/?#&=,", r))
		}) >= 0 {
			return invalid("Stage variable value '%s' must match [A-Za-z0-9-._~:/?#&=,]+", v)
		}
	}
	return nil
}

func (s *Service) CreateStage(ctx context.Context, in *api.CreateStageInput) (*api.Stage, error) {
	sc := scopeOf(ctx)
	if err := checkStageName(*in.StageName); err != nil {
		return nil, err
	}
	if err := checkVariables(in.Variables); err != nil {
		return nil, err
	}
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	var st *api.Stage
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		if _, err := getDeployment(tx, sc, *in.RestApiId, *in.DeploymentId); err != nil {
			return err
		}
		_, exists, err := tx.Get(stageKey(sc, *in.RestApiId, *in.StageName))
		if err != nil {
			return err
		}
		if exists {
			return conflict("Stage already exists")
		}
		st = newStage(*in.StageName, now(tx))
		st.DeploymentId, st.Description, st.Variables, st.Tags = in.DeploymentId, in.Description, in.Variables, in.Tags
		st.DocumentationVersion, st.CanarySettings = in.DocumentationVersion, in.CanarySettings
		if err := checkCanary(tx, sc, *in.RestApiId, st); err != nil {
			return err
		}
		if in.TracingEnabled != nil {
			st.TracingEnabled = in.TracingEnabled
		}
		setCacheCluster(st, in.CacheClusterEnabled, in.CacheClusterSize)
		return putStage(tx, sc, *in.RestApiId, st)
	})
	if err != nil {
		return nil, err
	}
	return st, nil
}

func (s *Service) GetStage(ctx context.Context, in *api.GetStageInput) (*api.Stage, error) {
	var st *api.Stage
	err := s.store.View(ctx, func(r kv.Reader) (err error) {
		st, err = getStage(r, scopeOf(ctx), *in.RestApiId, *in.StageName)
		return err
	})
	return st, err
}

func (s *Service) GetStages(ctx context.Context, in *api.GetStagesInput) (*api.Stages, error) {
	sc := scopeOf(ctx)
	out := &api.Stages{Item: []api.Stage{}}
	err := s.store.View(ctx, func(r kv.Reader) error {
		if _, err := getAPI(r, sc, *in.RestApiId); err != nil {
			return err
		}
		out.Item = out.Item[:0]
		for st, err := range rows[api.Stage](r, kv.Prefix(inScope(tagStage, sc, *in.RestApiId))) {
			if err != nil {
				return err
			}
			if in.DeploymentId == nil || *in.DeploymentId == *st.DeploymentId {
				out.Item = append(out.Item, *st)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) UpdateStage(ctx context.Context, in *api.UpdateStageInput) (*api.Stage, error) {
	sc := scopeOf(ctx)
	var st *api.Stage
	err := s.store.Update(ctx, func(tx kv.Tx) (err error) {
		if st, err = getStage(tx, sc, *in.RestApiId, *in.StageName); err != nil {
			return err
		}
		if err := applyPatches(in.PatchOperations, stageRules(st)); err != nil {
			return err
		}
		if _, err := getDeployment(tx, sc, *in.RestApiId, value(st.DeploymentId)); err != nil {
			return err
		}
		if err := checkVariables(st.Variables); err != nil {
			return err
		}
		if err := checkCanary(tx, sc, *in.RestApiId, st); err != nil {
			return err
		}
		if err := checkLogging(tx, sc, st); err != nil {
			return err
		}
		st.LastUpdatedDate = now(tx)
		return putStage(tx, sc, *in.RestApiId, st)
	})
	if err != nil {
		return nil, err
	}
	return st, nil
}

// stageRules are the patches of a stage. The settings of a method lie under its path and its HTTP method.
// https://docs.aws.amazon.com/apigateway/latest/api/patch-operations.html#UpdateStage-Patch
func stageRules(st *api.Stage) []patchRule {
	accessLog := func(set func(l *api.AccessLogSettings, v *string)) func(*patch) error {
		return func(p *patch) error {
			if st.AccessLogSettings == nil {
				st.AccessLogSettings = &api.AccessLogSettings{}
			}
			set(st.AccessLogSettings, p.value)
			return nil
		}
	}
	rules := append(canaryRules(st), []patchRule{
		{"replace", "/deploymentId", setString(&st.DeploymentId)},
		{"add replace remove", "/description", setString(&st.Description)},
		{"replace", "/cacheClusterEnabled", setBool(&st.CacheClusterEnabled)},
		{"replace", "/cacheClusterSize", setString(&st.CacheClusterSize)},
		{"replace", "/tracingEnabled", setBool(&st.TracingEnabled)},
		{"add replace remove", "/clientCertificateId", setString(&st.ClientCertificateId)},
		{"add replace remove", "/documentationVersion", setString(&st.DocumentationVersion)},
		{"add replace remove", "/variables/*", setEntry(&st.Variables)},
		{"add replace", "/accessLogSettings/format", accessLog(func(l *api.AccessLogSettings, v *string) { l.Format = v })},
		{"add replace", "/accessLogSettings/destinationArn", accessLog(func(l *api.AccessLogSettings, v *string) { l.DestinationArn = v })},
		{"remove", "/accessLogSettings", func(*patch) error { st.AccessLogSettings = nil; return nil }},
	}...)
	setting := func(path string, apply func(m *api.MethodSetting) func(*patch) error) {
		rules = append(rules, patchRule{"add replace", "/**" + path, func(p *patch) error {
			key, err := methodSettingKey(p.path, strings.Count(path, "/"))
			if err != nil {
				return err
			}
			m, ok := st.MethodSettings[key]
			if !ok {
				m = defaultMethodSetting()
			}
			if err := apply(&m)(p); err != nil {
				return err
			}
			if st.MethodSettings == nil {
				st.MethodSettings = map[string]api.MethodSetting{}
			}
			st.MethodSettings[key] = m
			return nil
		}})
	}
	setting("/metrics/enabled", func(m *api.MethodSetting) func(*patch) error { return setBool(&m.MetricsEnabled) })
	setting("/logging/loglevel", func(m *api.MethodSetting) func(*patch) error {
		return func(p *patch) error {
			switch value(p.value) {
			case "OFF", "ERROR", "INFO":
				m.LoggingLevel = p.value
				return nil
			}
			return p.bad()
		}
	})
	setting("/logging/dataTrace", func(m *api.MethodSetting) func(*patch) error { return setBool(&m.DataTraceEnabled) })
	setting("/throttling/burstLimit", func(m *api.MethodSetting) func(*patch) error { return setInt(&m.ThrottlingBurstLimit) })
	setting("/throttling/rateLimit", func(m *api.MethodSetting) func(*patch) error { return setFloat(&m.ThrottlingRateLimit) })
	setting("/caching/enabled", func(m *api.MethodSetting) func(*patch) error { return setBool(&m.CachingEnabled) })
	setting("/caching/ttlInSeconds", func(m *api.MethodSetting) func(*patch) error { return setInt(&m.CacheTtlInSeconds) })
	setting("/caching/dataEncrypted", func(m *api.MethodSetting) func(*patch) error { return setBool(&m.CacheDataEncrypted) })
	setting("/caching/requireAuthorizationForCacheControl", func(m *api.MethodSetting) func(*patch) error {
		return setBool(&m.RequireAuthorizationForCacheControl)
	})
	setting("/caching/unauthorizedCacheControlHeaderStrategy", func(m *api.MethodSetting) func(*patch) error {
		return setString(&m.UnauthorizedCacheControlHeaderStrategy)
	})
	return append(rules, patchRule{"remove", "/**/*", func(p *patch) error {
		key, err := methodSettingKey(p.path, 0)
		if err != nil {
			return err
		}
		if _, ok := st.MethodSettings[key]; !ok {
			return notFound("Invalid method setting path: %s", p.path)
		}
		delete(st.MethodSettings, key)
		return nil
	}})
}

// defaultMethodSetting is what a method has before anything is set. The throttles are the account's.
func defaultMethodSetting() api.MethodSetting {
	l := edge.AccountLimit()
	return api.MethodSetting{
		MetricsEnabled: new(false), LoggingLevel: new("OFF"), DataTraceEnabled: new(false), ThrottlingBurstLimit: new(int32(l.Burst)),
		ThrottlingRateLimit: new(l.Rate), CachingEnabled: new(false), CacheTtlInSeconds: new(int32(300)), CacheDataEncrypted: new(false),
		RequireAuthorizationForCacheControl: new(true), UnauthorizedCacheControlHeaderStrategy: new("SUCCEED_WITH_RESPONSE_HEADER"),
	}
}

// methodSettingKey is the key of a method's settings, "*/*" or "~1pets~1{id}/GET", which stands in a patch path before the
// last n segments.
func methodSettingKey(path string, n int) (string, error) {
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	segments = segments[:len(segments)-n]
	if len(segments) < 2 || segments[len(segments)-1] == "" {
		return "", invalid("Invalid method setting path: %s. Must be one of: [/deploymentId, /description, /{resourcePath}/{httpMethod}/...]", path)
	}
	key := strings.Join(segments, "/")
	if len(key) > 1024 {
		return "", invalid("Invalid method setting path: %s", clip(path))
	}
	return key, nil
}

func (s *Service) DeleteStage(ctx context.Context, in *api.DeleteStageInput) (*api.DeleteStageOutput, error) {
	sc := scopeOf(ctx)
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		if _, err := getStage(tx, sc, *in.RestApiId, *in.StageName); err != nil {
			return err
		}
		if err := tx.Delete(stageKey(sc, *in.RestApiId, *in.StageName)); err != nil {
			return err
		}
		return touchAPI(tx, sc, *in.RestApiId)
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteStageOutput), nil
}
