package dynamodb

import (
	"bytes"
	"maps"
	"slices"
	"testing"
	"time"

	api "brume/internal/api/dynamodb"
	"brume/internal/kv"
	"brume/internal/service/dynamodb/item"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func TestKeysRoundTrip(t *testing.T) {
	for _, sc := range []scope{{"000000000000", "us-east-1"}, {"1", ""}, {"\x00", "\xff"}} {
		for _, name := range []string{"table", "a.b-c_d", "\x00\x01"} {
			gotScope, gotName, err := parseTableKey(tableKey(sc, name))
			if gotScope != sc || gotName != name || err != nil {
				t.Errorf("table %v %q came back as %v %q, %v", sc, name, gotScope, gotName, err)
			}
		}
	}
	prefix := itemPrefix(0x00ff00ff)
	if got, err := parseTrashKey(trashKey(prefix)); err != nil || !bytes.Equal(got, prefix) {
		t.Errorf("trash %x came back as %x, %v", prefix, got, err)
	}
	at := time.Unix(1700000000, 5).UTC()
	if gotAt, gotKey, err := parseExpiryKey(expiryKey(at, prefix)); err != nil || !gotAt.Equal(at) || !bytes.Equal(gotKey, prefix) {
		t.Errorf("expiry %v %x came back as %v %x, %v", at, prefix, gotAt, gotKey, err)
	}
	for _, name := range []streamName{{"table", "2026-01-02T03:04:05.678"}, {"\x00", "\xff"}} {
		if got, err := parseStreamKey(streamKey(scope{"a", "b"}, name.table, name.label)); err != nil || got != name {
			t.Errorf("stream %v came back as %v, %v", name, got, err)
		}
	}
	if got, err := parseRecordKey(3, recordKey(3, 1<<63+5)); err != nil || got != 1<<63+5 {
		t.Errorf("a record's number came back as %d, %v", got, err)
	}
	if _, err := parseRecordKey(4, recordKey(3, 5)); err == nil {
		t.Error("the record of one stream passes for that of another")
	}
	if at, suffix, err := parseTTLKey(3, ttlKey(3, 77, []byte("suffix"))); err != nil || at != 77 || string(suffix) != "suffix" {
		t.Errorf("an expiry came back as %d, %q, %v", at, suffix, err)
	}
	if id, err := parseTTLTableKey(ttlTableKey(1 << 63)); err != nil || id != 1<<63 {
		t.Errorf("an id came back as %d, %v", id, err)
	}
	if suffix, err := parseLogKey(3, logKey(3, []byte("suffix"), 77)); err != nil || string(suffix) != "suffix" {
		t.Errorf("a change came back as %q, %v", suffix, err)
	}
	if at, suffix, err := parseLogTimeKey(3, logTimeKey(3, 77, []byte("suffix"))); err != nil || at != 77 || string(suffix) != "suffix" {
		t.Errorf("a change came back as %d, %q, %v", at, suffix, err)
	}
	backup := backupName{"table", newBackupID(at)}
	if got, err := parseBackupKey(backupKey(scope{"a", "b"}, backup)); err != nil || got != backup {
		t.Errorf("backup %v came back as %v, %v", backup, got, err)
	}
	for _, key := range [][]byte{nil, rows(tagTable), tableKey(scope{"a", "b"}, "c")[:12], append(tableKey(scope{"a", "b"}, "c"), 0)} {
		if _, _, err := parseTableKey(key); err == nil {
			t.Errorf("%q passes for the key of a table", key)
		}
	}
}

// Kinds of rows, tables and indexes do not reach into each other.
func TestKeysAreApart(t *testing.T) {
	prefixes := [][]byte{
		tableScope(scope{"000000000000", "us-east-1"}), tableScope(scope{"000000000000", "us-east-10"}), itemPrefix(1), itemPrefix(256),
		indexPrefix(1, 0), indexPrefix(1, 1), indexPrefix(256, 0), rows(tagToken), rows(tagExpiry), rows(tagTrash),
		streamsOf(scope{"a", "b"}, "c"), recordPrefix(1), recordPrefix(256),
		ttlPrefix(1), ttlPrefix(256), rows(tagTTLTable), rows(tagJob),
		backupsOf(scope{"a", "b"}, "c"), logPrefix(1), logPrefix(256), logTimePrefix(1), logTimePrefix(256),
	}
	for i, a := range prefixes {
		for j, b := range prefixes {
			if i != j && contains(kv.Prefix(a), append(bytes.Clone(b), "rest"...)) {
				t.Errorf("%q lies under %q", b, a)
			}
		}
	}
	if !contains(kv.Prefix(indexesPrefix(1)), indexPrefix(1, 7)) || contains(kv.Prefix(indexesPrefix(1)), indexPrefix(2, 7)) {
		t.Error("the indexes of a table are not those under its prefix")
	}
}

func TestItemKeys(t *testing.T) {
	k := &keySchema{Hash: []attribute{{"p", "S"}}, Range: []attribute{{"s", "N"}}}
	// One partition is one range, whatever bytes its key has, and inside it the sort key orders.
	sorts := []string{"-10", "-1", "0", "0.5", "1", "9", "10", "1000"}
	var all [][]byte
	for _, p := range []string{"a", "a\x00", "a\x00\x00", "ab", "b", "\xff"} {
		partition := appendPartition(nil, k, item.Map{"p": api.S(p)})
		var last []byte
		for _, s := range sorts {
			key := appendKey(nil, k, item.Map{"p": api.S(p), "s": api.N(s)})
			if !bytes.HasPrefix(key, partition) {
				t.Fatalf("%q %s: %x does not begin with %x", p, s, key, partition)
			}
			if bytes.Compare(last, key) >= 0 {
				t.Errorf("%q %s: not after the one before", p, s)
			}
			last = key
			all = append(all, key)
		}
	}
	slices.SortFunc(all, bytes.Compare)
	if len(slices.CompactFunc(all, bytes.Equal)) != 6*len(sorts) {
		t.Error("two items have one key")
	}
}

// The keys of the largest items and index entries fit the store.
func TestKeySizes(t *testing.T) {
	zeros := func(n int) api.B { return make(api.B, n) }
	tb := &table{tableRow: tableRow{ID: 1 << 60, Key: keySchema{Hash: []attribute{{"p", "B"}}, Range: []attribute{{"s", "B"}}}}}
	x := &index{Number: 1 << 30, Key: keySchema{Hash: []attribute{{"xp", "B"}}, Range: []attribute{{"xs", "B"}}}}
	m := item.Map{
		"p": zeros(maxPartitionKeySize), "s": zeros(maxSortKeySize), "xp": zeros(maxPartitionKeySize), "xs": zeros(maxSortKeySize),
	}
	if n := len(tb.indexEntry(x, m)); n > kv.MaxKeySize {
		t.Errorf("%d bytes", n)
	}
}

func TestSegments(t *testing.T) {
	for _, total := range []int{1, 2, 3, 7, 1000, 1_000_000} {
		var end []byte
		for i := range total {
			start, next := segmentRange(i, total)
			if i == 0 {
				if !bytes.Equal(start, make([]byte, 4)) {
					t.Errorf("%d: the first segment begins at %x", total, start)
				}
			} else if !bytes.Equal(start, end) {
				t.Fatalf("%d: segment %d begins at %x, the one before ends at %x", total, i, start, end)
			}
			if next != nil && bytes.Compare(start, next) >= 0 {
				t.Fatalf("%d: segment %d is empty", total, i)
			}
			end = next
		}
		if end != nil {
			t.Errorf("%d: the last segment ends at %x", total, end)
		}
	}
}
