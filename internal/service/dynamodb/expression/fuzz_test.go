package expression

import (
	"maps"
	"slices"
	"testing"

	"brume/internal/service/dynamodb/item"
)

func fuzzNames() map[string]string { return map[string]string{"#a": "a", "#b": "b", "#c": "name"} }

// fuzzInput is what the fuzzed expressions may refer to.
func fuzzInput(t testing.TB) (*Placeholders, item.Map) {
	p, err := NewPlaceholders(fuzzNames(),
		parseItem(t, `{":s":{"S":"x"},":n":{"N":"5"},":b":{"B":"eA=="},":ss":{"SS":["a","b"]},":ns":{"NS":["1"]},":l":{"L":[{"N":"1"}]},":m":{"M":{"a":{"S":"v"}}},":t":{"BOOL":true}}`))
	if err != nil {
		t.Fatal(err)
	}
	return p, parseItem(t, `{"a":{"S":"x"},"b":{"L":[{"N":"1"},{"M":{"a":{"N":"2"}}}]},"c":{"M":{"a":{"L":[]}}},"n":{"N":"7"},"ss":{"SS":["a"]}}`)
}

func addSources(f *testing.F, file string) {
	for _, c := range testCases(f, file) {
		f.Add(c.src)
	}
}

// checkTopLevel compares what TopLevel finds in a valid expression with the paths that the parser found.
func checkTopLevel(t *testing.T, parameter Parameter, src string, paths []Path) {
	t.Helper()
	want, got := map[string]bool{}, map[string]bool{}
	for _, p := range paths {
		want[p.Head()] = true
	}
	TopLevel(parameter, src, fuzzNames(), func(name string) { got[name] = true })
	if !maps.Equal(got, want) {
		t.Fatalf("%q: TopLevel finds %v, the parser %v", src, got, want)
	}
}

// FuzzCondition parses and evaluates: whatever parses has a truth, and its negation the opposite.
func FuzzCondition(f *testing.F) {
	addSources(f, "conditions.txt")
	f.Fuzz(func(t *testing.T, src string) {
		p, it := fuzzInput(t)
		cond, err := p.Predicate(Condition, src)
		if err != nil {
			return
		}
		checkTopLevel(t, Condition, src, cond.Paths())
		ok, err := cond.Eval(attributes(it))
		if err != nil {
			t.Fatal(err)
		}
		if not, err := p.Predicate(Condition, "NOT ("+src+")"); err == nil {
			if nok, err := not.Eval(attributes(it)); err != nil || nok == ok {
				t.Fatalf("%q is %t and its negation %t, %v", src, ok, nok, err)
			}
		}
	})
}

// FuzzUpdate parses and applies: what comes out is a canonical item again, and the old item is what it was.
func FuzzUpdate(f *testing.F) {
	addSources(f, "updates.txt")
	f.Fuzz(func(t *testing.T, src string) {
		p, it := fuzzInput(t)
		change, err := p.Update(Update, src)
		if err != nil {
			return
		}
		checkTopLevel(t, Update, src, slices.Concat(change.Paths(), change.Operands()))
		before := string(item.Append(nil, it, 0))
		got, err := change.Apply(it)
		if string(item.Append(nil, it, 0)) != before {
			t.Fatalf("%q changed the old item", src)
		}
		if err != nil {
			return
		}
		enc := item.Append(nil, got, 0)
		if back, err := item.Decode(enc); err != nil || !item.EqualMap(back, got) {
			t.Fatalf("%q made %v, which does not survive its encoding: %v", src, got, err)
		}
		if err := item.CanonicalMap(got); err != nil || string(item.Append(nil, got, 0)) != string(enc) {
			t.Fatalf("%q made an item that is not canonical: %v", src, err)
		}
		NewProjector(change.Paths()).Project(got)
	})
}

func FuzzProjection(f *testing.F) {
	addSources(f, "projections.txt")
	f.Fuzz(func(t *testing.T, src string) {
		p, it := fuzzInput(t)
		paths, err := p.Projection(src)
		if err != nil {
			return
		}
		checkTopLevel(t, Projection, src, paths)
		once := NewProjector(paths).Project(it)
		for name, v := range once {
			if item.Type(v) != item.Type(it[name]) {
				t.Fatalf("%q made a %s of a %s", src, item.Type(v), item.Type(it[name]))
			}
		}
	})
}

func FuzzKeyCondition(f *testing.F) {
	addSources(f, "keyconditions.txt")
	f.Fuzz(func(t *testing.T, src string) {
		p, _ := fuzzInput(t)
		conds, err := keyConds(p, src)
		if err != nil {
			return
		}
		for _, c := range conds {
			want := 1
			if c.Op == KeyBetween {
				want = 2
			}
			if c.Attribute == "" || len(c.Values) != want {
				t.Fatalf("%q: %+v", src, c)
			}
		}
	})
}

func BenchmarkCondition(b *testing.B) {
	values := parseItem(b, `{":s":{"S":"x"},":n":{"N":"5"}}`)
	it := attributes(parseItem(b, `{"pk":{"S":"x"},"n":{"N":"7"}}`))
	b.ReportAllocs()
	for b.Loop() {
		p, err := NewPlaceholders(nil, values)
		if err != nil {
			b.Fatal(err)
		}
		cond, err := p.Predicate(Condition, "attribute_exists(pk) AND n > :n AND pk = :s")
		if err != nil {
			b.Fatal(err)
		}
		if ok, err := cond.Eval(it); !ok || err != nil || p.Unused() != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	values := parseItem(b, `{":s":{"S":"x"},":n":{"N":"5"}}`)
	it := parseItem(b, `{"pk":{"S":"x"},"n":{"N":"7"}}`)
	names := map[string]string{"#n": "n", "#s": "s"}
	b.ReportAllocs()
	for b.Loop() {
		p, err := NewPlaceholders(names, values)
		if err != nil {
			b.Fatal(err)
		}
		change, err := p.Update(Update, "SET #s = :s ADD #n :n")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := change.Apply(it); err != nil || p.Unused() != nil {
			b.Fatal(err)
		}
	}
}
