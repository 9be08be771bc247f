// Package kvtest holds the contract of package kv as one test suite. Every engine runs it:
//
//	func TestContract(t *testing.T) {
//		kvtest.Run(t, func(t *testing.T) kv.Store { … })
//	}
package kvtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"brume/internal/kv"
)

// Run checks a Store, and a Watcher if the store is one. open returns an empty store, which Run closes.
func Run(t *testing.T, open func(t *testing.T) kv.Store) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s kv.Store)
	}{
		{"Values", testValues},
		{"Limits", testLimits},
		{"Scan", testScan},
		{"ScanWhileWriting", testScanWhileWriting},
		{"ScanTwice", testScanTwice},
		{"BytesStay", testBytesStay},
		{"Rollback", testRollback},
		{"Panic", testPanic},
		{"Snapshot", testSnapshot},
		{"LostUpdate", testLostUpdate},
		{"WriteSkew", testWriteSkew},
		{"Conflicts", testConflicts},
		{"GivesUp", testGivesUp},
		{"ReadsAreConsistent", testReadsAreConsistent},
		{"Context", testContext},
		{"Now", testNow},
		{"Close", testClose},
		{"Watch", testWatch},
		{"Model", testModel},
		{"Contention", testContention},
		{"Bank", testBank},
		{"Linearizable", testLinearizable},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			test.run(t, s)
		})
	}
}

