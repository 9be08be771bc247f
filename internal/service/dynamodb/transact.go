package dynamodb

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	api "brume/internal/api/dynamodb"
	"brume/internal/awserr"
	"brume/internal/kv"
	"brume/internal/service/dynamodb/expression"
	"brume/internal/service/dynamodb/item"
)

// Limits of transactions.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-dynamodb-transactions
const (
	maxTransactSize = 4 << 20
	// tokenLife is how long a ClientRequestToken stands for its request.
	// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
	tokenLife = 10 * time.Minute
	// transactFactor: a transaction reads and writes each item twice.
	transactFactor = 2
)

// TransactGetItems returns several items as they are at one moment.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactGetItems.html
func (s *Service) TransactGetItems(ctx context.Context, in *api.TransactGetItemsInput) (*api.TransactGetItemsOutput, error) {
	sc := scopeOf(ctx)
	gets := make([]*get, len(in.TransactItems))
	for i := range in.TransactItems {
		request := in.TransactItems[i].Get
		name, err := sc.tableName(request.TableName)
		if err != nil {
			return nil, err
		}
		if err := checkProjection(request.ProjectionExpression, request.ExpressionAttributeNames, nil); err != nil {
			return nil, err
		}
		if err := canonicalItem(request.Key); err != nil {
			return nil, err
		}
		sel, err := projection(request.ProjectionExpression, request.ExpressionAttributeNames, nil)
		if err != nil {
			return nil, err
		}
		gets[i] = &get{name, request.Key, sel}
	}

	var out *api.TransactGetItemsOutput
	err := s.view(ctx, func(r kv.Reader) error {
		out = &api.TransactGetItemsOutput{Responses: make([]api.ItemResponse, len(gets))}
		all := consumptions{wanted: in.ReturnConsumedCapacity, kind: transactReads}
		seen := map[string]bool{}
		size := 0
		reasons := make([]error, len(gets))
		for i, g := range gets {
			t, err := s.table(r, sc, g.table)
			if err != nil {
				return err
			}
			if err := g.check(t); isValidation(err) {
				reasons[i] = err
				continue
			} else if err != nil {
				return err
			}
			m, n, err := g.run(r, t)
			if err != nil {
				return err
			}
			key := string(t.itemKey(g.key))
			if seen[key] {
				return awserr.Validation("Transaction request cannot include multiple operations on one item")
			}
			seen[key] = true
			if size += n; size > maxTransactSize {
				return awserr.Validation("Collection size of the items in the transaction exceeds the limit of 4 MB")
			}
			out.Responses[i].Item = m
			all.of(g.table).add(transactFactor * readUnits(n, true))
		}
		if err := canceled(reasons); err != nil {
			return err
		}
		out.ConsumedCapacity = all.output()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// TransactWriteItems carries out several writes and checks, all or none.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
func (s *Service) TransactWriteItems(ctx context.Context, in *api.TransactWriteItemsInput) (*api.TransactWriteItemsOutput, error) {
	sc := scopeOf(ctx)
	fingerprint, err := requestFingerprint(in)
	if err != nil {
		return nil, err
	}
	writes := make([]*write, len(in.TransactItems))
	for i := range in.TransactItems {
		w, err := sc.transactWrite(&in.TransactItems[i])
		if err != nil {
			return nil, err
		}
		writes[i] = w
	}

	out := new(api.TransactWriteItemsOutput)
	if out.ConsumedCapacity, err = s.transact(ctx, sc, writes, in.ReturnConsumedCapacity, in.ClientRequestToken, fingerprint); err != nil {
		return nil, err
	}
	out.ItemCollectionMetrics, err = s.collections(ctx, sc, in.ReturnItemCollectionMetrics, writes...)
	return out, err
}

// transact carries out writes, all or none, and returns what they consumed if that is wanted. Of a token that is not nil
// fingerprint tells what request it came with.
func (s *Service) transact(ctx context.Context, sc scope, writes []*write, wanted, token *string, fingerprint []byte) ([]api.ConsumedCapacity, error) {
	reasons := make([]error, len(writes))
	var consumed []api.ConsumedCapacity
	err := s.write(ctx, func(tx *writeTx) error {
		consumed = nil
		all := consumptions{wanted: wanted, kind: transactWrites}
		if token != nil {
			done, err := s.claimToken(tx, sc, *token, fingerprint)
			if err != nil {
				return err
			}
			if done {
				consumed, err = s.repeated(tx, sc, writes, &all)
				return err
			}
		}
		clear(reasons)
		seen := make(map[string]bool, len(writes))
		size := 0
		for i, w := range writes {
			t, err := s.table(tx, sc, w.table)
			if err != nil {
				return err
			}
			if err := w.check(t); isValidation(err) {
				reasons[i] = err
				continue
			} else if err != nil {
				return err
			}
			key := string(t.itemKey(w.key))
			if seen[key] {
				return awserr.Validation("Transaction request cannot include multiple operations on one item")
			}
			seen[key] = true
		}
		for i, w := range writes {
			if reasons[i] != nil {
				continue
			}
			used := newConsumption(wanted, w.table)
			result, err := w.run(s, tx, sc, used)
			var (
				failed    *api.ConditionalCheckFailedException
				duplicate *api.DuplicateItemException
			)
			switch {
			case errors.As(err, &failed), errors.As(err, &duplicate), isValidation(err):
				reasons[i] = err
			case err != nil:
				return err
			}
			size += item.Size(result.new)
			all.of(w.table).addTimes(transactFactor, used)
		}
		if size > maxTransactSize {
			return awserr.Validation("Collection size of the items in the transaction exceeds the limit of 4 MB")
		}
		if err := canceled(reasons); err != nil {
			return err
		}
		consumed = all.output()
		return nil
	})
	return consumed, err
}

// transactWrite makes a write of one of the actions of a transaction.
func (sc scope) transactWrite(in *api.TransactWriteItem) (*write, error) {
	var (
		w         *write
		count     int
		table     *string
		update    *string
		condition *string
		names     map[string]string
		values    item.Map
	)
	if a := in.ConditionCheck; a != nil {
		count++
		w = &write{key: a.Key, checkOnly: true, onFailure: a.ReturnValuesOnConditionCheckFailure}
		table, condition, names, values = a.TableName, a.ConditionExpression, a.ExpressionAttributeNames, a.ExpressionAttributeValues
	}
	if a := in.Put; a != nil {
		count++
		w = &write{key: a.Item, put: true, onFailure: a.ReturnValuesOnConditionCheckFailure}
		table, condition, names, values = a.TableName, a.ConditionExpression, a.ExpressionAttributeNames, a.ExpressionAttributeValues
	}
	if a := in.Delete; a != nil {
		count++
		w = &write{key: a.Key, remove: true, onFailure: a.ReturnValuesOnConditionCheckFailure}
		table, condition, names, values = a.TableName, a.ConditionExpression, a.ExpressionAttributeNames, a.ExpressionAttributeValues
	}
	if a := in.Update; a != nil {
		count++
		w = &write{key: a.Key, onFailure: a.ReturnValuesOnConditionCheckFailure}
		table, condition, names, values = a.TableName, a.ConditionExpression, a.ExpressionAttributeNames, a.ExpressionAttributeValues
		update = a.UpdateExpression
	}
	if count != 1 {
		return nil, awserr.Validation("TransactItems can only contain one of Check, Put, Update or Delete")
	}
	name, err := sc.tableName(table)
	if err != nil {
		return nil, err
	}
	conditionParam := exprParam{expression.Condition, condition}
	exprs := []exprParam{conditionParam}
	if in.Update != nil {
		exprs = []exprParam{{expression.Update, update}, conditionParam}
	}
	if err := checkParameters(names, values, exprs, nil); err != nil {
		return nil, err
	}
	if err := canonicalItem(w.key); err != nil {
		return nil, err
	}
	if w.put {
		onFailure := w.onFailure
		if w, err = newPut(name, w.key); err != nil {
			return nil, err
		}
		w.onFailure = onFailure
	}
	w.table = name
	p, err := placeholders(names, values)
	if err != nil {
		return nil, err
	}
	return w, w.parse(p, update, conditionParam)
}

// isValidation reports whether err is a reason to cancel a transaction.
func isValidation(err error) bool {
	if _, ok := errors.AsType[emptyKeyError](err); ok {
		return false
	}
	e, ok := errors.AsType[awserr.Error](err)
	return ok && e.ErrorCode() == "ValidationException"
}

// canceled is the error of a transaction of which some parts failed, each for its reason; nil if none did.
func canceled(reasons []error) error {
	var (
		out    = make([]api.CancellationReason, len(reasons))
		codes  = make([]string, len(reasons))
		failed bool
	)
	for i, reason := range reasons {
		codes[i] = "None"
		if reason != nil {
			failed = true
			codes[i] = "ValidationError"
			out[i].Message = new(message(reason))
			if _, ok := errors.AsType[*api.DuplicateItemException](reason); ok {
				codes[i] = "DuplicateItem"
			}
			if c, ok := errors.AsType[*api.ConditionalCheckFailedException](reason); ok {
				codes[i] = "ConditionalCheckFailed"
				out[i].Item = c.Item
			}
		}
		out[i].Code = new(codes[i])
	}
	if !failed {
		return nil
	}
	return &api.TransactionCanceledException{
		Message: new("Transaction cancelled, please refer cancellation reasons for specific reasons [" +
			strings.Join(codes, ", ") + "]"),
		CancellationReasons: out,
	}
}

// addTimes adds several times what a part of a request consumed.
func (c *consumption) addTimes(factor float64, part *consumption) {
	if c == nil {
		return
	}
	c.units += factor * part.units
	add := func(to *map[string]float64, from map[string]float64) {
		for name, units := range from {
			if *to == nil {
				*to = map[string]float64{}
			}
			(*to)[name] += factor * units
		}
	}
	add(&c.local, part.local)
	add(&c.global, part.global)
}

// A tokenRow is what is kept of a TransactWriteItems that succeeded.
type tokenRow struct {
	Fingerprint []byte
	Expires     time.Time
}

// requestFingerprint tells requests apart that come with the same token.
func requestFingerprint(in *api.TransactWriteItemsInput) ([]byte, error) {
	if in.ClientRequestToken == nil {
		return nil, nil
	}
	h := sha256.New()
	// Attribute values marshal to their content alone; the type is written beside it.
	for _, a := range in.TransactItems {
		if err := json.NewEncoder(h).Encode(a); err != nil {
			return nil, err
		}
		for _, m := range transactValues(a) {
			if _, err := h.Write(item.Append(nil, m, 0)); err != nil {
				return nil, err
			}
		}
	}
	return h.Sum(nil), nil
}

func transactValues(a api.TransactWriteItem) []item.Map {
	switch {
	case a.ConditionCheck != nil:
		return []item.Map{a.ConditionCheck.Key, a.ConditionCheck.ExpressionAttributeValues}
	case a.Put != nil:
		return []item.Map{a.Put.Item, a.Put.ExpressionAttributeValues}
	case a.Delete != nil:
		return []item.Map{a.Delete.Key, a.Delete.ExpressionAttributeValues}
	case a.Update != nil:
		return []item.Map{a.Update.Key, a.Update.ExpressionAttributeValues}
	}
	return nil
}

// claimToken records a token, and reports whether its request was carried out before.
func (s *Service) claimToken(tx kv.Tx, sc scope, token string, fingerprint []byte) (done bool, err error) {
	key := tokenKey(sc, token)
	raw, ok, err := tx.Get(key)
	if err != nil {
		return false, err
	}
	now := tx.Now()
	if ok {
		var row tokenRow
		if err := json.Unmarshal(raw, &row); err != nil {
			return false, fmt.Errorf("dynamodb: token row: %w", err)
		}
		if now.Before(row.Expires) {
			if string(row.Fingerprint) != string(fingerprint) {
				return false, &api.IdempotentParameterMismatchException{
					Message: new("The request uses the same client token as a previous, but non-identical request. Do not reuse a client " +
						"token with different requests, unless the requests are identical"),
				}
			}
			return true, nil
		}
	}
	row, err := json.Marshal(tokenRow{fingerprint, now.Add(tokenLife)})
	if err != nil {
		return false, err
	}
	if err := tx.Set(expiryKey(now.Add(tokenLife), key), nil); err != nil {
		return false, err
	}
	return false, tx.Set(key, row)
}

// repeated answers a request that was carried out before: it consumes what reading its items does.
func (s *Service) repeated(r kv.Reader, sc scope, writes []*write, all *consumptions) ([]api.ConsumedCapacity, error) {
	all.kind = transactReads
	for _, w := range writes {
		used := all.of(w.table)
		if used == nil {
			return nil, nil
		}
		t, err := s.table(r, sc, w.table)
		if err != nil {
			return nil, err
		}
		row, _, err := r.Get(t.itemKey(w.key))
		if err != nil {
			return nil, err
		}
		size, err := item.Encoded(row).Size()
		if err != nil {
			return nil, err
		}
		used.add(transactFactor * readUnits(size, true))
	}
	return all.output(), nil
}
