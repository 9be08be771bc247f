package lambda

import (
	"bytes"

	"brume/internal/kv/tuple"
)

// The layout of this service's part of the store. JSON unless said otherwise.
//
//	lambda f ACCOUNT REGION NAME            → functionRow
//	lambda v ACCOUNT REGION NAME NUMBER     → versionRow, of a published version
//	lambda a ACCOUNT REGION NAME ALIAS      → aliasRow
//	lambda p ACCOUNT REGION NAME QUALIFIER  → policyRow; QUALIFIER is empty for the function itself
//	lambda r ACCOUNT REGION                 → reservedRow: the concurrency that functions have for themselves
//	lambda l ACCOUNT REGION LAYER NUMBER    → layerRow, of a version of a layer
//	lambda h ACCOUNT REGION LAYER           → layerHead
//	lambda u ACCOUNT REGION NAME QUALIFIER  → urlRow; QUALIFIER is empty or an alias
//	lambda i ID                             → urlIndex, of a function URL
//	lambda e ACCOUNT REGION NAME QUALIFIER  → eventConfigRow; QUALIFIER is empty for $LATEST
//	lambda m ACCOUNT REGION UUID            → mappingRow
//	lambda s UUID SHARD                     → eventsource.Checkpoint: how far a mapping has read a shard
//	lambda t ACCOUNT DAY REGION NAME ARCHITECTURE → Usage
//	lambda w ACCOUNT REGION NAME QUALIFIER  → provisionedRow
//	lambda g ACCOUNT REGION ID              → signingRow
//	lambda q ACCOUNT REGION NAME QUALIFIER  → runtimeRow; QUALIFIER is empty for $LATEST
//	lambda c BLOB ACCOUNT REGION NAME NUMBER → nothing: this version (0: $LATEST) has that code. The name of a blob begins
//	                                          with its digest.
const (
	tagFunction    = 'f'
	tagVersion     = 'v'
	tagAlias       = 'a'
	tagPolicy      = 'p'
	tagReserved    = 'r'
	tagCode        = 'c'
	tagLayer       = 'l'
	tagHead        = 'h'
	tagURL         = 'u'
	tagURLIndex    = 'i'
	tagEvents      = 'e'
	tagMapping     = 'm'
	tagShard       = 's'
	tagMeter       = 't'
	tagProvisioned = 'w'
	tagSigning     = 'g'
	tagRuntime     = 'q'
)

func table(tag byte) []byte { return tuple.AppendByte(tuple.AppendString(nil, "lambda"), tag) }

func inScope(tag byte, sc scope) []byte {
	return tuple.AppendString(tuple.AppendString(table(tag), sc.account), sc.region)
}

func functionKey(sc scope, name string) []byte {
	return tuple.AppendString(inScope(tagFunction, sc), name)
}

func parseFunctionKey(key []byte) (sc scope, name string, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tagFunction)))
	sc.account, sc.region, name = r.String(), r.String(), r.String()
	return sc, name, r.End()
}

// versionsPrefix begins the keys of all published versions of a function, in the order of their numbers.
func versionsPrefix(sc scope, name string) []byte {
	return tuple.AppendString(inScope(tagVersion, sc), name)
}

func versionKey(sc scope, name string, number uint64) []byte {
	return tuple.AppendUint64(versionsPrefix(sc, name), number)
}

func parseVersionKey(key []byte) (sc scope, name string, number uint64, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tagVersion)))
	sc.account, sc.region, name, number = r.String(), r.String(), r.String(), r.Uint64()
	return sc, name, number, r.End()
}

func aliasesPrefix(sc scope, name string) []byte {
	return tuple.AppendString(inScope(tagAlias, sc), name)
}

func aliasKey(sc scope, name, alias string) []byte {
	return tuple.AppendString(aliasesPrefix(sc, name), alias)
}

func parseAliasKey(key []byte) (sc scope, name, alias string, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tagAlias)))
	sc.account, sc.region, name, alias = r.String(), r.String(), r.String(), r.String()
	return sc, name, alias, r.End()
}

func policiesPrefix(sc scope, name string) []byte {
	return tuple.AppendString(inScope(tagPolicy, sc), name)
}

func policyKey(sc scope, name, qualifier string) []byte {
	return tuple.AppendString(policiesPrefix(sc, name), qualifier)
}

func parsePolicyKey(key []byte) (sc scope, name, qualifier string, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tagPolicy)))
	sc.account, sc.region, name, qualifier = r.String(), r.String(), r.String(), r.String()
	return sc, name, qualifier, r.End()
}

func reservedKey(sc scope) []byte { return inScope(tagReserved, sc) }

func parseReservedKey(key []byte) (sc scope, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tagReserved)))
	sc.account, sc.region = r.String(), r.String()
	return sc, r.End()
}

// codePrefix begins the keys of all versions that have the code in a blob.
func codePrefix(blob string) []byte { return tuple.AppendString(table(tagCode), blob) }

