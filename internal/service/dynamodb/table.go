package dynamodb

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/kv"
	"brume/internal/policy"
	"brume/internal/service/dynamodb/item"
)

// A tableRow is what is stored of a table. Operations on items read it in their transaction, so that a change to it
// conflicts with those under way.
type tableRow struct {
	Name       string
	ID         uint64 // of its rows
	UUID       string // TableId
	Created    time.Time
	Attributes []attribute // in the order of the request
	Key        keySchema
	Indexes    []index
	NextIndex  uint32 // number of the next index

	PayPerRequest    bool
	BillingChanged   time.Time // when it became PAY_PER_REQUEST
	Throughput       throughput
	OnDemand         *onDemand
	InfrequentAccess bool
	ClassChanged     time.Time
	KMSKey           string // ARN; empty for DynamoDB's own key
	Protected        bool   // against deletion
	Tags             map[string]string
	Stream           *tableStream // the latest, nil if there never was one

	// Status is CREATING while a table is restored; empty for ACTIVE. One that is deleted has no row.
	Status       string
	TTL          *timeToLive // nil if items do not expire
	Recovery     *recovery   // nil without point-in-time recovery
	Holds        []hold      // what is being copied
	Log          uint64      // of the changes, 0 if nobody needs them
	Restored     *restored   // nil if it is not a restored table
	Policy       *resourcePolicy
	Warm         *warmThroughput
	Switches     []time.Time // to PAY_PER_REQUEST, of a day
	ClassChanges []time.Time // of 30 days
}

// The statuses of indexes that are not ACTIVE.
const (
	indexCreating = "CREATING" // kept up to date by writes, and being filled
	indexDeleting = "DELETING" // neither read nor written any more
)

// status is TableStatus. While an index goes the table is being updated; while one is filled it is ACTIVE again.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.OnlineOps.html
func (row *tableRow) status() string {
	switch {
	case row.Status != "":
		return row.Status
	case slices.ContainsFunc(row.Indexes, func(x index) bool { return x.Status == indexDeleting }):
		return "UPDATING"
	}
	return "ACTIVE"
}

// An attribute is a key attribute: S, N or B.
type attribute struct{ Name, Type string }

// A keySchema is the key of a table or index. A table has one partition key attribute and at most one sort key attribute.
type keySchema struct{ Hash, Range []attribute }

// attributes are those of the partition key and of the sort key.
func (k *keySchema) attributes() []attribute { return slices.Concat(k.Hash, k.Range) }

// each goes over attributes.
func (k *keySchema) each(yield func(attribute) bool) {
	for _, part := range [...][]attribute{k.Hash, k.Range} {
		for _, a := range part {
			if !yield(a) {
				return
			}
		}
	}
}

func (k *keySchema) has(name string) bool {
	named := func(a attribute) bool { return a.Name == name }
	return slices.ContainsFunc(k.Hash, named) || slices.ContainsFunc(k.Range, named)
}

// An index is a secondary index.
type index struct {
	Name       string
	Number     uint32
	Global     bool
	Key        keySchema
	Projection string   // ALL, KEYS_ONLY or INCLUDE
	NonKey     []string // of INCLUDE
	Throughput throughput
	OnDemand   *onDemand
	Warm       *warmThroughput
	Status     string // indexCreating or indexDeleting, empty for ACTIVE
}

// throughput is what a table or index was provisioned with; nothing is held to it.
type throughput struct {
	Read, Write          int64
	Increased, Decreased time.Time
	// Decreases are those on the day of Decreased, UTC.
	Decreases int64
}

type onDemand struct{ Read, Write *int64 }

type warmThroughput struct{ Read, Write int64 }

// A table is a tableRow as operations use it. It is shared and never modified.
type table struct {
	tableRow
	scope  scope
	raw    []byte           // the row
	policy *policy.Document // Policy, nil if there is none
	// checked are the indexes, but for those that are being removed, in the order in which DynamoDB checks an item's
	// attributes against their keys: global ones first, each kind by name.
	checked []*index
}

