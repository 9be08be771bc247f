package item

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	api "brume/internal/api/dynamodb"
)

// nest puts v into so many lists.
func nest(v api.AttributeValue, depth int) api.AttributeValue {
	for range depth {
		v = api.L{v}
	}
	return v
}

func TestCanonical(t *testing.T) {
	const invalid = "One or more parameter values were invalid: "
	for _, c := range []struct {
		in, want api.AttributeValue
		err      string
	}{
		{in: api.S(""), want: api.S("")},
		{in: api.B{}, want: api.B{}},
		{in: api.N("01.50"), want: api.N("1.5")},
		{in: api.NULL(true), want: api.NULL(true)},
		{in: api.BOOL(false), want: api.BOOL(false)},
		{in: api.SS{"b", "a", ""}, want: api.SS{"", "a", "b"}},
		{in: api.NS{"10", "9.0", "-1"}, want: api.NS{"-1", "9", "10"}},
		{in: api.BS{{2}, {}, {1, 0}}, want: api.BS{{}, {1, 0}, {2}}},
		{in: api.L{}, want: api.L{}},
		{in: api.M{}, want: api.M{}},
		{
			in:   api.M{"a": api.L{api.N("1e1"), api.M{"b": api.SS{"y", "x"}}}},
			want: api.M{"a": api.L{api.N("10"), api.M{"b": api.SS{"x", "y"}}}},
		},
		{in: nest(api.S("x"), MaxDepth), want: nest(api.S("x"), MaxDepth)},

		{in: nest(api.S("x"), MaxDepth+1), err: "Nesting Levels have exceeded supported limits"},
		{in: nest(api.M{}, MaxDepth), err: "Nesting Levels have exceeded supported limits"},
		{in: api.Malformed(nil), err: "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"},
		{in: nil, err: "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"},
		{
			in:  api.Malformed{api.S("a"), api.N("1")},
			err: "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
		},
		{in: api.NULL(false), want: api.NULL(true)},
		{in: api.N(""), err: "The parameter cannot be converted to a numeric value"},
		{in: api.N("x"), err: "The parameter cannot be converted to a numeric value: x"},
		{in: api.SS{}, err: invalid + "An string set  may not be empty"},
		{in: api.NS{}, err: invalid + "An number set  may not be empty"},
		{in: api.BS{}, err: invalid + "Binary sets should not be empty"},
		{in: api.SS{"b", "a", "b"}, err: invalid + "Input collection [b, a, b] contains duplicates."},
		{in: api.NS{"1", "1.0"}, err: "Input collection contains duplicates"},
		{in: api.NS{"1", "y"}, err: "The parameter cannot be converted to a numeric value: y"},
		{in: api.BS{{98}, {98}}, err: invalid + "Input collection [Yg==, Yg==]of type BS contains duplicates."},
		{
			in:  api.M{"z": api.N("z"), "b": api.N("b"), "c": api.N("c")},
			err: "The parameter cannot be converted to a numeric value: b",
		},
	} {
		name := fmt.Sprint(c.in)
		got, err := Canonical(c.in)
		if c.err != "" {
			if err == nil || err.Error() != "ValidationException: "+c.err {
				t.Errorf("%s: got error %v, want %q", name, err, c.err)
			}
			continue
		}
		if err != nil || !Equal(got, c.want) {
			t.Errorf("%s: got %v, %v; want %v", name, got, err, c.want)
		}
	}
}

