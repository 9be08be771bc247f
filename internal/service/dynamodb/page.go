package dynamodb

import (
	"bytes"
	"slices"
	"strings"

	"brume/internal/awserr"
	"brume/internal/kv"
	"brume/internal/service/dynamodb/expression"
	"brume/internal/service/dynamodb/item"
)

// maxPageSize is how much one Query or Scan reads, in bytes as items count them, before filtering.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html
const maxPageSize = 1 << 20

// leastRow is what a row takes of a page at least, so that a page of the smallest items still fits into memory.
const leastRow = 16

// A page is what Query and Scan have in common: they read rows in order, filter them, and stop somewhere.
type page struct {
	indexName *string
	start     item.Map // ExclusiveStartKey, canonical; nil for none
	limit     int      // 0 for none
	filter    *expression.Predicate
	// legacyFilter says that the filter is a QueryFilter or ScanFilter.
	legacyFilter bool
	selection    *selection
	selects      string // Select as given
	countOnly    bool
	consistent   bool
}

// found is what was read of a page.
type found struct {
	items          []item.Map // nil if only their number is wanted
	count, scanned int32
	last           item.Map // LastEvaluatedKey, nil if all was read
	size           int      // of what was read
}

// reads are the parameters of Query and Scan that make a page.
type reads struct {
	indexName       *string
	start           item.Map
	limit           *int32
	filter          exprParam
	legacyFilter    *expression.Predicate
	projection      *string
	attributesToGet []string
	selects         *string
	consistent      *bool
}

// check checks those parameters that have no expression, and need no table.
func (r *reads) check() error {
	if r.start != nil {
		if err := canonicalItem(r.start); err != nil {
			return startKeyFault(err)
		}
	}
	return r.checkSelect()
}

// startKeyFault words what is wrong with a value of ExclusiveStartKey. DynamoDB tells of numbers and duplicates before it
// knows where they stand.
func startKeyFault(err error) error {
	text := message(err)
	for _, part := range [...]string{"numeric value", "significant digits", "Number ", "number set", "contains duplicates"} {
		if strings.Contains(text, part) {
			return err
		}
	}
	return awserr.Validation("The provided starting key is invalid: %s", text)
}

// page parses the expressions.
func (r *reads) page(p *expression.Placeholders) (*page, error) {
	pg := &page{
		indexName: r.indexName, start: r.start, limit: int(deref(r.limit)), selects: deref(r.selects),
		consistent: deref(r.consistent), countOnly: deref(r.selects) == "COUNT",
	}
	var err error
	if pg.filter, err = predicate(p, r.filter); err != nil {
		return nil, err
	}
	if r.legacyFilter != nil {
		pg.filter, pg.legacyFilter = r.legacyFilter, true
	}
	pg.selection, err = newSelection(p, r.projection, r.attributesToGet)
	return pg, err
}

