package policy

import (
	"strings"
	"unicode/utf8"
)

// A pattern is a compiled string of a policy. It may hold the wildcards * and ? and policy variables, depending on the
// element it stands in.
type pattern struct {
	shape shape
	// text is the whole of an exact pattern, or what comes before the star of a prefix pattern.
	text  string
	elems []elem
}

type shape uint8

const (
	shapeExact   shape = iota // no wildcard, no variable
	shapePrefix               // text*
	shapeAll                  // *
	shapeGlob                 // any other with wildcards only
	shapeDynamic              // with variables
)

type elemKind uint8

const (
	elemText elemKind = iota
	elemOne           // ?
	elemRun           // *
	elemVariable
)

// An elem is a part of a pattern.
type elem struct {
	kind elemKind
	// text is literal, or the lower-cased name of a variable.
	text string
	// fallback is what a variable stands for whose key is absent.
	fallback    string
	hasFallback bool
}

// dialect says what has a meaning in a string besides itself.
type dialect struct {
	wildcards, variables bool
}

// compileElems splits s into its elements. It returns false if a variable is malformed: "${" opens one in the language
// version 2012-10-17, and a literal "${" is written "${$}{".
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#policy-vars-specialchars
func compileElems(s string, d dialect) ([]elem, bool) {
	var (
		elems []elem
		text  []byte
	)
	add := func(el elem) {
		if len(text) > 0 {
			elems = append(elems, elem{kind: elemText, text: string(text)})
			text = text[:0]
		}
		elems = append(elems, el)
	}
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '*' && d.wildcards:
			// Adjacent stars are one.
			if n := len(elems); n == 0 || len(text) > 0 || elems[n-1].kind != elemRun {
				add(elem{kind: elemRun})
			}
		case s[i] == '?' && d.wildcards:
			add(elem{kind: elemOne})
		case d.variables && strings.HasPrefix(s[i:], "${"):
			v, size, ok := readVariable(s[i:])
			if !ok {
				return nil, false
			}
			if v.kind == elemText {
				text = append(text, v.text...)
			} else {
				add(v)
			}
			i += size - 1
		default:
			text = append(text, s[i])
		}
	}
	if len(text) > 0 {
		elems = append(elems, elem{kind: elemText, text: string(text)})
	}
	return elems, true
}

// readVariable reads the variable that s begins with and returns its size: ${key}, ${key, 'default'}, or one of ${*},
// ${?} and ${$}, which stand for the character itself.
func readVariable(s string) (v elem, size int, ok bool) {
	end := strings.IndexAny(s, "}'")
	if end < 0 {
		return elem{}, 0, false
	}
	name := strings.TrimSpace(s[len("${"):end])
	if s[end] == '}' {
		switch name {
		case "*", "?", "$":
			return elem{kind: elemText, text: name}, end + 1, true
		}
		return elem{kind: elemVariable, text: strings.ToLower(name)}, end + 1, validVariableName(name)
	}
	name, isList := strings.CutSuffix(name, ",")
	name = strings.TrimSpace(name)
	fallback, rest, closed := strings.Cut(s[end+1:], "'")
	rest = strings.TrimLeft(rest, " ")
	if !isList || !closed || !strings.HasPrefix(rest, "}") {
		return elem{}, 0, false
	}
	v = elem{kind: elemVariable, text: strings.ToLower(name), fallback: fallback, hasFallback: true}
	return v, len(s) - len(rest) + 1, validVariableName(name)
}

func validVariableName(name string) bool {
	return strings.Contains(name, ":") && !strings.ContainsAny(name, "${}")
}

func compilePattern(s string, d dialect) (pattern, bool) {
	elems, ok := compileElems(s, d)
	if !ok {
		return pattern{}, false
	}
	return newPattern(elems), true
}

func newPattern(elems []elem) pattern {
	for i := range elems {
		if elems[i].kind == elemVariable {
			return pattern{shape: shapeDynamic, elems: elems}
		}
	}
	switch {
	case len(elems) == 0:
		return pattern{shape: shapeExact}
	case len(elems) == 1 && elems[0].kind == elemText:
		return pattern{shape: shapeExact, text: elems[0].text}
	case len(elems) == 1 && elems[0].kind == elemRun:
		return pattern{shape: shapeAll}
	case len(elems) == 2 && elems[0].kind == elemText && elems[1].kind == elemRun:
		return pattern{shape: shapePrefix, text: elems[0].text}
	}
	return pattern{shape: shapeGlob, elems: elems}
}

