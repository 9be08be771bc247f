// Package jsonrow keeps rows of a store as JSON.
package jsonrow

import (
	"encoding/json"
	"fmt"
	"iter"

	"brume/internal/kv"
)

// Get reads the row at key; nil if there is none.
func Get[T any](r kv.Reader, key []byte) (*T, error) {
	data, ok, err := r.Get(key)
	if err != nil || !ok {
		return nil, err
	}
	return Decode[T](kv.Pair{Key: key, Value: data})
}

// Decode reads a row.
func Decode[T any](pair kv.Pair) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(pair.Value, v); err != nil {
		return nil, fmt.Errorf("row %q: %w", pair.Key, err)
	}
	return v, nil
}

// Put writes a row.
func Put(tx kv.Tx, key []byte, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return tx.Set(key, data)
}

// All yields the rows of a range.
func All[T any](r kv.Reader, rg kv.Range) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		for pair, err := range r.Scan(rg) {
			if err != nil {
				yield(nil, err)
				return
			}
			v, err := Decode[T](pair)
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// DeleteRange removes every row of a range.
func DeleteRange(tx kv.Tx, rg kv.Range) error {
	var keys [][]byte
	for pair, err := range tx.Scan(rg) {
		if err != nil {
			return err
		}
		keys = append(keys, append([]byte(nil), pair.Key...))
	}
	for _, k := range keys {
		if err := tx.Delete(k); err != nil {
			return err
		}
	}
	return nil
}
