package dynamodb

import (
	"slices"

	"brume/internal/awserr"
	"brume/internal/service/dynamodb/expression"
	"brume/internal/service/dynamodb/item"

	api "brume/internal/api/dynamodb"
)

// Limits of key values, in bytes.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-partition-sort-keys
const (
	maxPartitionKeySize = 2048
	maxSortKeySize      = 1024
)

func keyMismatch() error {
	return awserr.Validation("The provided key element does not match the schema")
}

// checkKey checks the Key of a request: it must have the attributes of the schema and no others. m is canonical.
func checkKey(k *keySchema, m item.Map) error {
	if len(m) != len(k.Hash)+len(k.Range) {
		return keyMismatch()
	}
	return checkKeyParts(k, func(a attribute) (api.AttributeValue, error) {
		v := m[a.Name]
		if v == nil || item.Type(v) != a.Type {
			return nil, keyMismatch()
		}
		return v, nil
	})
}

// checkItemKey checks that an item has a proper key.
func checkItemKey(k *keySchema, m item.Map) error {
	return checkKeyParts(k, func(a attribute) (api.AttributeValue, error) {
		v := m[a.Name]
		if v == nil {
			return nil, invalid("Missing the key %s in the item", a.Name)
		}
		if t := item.Type(v); t != a.Type {
			return nil, invalid("Type mismatch for key %s expected: %s actual: %s", a.Name, a.Type, t)
		}
		return v, nil
	})
}

func checkKeyParts(k *keySchema, get func(attribute) (api.AttributeValue, error)) error {
	for i, part := range [...][]attribute{k.Hash, k.Range} {
		for _, a := range part {
			v, err := get(a)
			if err == nil {
				err = checkKeyValue(a.Name, v, i == 0)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func checkKeyValue(name string, v api.AttributeValue, hash bool) error {
	kind, size := keyValueSize(v)
	switch {
	case size == 0:
		return emptyKey("The AttributeValue for a key attribute cannot contain an empty %s value. Key: %s", kind, name)
	case hash && size > maxPartitionKeySize:
		return invalid("Size of hashkey has exceeded the maximum size limit of2048 bytes")
	case !hash && size > maxSortKeySize:
		return invalid("Aggregated size of all range keys has exceeded the size limit of 1024 bytes")
	}
	return nil
}

// An emptyKeyError says that a key attribute is empty. It fails a transaction as a whole, where other faults of a key
// are the reason to cancel it.
type emptyKeyError struct{ *awserr.Generic }

func emptyKey(format string, args ...any) error {
	return emptyKeyError{awserr.Validation("One or more parameter values are not valid. "+format, args...)}
}

// keyValueSize returns the word for a value's type and its length; that of a number is never 0.
func keyValueSize(v api.AttributeValue) (kind string, size int) {
	switch v := v.(type) {
	case api.S:
		return "string", len(v)
	case api.B:
		return "binary", len(v)
	}
	return "number", item.ValueSize(v)
}

// checkIndexKeys checks that the attributes of an item that are keys of indexes can be. The item is put as it is, or, if
// touched is not nil, the outcome of an update: of that only what the update touches is checked, since what an older item
// had before there was the index may stay, and DynamoDB words it differently.
func (t *table) checkIndexKeys(m item.Map, touched func(name string) bool) error {
	for _, x := range t.checked {
		for j, part := range [...][]attribute{x.Key.Hash, x.Key.Range} {
			sum, any := 0, false
			for _, a := range part {
				v := m[a.Name]
				if v == nil {
					continue
				}
				kind, size := keyValueSize(v)
				sum += size
				if t.Key.has(a.Name) || touched != nil && !touched(a.Name) {
					continue
				}
				any = true
				switch typ := item.Type(v); {
				case typ != a.Type && touched != nil:
					return awserr.Validation("The update expression attempted to update the secondary index key to unsupported type")
				case typ != a.Type:
					return indexKeyMismatch(x, a, typ)
				case size == 0 && touched != nil:
					return emptyKey("The update expression attempted to update a secondary index key to a value that is not "+
						"supported. The AttributeValue for a key attribute cannot contain an empty %s value.", kind)
				case size == 0:
					return emptyKey("A value specified for a secondary index key is not "+
						"supported. The AttributeValue for a key attribute cannot contain an empty %s value. IndexName: %s, IndexKey: %s",
						kind, x.Name, a.Name)
				}
			}
			switch {
			case !any:
			case j == 0 && sum > maxPartitionKeySize:
				return invalid("Size of hashkey has exceeded the maximum size limit of2048 bytes")
			case j == 1 && sum > maxSortKeySize:
				return invalid("Aggregated size of all range keys has exceeded the size limit of 1024 bytes")
			}
		}
	}
	return nil
}

func indexKeyMismatch(x *index, a attribute, typ string) error {
	return invalid("Type mismatch for Index Key %s Expected: %s Actual: %s IndexName: %s", a.Name, a.Type, typ, x.Name)
}

// checkScalarKeys refuses document paths that lead into a key attribute of the table or its indexes.
func (t *table) checkScalarKeys(lists ...[]expression.Path) error {
	check := func(k *keySchema, kind string) error {
		for a := range k.each {
			for _, paths := range lists {
				if slices.ContainsFunc(paths, func(p expression.Path) bool { return len(p) > 1 && p.Head() == a.Name }) {
					return awserr.Validation("Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: %s: %s",
						kind, a.Name)
				}
			}
		}
		return nil
	}
	err := check(&t.Key, "Key")
	for _, x := range t.checked {
		if err == nil {
			err = check(&x.Key, "IndexKey")
		}
	}
	return err
}

// keyOf returns the attributes of an item that make its key, in the table and in an index if one is given.
func (t *table) keyOf(it interface {
	Attribute(name string) (api.AttributeValue, error)
}, x *index) (item.Map, error) {
	key := item.Map{}
	schemas := []*keySchema{&t.Key}
	if x != nil {
		schemas = append(schemas, &x.Key)
	}
	for _, k := range schemas {
		for _, a := range k.attributes() {
			v, err := it.Attribute(a.Name)
			if err != nil {
				return nil, err
			}
			key[a.Name] = v
		}
	}
	return key, nil
}
