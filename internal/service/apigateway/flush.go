package apigateway

import (
	"context"

	api "brume/internal/api/apigateway"
	"brume/internal/kv"
)

// FlushStageCache empties a stage's cache of responses. Brume keeps no responses, so there is nothing more to do than to
// see that the stage exists.
func (s *Service) FlushStageCache(ctx context.Context, in *api.FlushStageCacheInput) (*api.FlushStageCacheOutput, error) {
	err := s.store.View(ctx, func(r kv.Reader) error {
		_, err := getStage(r, scopeOf(ctx), *in.RestApiId, *in.StageName)
		return err
	})
	return new(api.FlushStageCacheOutput), err
}
