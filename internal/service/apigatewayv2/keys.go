package apigatewayv2

import "brume/internal/kv/tuple"

// The layout of this service's part of the store.
//
//	apigatewayv2 i API                  → whose API it is, and its version (indexRow, in its own form)
//	apigatewayv2 a ACCOUNT REGION API   → apiRow, as JSON
//	apigatewayv2 n API DEPLOYMENT       → definition: what was deployed, as JSON
const (
	tagIndex    = 'i'
	tagAPI      = 'a'
	tagSnapshot = 'n'
)

func table(tag byte) []byte { return tuple.AppendByte(tuple.AppendString(nil, "apigatewayv2"), tag) }

func indexKey(apiID string) []byte { return tuple.AppendString(table(tagIndex), apiID) }

func apisPrefix(sc scope) []byte {
	return tuple.AppendString(tuple.AppendString(table(tagAPI), sc.account), sc.region)
}

func apiKey(sc scope, apiID string) []byte { return tuple.AppendString(apisPrefix(sc), apiID) }

func snapshotsPrefix(apiID string) []byte { return tuple.AppendString(table(tagSnapshot), apiID) }

func snapshotKey(apiID, deployment string) []byte {
	return tuple.AppendString(snapshotsPrefix(apiID), deployment)
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