// match says whether s matches. It reports resolved = false if p needs a variable that the evaluation does not have;
// then matched is false too.
func (p *pattern) match(e *evaluation, s string) (matched, resolved bool) {
	switch p.shape {
	case shapeExact:
		return p.text == s, true
	case shapePrefix:
		return strings.HasPrefix(s, p.text), true
	case shapeAll:
		return true, true
	case shapeGlob:
		return matchElems(p.elems, s), true
	}
	elems, ok := e.expand(p.elems)
	if !ok {
		return false, false
	}
	return matchElems(elems, s), true
}

// expand puts the values of the request in the place of the variables. A value stands for itself: a wildcard in it has
// no meaning, so that nobody can widen a policy with the name of a user or a tag.
func (e *evaluation) expand(elems []elem) ([]elem, bool) {
	out := make([]elem, 0, len(elems))
	for _, el := range elems {
		if el.kind == elemVariable {
			value, ok := e.variable(&el)
			if !ok {
				return nil, false
			}
			el = elem{kind: elemText, text: value}
		}
		if n := len(out); n > 0 && el.kind == elemText && out[n-1].kind == elemText {
			out[n-1].text += el.text
			continue
		}
		if el.kind != elemText || el.text != "" {
			out = append(out, el)
		}
	}
	return out, true
}

// variable returns what a variable stands for in this request. A key with several values cannot stand in a string.
func (e *evaluation) variable(el *elem) (string, bool) {
	var buf [1]string
	if values := e.lookup(el.text, &buf); len(values) == 1 {
		return values[0], true
	}
	return el.fallback, el.hasFallback
}

// matchElems matches s against text, stars and question marks. No two texts are adjacent.
func matchElems(elems []elem, s string) bool {
	for i := range elems {
		if elems[i].kind == elemOne {
			return matchRunes(elems, s)
		}
	}
	if len(elems) == 0 {
		return s == ""
	}
	if elems[0].kind == elemText {
		if !strings.HasPrefix(s, elems[0].text) {
			return false
		}
		s = s[len(elems[0].text):]
		elems = elems[1:]
		if len(elems) == 0 {
			return s == ""
		}
	}
	// From here on a star comes first, so taking each text where it first occurs is right; the last must be at the end.
	for i := range elems {
		if elems[i].kind == elemRun {
			continue
		}
		text := elems[i].text
		if i == len(elems)-1 {
			return strings.HasSuffix(s, text)
		}
		at := strings.Index(s, text)
		if at < 0 {
			return false
		}
		s = s[at+len(text):]
	}
	return true
}

// matchRunes is matchElems for patterns with a '?', which stands for one character and not for one byte. It runs the
// pattern as a nondeterministic automaton, 64 states to a machine word: bit i is set while the first i characters of the
// pattern match what was read.
func matchRunes(elems []elem, s string) bool {
	size := 0
	for i := range elems {
		switch elems[i].kind {
		case elemText:
			size += utf8.RuneCountInString(elems[i].text)
		case elemOne:
			size++
		}
	}
	words := size/64 + 1
	var (
		one   = make([]uint64, words)      // the states that any character leads on from
		stay  = make([]uint64, words)      // the states that a star keeps
		on    = make(map[rune][]uint64, 8) // the states that this character leads on from
		state = make([]uint64, words)      //
		set   = func(w []uint64, bit int) { w[bit/64] |= 1 << (bit % 64) }
		at    = 0
	)
	for i := range elems {
		switch elems[i].kind {
		case elemText:
			for _, r := range elems[i].text {
				if on[r] == nil {
					on[r] = make([]uint64, words)
				}
				set(on[r], at)
				at++
			}
		case elemOne:
			set(one, at)
			at++
		case elemRun:
			set(stay, at)
		}
	}
	state[0] = 1
	for _, r := range s {
		this, alive, carry := on[r], uint64(0), uint64(0)
		for w := range state {
			leads := one[w]
			if this != nil {
				leads |= this[w]
			}
			leads &= state[w]
			state[w] = leads<<1 | carry | state[w]&stay[w]
			carry = leads >> 63
			alive |= state[w]
		}
		if alive == 0 {
			return false
		}
	}
	return state[size/64]>>(size%64)&1 == 1
}