// update runs fn and fails the test if it does not commit.
func update(t testing.TB, s kv.Store, fn func(tx kv.Tx) error) {
	t.Helper()
	if err := s.Update(context.Background(), fn); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

// view runs fn and fails the test if it fails.
func view(t testing.TB, s kv.Store, fn func(r kv.Reader) error) {
	t.Helper()
	if err := s.View(context.Background(), fn); err != nil {
		t.Fatalf("View: %v", err)
	}
}

// set commits pairs of keys and values.
func set(t testing.TB, s kv.Store, pairs ...string) {
	t.Helper()
	update(t, s, func(tx kv.Tx) error {
		for i := 0; i < len(pairs); i += 2 {
			if err := tx.Set([]byte(pairs[i]), []byte(pairs[i+1])); err != nil {
				return err
			}
		}
		return nil
	})
}

// get reads one key; "" and false if there is none.
func get(r kv.Reader, key string) (string, bool, error) {
	v, ok, err := r.Get([]byte(key))
	return string(v), ok, err
}

// list returns the pairs of a range as "key=value".
func list(r kv.Reader, rg kv.Range) ([]string, error) {
	var all []string
	for p, err := range r.Scan(rg) {
		if err != nil {
			return nil, err
		}
		all = append(all, fmt.Sprintf("%s=%s", p.Key, p.Value))
	}
	return all, nil
}

// expect checks everything in the store.
func expect(t testing.TB, s kv.Store, want ...string) {
	t.Helper()
	view(t, s, func(r kv.Reader) error {
		got, err := list(r, kv.Range{})
		if err == nil && !slices.Equal(got, want) {
			t.Errorf("the store holds %q, want %q", got, want)
		}
		return err
	})
}

func testValues(t *testing.T, s kv.Store) {
	pairs := [][2]string{
		{"", "the empty key"}, {"\x00", "zero"}, {"\x00\x00", "zeros"}, {"a", "1"}, {"a\x00", "2"}, {"b", ""}, {"\xff", "3"}, {"\xff\xff", "\x00\xff"},
	}
	check := func(r kv.Reader) error {
		for _, p := range pairs {
			v, ok, err := r.Get([]byte(p[0]))
			if err != nil {
				return err
			}
			if !ok || string(v) != p[1] {
				t.Errorf("Get(%q) = %q, %v, want %q", p[0], v, ok, p[1])
			}
		}
		for _, missing := range []string{"\x00\x01", "aa", "c", "\xfe"} {
			if v, ok, err := r.Get([]byte(missing)); ok || err != nil || v != nil {
				t.Errorf("Get(%q) = %q, %v, %v, want nothing", missing, v, ok, err)
			}
		}
		return nil
	}
	update(t, s, func(tx kv.Tx) error {
		for _, p := range pairs {
			if err := tx.Set([]byte(p[0]), []byte(p[1])); err != nil {
				return err
			}
		}
		return check(tx)
	})
	view(t, s, check)

	// The last of several writes to a key counts, within one transaction and from one to the next.
	update(t, s, func(tx kv.Tx) error {
		return errors.Join(
			tx.Delete([]byte("a")), tx.Set([]byte("a"), []byte("again")),
			tx.Set([]byte("b"), []byte("never")), tx.Delete([]byte("b")),
			tx.Set([]byte("n"), nil),
			tx.Delete([]byte("missing")),
		)
	})
	update(t, s, func(tx kv.Tx) error { return tx.Delete([]byte("\xff")) })
	view(t, s, func(r kv.Reader) error {
		for key, want := range map[string]string{"a": "again", "n": ""} {
			if v, ok, err := get(r, key); v != want || !ok || err != nil {
				t.Errorf("Get(%q) = %q, %v, %v, want %q", key, v, ok, err, want)
			}
		}
		for _, key := range []string{"b", "\xff", "missing"} {
			if v, ok, err := get(r, key); ok || err != nil {
				t.Errorf("Get(%q) = %q, %v, %v, want nothing", key, v, ok, err)
			}
		}
		return nil
	})
}

func testLimits(t *testing.T, s kv.Store) {
	longKey, longValue := bytes.Repeat([]byte{'k'}, kv.MaxKeySize+1), bytes.Repeat([]byte{'v'}, kv.MaxValueSize+1)
	update(t, s, func(tx kv.Tx) error {
		if err := tx.Set(longKey, nil); !errors.Is(err, kv.ErrTooLarge) {
			t.Errorf("Set of a key over the limit: %v", err)
		}
		if err := tx.Set([]byte("k"), longValue); !errors.Is(err, kv.ErrTooLarge) {
			t.Errorf("Set of a value over the limit: %v", err)
		}
		if err := tx.Delete(longKey); !errors.Is(err, kv.ErrTooLarge) {
			t.Errorf("Delete of a key over the limit: %v", err)
		}
		if _, _, err := tx.Get(longKey); !errors.Is(err, kv.ErrTooLarge) {
			t.Errorf("Get of a key over the limit: %v", err)
		}
		return nil
	})
	expect(t, s)
	update(t, s, func(tx kv.Tx) error { return tx.Set(longKey[1:], longValue[1:]) })
	view(t, s, func(r kv.Reader) error {
		if _, _, err := r.Get(longKey); !errors.Is(err, kv.ErrTooLarge) {
			t.Errorf("Get of a key over the limit: %v", err)
		}
		v, ok, err := r.Get(longKey[1:])
		if err == nil && (!ok || !bytes.Equal(v, longValue[1:])) {
			t.Errorf("the largest pair came back as %d bytes, %v", len(v), ok)
		}
		return err
	})
}

func testScan(t *testing.T, s kv.Store) {
	set(t, s, "b", "1", "d", "1", "f", "1", "h", "1", "j", "1")
	b := func(key string) []byte { return []byte(key) }
	cases := []struct {
		name string
		r    kv.Range
		want []string // keys, in the store as committed
		own  []string // with f deleted, d written anew, a, e and k added
	}{
		{"all", kv.Range{}, []string{"b", "d", "f", "h", "j"}, []string{"a", "b", "d", "e", "h", "j", "k"}},
		{"all in reverse", kv.Range{Reverse: true}, []string{"j", "h", "f", "d", "b"}, []string{"k", "j", "h", "e", "d", "b", "a"}},
		{"start at a key", kv.Range{Start: b("d")}, []string{"d", "f", "h", "j"}, []string{"d", "e", "h", "j", "k"}},
		{"start between keys", kv.Range{Start: b("e")}, []string{"f", "h", "j"}, []string{"e", "h", "j", "k"}},
		{"end before a key", kv.Range{End: b("f")}, []string{"b", "d"}, []string{"a", "b", "d", "e"}},
		{"end between keys", kv.Range{End: b("g")}, []string{"b", "d", "f"}, []string{"a", "b", "d", "e"}},
		{"both", kv.Range{Start: b("d"), End: b("h")}, []string{"d", "f"}, []string{"d", "e"}},
		{"both in reverse", kv.Range{Start: b("d"), End: b("h"), Reverse: true}, []string{"f", "d"}, []string{"e", "d"}},
		{"limit", kv.Range{Limit: 2}, []string{"b", "d"}, []string{"a", "b"}},
		{"limit across a deletion", kv.Range{Start: b("d"), Limit: 3}, []string{"d", "f", "h"}, []string{"d", "e", "h"}},
		{"limit in reverse", kv.Range{Reverse: true, Limit: 3}, []string{"j", "h", "f"}, []string{"k", "j", "h"}},
		{"limit beyond", kv.Range{Limit: 100}, []string{"b", "d", "f", "h", "j"}, []string{"a", "b", "d", "e", "h", "j", "k"}},
		{"one key", kv.Range{Start: b("f"), End: b("f\x00")}, []string{"f"}, nil},
		{"a gap", kv.Range{Start: b("f\x00"), End: b("h")}, nil, nil},
		{"nothing", kv.Range{Start: b("f"), End: b("f")}, nil, nil},
		{"backwards", kv.Range{Start: b("h"), End: b("b")}, nil, nil},
		{"backwards in reverse", kv.Range{Start: b("h"), End: b("b"), Reverse: true}, nil, nil},
		{"to the empty key", kv.Range{End: b("")}, nil, nil},
		{"after the last", kv.Range{Start: b("z")}, nil, nil},
		{"before the first in reverse", kv.Range{End: b("a"), Reverse: true}, nil, nil},
		{"prefix", kv.Prefix(b("d")), []string{"d"}, []string{"d"}},
	}
	check := func(t *testing.T, r kv.Reader, rg kv.Range, want []string, d string) {
		t.Helper()
		got, err := list(r, rg)
		if err != nil {
			t.Fatal(err)
		}
		var pairs []string
		for _, k := range want {
			v := "1"
			if d != "" && slices.Contains([]string{"a", "d", "e", "k"}, k) {
				v = d
			}
			pairs = append(pairs, k+"="+v)
		}
		if !slices.Equal(got, pairs) {
			t.Errorf("%q, want %q", got, pairs)
		}
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			view(t, s, func(r kv.Reader) error {
				check(t, r, c.r, c.want, "")
				return nil
			})
			undo := errors.New("undo")
			err := s.Update(context.Background(), func(tx kv.Tx) error {
				check(t, tx, c.r, c.want, "")
				for _, k := range []string{"k", "a", "e", "d"} {
					if err := tx.Set(b(k), b("own")); err != nil {
						return err
					}
				}
				if err := errors.Join(tx.Delete(b("f")), tx.Set(b("c"), b("gone")), tx.Delete(b("c"))); err != nil {
					return err
				}
				check(t, tx, c.r, c.own, "own")
				return undo
			})
			if err != undo {
				t.Fatal(err)
			}
		})
	}
}