func (t *tableRow) checkedIndexes() []*index {
	var out []*index
	for i := range t.Indexes {
		if x := &t.Indexes[i]; x.Status != indexDeleting {
			out = append(out, x)
		}
	}
	slices.SortFunc(out, func(a, b *index) int {
		if a.Global != b.Global {
			if a.Global {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return out
}

func (t *tableRow) index(name string) *index {
	i := slices.IndexFunc(t.Indexes, func(x index) bool { return x.Name == name })
	if i < 0 {
		return nil
	}
	return &t.Indexes[i]
}

// needsOld reports whether a write must know what it replaces for the table's own sake.
func (t *tableRow) needsOld() bool {
	return len(t.Indexes) > 0 || t.streams() || t.TTL != nil || t.Log != 0
}

func (sc scope) tableARN(name string) string {
	return "arn:aws:dynamodb:" + sc.region + ":" + sc.account + ":table/" + name
}

// A tableCache keeps tables decoded. It is not asked whether a table exists: that the row read in the transaction is the
// row that was decoded is what makes an entry valid.
type tableCache struct {
	mu     sync.RWMutex
	tables map[string]*table // by the row's key
}

// maxCachedTables bounds the cache. AWS gives an account 2,500 tables per region.
const maxCachedTables = 10_000

func (c *tableCache) get(key, raw []byte) *table {
	c.mu.RLock()
	t := c.tables[string(key)]
	c.mu.RUnlock()
	if t == nil || !bytes.Equal(t.raw, raw) {
		return nil
	}
	return t
}

func (c *tableCache) put(key []byte, t *table) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tables == nil {
		c.tables = map[string]*table{}
	}
	if len(c.tables) >= maxCachedTables {
		clear(c.tables)
	}
	c.tables[string(key)] = t
}

// findTable returns a table, nil if there is none.
func (s *Service) findTable(r kv.Reader, sc scope, name string) (*table, error) {
	key := tableKey(sc, name)
	raw, ok, err := r.Get(key)
	if err != nil || !ok {
		return nil, err
	}
	if t := s.tables.get(key, raw); t != nil {
		return t, nil
	}
	t := &table{scope: sc, raw: bytes.Clone(raw)}
	if err := json.Unmarshal(t.raw, &t.tableRow); err != nil {
		return nil, fmt.Errorf("dynamodb: table %s: %w", name, err)
	}
	if t.policy, err = t.Policy.parse(); err != nil {
		return nil, fmt.Errorf("dynamodb: policy of table %s: %w", name, err)
	}
	t.checked = t.checkedIndexes()
	s.tables.put(key, t)
	return t, nil
}

// table is findTable for operations on items, to which a table that is not there is an error.
func (s *Service) table(r kv.Reader, sc scope, name string) (*table, error) {
	t, err := s.findTable(r, sc, name)
	if err == nil && (t == nil || t.Status != "") {
		return nil, &api.ResourceNotFoundException{Message: new("Requested resource not found")}
	}
	return t, err
}

// describedTable is findTable for operations on tables.
func (s *Service) describedTable(r kv.Reader, sc scope, name string) (*table, error) {
	t, err := s.findTable(r, sc, name)
	if t == nil && err == nil {
		err = &api.ResourceNotFoundException{Message: new("Requested resource not found: Table: " + name + " not found")}
	}
	return t, err
}

func setTable(tx kv.Tx, sc scope, row *tableRow) error {
	data, err := json.Marshal(row)
	if err != nil {
		return err
	}
	return tx.Set(tableKey(sc, row.Name), data)
}

// newTableID returns the id of a table's rows. 64 random bits do not collide among as many as one store holds.
func newTableID() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint64(b[:])
}

func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// itemKey returns the key of an item's row. The item must have the key's attributes.
func (t *table) itemKey(m item.Map) []byte { return appendKey(itemPrefix(t.ID), &t.Key, m) }

// indexEntry returns the key of the entry of an item in an index, nil if it has none: because it lacks an attribute, or,
// having been written before there was the index, has a value there that cannot be a key.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.OnlineOps.ViolationDetection.html
func (t *table) indexEntry(x *index, m item.Map) []byte {
	for i, part := range [...][]attribute{x.Key.Hash, x.Key.Range} {
		sum := 0
		for _, a := range part {
			v := m[a.Name]
			if v == nil || item.Type(v) != a.Type {
				return nil
			}
			_, size := keyValueSize(v)
			if size == 0 {
				return nil
			}
			sum += size
		}
		if sum > [...]int{maxPartitionKeySize, maxSortKeySize}[i] {
			return nil
		}
	}
	return appendUnique(appendKey(indexPrefix(t.ID, x.Number), &x.Key, m), &t.Key, m)
}

// projects reports whether the entries of an index have an attribute.
func (t *tableRow) projects(x *index, name string) bool {
	return x.Projection == "ALL" || x.Key.has(name) || t.Key.has(name) || slices.Contains(x.NonKey, name)
}

// project returns what an index entry holds of an item.
func (t *table) project(x *index, m item.Map) item.Map {
	if x.Projection == "ALL" {
		return m
	}
	out := item.Map{}
	add := func(name string) {
		if v := m[name]; v != nil {
			out[name] = v
		}
	}
	for _, k := range [...]*keySchema{&t.Key, &x.Key} {
		for _, a := range k.Hash {
			add(a.Name)
		}
		for _, a := range k.Range {
			add(a.Name)
		}
	}
	for _, name := range x.NonKey {
		add(name)
	}
	return out
}

// noSuchIndex is the error of a Query or Scan of an index that the table does not have.
func noSuchIndex(name string) error {
	return awserr.Validation("The table does not have the specified index: %s", name)
}
