package logs

import (
	"context"
	"encoding/json"
	"strings"

	api "brume/internal/api/logs"
	"brume/internal/kv"
)

// maxDefinitions is how many saved queries an account may have in a region.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html
const maxDefinitions = 1000

// definitionRow is what is stored of a saved query.
type definitionRow struct {
	Name         string   `json:"name"`
	Query        string   `json:"query"`
	Groups       []string `json:"groups,omitempty"`
	LastModified int64    `json:"lastModified"`
	Token        string   `json:"token,omitempty"` // of the request that made it
}

// PutQueryDefinition saves a query, or replaces a saved one.
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutQueryDefinition.html
func (s *Service) PutQueryDefinition(ctx context.Context, in *api.PutQueryDefinitionInput) (*api.PutQueryDefinitionOutput, error) {
	sc := scopeOf(ctx)
	row := definitionRow{Name: *in.Name, Query: *in.QueryString, Groups: in.LogGroupNames}
	if in.ClientToken != nil {
		row.Token = *in.ClientToken
	}
	var id string
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		row.LastModified = tx.Now().UnixMilli()
		if in.QueryDefinitionId != nil {
			id = *in.QueryDefinitionId
			if _, ok, err := tx.Get(definitionKey(sc, id)); err != nil {
				return err
			} else if !ok {
				return definitionNotFound()
			}
			return setJSON(tx, definitionKey(sc, id), row)
		}
		id = newUUID()
		n := 0
		err := eachDefinition(tx, sc, func(other string, known *definitionRow) bool {
			n++
			if row.Token != "" && known.Token == row.Token {
				id = other // the same request again
				return false
			}
			return true
		})
		if err != nil {
			return err
		}
		if n >= maxDefinitions {
			return limitExceeded()
		}
		return setJSON(tx, definitionKey(sc, id), row)
	})
	return &api.PutQueryDefinitionOutput{QueryDefinitionId: &id}, err
}

func definitionNotFound() error {
	return &api.ResourceNotFoundException{Message: new("The specified query definition does not exist.")}
}

// eachDefinition calls more for the saved queries of a scope, by their ids, until it is false.
func eachDefinition(tx kv.Reader, sc scope, more func(id string, row *definitionRow) bool) error {
	for pair, err := range tx.Scan(kv.Prefix(definitionScope(sc))) {
		if err != nil {
			return err
		}
		_, id, err := parseDefinitionKey(pair.Key)
		if err != nil {
			return err
		}
		row := new(definitionRow)
		if err := json.Unmarshal(pair.Value, row); err != nil {
			return err
		}
		if !more(id, row) {
			return nil
		}
	}
	return nil
}

func (s *Service) DescribeQueryDefinitions(ctx context.Context, in *api.DescribeQueryDefinitionsInput) (*api.DescribeQueryDefinitionsOutput, error) {
	sc := scopeOf(ctx)
	limit := maxDefinitions
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	prefix, after := "", ""
	if in.QueryDefinitionNamePrefix != nil {
		prefix = *in.QueryDefinitionNamePrefix
	}
	if in.NextToken != nil {
		var err error
		if after, err = parseNameToken(*in.NextToken); err != nil {
			return nil, err
		}
	}
	out := &api.DescribeQueryDefinitionsOutput{QueryDefinitions: []api.QueryDefinition{}}
	err := s.store.View(ctx, func(tx kv.Reader) error {
		return eachDefinition(tx, sc, func(id string, row *definitionRow) bool {
			if id <= after || !strings.HasPrefix(row.Name, prefix) {
				return true
			}
			if n := len(out.QueryDefinitions); n == limit {
				out.NextToken = new(nameToken(*out.QueryDefinitions[n-1].QueryDefinitionId))
				return false
			}
			out.QueryDefinitions = append(out.QueryDefinitions, api.QueryDefinition{
				QueryDefinitionId: &id, Name: &row.Name, QueryString: &row.Query, LastModified: &row.LastModified, LogGroupNames: row.Groups,
			})
			return true
		})
	})
	return out, err
}

func (s *Service) DeleteQueryDefinition(ctx context.Context, in *api.DeleteQueryDefinitionInput) (*api.DeleteQueryDefinitionOutput, error) {
	key := definitionKey(scopeOf(ctx), *in.QueryDefinitionId)
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		if _, ok, err := tx.Get(key); err != nil {
			return err
		} else if !ok {
			return definitionNotFound()
		}
		return tx.Delete(key)
	})
	return &api.DeleteQueryDefinitionOutput{Success: new(err == nil)}, err
}
