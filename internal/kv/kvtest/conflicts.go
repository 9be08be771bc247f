package kvtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"

	"brume/internal/kv"
)

func testLostUpdate(t *testing.T, s kv.Store) {
	set(t, s, "n", "1")
	add := func(tx kv.Tx) error {
		v, _, err := get(tx, "n")
		if err != nil {
			return err
		}
		n, err := strconv.Atoi(v)
		if err != nil {
			return err
		}
		return tx.Set([]byte("n"), strconv.AppendInt(nil, int64(n+1), 10))
	}
	runs := 0
	update(t, s, func(tx kv.Tx) error {
		if err := add(tx); err != nil {
			return err
		}
		if runs++; runs == 1 {
			update(t, s, add)
		}
		return nil
	})
	expect(t, s, "n=3")
}

// Two transactions each read what the other writes: in any order, one of them sees the other.
func testWriteSkew(t *testing.T, s kv.Store) {
	set(t, s, "alice", "on call", "bob", "on call")
	leave := func(tx kv.Tx, who string) error {
		n := 0
		for p, err := range tx.Scan(kv.Range{}) {
			if err != nil {
				return err
			}
			if string(p.Value) == "on call" {
				n++
			}
		}
		if n < 2 {
			return nil
		}
		return tx.Set([]byte(who), []byte("off"))
	}
	first := true
	update(t, s, func(tx kv.Tx) error {
		if err := leave(tx, "alice"); err != nil {
			return err
		}
		if first {
			first = false
			update(t, s, func(tx kv.Tx) error { return leave(tx, "bob") })
		}
		return nil
	})
	expect(t, s, "alice=on call", "bob=off")
}

