package cloudtrail

import (
	"bytes"
	"slices"
	"time"

	"brume/internal/kv/tuple"
)

// The layout of this service's part of the store. Events of all accounts lie in one order of time, so that the oldest
// are found first when room is needed; the index says which belong to an account and region and what they are about.
//
//	cloudtrail e TIME ID                                → row, JSON
//	cloudtrail i ACCOUNT REGION ATTRIBUTE VALUE TIME ID → nothing
//	cloudtrail n                                        → usage, JSON
const (
	tagEvent = 'e'
	tagIndex = 'i'
	tagUsage = 'n'
)

func table(tag byte) []byte { return tuple.AppendByte(tuple.AppendString(nil, "cloudtrail"), tag) }

// position is where an event stands in time.
type position struct {
	time time.Time
	id   string
}

func appendPosition(key []byte, at position) []byte {
	return tuple.AppendString(tuple.AppendTime(key, at.time), at.id)
}

func eventKey(at position) []byte { return appendPosition(table(tagEvent), at) }

func parseEventKey(key []byte) (at position, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, table(tagEvent)))
	at = position{r.Time(), r.String()}
	return at, r.End()
}

// An attribute is what events are looked up by; its byte stands in keys.
type attribute byte

const (
	anyEvent attribute = iota // every event has it, with an empty value
	eventID
	eventName
	readOnly
	username
	resourceType
	resourceName
	eventSource
	accessKeyID
)

func indexPrefix(sc scope, a attribute, value string) []byte {
	key := tuple.AppendString(tuple.AppendString(table(tagIndex), sc.account), sc.region)
	return slices.Clip(tuple.AppendString(tuple.AppendByte(key, byte(a)), value))
}

func indexKey(sc scope, a attribute, value string, at position) []byte {
	return appendPosition(indexPrefix(sc, a, value), at)
}

func parseIndexKey(prefix, key []byte) (at position, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, prefix))
	at = position{r.Time(), r.String()}
	return at, r.End()
}

func usageKey() []byte { return table(tagUsage) }
