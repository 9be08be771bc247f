package runtimes

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"testing"
)

// someJSON makes a value, of which maps hold no null: Java leaves those out.
func someJSON(r *rand.Rand, depth int) any {
	switch n := r.IntN(9); {
	case n < 2 && depth > 0:
		m := make(map[string]any)
		for range r.IntN(5) {
			if v := someJSON(r, depth-1); v != nil {
				m[someText(r)] = v
			}
		}
		return m
	case n < 4 && depth > 0:
		l := []any{}
		for range r.IntN(5) {
			l = append(l, someJSON(r, depth-1))
		}
		return l
	case n == 4:
		return r.Int64() >> r.IntN(63) * int64(1-2*r.IntN(2))
	case n == 5:
		return float64(r.IntN(2000000)-1000000) / 64
	case n == 6:
		return r.IntN(2) == 0
	case n == 7:
		return nil
	}
	return someText(r)
}

func someText(r *rand.Rand) string {
	ranges := []rune{0x20, 0x7f, 0x800, 0xd800, 0x10ffff}
	s := make([]rune, r.IntN(20))
	for i := range s {
		if s[i] = r.Int32N(ranges[r.IntN(len(ranges))]); s[i] >= 0xd800 && s[i] < 0xe000 {
			s[i] = '"'
		}
	}
	return string(s)
}

// What a function returns that returns its event is the event, as Go reads both.
func TestJSONComesBack(t *testing.T) {
	check := func(t *testing.T, f *function) {
		t.Helper()
		r := rand.New(rand.NewPCG(1, 2))
		for range 300 {
			event, err := json.Marshal(someJSON(r, 6))
			if err != nil {
				t.Fatal(err)
			}
			var want, got any
			answer := f.invoke(string(event))
			if err := json.Unmarshal(event, &want); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(answer.Payload, &got); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s came back as %s, %v", event, answer.Payload, err)
			}
		}
	}
	each(t, ruby, func(t *testing.T, r *Runtime) { check(t, run(t, r, echo[ruby].handler, echo[ruby].files)) })
	eachJava(t, func(t *testing.T, r *Runtime, classes map[string]string) {
		check(t, run(t, r, "example.Functions::any", classes))
	})
}
