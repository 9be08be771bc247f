package apigatewayv2

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	api "brume/internal/api/apigatewayv2"
	"brume/internal/edge"
	"brume/internal/kv"
	"brume/internal/kv/jsonrow"
)

func stageName(v *api.Stage) string         { return *v.StageName }
func deploymentID(v *api.Deployment) string { return *v.DeploymentId }

func noStage(name string) error    { return notFound("Unable to find Stage by name %s", clip(name)) }
func noDeployment(id string) error { return notFound("Unable to find Deployment by id %s", clip(id)) }

// deploy takes a snapshot of an API.
func (row *apiRow) deploy(tx kv.Tx, description *string, auto bool) (*api.Deployment, error) {
	d := api.Deployment{
		DeploymentId: new(newID(6)), CreatedDate: new(tx.Now()), DeploymentStatus: new(api.DeploymentStatusDeployed), Description: description, AutoDeployed: &auto,
	}
	if err := jsonrow.Put(tx, snapshotKey(*row.API.ApiId, *d.DeploymentId), &row.definition); err != nil {
		return nil, err
	}
	row.Deployments = insert(row.Deployments, d, deploymentID)
	return &d, nil
}

// undeploy forgets a deployment.
func (row *apiRow) undeploy(tx kv.Tx, id string) error {
	i, found := find(row.Deployments, id, deploymentID)
	if !found {
		return noDeployment(id)
	}
	row.Deployments = append(row.Deployments[:i], row.Deployments[i+1:]...)
	return tx.Delete(snapshotKey(*row.API.ApiId, id))
}

// autoDeploy deploys an API, if its definition changed, to the stages that want every change. The deployment that it replaces
// there is kept only if somebody made it.
func (row *apiRow) autoDeploy(tx kv.Tx) error {
	now, err := json.Marshal(&row.definition)
	if err != nil {
		return err
	}
	changed := !bytes.Equal(now, row.before)
	var d *api.Deployment
	replaced := map[string]bool{}
	for i := range row.Stages {
		st := &row.Stages[i]
		if !value(st.AutoDeploy) || !changed && value(st.DeploymentId) != "" {
			continue
		}
		if d == nil {
			if d, err = row.deploy(tx, new("Automatic deployment triggered by changes to the Api configuration"), true); err != nil {
				return err
			}
		}
		if old := value(st.DeploymentId); old != "" {
			if j, found := find(row.Deployments, old, deploymentID); found && value(row.Deployments[j].AutoDeployed) {
				replaced[old] = true
			}
		}
		st.DeploymentId = d.DeploymentId
		st.LastDeploymentStatusMessage = new("Successfully deployed stage with deployment ID '" + *d.DeploymentId + "'")
	}
	for id := range replaced {
		if row.stageOf(id) == nil {
			if err := row.undeploy(tx, id); err != nil {
				return err
			}
		}
	}
	return nil
}

// stageOf is a stage that serves a deployment; nil if there is none.
func (row *apiRow) stageOf(deployment string) *api.Stage {
	for i := range row.Stages {
		if value(row.Stages[i].DeploymentId) == deployment {
			return &row.Stages[i]
		}
	}
	return nil
}