// testConflicts has one transaction read, another one write and commit in between, and the first one commit. It says for
// each pair whether the first may commit as it is.
func testConflicts(t *testing.T, s kv.Store) {
	b := func(key string) []byte { return []byte(key) }
	read := func(key string) func(kv.Tx) error {
		return func(tx kv.Tx) error {
			_, _, err := get(tx, key)
			return err
		}
	}
	scan := func(r kv.Range, stopAfter int) func(kv.Tx) error {
		return func(tx kv.Tx) error {
			n := 0
			for _, err := range tx.Scan(r) {
				if err != nil {
					return err
				}
				if n++; n == stopAfter {
					break
				}
			}
			return nil
		}
	}
	write := func(keys ...string) func(kv.Tx) error {
		return func(tx kv.Tx) error {
			for _, k := range keys {
				if err := tx.Set(b(k), b("theirs")); err != nil {
					return err
				}
			}
			return nil
		}
	}
	remove := func(key string) func(kv.Tx) error {
		return func(tx kv.Tx) error { return tx.Delete(b(key)) }
	}
	both := func(fns ...func(kv.Tx) error) func(kv.Tx) error {
		return func(tx kv.Tx) error {
			for _, fn := range fns {
				if err := fn(tx); err != nil {
					return err
				}
			}
			return nil
		}
	}
	// The store holds d, h and l.
	for _, c := range []struct {
		name   string
		mine   func(kv.Tx) error
		theirs func(kv.Tx) error
		again  bool
	}{
		{"read, changed", read("d"), write("d"), true},
		{"read, deleted", read("d"), remove("d"), true},
		{"read, other changed", read("d"), write("h", "c", "d\x00"), false},
		{"missing, added", read("c"), write("c"), true},
		{"missing, neighbours added", read("c"), write("b", "c\x00"), false},
		{"own write read, changed", both(write("d"), read("d")), write("d"), false},
		{"own deletion read, changed", both(remove("d"), read("d")), write("d"), false},
		{"read, then written", both(read("d"), write("d")), write("d"), true},
		{"only written", write("d"), write("d"), false},
		{"only deleted", remove("d"), write("d"), false},

		{"scan, changed", scan(kv.Range{}, 0), write("h"), true},
		{"scan, deleted", scan(kv.Range{}, 0), remove("h"), true},
		{"scan, added in the first gap", scan(kv.Range{}, 0), write("a"), true},
		{"scan, added in a gap", scan(kv.Range{}, 0), write("e"), true},
		{"scan, added in the last gap", scan(kv.Range{}, 0), write("z"), true},
		{"scan of an empty range, added", scan(kv.Range{Start: b("e"), End: b("g")}, 0), write("f"), true},
		{"scan of an empty range, added at its start", scan(kv.Range{Start: b("e"), End: b("g")}, 0), write("e"), true},
		{"scan of an empty range, added at its end", scan(kv.Range{Start: b("e"), End: b("g")}, 0), write("g"), false},
		{"scan of an empty range, added before it", scan(kv.Range{Start: b("e"), End: b("g")}, 0), write("d\xff"), false},
		{"scan of no range, added", scan(kv.Range{Start: b("g"), End: b("e")}, 0), write("f", "e", "g"), false},

		{"limit, last one changed", scan(kv.Range{Limit: 2}, 0), write("h"), true},
		{"limit, added before the last one", scan(kv.Range{Limit: 2}, 0), write("e"), true},
		{"limit, added behind", scan(kv.Range{Limit: 2}, 0), write("h\x00", "i", "l"), false},
		{"limit not reached, added behind", scan(kv.Range{Limit: 4}, 0), write("m"), true},
		{"stopped early, last one changed", scan(kv.Range{}, 1), write("d"), true},
		{"stopped early, added before", scan(kv.Range{}, 1), write("c"), true},
		{"stopped early, added behind", scan(kv.Range{}, 1), write("e", "h"), false},

		{"reverse, changed", scan(kv.Range{Reverse: true}, 0), write("d"), true},
		{"reverse, added at the far end", scan(kv.Range{Reverse: true}, 0), write("a"), true},
		{"reverse limit, last one changed", scan(kv.Range{Reverse: true, Limit: 2}, 0), write("h"), true},
		{"reverse limit, added before", scan(kv.Range{Reverse: true, Limit: 2}, 0), write("z"), true},
		{"reverse limit, added behind", scan(kv.Range{Reverse: true, Limit: 2}, 0), write("g", "d"), false},
		{"reverse stopped early, added behind", scan(kv.Range{Reverse: true}, 1), write("k"), false},
		{"reverse stopped early, added in the gap", scan(kv.Range{Reverse: true}, 1), write("l\x00"), true},

		{"scan over own writes, added", both(write("e", "f"), scan(kv.Range{}, 0)), write("g"), true},
		{"limit of own writes, added between", both(write("a", "c"), scan(kv.Range{Limit: 2}, 0)), write("b"), true},
		{"limit of own writes, added behind", both(write("a", "c"), scan(kv.Range{Limit: 2}, 0)), write("d"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			update(t, s, func(tx kv.Tx) error {
				for p, err := range tx.Scan(kv.Range{}) {
					if err != nil {
						return err
					}
					if err := tx.Delete(p.Key); err != nil {
						return err
					}
				}
				return both(write("d", "h", "l"))(tx)
			})
			runs := 0
			update(t, s, func(tx kv.Tx) error {
				if err := c.mine(tx); err != nil {
					return err
				}
				if runs++; runs == 1 {
					update(t, s, c.theirs)
				}
				return tx.Set(b("~"), b("mine"))
			})
			want := 1
			if c.again {
				want = 2
			}
			if runs != want {
				t.Errorf("the closure ran %d times, want %d", runs, want)
			}
			// Without a write there is nothing to check: all of it was true at one time.
			runs = 0
			update(t, s, func(tx kv.Tx) error {
				runs++
				if err := scan(kv.Range{}, 0)(tx); err != nil {
					return err
				}
				update(t, s, c.theirs)
				return nil
			})
			if runs != 1 {
				t.Errorf("a closure that writes nothing ran %d times", runs)
			}
		})
	}
}

func testGivesUp(t *testing.T, s kv.Store) {
	set(t, s, "n", "0")
	runs := 0
	err := s.Update(context.Background(), func(tx kv.Tx) error {
		runs++
		if _, _, err := get(tx, "n"); err != nil {
			return err
		}
		set(t, s, "n", strconv.Itoa(runs))
		return tx.Set([]byte("n"), []byte("never"))
	})
	if !errors.Is(err, kv.ErrConflict) {
		t.Errorf("Update returned %v, want ErrConflict", err)
	}
	if runs < 10 {
		t.Errorf("Update gave up after %d runs", runs)
	}
	expect(t, s, fmt.Sprintf("n=%d", runs))

	// With a context that ends, its error.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	runs = 0
	err = s.Update(ctx, func(tx kv.Tx) error {
		if _, _, err := get(tx, "n"); err != nil {
			return err
		}
		set(t, s, "n", "changed")
		if runs++; runs == 3 {
			cancel()
		}
		return tx.Set([]byte("n"), []byte("never"))
	})
	if !errors.Is(err, context.Canceled) || runs != 3 {
		t.Errorf("Update returned %v after %d runs, want the context's error after 3", err, runs)
	}
	expect(t, s, "n=changed")
}

