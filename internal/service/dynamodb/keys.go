package dynamodb

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/cespare/xxhash/v2"

	api "brume/internal/api/dynamodb"
	"brume/internal/kv/tuple"
	"brume/internal/service/dynamodb/item"
	"brume/internal/service/dynamodb/number"
)

// The layout of this service's part of the store. TABLE is the unique id that a table has from its creation on, and INDEX
// a number that the table gives to an index once; STREAM, TTL, LOG and JOB are such ids too.
//
//	dynamodb t ACCOUNT REGION NAME                    → tableRow, JSON
//	dynamodb i TABLE HASH PARTITION SORT              → item (package item)
//	dynamodb x TABLE INDEX HASH PARTITION SORT KEY    → projected item
//	dynamodb k ACCOUNT REGION TOKEN                   → tokenRow, JSON: a TransactWriteItems that succeeded
//	dynamodb e TIME KEY                               → nothing: the row KEY, of a token, expires at TIME
//	dynamodb s ACCOUNT REGION NAME LABEL              → streamRow, JSON
//	dynamodb r STREAM SEQUENCE                        → record
//	dynamodb l TTL SECONDS HASH PARTITION SORT        → nothing: an item expires at SECONDS
//	dynamodb g TTL                                    → ttlRow, JSON: whose items
//	dynamodb b ACCOUNT REGION NAME BACKUP             → backupRow, JSON
//	dynamodb c LOG HASH PARTITION SORT TIME           → item before its change at TIME, empty for none
//	dynamodb q LOG TIME HASH PARTITION SORT           → nothing: the item was changed at TIME
//	dynamodb j JOB                                    → jobRow, JSON
//	dynamodb d PREFIX                                 → nothing: what lies under PREFIX is to be removed
//
// PARTITION is the values of the partition key attributes, each with its length before it, and SORT those of the sort key
// attributes in a form that orders as they do. HASH is 32 bits of a hash of PARTITION: it spreads partitions evenly, so
// that a segment of a parallel Scan is a range, and gives Scan the random order of partitions that it has in AWS. KEY is
// the values of the table's key, each with its length before it, which makes index entries unique.
const (
	tagTable    = 't'
	tagItem     = 'i'
	tagIndex    = 'x'
	tagToken    = 'k'
	tagExpiry   = 'e'
	tagStream   = 's'
	tagRecord   = 'r'
	tagTTL      = 'l'
	tagTTLTable = 'g'
	tagBackup   = 'b'
	tagLog      = 'c'
	tagLogTime  = 'q'
	tagJob      = 'j'
	tagTrash    = 'd'
	namespace   = "dynamodb"
	hashSpace   = 1 << 32
	keyReserve  = 64 // room for the fixed parts of a key
)

func rows(tag byte) []byte {
	return tuple.AppendByte(tuple.AppendString(make([]byte, 0, keyReserve), namespace), tag)
}

func tableScope(sc scope) []byte {
	return tuple.AppendString(tuple.AppendString(rows(tagTable), sc.account), sc.region)
}

func tableKey(sc scope, name string) []byte { return tuple.AppendString(tableScope(sc), name) }

func parseTableKey(key []byte) (sc scope, name string, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, rows(tagTable)))
	sc.account, sc.region, name = r.String(), r.String(), r.String()
	return sc, name, r.End()
}

// itemPrefix is before all items of a table.
func itemPrefix(table uint64) []byte { return tuple.AppendUint64(rows(tagItem), table) }

// indexesPrefix is before all entries of all indexes of a table, indexPrefix before those of one of them.
func indexesPrefix(table uint64) []byte { return tuple.AppendUint64(rows(tagIndex), table) }

func indexPrefix(table uint64, index uint32) []byte {
	return binary.BigEndian.AppendUint32(indexesPrefix(table), index)
}

// appendKey appends the HASH, PARTITION and SORT of an item, which must have the attributes.
func appendKey(dst []byte, k *keySchema, m item.Map) []byte {
	dst = appendPartition(dst, k, m)
	for _, a := range k.Range {
		dst = appendSort(dst, m[a.Name])
	}
	return dst
}

// appendPartition appends the HASH and PARTITION of an item.
func appendPartition(dst []byte, k *keySchema, m item.Map) []byte {
	at := len(dst)
	dst = appendValues(append(dst, 0, 0, 0, 0), k.Hash, m)
	binary.BigEndian.PutUint32(dst[at:], uint32(xxhash.Sum64(dst[at+4:])>>32))
	return dst
}

// appendValues appends values, each with its length before it.
func appendValues(dst []byte, attributes []attribute, m item.Map) []byte {
	for _, a := range attributes {
		at := len(dst)
		dst = append(dst, 0, 0)
		switch v := m[a.Name].(type) {
		case api.S:
			dst = append(dst, v...)
		case api.B:
			dst = append(dst, v...)
		case api.N:
			dst = number.AppendKey(dst, string(v))
		}
		binary.BigEndian.PutUint16(dst[at:], uint16(len(dst)-at-2))
	}
	return dst
}

// appendSort appends a value so that the order of bytes is the order of values, and no value is a prefix of another.
func appendSort(dst []byte, v api.AttributeValue) []byte {
	switch v := v.(type) {
	case api.S:
		return tuple.AppendString(dst, string(v))
	case api.B:
		return tuple.AppendBytes(dst, v)
	case api.N:
		return number.AppendKey(dst, string(v))
	}
	return dst
}

// appendSortPrefix appends a string or binary value without its end: what begins with it comes after it.
func appendSortPrefix(dst []byte, v api.AttributeValue) []byte {
	switch v := v.(type) {
	case api.S:
		return tuple.AppendStringPrefix(dst, string(v))
	case api.B:
		return tuple.AppendBytesPrefix(dst, v)
	}
	return dst
}

