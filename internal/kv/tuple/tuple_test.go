package tuple_test

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"brume/internal/kv"
	"brume/internal/kv/tuple"
)

var texts = []string{"", "\x00", "\x00\x00", "\x00\x01", "\x00\xff", "\x01", "a", "a\x00", "a\x00b", "a\x01", "aa", "ab", "b", "\xff", "\xff\x00", "\xff\xff"}

func TestStringOrder(t *testing.T) {
	for _, a := range texts {
		for _, b := range texts {
			want := cmp.Compare(a, b)
			if got := bytes.Compare(tuple.AppendString(nil, a), tuple.AppendString(nil, b)); got != want {
				t.Errorf("ascending: %q, %q compare as %d, want %d", a, b, got, want)
			}
			if got := bytes.Compare(tuple.AppendStringDesc(nil, a), tuple.AppendStringDesc(nil, b)); got != -want {
				t.Errorf("descending: %q, %q compare as %d, want %d", a, b, got, -want)
			}
		}
	}
}

// The second element decides only where the first ones are equal, even if it begins with bytes that the escaping uses.
func TestTupleOrder(t *testing.T) {
	numbers := []int64{math.MinInt64, -1, 0, 1, 255, math.MaxInt64}
	type pair struct {
		s string
		n int64
	}
	var pairs []pair
	for _, s := range texts {
		for _, n := range numbers {
			pairs = append(pairs, pair{s, n})
		}
	}
	key := func(p pair) []byte { return tuple.AppendInt64(tuple.AppendString(nil, p.s), p.n) }
	for _, a := range pairs {
		for _, b := range pairs {
			want := cmp.Or(cmp.Compare(a.s, b.s), cmp.Compare(a.n, b.n))
			if got := bytes.Compare(key(a), key(b)); got != want {
				t.Errorf("%v, %v compare as %d, want %d", a, b, got, want)
			}
		}
	}
}

func TestPrefixNests(t *testing.T) {
	within := func(r kv.Range, key []byte) bool {
		return bytes.Compare(r.Start, key) <= 0 && (r.End == nil || bytes.Compare(key, r.End) < 0)
	}
	for _, a := range texts {
		whole, begins := kv.Prefix(tuple.AppendString(nil, a)), kv.Prefix(tuple.AppendStringPrefix(nil, a))
		for _, b := range texts {
			for _, n := range []uint64{0, math.MaxUint64} {
				key := tuple.AppendUint64(tuple.AppendString(nil, b), n)
				if got, want := within(whole, key), a == b; got != want {
					t.Errorf("key of %q under the element %q: %v", b, a, got)
				}
				if got, want := within(begins, key), len(b) >= len(a) && b[:len(a)] == a; got != want {
					t.Errorf("key of %q under what begins with %q: %v", b, a, got)
				}
			}
		}
	}
}

func TestNumberOrder(t *testing.T) {
	ints := []int64{math.MinInt64, math.MinInt64 + 1, -256, -1, 0, 1, 255, 256, math.MaxInt64}
	isSorted := func(name string, enc func(int64) []byte, desc bool) {
		t.Helper()
		if !slices.IsSortedFunc(ints, func(a, b int64) int {
			c := bytes.Compare(enc(a), enc(b))
			if desc {
				return -c
			}
			return c
		}) {
			t.Errorf("%s is out of order", name)
		}
	}
	isSorted("AppendInt64", func(n int64) []byte { return tuple.AppendInt64(nil, n) }, false)
	isSorted("AppendInt64Desc", func(n int64) []byte { return tuple.AppendInt64Desc(nil, n) }, true)
	isSorted("AppendTime", func(n int64) []byte { return tuple.AppendTime(nil, time.Unix(0, n)) }, false)
	isSorted("AppendTimeDesc", func(n int64) []byte { return tuple.AppendTimeDesc(nil, time.Unix(0, n)) }, true)
	for i, a := range []uint64{0, 1, 255, 256, math.MaxUint64 - 1} {
		b := []uint64{1, 255, 256, math.MaxUint64 - 1, math.MaxUint64}[i]
		if bytes.Compare(tuple.AppendUint64(nil, a), tuple.AppendUint64(nil, b)) >= 0 {
			t.Errorf("AppendUint64: %d not before %d", a, b)
		}
		if bytes.Compare(tuple.AppendUint64Desc(nil, a), tuple.AppendUint64Desc(nil, b)) <= 0 {
			t.Errorf("AppendUint64Desc: %d not after %d", a, b)
		}
	}
}

