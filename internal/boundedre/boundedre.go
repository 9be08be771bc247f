// Package boundedre is for regular expressions that users write. Matching is linear in the text, as RE2's is; this package
// promises besides that neither compiling one nor matching takes more than a few seconds and some megabytes, however the
// expression and the text are made.
package boundedre

import (
	"errors"
	"regexp"
	"regexp/syntax"
)

const (
	// maxLength bounds an expression, in bytes.
	maxLength = 4096
	// maxSize bounds what an expression becomes when its repetitions are written out, in steps.
	maxSize = 10_000
	// maxWork bounds the product of an expression's size and the length of a text, which is the time that matching takes.
	maxWork = 1 << 26
)

// ErrTooLarge is for an expression that would take too long.
var ErrTooLarge = errors.New("the regular expression is too large")

// A Regexp is a compiled expression.
type Regexp struct {
	*regexp.Regexp
	size int
}

// Compile compiles an expression.
func Compile(expr string) (*Regexp, error) {
	if len(expr) > maxLength {
		return nil, ErrTooLarge
	}
	tree, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, err
	}
	n := size(tree)
	if n > maxSize {
		return nil, ErrTooLarge
	}
	re, err := regexp.Compile(expr)
	return &Regexp{re, n}, err
}

// Whole compiles an expression that matches whole texts only.
func Whole(expr string) (*Regexp, error) {
	if len(expr) > maxLength {
		return nil, ErrTooLarge
	}
	if _, err := syntax.Parse(expr, syntax.Perl); err != nil { // "a)|(b" is one only with what is put around it
		return nil, err
	}
	return Compile("^(?:" + expr + ")$")
}

// Fits says whether a text is short enough for the expression.
func (r *Regexp) Fits(text string) bool { return len(text) <= r.room() }

func (r *Regexp) room() int { return maxWork / r.size }

// MatchString says whether a text matches. One that does not fit does not.
func (r *Regexp) MatchString(text string) bool { return r.Fits(text) && r.Regexp.MatchString(text) }

// MatchBeginning is MatchString, but takes the beginning of a text that does not fit for the whole.
func (r *Regexp) MatchBeginning(text string) bool {
	return r.Regexp.MatchString(text[:min(len(text), r.room())])
}

// size estimates the steps of an expression. It is at least 1, and stops counting above maxSize.
func size(tree *syntax.Regexp) int {
	n := 1 + len(tree.Rune)
	if tree.Op == syntax.OpCharClass || tree.Op == syntax.OpEmptyMatch {
		n = 1 + len(tree.Rune)/32 // a class is one step; large ones take room
	}
	for _, sub := range tree.Sub {
		if n += size(sub); n > maxSize {
			return n
		}
	}
	if tree.Op == syntax.OpRepeat {
		n *= max(1, tree.Min, tree.Max)
	}
	return min(n, maxSize+1)
}
