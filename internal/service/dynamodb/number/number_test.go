package number

import (
	"bytes"
	"cmp"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/apd/v3"
)

const (
	overflow  = "ValidationException: Number overflow. Attempting to store a number with magnitude larger than supported range"
	underflow = "ValidationException: Number underflow. Attempting to store a number with magnitude smaller than supported range"
	precision = "ValidationException: Attempting to store more than 38 significant digits in a Number"
	notNumber = "ValidationException: The parameter cannot be converted to a numeric value"
)

// The range and precision are those of
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html#HowItWorks.DataTypes.Number
func TestCanonical(t *testing.T) {
	nines := strings.Repeat("9", 38)
	for _, c := range []struct{ in, want, err string }{
		{in: "0", want: "0"},
		{in: "-0", want: "0"},
		{in: "+0", want: "0"},
		{in: "0.000", want: "0"},
		{in: "0e500", want: "0"},
		{in: "1", want: "1"},
		{in: "+1", want: "1"},
		{in: "-1", want: "-1"},
		{in: "007", want: "7"},
		{in: "1.0", want: "1"},
		{in: "100", want: "100"},
		{in: "1e2", want: "100"},
		{in: "1E+2", want: "100"},
		{in: "1.50", want: "1.5"},
		{in: "1.5E-3", want: "0.0015"},
		{in: ".5", want: "0.5"},
		{in: "5.", want: "5"},
		{in: "-.5e1", want: "-5"},
		{in: "1203040500", want: "1203040500"},
		{in: "0.00120304050", want: "0.0012030405"},
		{in: "00100.00100", want: "100.001"},
		{in: nines, want: nines},
		{in: "0." + nines, want: "0." + nines},
		{in: "-" + nines[:20] + "." + nines[20:], want: "-" + nines[:20] + "." + nines[20:]},
		{in: nines + "000", want: nines + "000"},
		{in: strings.Repeat("0", 100) + nines + "." + strings.Repeat("0", 100), want: nines},
		{in: "9." + nines[1:] + "E+125", want: nines + strings.Repeat("0", 88)},
		{in: "1E-130", want: "0." + strings.Repeat("0", 129) + "1"},
		{in: "-1E-130", want: "-0." + strings.Repeat("0", 129) + "1"},
		{in: "1.5E-130", want: "0." + strings.Repeat("0", 129) + "15"},

		{in: "1E126", err: overflow},
		{in: "-1E126", err: overflow},
		{in: "10E125", err: overflow},
		{in: "1E99999999999999999999", err: overflow},
		{in: "1E-131", err: underflow},
		{in: "0.1E-130", err: underflow},
		{in: "-1E-99999999999999999999", err: underflow},
		{in: nines + "1", err: precision},
		{in: "1" + strings.Repeat("0", 37) + "1", err: precision},
		{in: "1." + strings.Repeat("0", 37) + "1", err: precision},

		{in: "", err: notNumber},
		{in: " ", err: notNumber + ":  "},
		{in: "1 ", err: notNumber + ": 1 "},
		{in: "b", err: notNumber + ": b"},
		{in: "-", err: notNumber + ": -"},
		{in: ".", err: notNumber + ": ."},
		{in: "e5", err: notNumber + ": e5"},
		{in: "1e", err: notNumber + ": 1e"},
		{in: "1e+", err: notNumber + ": 1e+"},
		{in: "1e5.", err: notNumber + ": 1e5."},
		{in: "1.2.3", err: notNumber + ": 1.2.3"},
		{in: "--1", err: notNumber + ": --1"},
		{in: "1-", err: notNumber + ": 1-"},
		{in: "0x10", err: notNumber + ": 0x10"},
		{in: "NaN", err: notNumber + ": NaN"},
		{in: "Infinity", err: notNumber + ": Infinity"},
		{in: "1_000", err: notNumber + ": 1_000"},
		{in: "١", err: notNumber + ": ١"},
	} {
		got, err := Canonical(c.in)
		msg := ""
		if err != nil {
			msg = err.Error()
		}
		if got != c.want || msg != c.err {
			t.Errorf("Canonical(%q) = %q, %q; want %q, %q", c.in, got, msg, c.want, c.err)
		}
	}
}