// appendUnique appends the KEY of an index entry.
func appendUnique(dst []byte, k *keySchema, m item.Map) []byte {
	return appendValues(appendValues(dst, k.Hash, m), k.Range, m)
}

// segmentRange is the range of hashes, as the bytes of HASH, of one segment of a Scan; end is nil for the last.
func segmentRange(segment, total int) (start, end []byte) {
	bound := func(i int) []byte {
		return binary.BigEndian.AppendUint32(nil, uint32((uint64(i)*hashSpace+uint64(total)-1)/uint64(total)))
	}
	if segment+1 < total {
		end = bound(segment + 1)
	}
	return bound(segment), end
}

func tokenKey(sc scope, token string) []byte {
	key := tuple.AppendString(tuple.AppendString(rows(tagToken), sc.account), sc.region)
	return tuple.AppendString(key, token)
}

func expiryKey(at time.Time, key []byte) []byte {
	return tuple.AppendBytes(tuple.AppendTime(rows(tagExpiry), at), key)
}

func parseExpiryKey(key []byte) (at time.Time, row []byte, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, rows(tagExpiry)))
	at, row = r.Time(), r.Bytes()
	return at, row, r.End()
}

func streamScope(sc scope) []byte {
	return tuple.AppendString(tuple.AppendString(rows(tagStream), sc.account), sc.region)
}

// streamsOf is before all streams of a table.
func streamsOf(sc scope, table string) []byte { return tuple.AppendString(streamScope(sc), table) }

func streamKey(sc scope, table, label string) []byte {
	return tuple.AppendString(streamsOf(sc, table), label)
}

func parseStreamKey(key []byte) (name streamName, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, rows(tagStream)))
	_, _ = r.String(), r.String() // account and region
	name.table, name.label = r.String(), r.String()
	return name, r.End()
}

// recordPrefix is before all records of a stream.
func recordPrefix(stream uint64) []byte { return tuple.AppendUint64(rows(tagRecord), stream) }

func recordKey(stream, sequence uint64) []byte {
	return tuple.AppendUint64(recordPrefix(stream), sequence)
}

func parseRecordKey(stream uint64, key []byte) (sequence uint64, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, recordPrefix(stream)))
	sequence = r.Uint64()
	return sequence, r.End()
}

// ttlPrefix is before the expiry rows of the items of a table.
func ttlPrefix(id uint64) []byte { return tuple.AppendUint64(rows(tagTTL), id) }

func ttlKey(id, seconds uint64, suffix []byte) []byte {
	return append(tuple.AppendUint64(ttlPrefix(id), seconds), suffix...)
}

// parseTTLKey returns the time of an expiry row and what stands behind the prefix in its item's key.
func parseTTLKey(id uint64, key []byte) (seconds uint64, suffix []byte, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, ttlPrefix(id)))
	seconds = r.Uint64()
	return seconds, r.Rest(), r.Err()
}

func ttlTableKey(id uint64) []byte { return tuple.AppendUint64(rows(tagTTLTable), id) }

func parseTTLTableKey(key []byte) (id uint64, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, rows(tagTTLTable)))
	id = r.Uint64()
	return id, r.End()
}

func backupScope(sc scope) []byte {
	return tuple.AppendString(tuple.AppendString(rows(tagBackup), sc.account), sc.region)
}

// backupsOf is before all backups of a table.
func backupsOf(sc scope, table string) []byte { return tuple.AppendString(backupScope(sc), table) }

func backupKey(sc scope, name backupName) []byte {
	return tuple.AppendString(backupsOf(sc, name.table), name.id)
}

func parseBackupKey(key []byte) (name backupName, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, rows(tagBackup)))
	_, _ = r.String(), r.String() // account and region
	name.table, name.id = r.String(), r.String()
	return name, r.End()
}

// logPrefix is before all changes of a log, logTimePrefix before their times.
func logPrefix(log uint64) []byte { return tuple.AppendUint64(rows(tagLog), log) }

func logTimePrefix(log uint64) []byte { return tuple.AppendUint64(rows(tagLogTime), log) }

// logKey is the key of a change. No item's key is a prefix of another's, so that the changes of one item stand together.
func logKey(log uint64, suffix []byte, at uint64) []byte {
	return binary.BigEndian.AppendUint64(append(logPrefix(log), suffix...), at)
}

// parseLogKey returns what stands behind the prefix in the key of the changed item.
func parseLogKey(log uint64, key []byte) (suffix []byte, err error) {
	rest, ok := bytes.CutPrefix(key, logPrefix(log))
	if !ok || len(rest) < 8 {
		return nil, tuple.ErrMalformed
	}
	return bytes.Clone(rest[:len(rest)-8]), nil
}

func logTimeKey(log, at uint64, suffix []byte) []byte {
	return append(binary.BigEndian.AppendUint64(logTimePrefix(log), at), suffix...)
}

func parseLogTimeKey(log uint64, key []byte) (at uint64, suffix []byte, err error) {
	rest, ok := bytes.CutPrefix(key, logTimePrefix(log))
	if !ok || len(rest) < 8 {
		return 0, nil, tuple.ErrMalformed
	}
	return binary.BigEndian.Uint64(rest), rest[8:], nil
}

func jobKey(id uint64) []byte { return tuple.AppendUint64(rows(tagJob), id) }

func trashKey(prefix []byte) []byte { return tuple.AppendBytes(rows(tagTrash), prefix) }

func parseTrashKey(key []byte) (prefix []byte, err error) {
	r := tuple.NewReader(bytes.TrimPrefix(key, rows(tagTrash)))
	prefix = r.Bytes()
	return prefix, r.End()
}
