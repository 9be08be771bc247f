package dynamodb

import (
	"bytes"
	"slices"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/kv"
	"brume/internal/service/dynamodb/expression"
	"brume/internal/service/dynamodb/item"
)

// A write is what PutItem, UpdateItem, DeleteItem and ConditionCheck have in common, taken from a request before its
// transaction begins: a transaction may run twice, so it changes nothing here.
type write struct {
	table     string
	key       item.Map // what identifies the item; of a put the whole item
	put       bool     // key is the new item
	alone     bool     // an UpdateItem, which counts what it writes in a way of its own
	insert    bool     // only where there is no item yet, which condition sees to
	remove    bool
	checkOnly bool               // nothing but the condition
	change    *expression.Change // of an update, nil if it changes nothing
	condition *expression.Predicate
	// onFailure is ReturnValuesOnConditionCheckFailure.
	onFailure *string
	// wantOld asks run to read the item that the write replaces.
	wantOld bool

	// encoded is the row of a put.
	encoded item.Encoded
}

// An outcome is what a write did.
type outcome struct {
	table *table
	// old is the row that was there, empty if there was none, or if nothing needed it.
	old item.Encoded
	// new is the item that is there now, nil if there is none.
	new item.Map
}

// newPut returns a write of a canonical item.
func newPut(table string, m item.Map) (*write, error) {
	size := item.Size(m)
	if size > item.MaxSize {
		return nil, awserr.Validation("Item size has exceeded the maximum allowed size")
	}
	return &write{table: table, key: m, put: true, encoded: item.Append(make([]byte, 0, size+size/4+32), m, size)}, nil
}

func canonicalItem(m item.Map) error {
	if _, ok := m[""]; ok {
		return invalid("An attribute name must have at least one character")
	}
	return item.CanonicalMap(m)
}

// parse parses the write's expressions, of which update is nil but for an update, and sees that they use all
// placeholders. What legacy parameters said stays where there is no expression.
func (w *write) parse(p *expression.Placeholders, update *string, condition exprParam) error {
	var err error
	if update != nil {
		if w.change, err = p.Update(expression.Update, *update); err != nil {
			return err
		}
	}
	if condition.src != nil {
		if w.condition, err = predicate(p, condition); err != nil {
			return err
		}
	}
	return p.Unused()
}

// run carries the write out. It returns a ConditionalCheckFailedException if the item does not meet the condition.
func (w *write) run(s *Service, tx *writeTx, sc scope, used *consumption) (outcome, error) {
	t, err := s.table(tx, sc, w.table)
	if err != nil {
		return outcome{}, err
	}
	if err := w.check(t); err != nil {
		return outcome{}, err
	}
	out := outcome{table: t}
	key := t.itemKey(w.key)
	if !w.put || w.wantOld || w.condition != nil || used != nil || t.needsOld() {
		if out.old, _, err = tx.Get(key); err != nil {
			return outcome{}, err
		}
	}
	before, err := out.old.Size()
	if err != nil {
		return outcome{}, err
	}
	if w.condition != nil {
		ok, err := w.condition.Eval(out.old)
		if err != nil {
			return outcome{}, err
		}
		if !ok {
			used.add(writeUnits(before, 0))
			if w.insert {
				return out, &api.DuplicateItemException{Message: new("Duplicate primary key exists in table")}
			}
			return out, conditionFailed(out.old, w.onFailure)
		}
	}
	encoded := w.encoded
	switch {
	case w.checkOnly:
		used.add(writeUnits(before, 0))
		return out, nil
	case w.put:
		out.new = w.key
	case !w.remove:
		if len(out.old) == 0 && w.change != nil && w.change.OnlyDeletes() {
			break
		}
		if out.new, encoded, err = w.update(t, out.old); err != nil {
			return outcome{}, err
		}
	}
	after, err := encoded.Size()
	if err != nil {
		return outcome{}, err
	}
	used.add(writeUnits(before, after))
	return out, t.replace(tx, key, out.old, encoded, out.new, used)
}

// check checks the write against the table's schema.
func (w *write) check(t *table) error {
	if w.put {
		if err := checkItemKey(&t.Key, w.key); err != nil {
			return err
		}
		return t.checkIndexKeys(w.key, nil)
	}
	if err := checkKey(&t.Key, w.key); err != nil {
		return err
	}
	if w.change != nil {
		return t.checkChange(w.change)
	}
	return nil
}

