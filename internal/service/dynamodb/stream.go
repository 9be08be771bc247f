package dynamodb

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/kv"
	"brume/internal/service/dynamodb/item"
)

// streamLife is how long records are kept, and streams that were switched off.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html#Streams.DataRetention
const streamLife = 24 * time.Hour

// labelFormat is the form of a stream's label.
const labelFormat = "2006-01-02T15:04:05.000"

// A tableStream is what a table knows of its latest stream.
type tableStream struct {
	ID    uint64
	Label string
	View  string // NEW_IMAGE, OLD_IMAGE, NEW_AND_OLD_IMAGES or KEYS_ONLY
	Off   bool
}

// A streamRow is what is stored of a stream. It outlives its table.
type streamRow struct {
	ID      uint64
	View    string
	Created time.Time
	Key     keySchema
	// Disabled is when the stream was switched off, zero if it is on.
	Disabled time.Time
	// Trimmed is the number of the last record that was removed because of its age.
	Trimmed uint64
	Policy  *resourcePolicy
}

func decodeStream(data []byte) (*streamRow, error) {
	row := new(streamRow)
	if err := json.Unmarshal(data, row); err != nil {
		return nil, fmt.Errorf("dynamodb: stream: %w", err)
	}
	return row, nil
}

// streams reports whether changes of items are recorded.
func (t *tableRow) streams() bool { return t.Stream != nil && !t.Stream.Off }

// updateStream switches the stream of a table on or off. Each time that it is switched on makes a new stream.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateTable.html#DDB-UpdateTable-request-StreamSpecification
func (row *tableRow) updateStream(tx *writeTx, sc scope, in *api.StreamSpecification) error {
	switch {
	case in == nil:
		return nil
	case !deref(in.StreamEnabled):
		if !row.streams() {
			return awserr.Validation("Table has no stream to disable: TableName: %s", row.Name)
		}
		return row.endStream(tx, sc)
	case row.streams():
		return awserr.Validation("Table already has an enabled stream: TableName: %s", row.Name)
	}
	return row.beginStream(tx, sc, *in.StreamViewType)
}

func (row *tableRow) beginStream(tx kv.Tx, sc scope, view string) error {
	created := tx.Now()
	for {
		_, taken, err := tx.Get(streamKey(sc, row.Name, created.UTC().Format(labelFormat)))
		if err != nil {
			return err
		}
		if !taken {
			break
		}
		created = created.Add(time.Millisecond)
	}
	row.Stream = &tableStream{ID: newTableID(), Label: created.UTC().Format(labelFormat), View: view}
	return putStream(tx, streamKey(sc, row.Name, row.Stream.Label), &streamRow{ID: row.Stream.ID, View: view, Created: tx.Now(), Key: row.Key})
}

// endStream switches the stream off. Its records stay until they are too old.
func (row *tableRow) endStream(tx *writeTx, sc scope) error {
	tx.sequence(row.Stream.ID) // wakes who waits for more
	key := streamKey(sc, row.Name, row.Stream.Label)
	data, ok, err := tx.Get(key)
	if err != nil || !ok {
		return err
	}
	stream, err := decodeStream(data)
	if err != nil {
		return err
	}
	off := *row.Stream
	off.Off = true
	row.Stream = &off
	stream.Disabled = tx.Now()
	return putStream(tx, key, stream)
}

func putStream(tx kv.Tx, key []byte, row *streamRow) error {
	data, err := json.Marshal(row)
	if err != nil {
		return err
	}
	return tx.Set(key, data)
}

func (sc scope) streamARN(table, label string) string {
	return sc.tableARN(table) + "/stream/" + label
}

// A record is a change of an item as it is stored: a version, flags, the time in milliseconds since 1970, and the key, the
// new and the old item, each encoded with its length before it; no bytes stand for an item that there is not or that the
// stream does not show.
type record struct {
	event     byte
	byService bool
	at        time.Time
	// key, new and old are empty if they are not there.
	key, new, old item.Encoded
}

const recordVersion = 1

// The events of records.
const (
	eventInsert = iota
	eventModify
	eventRemove
	eventMask = 3
	// flagService is set in the flags of a change that DynamoDB itself made.
	flagService = 4
)

func (r *record) encode() []byte {
	b := make([]byte, 0, 32+len(r.key)+len(r.new)+len(r.old))
	flags := r.event
	if r.byService {
		flags |= flagService
	}
	b = binary.AppendUvarint(append(b, recordVersion, flags), uint64(r.at.UnixMilli()))
	for _, part := range [...]item.Encoded{r.key, r.new, r.old} {
		b = append(binary.AppendUvarint(b, uint64(len(part))), part...)
	}
	return b
}

var errRecord = errors.New("dynamodb: a stream record is damaged")

// decodeRecord reads a record, which shares memory with b.
func decodeRecord(b []byte) (*record, error) {
	if len(b) < 2 || b[0] != recordVersion || b[1]&eventMask > eventRemove {
		return nil, errRecord
	}
	r := &record{event: b[1] & eventMask, byService: b[1]&flagService != 0}
	b = b[2:]
	at, n := binary.Uvarint(b)
	if n <= 0 || at > 1<<52 {
		return nil, errRecord
	}
	r.at, b = time.UnixMilli(int64(at)), b[n:]
	for _, part := range [...]*item.Encoded{&r.key, &r.new, &r.old} {
		length, n := binary.Uvarint(b)
		if n <= 0 || length > uint64(len(b)-n) {
			return nil, errRecord
		}
		b = b[n:]
		*part, b = b[:length:length], b[length:]
	}
	if len(b) > 0 {
		return nil, errRecord
	}
	return r, nil
}

// record puts a change of an item from old to new, empty for none, into the table's stream.
func (t *table) record(tx *writeTx, old, new item.Encoded) error {
	r := record{event: eventModify, byService: tx.byService, at: tx.Now()}
	source := new
	switch {
	case len(old) == 0:
		r.event = eventInsert
	case len(new) == 0:
		r.event, source = eventRemove, old
	}
	key, err := t.keyOf(source, nil)
	if err != nil {
		return err
	}
	r.key = item.Append(nil, key, item.Size(key))
	switch t.Stream.View {
	case "NEW_IMAGE":
		r.new = new
	case "OLD_IMAGE":
		r.old = old
	case "NEW_AND_OLD_IMAGES":
		r.new, r.old = new, old
	}
	return tx.Set(recordKey(t.Stream.ID, tx.sequence(t.Stream.ID)), r.encode())
}