func TestTooDeep(t *testing.T) {
	if err := TooDeep(nest(api.S("x"), 10), MaxDepth-10); err != nil {
		t.Error(err)
	}
	if TooDeep(nest(api.S("x"), 10), MaxDepth-9) == nil || TooDeep(api.M{"a": api.M{}}, MaxDepth-1) == nil {
		t.Error("a value below too many levels passes")
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
func TestSize(t *testing.T) {
	for _, c := range []struct {
		m    Map
		want int
	}{
		{Map{}, 0},
		{Map{"ab": api.S("")}, 2},
		{Map{"a": api.S("héllo")}, 7},
		{Map{"a": api.N("12345")}, 1 + 4},
		{Map{"a": api.N("0")}, 1 + 1},
		{Map{"a": api.B{1, 2, 3}}, 4},
		{Map{"a": api.NULL(true), "b": api.BOOL(true)}, 4},
		{Map{"a": api.SS{"x", "yz"}}, 4},
		{Map{"a": api.NS{"1", "100", "123"}}, 1 + 2 + 2 + 3},
		{Map{"a": api.BS{{1}, {2, 3}}}, 4},
		{Map{"a": api.L{}}, 1 + 3},
		{Map{"a": api.M{}}, 1 + 3},
		{Map{"a": api.L{api.S("xy"), api.N("1")}}, 1 + 3 + 1 + 2 + 1 + 2},
		{Map{"a": api.M{"k": api.S("xy"), "l": api.L{}}}, 1 + 3 + (1 + 1 + 2) + (1 + 1 + 3)},
	} {
		if got := Size(c.m); got != c.want {
			t.Errorf("Size(%v) = %d, want %d", c.m, got, c.want)
		}
	}
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		a, b  api.AttributeValue
		order int
		ok    bool
	}{
		{api.S("a"), api.S("b"), -1, true},
		{api.S("Z"), api.S("a"), -1, true},
		{api.S("\U0001F600"), api.S("\uFFFD"), 1, true}, // bytes of UTF-8, not of UTF-16
		{api.N("9"), api.N("10"), -1, true},
		{api.N("-1"), api.N("-1"), 0, true},
		{api.B{0x7f}, api.B{0x80}, -1, true},
		{api.S("1"), api.N("1"), 0, false},
		{api.BOOL(true), api.BOOL(false), 0, false},
		{api.L{}, api.L{}, 0, false},
	} {
		order, ok := Compare(c.a, c.b)
		if order != c.order || ok != c.ok {
			t.Errorf("Compare(%v, %v) = %d, %t", c.a, c.b, order, ok)
		}
	}
}

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
func TestEqual(t *testing.T) {
	vs := []api.AttributeValue{
		api.S("1"), api.S(""), api.N("1"), api.B("1"), api.BOOL(true), api.BOOL(false), api.NULL(true), api.SS{"1"},
		api.NS{"1"}, api.BS{[]byte("1")}, api.L{}, api.L{api.S("1")}, api.L{api.S("1"), api.S("1")}, api.M{},
		api.M{"1": api.S("1")}, api.M{"1": api.N("1")}, api.M{"2": api.S("1")}, api.SS{"1", "2"},
	}
	for i, a := range vs {
		for j, b := range vs {
			if Equal(a, b) != (i == j) {
				t.Errorf("Equal(%v, %v) = %t", Format(a), Format(b), i != j)
			}
		}
		if Equal(a, nil) || Equal(nil, a) {
			t.Errorf("%v equals nothing", Format(a))
		}
	}
}

func TestFormat(t *testing.T) {
	v := api.M{"b": api.L{api.N("1"), api.NULL(true)}, "a": api.B("b"), "c": api.SS{"x", "y"}}
	if got, want := Format(v), "{M:{a={B:Yg==}, b={L:[{N:1}, {NULL:true}]}, c={SS:[x, y]}}}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func randomText(r *rand.Rand) string {
	n := r.IntN(12)
	if r.IntN(20) == 0 {
		n = 100 + r.IntN(200)
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + r.IntN(26))
	}
	return string(b)
}

func randomNumber(r *rand.Rand) string {
	s := fmt.Sprint(r.Int64() - r.Int64())
	if r.IntN(3) == 0 {
		s += fmt.Sprintf("E%d", r.IntN(200)-120)
	}
	return s
}

func randomValue(r *rand.Rand, depth int) api.AttributeValue {
	kinds := 10
	if depth == 0 {
		kinds = 8
	}
	switch r.IntN(kinds) {
	case 0:
		return api.S(randomText(r))
	case 1:
		return api.N(randomNumber(r))
	case 2:
		return api.B(randomText(r))
	case 3:
		return api.BOOL(r.IntN(2) == 0)
	case 4:
		return api.NULL(true)
	case 5:
		set := map[string]bool{}
		for range 1 + r.IntN(5) {
			set[randomText(r)] = true
		}
		return api.SS(slices.Collect(maps.Keys(set)))
	case 6:
		set := map[string]bool{}
		for range 1 + r.IntN(5) {
			set[randomNumber(r)] = true
		}
		return api.NS(slices.Collect(maps.Keys(set)))
	case 7:
		return api.BS{[]byte("a" + randomText(r)), []byte("b" + randomText(r))}
	case 8:
		l := make(api.L, r.IntN(5))
		for i := range l {
			l[i] = randomValue(r, depth-1)
		}
		return l
	default:
		return api.M(randomMap(r, depth-1))
	}
}

func randomMap(r *rand.Rand, depth int) Map {
	m := Map{}
	for range r.IntN(8) {
		m[randomText(r)] = randomValue(r, depth)
	}
	return m
}

func TestCodec(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		m := randomMap(r, 4)
		if err := CanonicalMap(m); err != nil {
			t.Fatal(err)
		}
		b := Append([]byte("prefix"), m, Size(m))[len("prefix"):]
		back, err := Decode(b)
		if err != nil || !EqualMap(m, back) {
			t.Fatalf("%v came back as %v, %v", m, back, err)
		}
		if size, err := Encoded(b).Size(); err != nil || size != Size(m) {
			t.Fatalf("size %d, %v; want %d", size, err, Size(m))
		}
		if !bytes.Equal(Append(nil, back, Size(back)), b) {
			t.Fatalf("two encodings of %v", m)
		}
		for name, v := range m {
			if got, err := Encoded(b).Attribute(name); err != nil || !Equal(got, v) {
				t.Fatalf("Lookup(%q) = %v, %v; want %v", name, got, err, v)
			}
			if got, err := Encoded(b).Attribute(name + "~"); got != nil || err != nil {
				t.Fatalf("Lookup of an absent name = %v, %v", got, err)
			}
		}
		for i := range b {
			if _, err := Decode(b[:i]); err == nil {
				t.Fatalf("%x decodes without its last %d bytes", b, len(b)-i)
			}
		}
	}
}

