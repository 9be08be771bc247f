package apigateway

import (
	"context"

	api "brume/internal/api/apigateway"
	"brume/internal/kv"
)

// children are records of one kind that APIs have, by a name within the API: models, authorizers and so on.
type children[T any] struct {
	tag     byte
	missing func(name string) error
}

func (c children[T]) key(sc scope, apiID, name string) []byte { return inScope(c.tag, sc, apiID, name) }

// get returns a record, or the error that it or its API does not exist.
func (c children[T]) get(r kv.Reader, sc scope, apiID, name string) (*T, error) {
	row, err := get[T](r, c.key(sc, apiID, name))
	if err != nil || row != nil {
		return row, err
	}
	if _, err := getAPI(r, sc, apiID); err != nil {
		return nil, err
	}
	return nil, c.missing(name)
}

func (c children[T]) exists(r kv.Reader, sc scope, apiID, name string) (bool, error) {
	_, ok, err := r.Get(c.key(sc, apiID, name))
	return ok, err
}

func (c children[T]) put(tx kv.Tx, sc scope, apiID, name string, row *T) error {
	return put(tx, c.key(sc, apiID, name), row)
}

// all returns every record of an API, by name.
func (c children[T]) all(r kv.Reader, sc scope, apiID string) ([]*T, error) {
	var out []*T
	for row, err := range rows[T](r, kv.Prefix(inScope(c.tag, sc, apiID))) {
		if err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	return out, nil
}

// newID draws an id that no other record of the API has.
func (c children[T]) newID(r kv.Reader, sc scope, apiID string) (string, error) {
	for {
		id := newID(6)
		if taken, err := c.exists(r, sc, apiID, id); err != nil || !taken {
			return id, err
		}
	}
}

// view reads a record in a transaction of its own.
func (c children[T]) view(ctx context.Context, s *Service, apiID, name string) (row *T, err error) {
	err = s.store.View(ctx, func(r kv.Reader) error {
		row, err = c.get(r, scopeOf(ctx), apiID, name)
		return err
	})
	return row, err
}

// list reads a page of the records that keep accepts.
func (c children[T]) list(ctx context.Context, s *Service, apiID string, position *string, limit *int32, keep func(*T) bool) (items []T, next *string, err error) {
	sc := scopeOf(ctx)
	err = s.store.View(ctx, func(r kv.Reader) error {
		if _, err := getAPI(r, sc, apiID); err != nil {
			return err
		}
		items, next, err = page(r, inScope(c.tag, sc, apiID), position, limit, keep)
		return err
	})
	return items, next, err
}

// change reads a record, patches it by the rules that belong to it, checks it, and writes it.
func (c children[T]) change(ctx context.Context, s *Service, apiID, name string, ops []api.PatchOperation, rules func(*T) []patchRule, check func(kv.Reader, *T) error) (row *T, err error) {
	sc := scopeOf(ctx)
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		if row, err = c.get(tx, sc, apiID, name); err != nil {
			return err
		}
		if err := applyPatches(ops, rules(row)); err != nil {
			return err
		}
		if check != nil {
			if err := check(tx, row); err != nil {
				return err
			}
		}
		return c.put(tx, sc, apiID, name, row)
	})
	if err != nil {
		return nil, err
	}
	return row, nil
}

// delete removes a record unless inUse objects.
func (c children[T]) delete(ctx context.Context, s *Service, apiID, name string, inUse func(kv.Reader, *T) error) error {
	sc := scopeOf(ctx)
	return s.store.Update(ctx, func(tx kv.Tx) error {
		row, err := c.get(tx, sc, apiID, name)
		if err != nil {
			return err
		}
		if inUse != nil {
			if err := inUse(tx, row); err != nil {
				return err
			}
		}
		return tx.Delete(c.key(sc, apiID, name))
	})
}

// childTags are the tables of records that live and die with an API.
func childTags() []byte {
	return []byte{tagModel, tagValidator, tagAuthorizer, tagGatewayResponse, tagDocPart, tagDocVersion, tagDocSnapshot}
}
