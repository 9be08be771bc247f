package durable

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// A call is one operation on a pair of items, each of which holds a number or does not exist, which counts as 0.
type pairCall struct {
	kind string
	pair int
	item int
	// old is what a condition asks for, new what is written.
	old, new int
}

// A pairAnswer is what a client was told: the values that it saw, and whether a condition held.
type pairAnswer struct {
	values [2]int
	ok     bool
}

// apply carries out a call on the values of a pair.
func (c *pairCall) apply(values *[2]int) pairAnswer {
	switch c.kind {
	case "get":
		return pairAnswer{values: [2]int{values[c.item]}, ok: true}
	case "put":
		values[c.item] = c.new
		return pairAnswer{ok: true}
	case "add":
		values[c.item] += c.new
		return pairAnswer{values: [2]int{values[c.item]}, ok: true}
	case "compare and set":
		if values[c.item] != c.old {
			return pairAnswer{}
		}
		values[c.item] = c.new
		return pairAnswer{ok: true}
	case "get both":
		return pairAnswer{values: *values, ok: true}
	case "move": // from one item to the other, if there is as much
		if values[c.item] < c.new {
			return pairAnswer{}
		}
		values[c.item] -= c.new
		values[1-c.item] += c.new
		return pairAnswer{ok: true}
	case "check and put": // a condition on one, and a put of the other
		if values[c.item] != c.old {
			return pairAnswer{}
		}
		values[1-c.item] = c.new
		return pairAnswer{ok: true}
	}
	panic(c.kind)
}

