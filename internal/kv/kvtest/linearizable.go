package kvtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"brume/internal/kv"
)

// A step is one operation of a transaction on the keys "0" to "3".
type step struct {
	kind     byte // 'r'ead, 'w'rite, 'd'elete, 's'can of [from, to)
	key      int
	from, to int
	value    byte // written; 0 means: one that depends on what was read before
}

const registers = 4

// state is the value of each key, 0 for none.
type state [registers]byte

// run applies steps to a state and returns what they read.
func run(steps []step, s *state) string {
	var seen []byte
	for _, st := range steps {
		switch st.kind {
		case 'r':
			seen = append(seen, s[st.key])
		case 's':
			seen = append(seen, s[st.from:st.to]...)
		case 'w':
			s[st.key] = derive(st.value, seen)
		case 'd':
			s[st.key] = 0
		}
	}
	return string(seen)
}

func derive(value byte, seen []byte) byte {
	if value != 0 {
		return value
	}
	sum := byte(1)
	for _, b := range seen {
		sum = sum*31 + b
	}
	return sum | 1
}

// testLinearizable runs transactions at the same time, notes when each began and ended and what it saw, and asks porcupine
// whether there is an order of them, one at a time and each between its beginning and end, in which they see the same.
func testLinearizable(t *testing.T, s kv.Store) {
	const clients, each = 6, 60
	var (
		mu      sync.Mutex
		history []porcupine.Operation
		wg      sync.WaitGroup
		start   = time.Now()
		seed    = rand.Uint64()
	)
	t.Logf("seed %d", seed)
	for client := range clients {
		random := rand.New(rand.NewPCG(seed, uint64(client)))
		wg.Go(func() {
			for range each {
				steps, writes := program(random)
				called := time.Since(start)
				seen, err := perform(s, steps, writes)
				returned := time.Since(start)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				history = append(history, porcupine.Operation{
					ClientId: client, Input: steps, Output: seen, Call: int64(called), Return: int64(returned),
				})
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	model := porcupine.Model{
		Init: func() any { return state{} },
		Step: func(st, in, out any) (bool, any) {
			next := st.(state)
			seen := run(in.([]step), &next)
			return seen == out.(string), next
		},
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%v saw %q", in, out) },
	}
	if got := porcupine.CheckOperationsTimeout(model, history, 20*time.Second); got != porcupine.Ok {
		t.Errorf("porcupine: %v for %d transactions", got, len(history))
	}
}

func program(random *rand.Rand) (steps []step, writes bool) {
	for range 1 + random.IntN(4) {
		st := step{kind: "rrwwds"[random.IntN(6)], key: random.IntN(registers)}
		st.from = random.IntN(registers)
		st.to = st.from + 1 + random.IntN(registers-st.from)
		if random.IntN(2) == 0 {
			st.value = byte(1 + random.IntN(250))
		}
		writes = writes || st.kind == 'w' || st.kind == 'd'
		steps = append(steps, st)
	}
	return steps, writes
}

func register(i int) []byte { return []byte{'0' + byte(i)} }

// perform runs steps in a transaction of the store.
func perform(s kv.Store, steps []step, writes bool) (string, error) {
	var seen []byte
	read := func(r kv.Reader, st step) error {
		if st.kind == 'r' {
			v, ok, err := r.Get(register(st.key))
			if err != nil {
				return err
			}
			if !ok {
				v = []byte{0}
			}
			seen = append(seen, v...)
			return nil
		}
		values := make([]byte, st.to-st.from)
		rg := kv.Range{Start: register(st.from), End: register(st.to), Reverse: st.value%2 == 1}
		for p, err := range r.Scan(rg) {
			if err != nil {
				return err
			}
			values[int(p.Key[0]-'0')-st.from] = p.Value[0]
		}
		seen = append(seen, values...)
		return nil
	}
	if !writes {
		err := s.View(context.Background(), func(r kv.Reader) error {
			seen = nil
			for _, st := range steps {
				if err := read(r, st); err != nil {
					return err
				}
			}
			return nil
		})
		return string(seen), err
	}
	err := s.Update(context.Background(), func(tx kv.Tx) error {
		seen = nil
		for _, st := range steps {
			var err error
			switch st.kind {
			case 'w':
				err = tx.Set(register(st.key), []byte{derive(st.value, seen)})
			case 'd':
				err = tx.Delete(register(st.key))
			default:
				err = read(tx, st)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return string(seen), err
}