func TestCodecKeepsNothing(t *testing.T) {
	b := Append(nil, Map{"a": api.S("x"), "b": api.B("y")}, 4)
	m, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	clear(b)
	if !EqualMap(m, Map{"a": api.S("x"), "b": api.B("y")}) {
		t.Errorf("the item changed with the bytes it was decoded from: %v", m)
	}
}

// A number of two digits takes a few bytes whatever its exponent, so that an item at its limit fits a row.
func TestCodecPacksNumbers(t *testing.T) {
	v, err := Canonical(api.N("-12E-130"))
	if err != nil {
		t.Fatal(err)
	}
	if b := AppendValue(nil, v); len(b) > 8 {
		t.Errorf("%d bytes", len(b))
	}
}

func TestCodecDepth(t *testing.T) {
	b := Append(nil, Map{"a": nest(api.S("x"), MaxDepth)}, 1)
	if _, err := Decode(b); err != nil {
		t.Error(err)
	}
	b = Append(nil, Map{"a": nest(api.S("x"), MaxDepth+1)}, 1)
	if _, err := Decode(b); err == nil {
		t.Error("an item beyond the limit decodes")
	}
}

// A row that is not there is an item without attributes, as conditions see it.
func TestEncodedNothing(t *testing.T) {
	if v, err := Encoded(nil).Attribute("a"); v != nil || err != nil {
		t.Errorf("Attribute: %v, %v", v, err)
	}
	if n, err := Encoded(nil).Size(); n != 0 || err != nil {
		t.Errorf("Size: %d, %v", n, err)
	}
	if _, err := Decode(nil); err == nil {
		t.Error("nothing decodes")
	}
}

func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		m := randomMap(r, 3)
		if err := CanonicalMap(m); err != nil {
			f.Fatal(err)
		}
		f.Add(Append(nil, m, Size(m)), "a")
	}
	// Long text of a number, as earlier versions stored it, and text of that length that is none.
	for _, n := range []string{strings.Repeat("9", maxNumberText+1), strings.Repeat("$", maxNumberText+1)} {
		b := appendText(appendText([]byte{version, 1, 1}, "a"), "")
		f.Add(appendText(append(b[:len(b)-1], tagN), n), "a")
	}
	f.Fuzz(func(t *testing.T, b []byte, name string) {
		v, lookupErr := Encoded(b).Attribute(name)
		m, err := Decode(b)
		if err != nil {
			return
		}
		again := Append(nil, m, Size(m))
		back, err := Decode(again)
		if err != nil || !EqualMap(m, back) {
			t.Fatalf("%v came back as %v, %v", m, back, err)
		}
		if bytes.Equal(again, b) && (lookupErr != nil || !Equal(v, m[name]) && (v != nil || m[name] != nil)) {
			t.Fatalf("Lookup = %v, %v; the item has %v", v, lookupErr, m[name])
		}
	})
}

// sample is an item of about 400 bytes.
func sample() Map {
	return Map{
		"pk": api.S("user#1234567890"), "sk": api.S("order#2024-01-01"), "n": api.N("1700000000"),
		"name": api.S(strings.Repeat("x", 100)), "text": api.S(strings.Repeat("y", 180)), "ok": api.BOOL(true),
		"tags": api.SS{"a", "b", "c"}, "addr": api.M{"street": api.S("Main Street 1"), "zip": api.N("12345")},
	}
}

func BenchmarkAppend(b *testing.B) {
	m := sample()
	size := Size(m)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = Append(buf[:0], m, size)
	}
}

func BenchmarkDecode(b *testing.B) {
	enc := Append(nil, sample(), Size(sample()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(enc); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	enc := Append(nil, sample(), Size(sample()))
	b.ReportAllocs()
	for b.Loop() {
		if v, err := Encoded(enc).Attribute("sk"); v == nil || err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCanonicalAndSize(b *testing.B) {
	m := sample()
	b.ReportAllocs()
	for b.Loop() {
		if CanonicalMap(m) != nil || Size(m) > MaxSize {
			b.Fatal()
		}
	}
}

func TestSelect(t *testing.T) {
	m := Map{"a": api.S("1"), "b": api.L{api.N("2")}, "d": api.BOOL(true), "é": api.NULL(true)}
	enc := Encoded(Append(nil, m, Size(m)))
	for _, names := range [][]string{nil, {"a"}, {"b", "c", "d"}, {"", "z"}, {"a", "b", "c", "d", "e", "é", "ê"}, {"d", "é"}} {
		want := Map{}
		for _, name := range names {
			if v := m[name]; v != nil {
				want[name] = v
			}
		}
		if got, err := enc.Select(names); err != nil || !EqualMap(got, want) {
			t.Errorf("%q: got %v, %v, want %v", names, got, err, want)
		}
	}
	for n := range len(enc) {
		if _, err := enc[:n].Select([]string{"é"}); err == nil && n > 0 {
			t.Errorf("an encoding cut to %d bytes is fine", n)
		}
	}
}
