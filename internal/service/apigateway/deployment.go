package apigateway

import (
	"context"
	"slices"

	api "brume/internal/api/apigateway"
	"brume/internal/kv"
)

func getDeployment(r kv.Reader, sc scope, apiID, id string) (*api.Deployment, error) {
	row, err := get[api.Deployment](r, deploymentKey(sc, apiID, id))
	if err != nil || row != nil {
		return row, err
	}
	if _, err := getAPI(r, sc, apiID); err != nil {
		return nil, err
	}
	return nil, noDeployment()
}

// CreateDeployment freezes the API as it is. Whatever is edited afterwards has no effect on requests until it is
// deployed again.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-deploy-api.html
func (s *Service) CreateDeployment(ctx context.Context, in *api.CreateDeploymentInput) (*api.Deployment, error) {
	sc, apiID := scopeOf(ctx), *in.RestApiId
	if in.CanarySettings != nil && value(in.StageName) == "" {
		return nil, invalid("Stage name is required with canary settings")
	}
	if value(in.StageName) != "" {
		if err := checkStageName(*in.StageName); err != nil {
			return nil, err
		}
	}
	if err := checkVariables(in.Variables); err != nil {
		return nil, err
	}
	var row *api.Deployment
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		rest, err := getAPI(tx, sc, apiID)
		if err != nil {
			return err
		}
		resources, err := resourcesOf(tx, sc, apiID)
		if err != nil {
			return err
		}
		snap := &snapshot{
			BinaryMediaTypes: rest.BinaryMediaTypes, APIKeySource: value(rest.ApiKeySource), DisableExecuteAPIEndpoint: value(rest.DisableExecuteApiEndpoint),
		}
		if err := snap.addParts(tx, sc, rest); err != nil {
			return err
		}
		row = &api.Deployment{Id: new(newID(6)), Description: in.Description, CreatedDate: now(tx), ApiSummary: map[string]map[string]api.MethodSnapshot{}}
		for _, r := range resources {
			if len(r.ResourceMethods) == 0 {
				continue
			}
			snap.Resources = append(snap.Resources, *r)
			summary := map[string]api.MethodSnapshot{}
			for name, m := range r.ResourceMethods {
				if m.MethodIntegration == nil {
					return invalid("No integration defined for method")
				}
				summary[name] = api.MethodSnapshot{AuthorizationType: m.AuthorizationType, ApiKeyRequired: m.ApiKeyRequired}
			}
			row.ApiSummary[*r.Path] = summary
		}
		if len(snap.Resources) == 0 {
			return invalid("The REST API doesn't contain any methods")
		}
		for {
			_, taken, err := tx.Get(deploymentKey(sc, apiID, *row.Id))
			if err != nil {
				return err
			}
			if !taken {
				break
			}
			row.Id = new(newID(6))
		}
		if err := put(tx, deploymentKey(sc, apiID, *row.Id), row); err != nil {
			return err
		}
		if err := put(tx, snapshotKey(sc, apiID, *row.Id), snap); err != nil {
			return err
		}
		if value(in.StageName) == "" {
			return nil
		}
		return deployTo(tx, sc, in, *row.Id)
	})
	if err != nil {
		return nil, err
	}
	return summarized(row, nil), nil
}

// addParts takes in what an API has besides its resources.
func (snap *snapshot) addParts(r kv.Reader, sc scope, rest *api.RestApi) (err error) {
	snap.API = rest
	if snap.Models, err = models().all(r, sc, *rest.Id); err != nil {
		return err
	}
	if snap.Validators, err = validators().all(r, sc, *rest.Id); err != nil {
		return err
	}
	if snap.Authorizers, err = authorizers().all(r, sc, *rest.Id); err != nil {
		return err
	}
	snap.GatewayResponses, err = gatewayResponses().all(r, sc, *rest.Id)
	return err
}