// Many add to one number at the same time: everyone gets their turn, and nothing is lost.
func testContention(t *testing.T, s kv.Store) {
	const workers, each = 16, 25
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				err := s.Update(context.Background(), func(tx kv.Tx) error {
					v, ok, err := get(tx, "n")
					if err != nil {
						return err
					}
					n := 0
					if ok {
						if n, err = strconv.Atoi(v); err != nil {
							return err
						}
					}
					return tx.Set([]byte("n"), strconv.AppendInt(nil, int64(n+1), 10))
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	expect(t, s, fmt.Sprintf("n=%d", workers*each))
}

// Money moves between accounts, accounts come and go, and no one ever sees a different sum.
func testBank(t *testing.T, s kv.Store) {
	const accounts, total = 8, 800
	account := func(i int) []byte { return fmt.Appendf(nil, "account/%d", i) }
	update(t, s, func(tx kv.Tx) error {
		for i := range accounts {
			if err := tx.Set(account(i), strconv.AppendInt(nil, total/accounts, 10)); err != nil {
				return err
			}
		}
		return nil
	})
	sum := func(r kv.Reader) (int, error) {
		n := 0
		for p, err := range r.Scan(kv.Prefix([]byte("account/"))) {
			if err != nil {
				return 0, err
			}
			v, err := strconv.Atoi(string(p.Value))
			if err != nil {
				return 0, err
			}
			n += v
		}
		return n, nil
	}
	balance := func(tx kv.Tx, i int) (int, error) {
		v, ok, err := tx.Get(account(i))
		if err != nil || !ok {
			return 0, err
		}
		return strconv.Atoi(string(v))
	}
	put := func(tx kv.Tx, i, n int) error {
		if n == 0 {
			return tx.Delete(account(i)) // an empty account closes
		}
		return tx.Set(account(i), strconv.AppendInt(nil, int64(n), 10))
	}
	var wg sync.WaitGroup
	for w := range 6 {
		wg.Go(func() {
			for i := range 40 {
				from, to, amount := (w+i)%accounts, (w+3*i+1)%accounts, 1+(i*7+w)%120
				if from == to {
					continue
				}
				err := s.Update(context.Background(), func(tx kv.Tx) error {
					a, err := balance(tx, from)
					if err != nil {
						return err
					}
					b, err := balance(tx, to)
					if err != nil {
						return err
					}
					amount := min(amount, a)
					return errors.Join(put(tx, from, a-amount), put(tx, to, b+amount))
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 2 {
		wg.Go(func() {
			for range 40 {
				err := s.View(context.Background(), func(r kv.Reader) error {
					n, err := sum(r)
					if err == nil && n != total {
						t.Errorf("a View sees the sum %d, want %d", n, total)
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
		// An Update that only depends on the whole, by scanning it.
		wg.Go(func() {
			for i := range 20 {
				var n int
				err := s.Update(context.Background(), func(tx kv.Tx) (err error) {
					if n, err = sum(tx); err != nil {
						return err
					}
					return tx.Set(fmt.Appendf(nil, "audit/%d", i), strconv.AppendInt(nil, int64(n), 10))
				})
				if err != nil || n != total {
					t.Errorf("an audit sees the sum %d, %v, want %d", n, err, total)
				}
			}
		})
	}
	wg.Wait()
	view(t, s, func(r kv.Reader) error {
		audits, err := list(r, kv.Prefix([]byte("audit/")))
		if slices.ContainsFunc(audits, func(a string) bool { return a[len(a)-4:] != fmt.Sprintf("=%d", total) }) {
			t.Errorf("audits: %q", audits)
		}
		return err
	})
}
