package apigateway

import (
	"bytes"

	"brume/internal/kv/tuple"
)

// The layout of this service's part of the store. Rows are JSON unless said otherwise.
//
//	apigateway i API                          → whose API it is, and its version (indexRow, in its own form)
//	apigateway a ACCOUNT REGION API           → api.RestApi
//	apigateway r ACCOUNT REGION API RESOURCE  → api.Resource, with its methods and integrations
//	apigateway d ACCOUNT REGION API DEPLOY    → api.Deployment
//	apigateway n ACCOUNT REGION API DEPLOY    → snapshot
//	apigateway s ACCOUNT REGION API STAGE     → api.Stage
//	apigateway o ACCOUNT REGION API NAME      → api.Model
//	apigateway q ACCOUNT REGION API ID        → api.RequestValidator
//	apigateway z ACCOUNT REGION API ID        → api.Authorizer
//	apigateway g ACCOUNT REGION API TYPE      → api.GatewayResponse, where it is customised
//	apigateway D ACCOUNT REGION API ID        → api.DocumentationPart
//	apigateway V ACCOUNT REGION API VERSION   → api.DocumentationVersion
//	apigateway W ACCOUNT REGION API VERSION   → the parts as they were: a list of api.DocumentationPart
//	apigateway k ACCOUNT REGION KEY           → api.ApiKey
//	apigateway h ACCOUNT REGION SHA256        → id of the key with the value of this hash
//	apigateway p ACCOUNT REGION PLAN          → api.UsagePlan
//	apigateway m ACCOUNT REGION PLAN KEY      → nothing: KEY is in PLAN
//	apigateway b ACCOUNT REGION KEY PLAN      → nothing: the same, from the other side
//	apigateway v ACCOUNT REGION               → version of the keys and plans, 8 bytes
//	apigateway c ACCOUNT REGION               → accountRow
//	apigateway u ACCOUNT REGION PLAN KEY DAY  → requests of that day, 8 bytes
//	apigateway x ACCOUNT REGION PLAN KEY DAY  → by how much the quota of the period that begins that day is extended, 8 bytes
//	apigateway e ACCOUNT REGION ID            → api.ClientCertificate
const (
	tagIndex           = 'i'
	tagAPI             = 'a'
	tagResource        = 'r'
	tagDeployment      = 'd'
	tagSnapshot        = 'n'
	tagStage           = 's'
	tagKey             = 'k'
	tagKeyHash         = 'h'
	tagPlan            = 'p'
	tagPlanKey         = 'm'
	tagKeyPlan         = 'b'
	tagVersion         = 'v'
	tagUsage           = 'u'
	tagExtension       = 'x'
	tagCertificate     = 'e'
	tagAccount         = 'c'
	tagModel           = 'o'
	tagValidator       = 'q'
	tagAuthorizer      = 'z'
	tagGatewayResponse = 'g'
	tagDocPart         = 'D'
	tagDocVersion      = 'V'
	tagDocSnapshot     = 'W'
)

func table(tag byte) []byte { return tuple.AppendByte(tuple.AppendString(nil, "apigateway"), tag) }

// inScope is the prefix of a table's rows of one account and region, with more elements behind it.
func inScope(tag byte, sc scope, elems ...string) []byte {
	k := tuple.AppendString(tuple.AppendString(table(tag), sc.account), sc.region)
	for _, e := range elems {
		k = tuple.AppendString(k, e)
	}
	return k
}

// lastElement is the last of the n elements behind the scope.
func lastElement(key []byte, tag byte, n int) (string, error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tag)))
	_, _ = r.String(), r.String()
	s := ""
	for range n {
		s = r.String()
	}
	return s, r.End()
}

func indexKey(apiID string) []byte { return tuple.AppendString(table(tagIndex), apiID) }

func restAPIKey(sc scope, apiID string) []byte      { return inScope(tagAPI, sc, apiID) }
func resourceKey(sc scope, apiID, id string) []byte { return inScope(tagResource, sc, apiID, id) }
func deploymentKey(sc scope, api, id string) []byte { return inScope(tagDeployment, sc, api, id) }
func snapshotKey(sc scope, apiID, id string) []byte { return inScope(tagSnapshot, sc, apiID, id) }
func stageKey(sc scope, apiID, name string) []byte  { return inScope(tagStage, sc, apiID, name) }
func keyKey(sc scope, id string) []byte             { return inScope(tagKey, sc, id) }
func keyHashKey(sc scope, hash [32]byte) []byte {
	return tuple.AppendBytes(inScope(tagKeyHash, sc), hash[:])
}
func planKey(sc scope, id string) []byte           { return inScope(tagPlan, sc, id) }
func planKeyKey(sc scope, plan, key string) []byte { return inScope(tagPlanKey, sc, plan, key) }
func keyPlanKey(sc scope, key, plan string) []byte { return inScope(tagKeyPlan, sc, key, plan) }
func accountKey(sc scope) []byte                   { return inScope(tagAccount, sc) }
func versionKey(sc scope) []byte                   { return inScope(tagVersion, sc) }
func usagePrefix(id usageID) []byte                { return inScope(tagUsage, id.scope, id.plan, id.key) }
func usageKey(id usageID, d day) []byte            { return tuple.AppendInt64(usagePrefix(id), int64(d)) }

func extensionKey(id usageID, start day) []byte {
	return tuple.AppendInt64(inScope(tagExtension, id.scope, id.plan, id.key), int64(start))
}
func certificateKey(sc scope, id string) []byte { return inScope(tagCertificate, sc, id) }

func parseUsageDay(key []byte) (day, error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tagUsage)))
	for range 4 {
		_ = r.String()
	}
	d := day(r.Int64())
	return d, r.End()
}

// An indexRow says where an API that is known by its id alone belongs, and counts the changes that requests to it can see.
type indexRow struct {
	scope
	version uint64
}

func (row indexRow) encode() []byte {
	return tuple.AppendUint64(tuple.AppendString(tuple.AppendString(nil, row.account), row.region), row.version)
}

func parseIndexRow(v []byte) (row indexRow, err error) {
	r := tuple.NewReader(v)
	row.account, row.region, row.version = r.String(), r.String(), r.Uint64()
	return row, r.End()
}
