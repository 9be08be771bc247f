package boundedre

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestCompile(t *testing.T) {
	for _, expr := range []string{"", "a", ".*Not Found.*", `4\d{2}`, "(?i)a|b", "a{1000}", `\pL+`, strings.Repeat("x", maxLength)} {
		if _, err := Compile(expr); err != nil {
			t.Errorf("%.40s: %v", expr, err)
		}
	}
	for _, expr := range []string{strings.Repeat("x", maxLength+1), strings.Repeat(`(\pL{1000})`, 11), strings.Repeat("(a{1000}|b{1000})", 6), strings.Repeat("[^a]{999}", 50)} {
		if _, err := Compile(expr); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%.40s: %v", expr, err)
		}
	}
	for _, expr := range []string{"(", "a{1001}", "((a{100}){100}){100}", "(?=a)"} {
		if _, err := Compile(expr); err == nil {
			t.Errorf("%.40s", expr)
		}
	}
}

// No expression gets out of what is put around it.
func TestWholeIsWhole(t *testing.T) {
	for _, expr := range []string{"a)|(?:b", "a)|(b", ")(?:", "(", `\`} {
		if re, err := Whole(expr); err == nil {
			t.Errorf("%s is taken, and matches xb: %v", expr, re.MatchString("xb"))
		}
	}
	for _, expr := range []string{"a|b", "(?i)a", `\)`, "[)(]"} {
		if _, err := Whole(expr); err != nil {
			t.Errorf("%s: %v", expr, err)
		}
	}
}

func TestMatch(t *testing.T) {
	re, err := Whole("a|b.*")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{"a": true, "bcd": true, "ab": false, "": false} {
		if re.MatchString(text) != want || re.MatchBeginning(text) != want {
			t.Errorf("%q", text)
		}
	}
	long := "b" + strings.Repeat("x", maxWork)
	if re.MatchString(long) || !re.MatchBeginning(long) {
		t.Error("a long text")
	}
}

// The dearest expressions that are taken, and the longest texts that they are matched with.
func TestWorstCases(t *testing.T) {
	for _, expr := range []string{strings.Repeat("(x+x+)+", 500) + "y", "(" + strings.Repeat("x?", 400) + "){10}" + strings.Repeat("x", 400), `(\pL|\pN|x){900}y`, "(.*)(.*)(.*)(.*)[0-9]"} {
		begin := time.Now()
		re, err := Compile(expr)
		if errors.Is(err, ErrTooLarge) {
			continue
		}
		if err != nil {
			t.Errorf("%.30s: %v", expr, err)
			continue
		}
		re.MatchString(strings.Repeat("x", re.room()))
		if took := time.Since(begin); took > 20*time.Second { // some two on a machine with nothing else to do
			t.Errorf("%.30s took %v", expr, took)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, expr := range []string{"a{1000}|(b?){500}", `[\pL\pN]+(?i:x)*?`, "((a{10}){10}){10}"} {
		f.Add(expr, "aaab")
	}
	f.Fuzz(func(t *testing.T, expr, text string) {
		begin := time.Now()
		re, err := Whole(expr)
		if err == nil {
			re.MatchBeginning(text)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Fatalf("%v", took)
		}
	})
}