func TestAddSub(t *testing.T) {
	nines := strings.Repeat("9", 38)
	for _, c := range []struct{ a, op, b, want, err string }{
		{a: "1", op: "+", b: "2", want: "3"},
		{a: "1", op: "-", b: "2", want: "-1"},
		{a: "0.1", op: "+", b: "0.2", want: "0.3"},
		{a: "0.5", op: "-", b: "0.5", want: "0"},
		{a: "-7", op: "+", b: "7", want: "0"},
		{a: "999999999999999999", op: "+", b: "999999999999999999", want: "1999999999999999998"},
		{a: "-999999999999999999", op: "-", b: "999999999999999999", want: "-1999999999999999998"},
		{a: "1000000000000000000", op: "+", b: "1", want: "1000000000000000001"},
		{a: nines, op: "+", b: "1", want: "1" + strings.Repeat("0", 38)},
		{a: "1" + strings.Repeat("0", 38), op: "-", b: "1", want: nines},
		{a: nines, op: "+", b: "2", err: precision},
		{a: nines, op: "+", b: "0.1", err: precision},
		{a: "1" + strings.Repeat("0", 125), op: "+", b: "0." + strings.Repeat("0", 129) + "1", err: precision},
		{a: nines + strings.Repeat("0", 88), op: "+", b: "1" + strings.Repeat("0", 88), err: overflow},
		{a: "-" + nines + strings.Repeat("0", 88), op: "-", b: "1" + strings.Repeat("0", 88), err: overflow},
		{
			a: "0." + strings.Repeat("0", 129) + "11", op: "-", b: "0." + strings.Repeat("0", 129) + "1", err: underflow,
		},
	} {
		f := Add
		if c.op == "-" {
			f = Sub
		}
		got, err := f(c.a, c.b)
		msg := ""
		if err != nil {
			msg = err.Error()
		}
		if got != c.want || msg != c.err {
			t.Errorf("%s %s %s = %q, %q; want %q, %q", c.a, c.op, c.b, got, msg, c.want, c.err)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[string]int{
		"0": 1, "1": 2, "-1": 2, "10": 2, "12": 2, "123": 3, "100000": 2, "101": 3, "0.001": 2, "0.0012": 2,
		"1.5": 2, "10.5": 3, "-10.05": 3, strings.Repeat("9", 38): 20,
	} {
		if got := Size(n); got != want {
			t.Errorf("Size(%s) = %d, want %d", n, got, want)
		}
	}
}

// random returns canonical numbers of every kind.
func random(r *rand.Rand) string {
	var b strings.Builder
	if r.IntN(2) == 0 {
		b.WriteByte('-')
	}
	for range 1 + r.IntN(MaxDigits) {
		b.WriteByte(byte('0' + r.IntN(10)))
	}
	if r.IntN(3) == 0 {
		b.WriteString("E")
		b.WriteString(big.NewInt(int64(r.IntN(250) - 150)).String())
	}
	n, err := Canonical(b.String())
	if err != nil {
		return random(r)
	}
	return n
}

func rat(t testing.TB, n string) *big.Rat {
	v, ok := new(big.Rat).SetString(n)
	if !ok {
		t.Fatalf("%q is no number", n)
	}
	return v
}

func TestOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	ns := []string{"0", "1", "-1", "10", "0.1", "-0.1", "0." + strings.Repeat("0", 129) + "1", "99", "100", "101", "-100", "-101"}
	for range 300 {
		ns = append(ns, random(r))
	}
	keys := make([][]byte, len(ns))
	for i, n := range ns {
		keys[i] = AppendKey(nil, n)
		if len(keys[i]) > MaxKeySize {
			t.Errorf("key of %s has %d bytes", n, len(keys[i]))
		}
		back, rest, err := CutKey(append(slices.Clip(keys[i]), "rest"...))
		if back != n || string(rest) != "rest" || err != nil {
			t.Fatalf("CutKey(AppendKey(%s)) = %s, %q, %v", n, back, rest, err)
		}
	}
	for i, a := range ns {
		for j, b := range ns {
			want := rat(t, a).Cmp(rat(t, b))
			if got := cmp.Compare(Compare(a, b), 0); got != want {
				t.Fatalf("Compare(%s, %s) = %d, want %d", a, b, got, want)
			}
			if got := bytes.Compare(keys[i], keys[j]); got != want {
				t.Fatalf("keys of %s and %s compare as %d, want %d", a, b, got, want)
			}
			if want != 0 && bytes.HasPrefix(keys[i], keys[j]) {
				t.Fatalf("the key of %s is a prefix of that of %s", b, a)
			}
		}
	}
}

func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"0", "-1.50", "1e-130", "9.9e125", "00.1200", "+7", ".5e3", "1E+126", "x", strings.Repeat("1", 39)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := Canonical(s)
		if err != nil {
			return
		}
		d, _, err := apd.NewFromString(s)
		if err != nil && n == "0" {
			return // apd bounds the exponent of a zero; BigDecimal does not
		}
		if err != nil {
			t.Fatalf("%q became %s but is no decimal: %v", s, n, err)
		}
		back, _, err := apd.NewFromString(n)
		if err != nil || back.Cmp(d) != 0 {
			t.Fatalf("%q became %s (%v)", s, n, err)
		}
		if again, err := Canonical(n); again != n || err != nil {
			t.Fatalf("Canonical(%q) = %q, %v", n, again, err)
		}
		if key, rest, err := CutKey(AppendKey(nil, n)); key != n || len(rest) != 0 || err != nil {
			t.Fatalf("key of %q came back as %q, %v", n, key, err)
		}
	})
}

func FuzzSum(f *testing.F) {
	f.Add("1", "2")
	f.Add("0.1", "-1e38")
	f.Add("999999999999999999", "1")
	f.Fuzz(func(t *testing.T, a, b string) {
		a, errA := Canonical(a)
		b, errB := Canonical(b)
		if errA != nil || errB != nil {
			return
		}
		want := new(big.Rat).Sub(rat(t, a), rat(t, b))
		if got, err := Sub(a, b); err == nil && rat(t, got).Cmp(want) != 0 {
			t.Fatalf("%s - %s = %s", a, b, got)
		}
	})
}

func FuzzCutKey(f *testing.F) {
	f.Add(AppendKey(nil, "-12.5"))
	f.Add(AppendKey(nil, "0"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, rest, err := CutKey(b)
		if err != nil {
			return
		}
		if got := AppendKey(nil, n); !bytes.Equal(got, b[:len(b)-len(rest)]) {
			t.Fatalf("%x became %s, whose key is %x", b, n, got)
		}
	})
}

func BenchmarkCanonical(b *testing.B) {
	for b.Loop() {
		if _, err := Canonical("1700000000"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	for b.Loop() {
		if _, err := Add("1700000000", "1"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendKey(b *testing.B) {
	var buf [64]byte
	for b.Loop() {
		AppendKey(buf[:0], "1700000000")
	}
}
