package iam

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"iter"
	"slices"

	"brume/internal/kv"
)

// defaultPageSize is how many items a list returns if the caller does not say.
const defaultPageSize = 100

// A page is the part of a list that a call asks for.
type page struct {
	after string // the key of the last item of the page before, empty for the first page
	size  int
}

// newPage reads Marker and MaxItems.
func newPage(marker *string, maxItems *int32) (page, error) {
	p := page{size: defaultPageSize}
	if maxItems != nil {
		p.size = int(*maxItems)
	}
	if marker != nil {
		key, err := base64.RawURLEncoding.DecodeString(*marker)
		if err != nil || len(key) == 0 {
			return page{}, validation("Invalid Marker.")
		}
		p.after = string(key)
	}
	return p, nil
}

// An item of a list has the key that the list is ordered by.
type item[T any] struct {
	key   string
	value T
}

// ordinal is the key of the nth item of a list that is in no other order.
func ordinal(n int) string { return fmt.Sprintf("%09d", n) }

// take returns the page of a list, which must begin after p.after. marker is nil on the last page.
func take[T any](p page, list iter.Seq2[item[T], error]) (values []T, truncated *bool, marker *string, err error) {
	values = []T{}
	last := ""
	for it, err := range list {
		if err != nil {
			return nil, nil, nil, err
		}
		if len(values) == p.size {
			return values, new(true), new(base64.RawURLEncoding.EncodeToString([]byte(last))), nil
		}
		values, last = append(values, it.value), it.key
	}
	return values, new(false), nil, nil
}

// beyond is the part of an ordered list of items that comes after a key.
func beyond[T any](items []item[T], after string) iter.Seq2[item[T], error] {
	return func(yield func(item[T], error) bool) {
		for _, it := range items {
			if it.key > after && !yield(it, nil) {
				return
			}
		}
	}
}

func sortItems[T any](items []item[T]) {
	slices.SortFunc(items, func(a, b item[T]) int { return cmp.Compare(a.key, b.key) })
}

// rows lists the rows in a range of keys; keyOf is the key of one in a list.
func rows[T any](r reader, keys kv.Range, keyOf func(*T) string) iter.Seq2[item[*T], error] {
	return func(yield func(item[*T], error) bool) {
		for pair, err := range r.Scan(keys) {
			row := new(T)
			if err == nil {
				_, err = r.getJSON(pair.Key, row)
			}
			if err != nil {
				yield(item[*T]{}, err)
				return
			}
			if !yield(item[*T]{keyOf(row), row}, nil) {
				return
			}
		}
	}
}

// only is the part of a list that is wanted.
func only[T any](list iter.Seq2[item[T], error], wanted func(T) bool) iter.Seq2[item[T], error] {
	return func(yield func(item[T], error) bool) {
		for it, err := range list {
			if (err != nil || wanted(it.value)) && !yield(it, err) {
				return
			}
		}
	}
}