// checkSelect checks Select against the parameters that name attributes.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Query.html#DDB-Query-request-Select
func (r *reads) checkSelect() error {
	named, given := "ProjectionExpression", r.projection != nil
	if !given && r.attributesToGet != nil {
		named, given = "AttributesToGet", true
	}
	switch selects := deref(r.selects); {
	case selects == "COUNT" && given:
		return awserr.Validation("Cannot specify the %s when choosing to get only the Count", named)
	case (selects == "ALL_ATTRIBUTES" || selects == "ALL_PROJECTED_ATTRIBUTES") && given:
		return awserr.Validation("Cannot specify the %s when choosing to get %s", named, selects)
	case selects == "SPECIFIC_ATTRIBUTES" && !given:
		return awserr.Validation("Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES")
	case selects == "ALL_PROJECTED_ATTRIBUTES" && r.indexName == nil:
		return awserr.Validation("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
	}
	return nil
}

// index returns the index that is read, nil for the table itself.
func (pg *page) index(t *table) (*index, error) {
	if pg.indexName == nil {
		return nil, nil
	}
	x := t.index(*pg.indexName)
	switch {
	case x == nil || x.Status == indexDeleting:
		return nil, noSuchIndex(*pg.indexName)
	case x.Status == indexCreating:
		return nil, awserr.Validation("Cannot read from backfilling global secondary index: %s", x.Name)
	}
	if x.Global && pg.consistent {
		return nil, awserr.Validation("Consistent reads are not supported on global secondary indexes")
	}
	return x, nil
}

// checkProjected refuses to read what an index does not hold.
func (pg *page) checkProjected(t *table, x *index) error {
	if x == nil || !x.Global {
		return nil
	}
	if pg.selects == "ALL_ATTRIBUTES" && x.Projection != "ALL" {
		return invalid("Select type ALL_ATTRIBUTES is not supported for global secondary index %s because its projection type is not ALL", x.Name)
	}
	for _, path := range pg.selection.paths {
		if !t.projects(x, path.Head()) {
			return invalid("Global secondary index %s does not project [%s]", x.Name, path.Head())
		}
	}
	return nil
}

// checkFiltered refuses to query by what an index does not hold.
func (pg *page) checkFiltered(t *table, x *index) error {
	if x == nil || pg.filter == nil {
		return nil
	}
	var missing []string
	for _, path := range pg.filter.Paths() {
		if name := path.Head(); !t.projects(x, name) && !slices.Contains(missing, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return unprojectedFilter(x, missing)
}

func unprojectedFilter(x *index, missing []string) error {
	return invalid("Secondary index %s does not project one or more filter attributes: [%s]", x.Name, strings.Join(missing, ", "))
}

func invalidStart() error { return awserr.Validation("The provided starting key is invalid") }

// hasStartSize reports whether the start has as many attributes as the keys of the table and the index together.
func (pg *page) hasStartSize(t *table, x *index) bool {
	want := len(t.Key.Hash) + len(t.Key.Range)
	if x != nil {
		for a := range x.Key.each {
			if !t.Key.has(a.Name) {
				want++
			}
		}
	}
	return len(pg.start) == want
}

// checkStartPart checks one key attribute of the start.
func (pg *page) checkStartPart(a attribute, hash bool) error {
	switch v := pg.start[a.Name]; {
	case v == nil:
		return invalidStart()
	case item.Type(v) != a.Type:
		return keyMismatch()
	default:
		return checkKeyValue(a.Name, v, hash)
	}
}

// checkStartKey checks the table's key in the start.
func (pg *page) checkStartKey(t *table) error {
	key := item.Map{}
	for a := range t.Key.each {
		if v := pg.start[a.Name]; v != nil {
			key[a.Name] = v
		}
	}
	if err := checkKey(&t.Key, key); err != nil {
		return awserr.Validation("The provided starting key is invalid: %s", message(err))
	}
	return nil
}

// startRow is the row that the start, checked before, stands for.
func (pg *page) startRow(t *table, x *index) []byte {
	if x != nil {
		return t.indexEntry(x, pg.start)
	}
	return t.itemKey(pg.start)
}

// read reads rows of rng until the page is full. x is the index whose rows they are, nil for the table's own.
func (pg *page) read(r kv.Reader, t *table, x *index, rng kv.Range, used *consumption) (*found, error) {
	f := new(found)
	if !pg.countOnly {
		f.items = []item.Map{}
	}
	fetch := pg.fetches(t, x)
	size, filled := 0, 0
	for pair, err := range r.Scan(rng) {
		if err != nil {
			return nil, err
		}
		row := item.Encoded(pair.Value)
		n, err := row.Size()
		if err != nil {
			return nil, err
		}
		size += n
		filled += max(n, leastRow)
		f.scanned++
		last := row
		if fetch {
			if row, err = t.fetch(r, row); err != nil {
				return nil, err
			}
			whole, err := row.Size()
			if err != nil {
				return nil, err
			}
			used.add(readUnits(whole, pg.consistent))
			filled += whole
		}
		if err := pg.take(f, row); err != nil {
			return nil, err
		}
		if int(f.scanned) == pg.limit || filled >= maxPageSize {
			if f.last, err = t.keyOf(last, x); err != nil {
				return nil, err
			}
			break
		}
	}
	f.size = size
	units := readUnits(size, pg.consistent)
	if x != nil {
		used.addIndex(x, units)
	} else {
		used.add(units)
	}
	return f, nil
}

// take adds a row if it passes the filter.
func (pg *page) take(f *found, row item.Encoded) error {
	if pg.filter != nil {
		ok, err := pg.filter.Eval(row)
		if err != nil || !ok {
			return err
		}
	}
	f.count++
	if pg.countOnly {
		return nil
	}
	m, err := pg.selection.decode(row)
	if err != nil {
		return err
	}
	f.items = append(f.items, m)
	return nil
}

// fetches reports whether the rows of a local index must be completed from the table.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LSI.html#LSI.Projections
func (pg *page) fetches(t *table, x *index) bool {
	if x == nil || x.Global || x.Projection == "ALL" || pg.countOnly {
		return false
	}
	if pg.selects == "ALL_ATTRIBUTES" {
		return true
	}
	for _, path := range pg.selection.paths {
		if !t.projects(x, path.Head()) {
			return true
		}
	}
	return false
}

// fetch returns the item of an index entry.
func (t *table) fetch(r kv.Reader, entry item.Encoded) (item.Encoded, error) {
	key, err := t.keyOf(entry, nil)
	if err != nil {
		return nil, err
	}
	row, _, err := r.Get(t.itemKey(key))
	return row, err
}

// contains reports whether a row key lies in a range.
func contains(rng kv.Range, key []byte) bool {
	return bytes.Compare(key, rng.Start) >= 0 && (rng.End == nil || bytes.Compare(key, rng.End) < 0)
}

// after restricts rng to what comes after the row key, in the direction of the range.
func after(rng kv.Range, key []byte) kv.Range {
	if rng.Reverse {
		if rng.End == nil || bytes.Compare(key, rng.End) < 0 {
			rng.End = key
		}
		return rng
	}
	if next := append(bytes.Clone(key), 0); bytes.Compare(next, rng.Start) > 0 {
		rng.Start = next
	}
	return rng
}