// deployTo points a stage to a new deployment, making the stage if it does not exist.
func deployTo(tx kv.Tx, sc scope, in *api.CreateDeploymentInput, deploymentID string) error {
	st, err := get[api.Stage](tx, stageKey(sc, *in.RestApiId, *in.StageName))
	if err != nil {
		return err
	}
	if st == nil {
		if in.CanarySettings != nil {
			return invalid("Canary settings can only be set on a stage that exists")
		}
		st = newStage(*in.StageName, now(tx))
	}
	if c := in.CanarySettings; c != nil {
		st.CanarySettings = &api.CanarySettings{
			DeploymentId: &deploymentID, PercentTraffic: new(value(c.PercentTraffic)), StageVariableOverrides: c.StageVariableOverrides, UseStageCache: new(value(c.UseStageCache)),
		}
		st.LastUpdatedDate = now(tx)
		if err := checkCanary(tx, sc, *in.RestApiId, st); err != nil {
			return err
		}
		return putStage(tx, sc, *in.RestApiId, st)
	}
	st.DeploymentId, st.LastUpdatedDate = &deploymentID, now(tx)
	if in.StageDescription != nil {
		st.Description = in.StageDescription
	}
	if in.Variables != nil {
		st.Variables = in.Variables
	}
	if in.TracingEnabled != nil {
		st.TracingEnabled = in.TracingEnabled
	}
	setCacheCluster(st, in.CacheClusterEnabled, in.CacheClusterSize)
	return putStage(tx, sc, *in.RestApiId, st)
}

// summarized is a deployment as it is shown: with the summary of its methods only if that is to be embedded.
func summarized(row *api.Deployment, embed []string) *api.Deployment {
	if !slices.Contains(embed, "apisummary") {
		row.ApiSummary = nil
	}
	return row
}

func (s *Service) GetDeployment(ctx context.Context, in *api.GetDeploymentInput) (*api.Deployment, error) {
	var row *api.Deployment
	err := s.store.View(ctx, func(r kv.Reader) (err error) {
		row, err = getDeployment(r, scopeOf(ctx), *in.RestApiId, *in.DeploymentId)
		return err
	})
	if err != nil {
		return nil, err
	}
	return summarized(row, in.Embed), nil
}

func (s *Service) GetDeployments(ctx context.Context, in *api.GetDeploymentsInput) (*api.Deployments, error) {
	sc := scopeOf(ctx)
	out := &api.Deployments{}
	err := s.store.View(ctx, func(r kv.Reader) (err error) {
		if _, err := getAPI(r, sc, *in.RestApiId); err != nil {
			return err
		}
		out.Items, out.Position, err = page[api.Deployment](r, inScope(tagDeployment, sc, *in.RestApiId), in.Position, in.Limit, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i := range out.Items {
		summarized(&out.Items[i], nil)
	}
	return out, nil
}

func (s *Service) UpdateDeployment(ctx context.Context, in *api.UpdateDeploymentInput) (*api.Deployment, error) {
	sc := scopeOf(ctx)
	var row *api.Deployment
	err := s.store.Update(ctx, func(tx kv.Tx) (err error) {
		if row, err = getDeployment(tx, sc, *in.RestApiId, *in.DeploymentId); err != nil {
			return err
		}
		err = applyPatches(in.PatchOperations, []patchRule{{"replace", "/description", setString(&row.Description)}})
		if err != nil {
			return err
		}
		return put(tx, deploymentKey(sc, *in.RestApiId, *row.Id), row)
	})
	if err != nil {
		return nil, err
	}
	return summarized(row, nil), nil
}

func (s *Service) DeleteDeployment(ctx context.Context, in *api.DeleteDeploymentInput) (*api.DeleteDeploymentOutput, error) {
	sc := scopeOf(ctx)
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		row, err := getDeployment(tx, sc, *in.RestApiId, *in.DeploymentId)
		if err != nil {
			return err
		}
		for st, err := range rows[api.Stage](tx, kv.Prefix(inScope(tagStage, sc, *in.RestApiId))) {
			if err != nil {
				return err
			}
			if *st.DeploymentId == *row.Id || st.CanarySettings != nil && value(st.CanarySettings.DeploymentId) == *row.Id {
				return invalid("Active stages pointing to this deployment must be moved or deleted")
			}
		}
		if err := tx.Delete(snapshotKey(sc, *in.RestApiId, *row.Id)); err != nil {
			return err
		}
		return tx.Delete(deploymentKey(sc, *in.RestApiId, *row.Id))
	})
	if err != nil {
		return nil, err
	}
	return new(api.DeleteDeploymentOutput), nil
}
