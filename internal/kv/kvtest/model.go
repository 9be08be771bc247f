package kvtest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"brume/internal/kv"
)

// testModel runs random transactions against the store and against a map, and compares all that they see.
func testModel(t *testing.T, s kv.Store) {
	undo := errors.New("undo")
	keys := rapid.Custom(func(t *rapid.T) string {
		// Few letters, so that keys meet, lie next to each other and are prefixes of each other.
		return string(rapid.SliceOfN(rapid.SampledFrom([]byte{0x00, 'a', 'b', 0xff}), 0, 3).Draw(t, "key"))
	})
	bound := rapid.Custom(func(t *rapid.T) []byte {
		if rapid.Bool().Draw(t, "open") {
			return nil
		}
		return []byte(keys.Draw(t, "bound"))
	})
	ranges := rapid.Custom(func(t *rapid.T) kv.Range {
		return kv.Range{
			Start:   bound.Draw(t, "start"),
			End:     bound.Draw(t, "end"),
			Reverse: rapid.Bool().Draw(t, "reverse"),
			Limit:   rapid.IntRange(0, 4).Draw(t, "limit"),
		}
	})
	committed := map[string]string{}
	check := func(t *rapid.T, r kv.Reader, model map[string]string) error {
		if rapid.Bool().Draw(t, "get") {
			key := keys.Draw(t, "key")
			v, ok, err := get(r, key)
			if want, there := model[key]; err == nil && (ok != there || v != want) {
				t.Fatalf("Get(%q) = %q, %v, want %q, %v", key, v, ok, want, there)
			}
			return err
		}
		rg := ranges.Draw(t, "range")
		got, err := list(r, rg)
		if want := modelList(model, rg); err == nil && !slices.Equal(got, want) {
			t.Fatalf("Scan of %+v is %q, want %q", rg, got, want)
		}
		return err
	}
	transaction := func(t *rapid.T) {
		if rapid.IntRange(0, 4).Draw(t, "kind") == 0 {
			if err := s.View(context.Background(), func(r kv.Reader) error { return check(t, r, committed) }); err != nil {
				t.Fatal(err)
			}
			return
		}
		var mine map[string]string
		err := s.Update(context.Background(), func(tx kv.Tx) error {
			mine = maps.Clone(committed)
			for range rapid.IntRange(0, 12).Draw(t, "operations") {
				key := keys.Draw(t, "key")
				var err error
				switch rapid.IntRange(0, 4).Draw(t, "operation") {
				case 0, 1:
					v := rapid.StringN(0, 3, -1).Draw(t, "value")
					mine[key] = v
					err = tx.Set([]byte(key), []byte(v))
				case 2:
					delete(mine, key)
					err = tx.Delete([]byte(key))
				default:
					err = check(t, tx, mine)
				}
				if err != nil {
					return err
				}
			}
			if rapid.IntRange(0, 3).Draw(t, "end") == 0 {
				return undo
			}
			return nil
		})
		if err == nil {
			committed = mine
		} else if err != undo {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		update(t, s, func(tx kv.Tx) error {
			for p, err := range tx.Scan(kv.Range{}) {
				if err := errors.Join(err, tx.Delete(p.Key)); err != nil {
					return err
				}
			}
			return nil
		})
		committed = map[string]string{}
		for range rapid.IntRange(1, 10).Draw(rt, "transactions") {
			transaction(rt)
		}
	})
	view(t, s, func(r kv.Reader) error {
		got, err := list(r, kv.Range{})
		if want := modelList(committed, kv.Range{}); err == nil && !slices.Equal(got, want) {
			t.Errorf("the store holds %q, want %q", got, want)
		}
		return err
	})
}

func modelList(model map[string]string, r kv.Range) []string {
	var all []string
	keys := slices.Sorted(maps.Keys(model))
	if r.Reverse {
		slices.Reverse(keys)
	}
	for _, k := range keys {
		if k < string(r.Start) || r.End != nil && k >= string(r.End) {
			continue
		}
		all = append(all, k+"="+model[k])
		if len(all) == r.Limit {
			break
		}
	}
	return all
}