// checkChange checks what of an update can be checked without an item.
func (t *table) checkChange(c *expression.Change) error {
	for a := range t.Key.each {
		if slices.ContainsFunc(c.Paths(), func(p expression.Path) bool { return p.Head() == a.Name }) {
			return invalid("Cannot update attribute %s. This attribute is part of the key", a.Name)
		}
	}
	for _, x := range t.checked {
		for a := range x.Key.each {
			if typ := c.TypeOf(a.Name); typ != "" && typ != a.Type {
				return indexKeyMismatch(x, a, typ)
			}
		}
	}
	return t.checkScalarKeys(c.Paths(), c.Operands())
}

// update returns the item that an update makes of old, and its encoding.
func (w *write) update(t *table, old item.Encoded) (item.Map, item.Encoded, error) {
	m := item.Map{}
	if len(old) > 0 {
		var err error
		if m, err = item.Decode(old); err != nil {
			return nil, nil, err
		}
	}
	if w.change != nil {
		var err error
		if m, err = w.change.Apply(m); err != nil {
			return nil, nil, err
		}
	}
	for name, v := range w.key {
		m[name] = v
	}
	touched := func(name string) bool {
		return w.change != nil && slices.ContainsFunc(w.change.Paths(), func(p expression.Path) bool { return p.Head() == name })
	}
	if err := t.checkIndexKeys(m, touched); err != nil {
		return nil, nil, err
	}
	size := item.Size(m)
	if size > item.MaxSize || w.alone && w.change != nil && w.change.WrittenSize(m) > item.MaxSize {
		return nil, nil, item.UpdateTooLarge()
	}
	return m, item.Append(make([]byte, 0, size+size/4+32), m, size), nil
}

// replace puts the row encoded, which holds m, or nothing, in the place of the row old, and brings the indexes, the
// stream, the time of expiry and the change log in line.
// It is the only place where items change. old need not be known if the table does not need it.
func (t *table) replace(tx *writeTx, key []byte, old, encoded item.Encoded, m item.Map, used *consumption) error {
	if bytes.Equal(old, encoded) {
		return nil
	}
	if len(t.Indexes) > 0 {
		var before item.Map
		if len(old) > 0 {
			var err error
			if before, err = item.Decode(old); err != nil {
				return err
			}
		}
		for i := range t.Indexes {
			x := &t.Indexes[i]
			if x.Status == indexDeleting {
				continue
			}
			units, err := t.replaceEntry(tx, x, before, m)
			if err != nil {
				return err
			}
			used.addIndex(x, units)
		}
	}
	if t.streams() {
		if err := t.record(tx, old, encoded); err != nil {
			return err
		}
	}
	if t.TTL != nil || t.Log != 0 {
		suffix := key[len(itemPrefix(t.ID)):]
		if t.TTL != nil {
			if err := t.TTL.replaceExpiry(tx, suffix, old, encoded); err != nil {
				return err
			}
		}
		if t.Log != 0 {
			if err := t.logChange(tx, suffix, old); err != nil {
				return err
			}
		}
	}
	if len(encoded) == 0 {
		return tx.Delete(key)
	}
	return tx.Set(key, encoded)
}

// replaceEntry brings an index in line with the change of an item from before to after, nil for none, and returns the
// write units that it took.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.ThroughputConsiderations.Writes
func (t *table) replaceEntry(tx kv.Tx, x *index, before, after item.Map) (float64, error) {
	var (
		oldKey, newKey     []byte
		oldEntry, newEntry item.Encoded
		oldSize, newSize   int
	)
	if before != nil {
		if oldKey = t.indexEntry(x, before); oldKey != nil {
			m := t.project(x, before)
			oldSize = item.Size(m)
			oldEntry = item.Append(nil, m, oldSize)
		}
	}
	if after != nil {
		if newKey = t.indexEntry(x, after); newKey != nil {
			m := t.project(x, after)
			newSize = item.Size(m)
			newEntry = item.Append(nil, m, newSize)
		}
	}
	units := 0.0
	moved := !bytes.Equal(oldKey, newKey)
	if oldKey != nil && (newKey == nil || moved) {
		units += writeUnits(oldSize, 0)
		if err := tx.Delete(oldKey); err != nil {
			return 0, err
		}
	}
	if newKey != nil && (moved || !bytes.Equal(oldEntry, newEntry)) {
		if moved {
			oldSize = 0
		}
		units += writeUnits(oldSize, newSize)
		return units, tx.Set(newKey, newEntry)
	}
	return units, nil
}