// Conditional writes, counters and transactions of 32 clients have an order in which each sees what those before it did.
func TestLinearizable(t *testing.T) {
	const clients, pairs = 32, 8
	each := 60
	if os.Getenv("BRUME_SOAK") == "1" {
		each = 600
	}
	server := startServer(t)
	c := newClient(server)
	if err := c.table("CreateTable", object{
		"TableName": "pairs", "BillingMode": "PAY_PER_REQUEST",
		"AttributeDefinitions": []object{{"AttributeName": "pk", "AttributeType": "S"}},
		"KeySchema":            []object{{"AttributeName": "pk", "KeyType": "HASH"}},
	}, nil); err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	var (
		mu      sync.Mutex
		history []porcupine.Operation
		kinds   = map[string]int{}
		wg      sync.WaitGroup
		start   = time.Now()
	)
	for client := range clients {
		random := rand.New(rand.NewPCG(seed, uint64(client)))
		wg.Go(func() {
			last := map[int]int{} // what this client saw last in an item of its pair, as a guess
			record := func(call pairCall) bool {
				call.old = last[call.item]
				called := time.Since(start)
				answer, known, err := c.carryOut(&call)
				returned := time.Since(start)
				if err != nil {
					t.Errorf("%+v: %v", call, err)
					return false
				}
				if !known { // refused, and so without effect
					return true
				}
				if call.kind == "get" {
					last[call.item] = answer.values[0]
				}
				mu.Lock()
				history = append(history, porcupine.Operation{
					ClientId: client, Input: call, Output: answer, Call: int64(called), Return: int64(returned),
				})
				kinds[fmt.Sprint(call.kind, " ", answer.ok)]++
				mu.Unlock()
				return true
			}
			for range each {
				call := pairCall{
					kind: []string{"get", "put", "add", "compare and set", "compare and set", "get both", "move", "check and put"}[random.IntN(8)],
					pair: random.IntN(pairs), item: random.IntN(2), new: 1 + random.IntN(1000),
				}
				switch call.kind {
				case "move":
					call.new = 1 + random.IntN(10)
				case "compare and set", "check and put":
					if !record(pairCall{kind: "get", pair: call.pair, item: call.item}) {
						return
					}
				}
				if !record(call) {
					return
				}
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	t.Logf("%d operations: %v", len(history), kinds)
	model := porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			parts := make([][]porcupine.Operation, pairs)
			for _, op := range history {
				pair := op.Input.(pairCall).pair
				parts[pair] = append(parts[pair], op)
			}
			return parts
		},
		Init: func() any { return [2]int{} },
		Step: func(state, in, out any) (bool, any) {
			values, call := state.([2]int), in.(pairCall)
			return call.apply(&values) == out.(pairAnswer), values
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v: %+v", in, out) },
	}
	if got := porcupine.CheckOperationsTimeout(model, history, time.Minute); got != porcupine.Ok {
		t.Errorf("porcupine: %v", got)
	}
	for _, kind := range []string{"compare and set true", "compare and set false", "move true", "move false", "check and put true", "check and put false"} {
		if kinds[kind] == 0 {
			t.Errorf("no %q", kind)
		}
	}
	if err := server.Stop(); err != nil {
		t.Error(err)
	}
}

// carryOut sends a call. known is false where the answer does not tell what was there.
func (c *client) carryOut(call *pairCall) (answer pairAnswer, known bool, err error) {
	key := func(i int) object { return object{"pk": s(fmt.Sprint(call.pair, "/", i))} }
	on := func(i int, more object) object {
		in := object{"TableName": "pairs", "Key": key(i)}
		for name, v := range more {
			in[name] = v
		}
		return in
	}
	put := func(i int) object {
		item := key(i)
		item["n"] = n(call.new)
		return object{"TableName": "pairs", "Item": item}
	}
	// is makes an operation conditional on an item's number.
	is := func(in object) object {
		in["ConditionExpression"], in["ExpressionAttributeValues"] = "n = :old", object{":old": n(call.old)}
		if call.old == 0 {
			in["ConditionExpression"] = "attribute_not_exists(pk) OR n = :old"
		}
		return in
	}
	var out struct {
		Item, Attributes item
		Responses        []struct{ Item item }
	}
	switch call.kind {
	case "get":
		err = c.table("GetItem", on(call.item, object{"ConsistentRead": true}), &out)
		answer = pairAnswer{values: [2]int{out.Item.n("n")}, ok: true}
	case "put":
		err = c.table("PutItem", put(call.item), nil)
		answer.ok = true
	case "add":
		err = c.table("UpdateItem", on(call.item, object{"UpdateExpression": "ADD n :by", "ReturnValues": "UPDATED_NEW",
			"ExpressionAttributeValues": object{":by": n(call.new)}}), &out)
		answer = pairAnswer{values: [2]int{out.Attributes.n("n")}, ok: true}
	case "compare and set":
		err = c.table("PutItem", is(put(call.item)), nil)
		answer.ok = true
	case "get both":
		err = c.table("TransactGetItems", object{"TransactItems": []object{{"Get": on(0, nil)}, {"Get": on(1, nil)}}}, &out)
		if err == nil {
			answer = pairAnswer{values: [2]int{out.Responses[0].Item.n("n"), out.Responses[1].Item.n("n")}, ok: true}
		}
	case "move":
		err = c.table("TransactWriteItems", object{"TransactItems": []object{
			{"Update": on(call.item, object{"UpdateExpression": "SET n = n - :by", "ConditionExpression": "n >= :by",
				"ExpressionAttributeValues": object{":by": n(call.new)}})},
			{"Update": on(1-call.item, object{"UpdateExpression": "ADD n :by", "ExpressionAttributeValues": object{":by": n(call.new)}})},
		}}, nil)
		answer.ok = true
	case "check and put":
		err = c.table("TransactWriteItems", object{"TransactItems": []object{
			{"ConditionCheck": is(on(call.item, nil))}, {"Put": put(1 - call.item)},
		}}, nil)
		answer.ok = true
	}
	r := (*refusal)(nil)
	switch {
	case err == nil:
		return answer, true, nil
	case !errors.As(err, &r):
		return answer, false, err
	case strings.Contains(r.Message, "TransactionConflict") || strings.HasSuffix(r.Type, "#TransactionConflictException"):
		return answer, false, nil
	case strings.Contains(r.Message, "ConditionalCheckFailed") || strings.HasSuffix(r.Type, "#ConditionalCheckFailedException"):
		return pairAnswer{}, true, nil
	}
	return answer, false, err
}