// codeDigestPrefix begins the keys of all versions that have code with a digest, in whatever blob.
func codeDigestPrefix(digest string) []byte {
	return tuple.AppendStringPrefix(table(tagCode), digest)
}

func codeKey(blob string, sc scope, name string, number uint64) []byte {
	k := tuple.AppendString(tuple.AppendString(codePrefix(blob), sc.account), sc.region)
	return tuple.AppendUint64(tuple.AppendString(k, name), number)
}

func parseCodeKey(key []byte) (blob string, sc scope, name string, number uint64, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tagCode)))
	blob, sc.account, sc.region, name, number = r.String(), r.String(), r.String(), r.String(), r.Uint64()
	return blob, sc, name, number, r.End()
}

func layerHeadKey(l layerRef) []byte { return tuple.AppendString(inScope(tagHead, l.scope), l.name) }

// layerVersionsPrefix begins the keys of all versions of a layer, in the order of their numbers.
func layerVersionsPrefix(l layerRef) []byte {
	return tuple.AppendString(inScope(tagLayer, l.scope), l.name)
}

func layerKey(l layerRef) []byte { return tuple.AppendUint64(layerVersionsPrefix(l), l.number) }

func parseLayerKey(key []byte) (l layerRef, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tagLayer)))
	l.account, l.region, l.name, l.number = r.String(), r.String(), r.String(), r.Uint64()
	return l, r.End()
}

// urlsPrefix begins the keys of all URLs of a function.
func urlsPrefix(sc scope, name string) []byte { return tuple.AppendString(inScope(tagURL, sc), name) }

func urlKey(r ref) []byte { return tuple.AppendString(urlsPrefix(r.scope, r.name), r.qualifier) }

func parseURLKey(key []byte) (at ref, err error) { return parseRefKey(tagURL, key) }

// parseRefKey reads the key of something that a function, a version or an alias has.
func parseRefKey(tag byte, key []byte) (at ref, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tag)))
	at.account, at.region, at.name, at.qualifier = r.String(), r.String(), r.String(), r.String()
	return at, r.End()
}

func urlIndexKey(id string) []byte { return tuple.AppendString(table(tagURLIndex), id) }

// eventConfigsPrefix begins the keys of all event invoke configurations of a function.
func eventConfigsPrefix(sc scope, name string) []byte {
	return tuple.AppendString(inScope(tagEvents, sc), name)
}

func eventConfigKey(r ref) []byte {
	return tuple.AppendString(eventConfigsPrefix(r.scope, r.name), r.qualifier)
}

func parseEventConfigKey(key []byte) (ref, error) { return parseRefKey(tagEvents, key) }

func mappingKey(m mappingRef) []byte { return tuple.AppendString(inScope(tagMapping, m.scope), m.uuid) }

func parseMappingKey(key []byte) (m mappingRef, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tagMapping)))
	m.account, m.region, m.uuid = r.String(), r.String(), r.String()
	return m, r.End()
}

// checkpointsPrefix begins the keys of all checkpoints of a mapping.
func checkpointsPrefix(uuid string) []byte { return tuple.AppendString(table(tagShard), uuid) }

func checkpointKey(uuid, shard string) []byte {
	return tuple.AppendString(checkpointsPrefix(uuid), shard)
}

// meterPrefix begins the keys of all meters of an account, in the order of the days.
func meterPrefix(account string) []byte { return tuple.AppendString(table(tagMeter), account) }

func meterRowKey(k meterKey) []byte {
	key := tuple.AppendString(tuple.AppendString(meterPrefix(k.account), k.day), k.region)
	return tuple.AppendString(tuple.AppendString(key, k.name), k.architecture)
}

func parseMeterRowKey(key []byte) (k meterKey, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tagMeter)))
	k.account, k.day, k.region, k.name, k.architecture = r.String(), r.String(), r.String(), r.String(), r.String()
	return k, r.End()
}

// provisionedPrefix begins the keys of all provisioned concurrency of a function.
func provisionedPrefix(sc scope, name string) []byte {
	return tuple.AppendString(inScope(tagProvisioned, sc), name)
}

func provisionedKey(r ref) []byte {
	return tuple.AppendString(provisionedPrefix(r.scope, r.name), r.qualifier)
}

func signingKey(c signingRef) []byte { return tuple.AppendString(inScope(tagSigning, c.scope), c.id) }

func parseSigningKey(key []byte) (c signingRef, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tagSigning)))
	c.account, c.region, c.id = r.String(), r.String(), r.String()
	return c, r.End()
}

// runtimesPrefix begins the keys of all runtime management configurations of a function.
func runtimesPrefix(sc scope, name string) []byte {
	return tuple.AppendString(inScope(tagRuntime, sc), name)
}

func runtimeKey(r ref) []byte {
	return tuple.AppendString(runtimesPrefix(r.scope, r.name), r.qualifier)
}
