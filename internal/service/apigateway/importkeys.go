package apigateway

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	api "brume/internal/api/apigateway"
	"brume/internal/awserr"
	"brume/internal/kv"
)

// maxImportedKeys bounds the keys of one file, so that one transaction holds them.
const maxImportedKeys = 5000

// An importedKey is a line of a key file.
type importedKey struct {
	line                     int
	name, value, description string
	enabled                  bool
	plans                    []string
}

// parseKeyFile reads a file of API keys: CSV whose first line names the columns, in any order and case. Name and Key must
// be there; Description, Enabled and UsagePlanIds may be; others are ignored.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-key-file-format.html
func parseKeyFile(body []byte) ([]importedKey, error) {
	r := csv.NewReader(strings.NewReader(strings.TrimPrefix(string(body), "\ufeff")))
	r.FieldsPerRecord, r.LazyQuotes, r.TrimLeadingSpace = -1, true, true
	head, err := r.Read()
	if err != nil {
		return nil, invalid("Unable to parse the API key file: it has no header line")
	}
	column := map[string]int{}
	for i, name := range head {
		column[strings.ToLower(strings.TrimSpace(name))] = i
	}
	for _, name := range []string{"name", "key"} {
		if _, ok := column[name]; !ok {
			return nil, invalid("Invalid API key file: the column '%s' is missing", name)
		}
	}
	var keys []importedKey
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return keys, nil
		}
		if err != nil {
			return nil, invalid("Unable to parse the API key file: %v", err)
		}
		if len(keys) == maxImportedKeys {
			return nil, invalid("An API key file can hold at most %d keys", maxImportedKeys)
		}
		field := func(name string) string {
			if i, ok := column[name]; ok && i < len(record) {
				return strings.TrimSpace(record[i])
			}
			return ""
		}
		line, _ := r.FieldPos(0)
		k := importedKey{line: line, name: field("name"), value: field("key"), description: field("description"), enabled: true}
		if e := strings.ToLower(field("enabled")); e != "" && e != "true" {
			if e != "false" {
				return nil, invalid("Invalid value '%s' for the column Enabled on line %d", clip(e), line)
			}
			k.enabled = false
		}
		for id := range strings.SplitSeq(strings.Trim(field("usageplanids"), `'"`), ",") {
			if id = strings.TrimSpace(id); id != "" {
				k.plans = append(k.plans, id)
			}
		}
		keys = append(keys, k)
	}
}

// ImportApiKeys makes the keys of a file, or overwrites those that have the same value. A line that cannot be taken is
// a warning, or with failOnWarnings the end of the import, of which nothing remains then.
// https://docs.aws.amazon.com/apigateway/latest/api/API_ImportApiKeys.html
func (s *Service) ImportApiKeys(ctx context.Context, in *api.ImportApiKeysInput) (*api.ApiKeyIds, error) {
	if f := value(in.Format); f != "csv" {
		return nil, invalid("Invalid format specified: %s. Valid options are csv", clip(f))
	}
	keys, err := parseKeyFile(in.Body)
	if err != nil {
		return nil, err
	}
	sc := scopeOf(ctx)
	var out *api.ApiKeyIds
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		out = &api.ApiKeyIds{Ids: []string{}, Warnings: []string{}}
		warn := func(k importedKey, err error) error {
			var known awserr.Error
			if !errors.As(err, &known) || value(in.FailOnWarnings) {
				return err
			}
			out.Warnings = append(out.Warnings, fmt.Sprintf("Line %d: %s", k.line, known.ErrorMessage()))
			return nil
		}
		for _, k := range keys {
			id, err := importKey(tx, sc, k)
			if err != nil {
				if err := warn(k, err); err != nil {
					return err
				}
				continue
			}
			out.Ids = append(out.Ids, id)
			for _, planID := range k.plans {
				plan, err := getPlan(tx, sc, planID)
				if err == nil {
					_, err = joinPlan(tx, sc, plan, id)
				}
				if err != nil {
					if err := warn(k, err); err != nil {
						return err
					}
				}
			}
		}
		return touchPlans(tx, sc)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// importKey makes the key of a line, or changes the one that has its value.
func importKey(tx kv.Tx, sc scope, k importedKey) (id string, err error) {
	if err := checkKeyValue(k.value); err != nil {
		return "", err
	}
	existing, ok, err := tx.Get(keyHashKey(sc, sha256.Sum256([]byte(k.value))))
	if err != nil {
		return "", err
	}
	if !ok {
		row := &api.ApiKey{Value: &k.value, Name: &k.name, Description: &k.description, Enabled: &k.enabled, StageKeys: []string{}}
		if err := insertKey(tx, sc, row); err != nil {
			return "", err
		}
		return *row.Id, nil
	}
	row, err := getKey(tx, sc, string(existing))
	if err != nil {
		return "", err
	}
	row.Name, row.Description, row.Enabled, row.LastUpdatedDate = &k.name, &k.description, &k.enabled, now(tx)
	return *row.Id, put(tx, keyKey(sc, *row.Id), row)
}