// A closure may write while it scans. What lies ahead is seen, what lies behind is not.
func testScanWhileWriting(t *testing.T, s kv.Store) {
	set(t, s, "b", "1", "d", "1", "f", "1")
	for _, reverse := range []bool{false, true} {
		var seen []string
		undo := errors.New("undo")
		err := s.Update(context.Background(), func(tx kv.Tx) error {
			seen = nil
			for p, err := range tx.Scan(kv.Range{Reverse: reverse}) {
				if err != nil {
					return err
				}
				seen = append(seen, string(p.Key))
				if err := tx.Delete(p.Key); err != nil {
					return err
				}
				if string(p.Key) == "d" {
					for _, k := range []string{"a", "c", "e", "g"} {
						if err := tx.Set([]byte(k), nil); err != nil {
							return err
						}
					}
				}
			}
			if rest, err := list(tx, kv.Range{}); err != nil || len(rest) != 2 {
				t.Errorf("the rest is %q, %v", rest, err)
			}
			return undo
		})
		if err != undo {
			t.Fatal(err)
		}
		want := []string{"b", "d", "e", "f", "g"}
		if reverse {
			want = []string{"f", "d", "c", "b", "a"}
		}
		if !slices.Equal(seen, want) {
			t.Errorf("reverse %v: saw %q, want %q", reverse, seen, want)
		}
	}
}

// One sequence can be ranged over more than once, inside itself too.
func testScanTwice(t *testing.T, s kv.Store) {
	set(t, s, "a", "1", "b", "2")
	view(t, s, func(r kv.Reader) error {
		seq := r.Scan(kv.Range{})
		n := 0
		for _, err := range seq {
			if err != nil {
				return err
			}
			for _, err := range seq {
				if err != nil {
					return err
				}
				n++
			}
		}
		if n != 4 {
			t.Errorf("%d pairs, want 4", n)
		}
		return nil
	})
}

