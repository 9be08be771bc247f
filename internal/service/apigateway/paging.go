package apigateway

import (
	"encoding/base64"
	"slices"

	"brume/internal/kv"
)

// Pages of lists. https://docs.aws.amazon.com/apigateway/latest/api/API_GetRestApis.html#API_GetRestApis_RequestParameters
const (
	defaultPage = 25
	maxPage     = 500
)

// page returns up to limit rows of those under prefix that keep accepts, from position on. next is the position of what
// follows, nil at the end. A position names the last row seen, so that it stays good whatever is added or removed.
func page[T any](r kv.Reader, prefix []byte, position *string, limit *int32, keep func(*T) bool) (items []T, next *string, err error) {
	n, err := pageSize(limit)
	if err != nil {
		return nil, nil, err
	}
	rg := kv.Prefix(prefix)
	if position != nil {
		suffix, err := base64.RawURLEncoding.DecodeString(*position)
		if err != nil || len(suffix) == 0 || len(suffix) > 1024 {
			return nil, nil, invalid("Invalid position specified")
		}
		rg.Start = append(slices.Concat(prefix, suffix), 0)
	}
	items = []T{}
	var last []byte
	for pair, err := range r.Scan(rg) {
		if err != nil {
			return nil, nil, err
		}
		v, err := decode[T](pair)
		if err != nil {
			return nil, nil, err
		}
		if keep != nil && !keep(v) {
			continue
		}
		if len(items) == n {
			return items, new(base64.RawURLEncoding.EncodeToString(last)), nil
		}
		items = append(items, *v)
		last = append(last[:0], pair.Key[len(prefix):]...)
	}
	return items, nil, nil
}

// pageSize is the number of items that a limit asks for.
func pageSize(limit *int32) (int, error) {
	if limit == nil {
		return defaultPage, nil
	}
	if *limit < 1 {
		return 0, invalid("Invalid limit specified: %d", *limit)
	}
	return min(int(*limit), maxPage), nil
}
