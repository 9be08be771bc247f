package apigateway

import (
	"maps"

	api "brume/internal/api/apigateway"
	"brume/internal/kv"
)

// A canary sends a share of a stage's requests to another deployment, with stage variables of its own on top.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/canary-release.html

// canaryVariables are the stage variables of a stage's canary.
func canaryVariables(st *api.Stage) map[string]string {
	out := maps.Clone(st.Variables)
	if out == nil {
		out = map[string]string{}
	}
	maps.Copy(out, st.CanarySettings.StageVariableOverrides)
	return out
}

// checkCanary checks the canary of a stage, if it has one. One without a deployment has that of the stage.
func checkCanary(r kv.Reader, sc scope, apiID string, st *api.Stage) error {
	c := st.CanarySettings
	if c == nil {
		return nil
	}
	if p := value(c.PercentTraffic); p < 0 || p > 100 || p != p {
		return invalid("Canary percent traffic must be between 0.0 and 100.0")
	}
	if c.PercentTraffic == nil {
		c.PercentTraffic = new(float64)
	}
	if c.UseStageCache == nil {
		c.UseStageCache = new(false)
	}
	if err := checkVariables(c.StageVariableOverrides); err != nil {
		return err
	}
	if value(c.DeploymentId) == "" {
		c.DeploymentId = st.DeploymentId
	}
	_, err := getDeployment(r, sc, apiID, *c.DeploymentId)
	return err
}

// canaryRules are the patches of a stage's canary, its promotion among them: a copy of what it has.
func canaryRules(st *api.Stage) []patchRule {
	change := func(apply func(c *api.CanarySettings) func(*patch) error) func(*patch) error {
		return func(p *patch) error {
			if st.CanarySettings == nil {
				st.CanarySettings = &api.CanarySettings{}
			}
			return apply(st.CanarySettings)(p)
		}
	}
	promote := func(from string, apply func(c *api.CanarySettings)) func(*patch) error {
		return func(p *patch) error {
			if p.from != from {
				return invalid("Invalid patch path '%s' specified for 'from' of op 'copy'. Must be: %s", clip(p.from), from)
			}
			if st.CanarySettings == nil {
				return invalid("The stage has no canary to promote")
			}
			apply(st.CanarySettings)
			return nil
		}
	}
	return []patchRule{
		{"replace add", "/canarySettings/percentTraffic", change(func(c *api.CanarySettings) func(*patch) error { return setFloat(&c.PercentTraffic) })},
		{"replace add", "/canarySettings/deploymentId", change(func(c *api.CanarySettings) func(*patch) error { return setString(&c.DeploymentId) })},
		{"replace add", "/canarySettings/useStageCache", change(func(c *api.CanarySettings) func(*patch) error { return setBool(&c.UseStageCache) })},
		{"replace add remove", "/canarySettings/stageVariableOverrides/*", change(func(c *api.CanarySettings) func(*patch) error { return setEntry(&c.StageVariableOverrides) })},
		{"remove", "/canarySettings", func(*patch) error { st.CanarySettings = nil; return nil }},
		{"copy", "/deploymentId", promote("/canarySettings/deploymentId", func(c *api.CanarySettings) { st.DeploymentId = c.DeploymentId })},
		{"copy", "/variables", promote("/canarySettings/stageVariableOverrides", func(*api.CanarySettings) { st.Variables = canaryVariables(st) })},
	}
}