// What a Reader has returned does not change until the closure returns.
func testBytesStay(t *testing.T, s kv.Store) {
	const n = 300
	name := func(i int) string { return fmt.Sprintf("key %03d", i) }
	value := func(i int) string { return string(bytes.Repeat([]byte{byte(i)}, i)) }
	update(t, s, func(tx kv.Tx) error {
		for i := range n {
			if err := tx.Set([]byte(name(i)), []byte(value(i))); err != nil {
				return err
			}
		}
		return nil
	})
	check := func(r kv.Reader) error {
		var pairs []kv.Pair
		for p, err := range r.Scan(kv.Range{}) {
			if err != nil {
				return err
			}
			pairs = append(pairs, p)
		}
		for i := range n {
			v, _, err := r.Get([]byte(name(i)))
			if err != nil {
				return err
			}
			pairs = append(pairs, kv.Pair{Key: []byte(name(i)), Value: v})
		}
		for i, p := range pairs {
			if string(p.Key) != name(i%n) || string(p.Value) != value(i%n) {
				t.Fatalf("pair %d changed to %q", i, p.Key)
			}
		}
		return nil
	}
	view(t, s, check)
	update(t, s, func(tx kv.Tx) error { return check(tx) })
}

func testRollback(t *testing.T, s kv.Store) {
	set(t, s, "a", "1")
	mine := errors.New("mine")
	err := s.Update(context.Background(), func(tx kv.Tx) error {
		if err := errors.Join(tx.Set([]byte("a"), []byte("2")), tx.Set([]byte("b"), []byte("2"))); err != nil {
			return err
		}
		return mine
	})
	if err != mine {
		t.Errorf("Update returned %v, want the closure's error as it is", err)
	}
	if err := s.View(context.Background(), func(kv.Reader) error { return mine }); err != mine {
		t.Errorf("View returned %v, want the closure's error as it is", err)
	}
	expect(t, s, "a=1")
}

func testPanic(t *testing.T, s kv.Store) {
	for _, run := range []func(){
		func() {
			_ = s.Update(context.Background(), func(tx kv.Tx) error {
				if err := tx.Set([]byte("a"), nil); err != nil {
					return err
				}
				for range tx.Scan(kv.Range{}) {
					panic("mine")
				}
				return nil
			})
		},
		func() { _ = s.View(context.Background(), func(kv.Reader) error { panic("mine") }) },
	} {
		func() {
			defer func() {
				if p := recover(); p != "mine" {
					t.Errorf("recovered %v, want the closure's own panic", p)
				}
			}()
			run()
		}()
	}
	expect(t, s)
	set(t, s, "b", "1")
	expect(t, s, "b=1")
}

func testSnapshot(t *testing.T, s kv.Store) {
	set(t, s, "a", "1")
	view(t, s, func(r kv.Reader) error {
		set(t, s, "a", "2", "b", "2")
		for range 2 {
			got, err := list(r, kv.Range{})
			if err != nil || !slices.Equal(got, []string{"a=1"}) {
				t.Errorf("a View sees %q, %v after a later commit", got, err)
			}
		}
		if v, _, err := get(r, "a"); v != "1" || err != nil {
			t.Errorf("a View reads %q, %v after a later commit", v, err)
		}
		return nil
	})
	expect(t, s, "a=2", "b=2")
}

func testReadsAreConsistent(t *testing.T, s kv.Store) {
	set(t, s, "a", "1", "b", "1")
	runs := 0
	update(t, s, func(tx kv.Tx) error {
		runs++
		a, _, err := get(tx, "a")
		if err != nil {
			return err
		}
		if runs == 1 {
			set(t, s, "a", "2", "b", "2")
		}
		b, _, err := get(tx, "b")
		if err != nil {
			return err
		}
		if a != b {
			t.Errorf("run %d reads a = %s and b = %s, which never were together", runs, a, b)
		}
		return tx.Set([]byte("c"), []byte(a))
	})
	expect(t, s, "a=2", "b=2", "c=2")
	if runs != 2 {
		t.Errorf("%d runs, want 2", runs)
	}
}