// CreateDeployment takes a snapshot of an API, and has a stage serve it if one is named.
// https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-deployments.html#CreateDeployment
func (s *Service) CreateDeployment(ctx context.Context, in *api.CreateDeploymentInput) (*api.CreateDeploymentOutput, error) {
	var d *api.Deployment
	err := s.changeAPI(ctx, *in.ApiId, func(tx kv.Tx, row *apiRow) (err error) {
		if len(row.Routes) == 0 {
			return invalid("At least one route is required before deploying the Api.")
		}
		if d, err = row.deploy(tx, in.Description, false); err != nil || in.StageName == nil {
			return err
		}
		i, found := find(row.Stages, *in.StageName, stageName)
		if !found {
			return noStage(*in.StageName)
		}
		row.Stages[i].DeploymentId, row.Stages[i].LastUpdatedDate = d.DeploymentId, new(tx.Now())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return (*api.CreateDeploymentOutput)(d), nil
}

func (s *Service) GetDeployment(ctx context.Context, in *api.GetDeploymentInput) (*api.GetDeploymentOutput, error) {
	row, err := s.viewAPI(ctx, *in.ApiId)
	if err != nil {
		return nil, err
	}
	i, found := find(row.Deployments, *in.DeploymentId, deploymentID)
	if !found {
		return nil, noDeployment(*in.DeploymentId)
	}
	return (*api.GetDeploymentOutput)(&row.Deployments[i]), nil
}

func (s *Service) GetDeployments(ctx context.Context, in *api.GetDeploymentsInput) (*api.GetDeploymentsOutput, error) {
	row, err := s.viewAPI(ctx, *in.ApiId)
	if err != nil {
		return nil, err
	}
	items, next, err := pageOf(row.Deployments, deploymentID, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &api.GetDeploymentsOutput{Items: items, NextToken: next}, nil
}

func (s *Service) UpdateDeployment(ctx context.Context, in *api.UpdateDeploymentInput) (*api.UpdateDeploymentOutput, error) {
	out := &api.UpdateDeploymentOutput{}
	err := s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) error {
		i, found := find(row.Deployments, *in.DeploymentId, deploymentID)
		if !found {
			return noDeployment(*in.DeploymentId)
		}
		merge(&row.Deployments[i], in)
		*out = api.UpdateDeploymentOutput(row.Deployments[i])
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) DeleteDeployment(ctx context.Context, in *api.DeleteDeploymentInput) (*api.DeleteDeploymentOutput, error) {
	err := s.changeAPI(ctx, *in.ApiId, func(tx kv.Tx, row *apiRow) error {
		if row.stageOf(*in.DeploymentId) != nil {
			return invalid("Active stages pointing to this deployment must be moved or deleted")
		}
		return row.undeploy(tx, *in.DeploymentId)
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteDeploymentOutput), nil
}

// CreateStage adds a stage to an API.
// https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-stages.html#CreateStage
func (s *Service) CreateStage(ctx context.Context, in *api.CreateStageInput) (*api.CreateStageOutput, error) {
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	if err := checkAccessLog(scopeOf(ctx), in.AccessLogSettings); err != nil {
		return nil, err
	}
	if *in.StageName != defaultStage && strings.IndexFunc(*in.StageName, isNotOfStage) >= 0 {
		return nil, invalid("Stage name only allows a-zA-Z0-9_- or $default")
	}
	out := &api.CreateStageOutput{}
	err := s.changeAPI(ctx, *in.ApiId, func(tx kv.Tx, row *apiRow) error {
		if _, found := find(row.Stages, *in.StageName, stageName); found {
			return conflict("Stage already exists")
		}
		if len(row.Stages) >= maxStages {
			return invalid("Maximum number of stages for this API has been reached: %d", maxStages)
		}
		st := api.Stage{
			CreatedDate: new(tx.Now()), LastUpdatedDate: new(tx.Now()), AutoDeploy: new(false), StageVariables: map[string]string{},
			RouteSettings: map[string]api.RouteSettings{}, DefaultRouteSettings: &api.RouteSettings{DetailedMetricsEnabled: new(false)},
		}
		merge(&st, in)
		if err := row.checkStage(&st); err != nil {
			return err
		}
		if err := s.checkLogRole(tx, scopeOf(ctx), row, &st); err != nil {
			return err
		}
		row.Stages = insert(row.Stages, st, stageName)
		if err := row.autoDeploy(tx); err != nil {
			return err
		}
		i, _ := find(row.Stages, *in.StageName, stageName)
		*out = api.CreateStageOutput(row.Stages[i])
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func isNotOfStage(r rune) bool { return r == '.' || r == ':' || isNotOfVariable(r) }

// checkStage refuses settings that are none.
func (row *apiRow) checkStage(st *api.Stage) error {
	if id := value(st.DeploymentId); id != "" {
		if _, found := find(row.Deployments, id, deploymentID); !found {
			return noDeployment(id)
		}
	}
	if len(st.StageVariables) > maxVariables {
		return invalid("Maximum number of stage variables for a stage has been reached: %d", maxVariables)
	}
	for name, v := range st.StageVariables {
		if strings.IndexFunc(name, func(r rune) bool { return r != '_' && (r == '-' || r == '.' || r == ':' || isNotOfVariable(r)) }) >= 0 || len(name) > 64 || len(v) > 512 {
			return invalid("Invalid stage variable %s", clip(name))
		}
	}
	if row.isSocket() && *st.StageName == defaultStage {
		return invalid("Stage name only allows a-zA-Z0-9_-")
	}
	check := func(l *api.RouteSettings) error {
		if value(l.ThrottlingRateLimit) < 0 || value(l.ThrottlingBurstLimit) < 0 {
			return invalid("Invalid throttling settings: limits cannot be negative")
		}
		if !row.isSocket() && (l.LoggingLevel != nil || value(l.DataTraceEnabled)) {
			return invalid("Execution logs are not supported on HTTP APIs")
		}
		return nil
	}
	for key, l := range st.RouteSettings {
		if !row.hasRoute(key) {
			return notFound("Unable to find Route by key %s within the provided RouteSettings", clip(key))
		}
		if err := check(&l); err != nil {
			return err
		}
	}
	if st.DefaultRouteSettings != nil {
		return check(st.DefaultRouteSettings)
	}
	return nil
}

func (row *apiRow) hasRoute(key string) bool {
	for i := range row.Routes {
		if *row.Routes[i].RouteKey == key {
			return true
		}
	}
	return false
}

func (s *Service) GetStage(ctx context.Context, in *api.GetStageInput) (*api.GetStageOutput, error) {
	row, err := s.viewAPI(ctx, *in.ApiId)
	if err != nil {
		return nil, err
	}
	i, found := find(row.Stages, *in.StageName, stageName)
	if !found {
		return nil, noStage(*in.StageName)
	}
	return (*api.GetStageOutput)(&row.Stages[i]), nil
}

func (s *Service) GetStages(ctx context.Context, in *api.GetStagesInput) (*api.GetStagesOutput, error) {
	row, err := s.viewAPI(ctx, *in.ApiId)
	if err != nil {
		return nil, err
	}
	items, next, err := pageOf(row.Stages, stageName, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &api.GetStagesOutput{Items: items, NextToken: next}, nil
}

// changeStage lets change work on a stage, and returns it as it is then.
func (s *Service) changeStage(ctx context.Context, apiID, name string, change func(tx kv.Tx, row *apiRow, st *api.Stage) error) (*api.Stage, error) {
	out := &api.Stage{}
	err := s.changeAPI(ctx, apiID, func(tx kv.Tx, row *apiRow) error {
		i, found := find(row.Stages, name, stageName)
		if !found {
			return noStage(name)
		}
		st := &row.Stages[i]
		if err := change(tx, row, st); err != nil {
			return err
		}
		if err := row.autoDeploy(tx); err != nil {
			return err
		}
		st.LastUpdatedDate = new(tx.Now())
		*out = *st
		return nil
	})
	return out, err
}

func (s *Service) UpdateStage(ctx context.Context, in *api.UpdateStageInput) (*api.UpdateStageOutput, error) {
	if err := checkAccessLog(scopeOf(ctx), in.AccessLogSettings); err != nil {
		return nil, err
	}
	st, err := s.changeStage(ctx, *in.ApiId, *in.StageName, func(tx kv.Tx, row *apiRow, st *api.Stage) error {
		if in.DeploymentId != nil && value(st.AutoDeploy) && !(in.AutoDeploy != nil && !*in.AutoDeploy) {
			return invalid("Deployment ID cannot be set on a stage with autoDeploy enabled")
		}
		if value(in.AutoDeploy) && !value(st.AutoDeploy) {
			st.DeploymentId = nil // what it serves from now on is the API as it is
		}
		merge(st, in)
		if err := row.checkStage(st); err != nil {
			return err
		}
		return s.checkLogRole(tx, scopeOf(ctx), row, st)
	})
	if err != nil {
		return nil, err
	}
	return (*api.UpdateStageOutput)(st), nil
}

func (s *Service) DeleteStage(ctx context.Context, in *api.DeleteStageInput) (*api.DeleteStageOutput, error) {
	err := s.changeAPI(ctx, *in.ApiId, func(_ kv.Tx, row *apiRow) error {
		i, found := find(row.Stages, *in.StageName, stageName)
		if !found {
			return noStage(*in.StageName)
		}
		row.Stages = append(row.Stages[:i], row.Stages[i+1:]...)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.connections.end(edge.StageID{API: *in.ApiId, Stage: *in.StageName}, goingAway, "Going away")
	return new(api.DeleteStageOutput), nil
}

func (s *Service) DeleteRouteSettings(ctx context.Context, in *api.DeleteRouteSettingsInput) (*api.DeleteRouteSettingsOutput, error) {
	_, err := s.changeStage(ctx, *in.ApiId, *in.StageName, func(_ kv.Tx, _ *apiRow, st *api.Stage) error {
		if _, ok := st.RouteSettings[*in.RouteKey]; !ok {
			return notFound("Unable to find RouteSettings by key %s", clip(*in.RouteKey))
		}
		delete(st.RouteSettings, *in.RouteKey)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteRouteSettingsOutput), nil
}

func (s *Service) DeleteAccessLogSettings(ctx context.Context, in *api.DeleteAccessLogSettingsInput) (*api.DeleteAccessLogSettingsOutput, error) {
	_, err := s.changeStage(ctx, *in.ApiId, *in.StageName, func(_ kv.Tx, _ *apiRow, st *api.Stage) error {
		st.AccessLogSettings = nil
		return nil
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteAccessLogSettingsOutput), nil
}