func TestTimeOutsideItsRange(t *testing.T) {
	early, late := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	now := tuple.AppendTime(nil, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	if bytes.Compare(tuple.AppendTime(nil, early), now) >= 0 || bytes.Compare(now, tuple.AppendTime(nil, late)) >= 0 {
		t.Error("a time outside the range breaks the order")
	}
}

func TestRoundTrip(t *testing.T) {
	at := time.Date(2026, 2, 3, 4, 5, 6, 7, time.UTC)
	for _, s := range texts {
		var k []byte
		k = tuple.AppendByte(k, 7)
		k = tuple.AppendString(k, s)
		k = tuple.AppendBytesDesc(k, []byte(s))
		k = tuple.AppendUint64(k, 1<<63)
		k = tuple.AppendUint64Desc(k, 42)
		k = tuple.AppendBytes(k, []byte(s))
		k = tuple.AppendInt64(k, math.MinInt64)
		k = tuple.AppendInt64Desc(k, -5)
		k = tuple.AppendStringDesc(k, s)
		k = tuple.AppendTime(k, at)
		k = tuple.AppendTimeDesc(k, at)
		r := tuple.NewReader(k)
		if v := r.Byte(); v != 7 {
			t.Error("Byte", v)
		}
		if v := r.String(); v != s {
			t.Errorf("String %q, want %q", v, s)
		}
		if v := r.BytesDesc(); string(v) != s {
			t.Errorf("BytesDesc %q, want %q", v, s)
		}
		if v := r.Uint64(); v != 1<<63 {
			t.Error("Uint64", v)
		}
		if v := r.Uint64Desc(); v != 42 {
			t.Error("Uint64Desc", v)
		}
		if v := r.Bytes(); string(v) != s {
			t.Errorf("Bytes %q, want %q", v, s)
		}
		if v := r.Int64(); v != math.MinInt64 {
			t.Error("Int64", v)
		}
		if v := r.Int64Desc(); v != -5 {
			t.Error("Int64Desc", v)
		}
		if v := r.StringDesc(); v != s {
			t.Errorf("StringDesc %q, want %q", v, s)
		}
		if v := r.Time(); v != at {
			t.Error("Time", v)
		}
		if v := r.TimeDesc(); v != at {
			t.Error("TimeDesc", v)
		}
		if err := r.End(); err != nil {
			t.Error(err)
		}
	}
}

// The Bytes of a Reader must not reach into what follows it in the key.
func TestBytesAreClipped(t *testing.T) {
	k := tuple.AppendString(tuple.AppendString(nil, "a"), "b")
	r := tuple.NewReader(k)
	_ = append(r.Bytes(), "xyz"...)
	if got := r.String(); got != "b" {
		t.Errorf("appending to one element changed the next to %q", got)
	}
}

func TestMalformed(t *testing.T) {
	for name, key := range map[string][]byte{
		"empty":               {},
		"no terminator":       []byte("abc"),
		"cut in the end":      []byte("abc\x00"),
		"cut after an escape": []byte("abc\x00\xff\x00"),
		"unknown escape":      []byte("abc\x00\x02"),
		"later unknown":       []byte("abc\x00\xff\x00\x07"),
		"rest":                append(tuple.AppendString(nil, "abc"), 1),
	} {
		r := tuple.NewReader(key)
		_ = r.String()
		if err := r.End(); !errors.Is(err, tuple.ErrMalformed) {
			t.Errorf("%s: error %v", name, err)
		}
		if s, n, at := r.String(), r.Uint64(), r.Time(); s != "" || n != 0 || !at.IsZero() {
			t.Errorf("%s: elements %q, %d, %v after an error", name, s, n, at)
		}
	}
	for n := range 8 {
		r := tuple.NewReader(make([]byte, n))
		if r.Uint64(); r.Err() == nil {
			t.Errorf("a number in %d bytes", n)
		}
	}
}

func FuzzOrder(f *testing.F) {
	for i, s := range texts {
		f.Add([]byte(s), int64(i)-5, []byte(texts[len(texts)-1-i]), int64(i))
	}
	f.Fuzz(func(t *testing.T, a []byte, an int64, b []byte, bn int64) {
		want := cmp.Or(bytes.Compare(a, b), cmp.Compare(an, bn))
		ka, kb := tuple.AppendInt64(tuple.AppendBytes(nil, a), an), tuple.AppendInt64(tuple.AppendBytes(nil, b), bn)
		if got := bytes.Compare(ka, kb); got != want {
			t.Fatalf("ascending: %d, want %d", got, want)
		}
		da, db := tuple.AppendInt64Desc(tuple.AppendBytesDesc(nil, a), an), tuple.AppendInt64Desc(tuple.AppendBytesDesc(nil, b), bn)
		if got := bytes.Compare(da, db); got != -want {
			t.Fatalf("descending: %d, want %d", got, -want)
		}
		if got, want := bytes.HasPrefix(ka, tuple.AppendBytesPrefix(nil, b)), bytes.HasPrefix(a, b); got != want {
			// An escaped prefix may be matched only by what begins with the bytes themselves.
			t.Fatalf("prefix: %v, want %v", got, want)
		}
	})
}

// Whatever a Reader accepts is what the Append functions write.
func FuzzReader(f *testing.F) {
	for _, s := range texts {
		k := tuple.AppendUint64(tuple.AppendStringDesc(tuple.AppendString(nil, s), s), 9)
		f.Add(k)
		f.Add(k[:len(k)/2])
	}
	f.Fuzz(func(t *testing.T, key []byte) {
		in := bytes.Clone(key)
		r := tuple.NewReader(key)
		s, d, n := r.Bytes(), r.StringDesc(), r.Uint64()
		err := r.End()
		if !bytes.Equal(key, in) {
			t.Fatal("reading changed the key")
		}
		if err != nil {
			if len(r.Rest()) > 0 {
				t.Fatal("reading goes on after an error")
			}
			return
		}
		if got := tuple.AppendUint64(tuple.AppendStringDesc(tuple.AppendBytes(nil, s), d), n); !bytes.Equal(got, key) {
			t.Fatalf("%x was read, %x is written", key, got)
		}
	})
}

func BenchmarkAppendString(b *testing.B) {
	buf := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		buf = tuple.AppendString(buf[:0], "000000000000/us-east-1/table")
	}
}
