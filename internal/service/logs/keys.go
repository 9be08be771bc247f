package logs

import (
	"bytes"

	"brume/internal/kv/tuple"
)

// The layout of this service's part of the store. g and s are the unique ids of a group and of a stream.
//
//	logs g ACCOUNT REGION NAME   → groupRow, JSON
//	logs s g NAME                → streamRow, JSON
//	logs e g s TIMESTAMP NUMBER  → ingestion time, message (event.go)
//	logs f g NAME                → metricFilterRow, JSON
//	logs u g NAME                → subscriptionRow, JSON
//	logs m ACCOUNT REGION NAMESPACE NAME MINUTE DIMENSIONS s → point, JSON (metricpoints.go)
//	logs d ACCOUNT REGION ID     → definitionRow, JSON
//	logs t PREFIX                → nothing: what lies under PREFIX is to be removed (janitor.go)
const (
	tagGroup  = 'g'
	tagStream = 's'
	tagEvent  = 'e'
	tagTrash  = 't'

	tagMetricFilter = 'f'
	tagSubscription = 'u'
	tagPoint        = 'm'
	tagDefinition   = 'd'
)

func table(tag byte) []byte { return tuple.AppendByte(tuple.AppendString(nil, "logs"), tag) }

func groupScope(sc scope) []byte {
	return tuple.AppendString(tuple.AppendString(table(tagGroup), sc.account), sc.region)
}

func groupKey(sc scope, name string) []byte { return tuple.AppendString(groupScope(sc), name) }

func groupKeyPrefix(sc scope, prefix string) []byte {
	return tuple.AppendStringPrefix(groupScope(sc), prefix)
}

func parseGroupKey(key []byte) (sc scope, name string, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tagGroup)))
	sc.account, sc.region, name = r.String(), r.String(), r.String()
	return sc, name, r.End()
}

func streamPrefix(group uint64) []byte { return tuple.AppendUint64(table(tagStream), group) }

func streamKey(group uint64, name string) []byte {
	return tuple.AppendString(streamPrefix(group), name)
}

func streamKeyPrefix(group uint64, prefix string) []byte {
	return tuple.AppendStringPrefix(streamPrefix(group), prefix)
}

func parseStreamKey(key []byte) (group uint64, name string, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tagStream)))
	group, name = r.Uint64(), r.String()
	return group, name, r.End()
}

func groupEventPrefix(group uint64) []byte { return tuple.AppendUint64(table(tagEvent), group) }

func eventPrefix(group, stream uint64) []byte {
	return tuple.AppendUint64(groupEventPrefix(group), stream)
}

// position is where an event stands in its stream.
type position struct {
	timestamp int64 // milliseconds since 1970
	number    uint64
}

func eventKey(group, stream uint64, at position) []byte {
	return tuple.AppendUint64(tuple.AppendInt64(eventPrefix(group, stream), at.timestamp), at.number)
}

func parseEventKey(key []byte) (group, stream uint64, at position, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tagEvent)))
	group, stream = r.Uint64(), r.Uint64()
	at = position{r.Int64(), r.Uint64()}
	return group, stream, at, r.End()
}

func filterPrefix(tag byte, group uint64) []byte { return tuple.AppendUint64(table(tag), group) }

func metricFilterPrefix(group uint64) []byte { return filterPrefix(tagMetricFilter, group) }

func metricFilterKey(group uint64, name string) []byte {
	return tuple.AppendString(metricFilterPrefix(group), name)
}

func subscriptionPrefix(group uint64) []byte { return filterPrefix(tagSubscription, group) }

func subscriptionKey(group uint64, name string) []byte {
	return tuple.AppendString(subscriptionPrefix(group), name)
}

func parseFilterKey(tag byte, key []byte) (group uint64, name string, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tag)))
	group, name = r.Uint64(), r.String()
	return group, name, r.End()
}

func pointAccount(account string) []byte { return tuple.AppendString(table(tagPoint), account) }

func pointRowKey(sc scope, k pointKey, stream uint64) []byte {
	b := tuple.AppendString(pointAccount(sc.account), sc.region)
	b = tuple.AppendString(tuple.AppendString(b, k.namespace), k.name)
	return tuple.AppendUint64(tuple.AppendString(tuple.AppendInt64(b, k.minute), k.dimensions), stream)
}

func parsePointKey(key []byte) (sc scope, k pointKey, stream uint64, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tagPoint)))
	sc.account, sc.region = r.String(), r.String()
	k = pointKey{r.String(), r.String(), r.Int64(), r.String()}
	stream = r.Uint64()
	return sc, k, stream, r.End()
}

func definitionScope(sc scope) []byte {
	return tuple.AppendString(tuple.AppendString(table(tagDefinition), sc.account), sc.region)
}

func definitionKey(sc scope, id string) []byte { return tuple.AppendString(definitionScope(sc), id) }

func parseDefinitionKey(key []byte) (sc scope, id string, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tagDefinition)))
	sc.account, sc.region, id = r.String(), r.String(), r.String()
	return sc, id, r.End()
}

func trashKey(prefix []byte) []byte { return tuple.AppendBytes(table(tagTrash), prefix) }

func parseTrashKey(key []byte) (prefix []byte, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tagTrash)))
	prefix = r.Bytes()
	return prefix, r.End()
}
