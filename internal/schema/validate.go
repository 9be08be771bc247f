package schema

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"brume/internal/awserr"
)

// A Validator checks inputs of one service against the constraints of its model: required members, lengths, ranges,
// patterns, enumerations, unions. Patterns are compiled when they are first needed, once for each Validator; they are
// those of package regexp, which takes time linear in the input. A Validator is safe for concurrent use.
type Validator struct {
	svc    *Service
	code   string
	plans  []plan
	checks sync.Pool
}

// A plan is what the check of a shape needs beside the table.
type plan struct {
	// own says that the shape has constraints, deep that it has or that one it reaches has.
	own, deep bool
	pattern   func() *regexp.Regexp // nil if there is none
	// matched is the last text of some length that the pattern matched: the ARN of a function comes again and again, and its
	// pattern takes longer than the rest of the check.
	matched atomic.Pointer[string]
}

// Texts of these lengths are remembered: shorter ones are matched soon, and longer ones take room.
const minMatched, maxMatched = 32, 256

// matches says whether a text has the form that a shape wants.
func (v *Validator) matches(shape int, s string) bool {
	p := &v.plans[shape]
	if p.pattern == nil {
		return true
	}
	if len(s) >= minMatched {
		if last := p.matched.Load(); last != nil && *last == s {
			return true
		}
	}
	if !p.pattern().MatchString(s) {
		return false
	}
	if len(s) >= minMatched && len(s) <= maxMatched && !v.svc.Shapes[shape].Sensitive {
		kept := strings.Clone(s) // what it is a part of may be large
		p.matched.Store(&kept)
	}
	return true
}

// NewValidator returns the validator of a service. A pattern that does not compile panics when it is first needed: the
// generator lets none through.
func NewValidator(svc *Service) *Validator {
	v := &Validator{svc: svc, code: constraintCode(svc), plans: make([]plan, len(svc.Shapes))}
	v.checks.New = func() any { return &check{v: v, frames: make([]frame, 0, 16)} }
	for i := range svc.Shapes {
		s, p := &svc.Shapes[i], &v.plans[i]
		if text := s.Pattern; text != "" {
			if s.Regexp != "" {
				text = s.Regexp
			}
			p.pattern = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\A(?:` + text + `)\z`) })
		}
		p.own = s.HasMin || s.HasMax || s.Pattern != "" || len(s.Enum) > 0 || s.Union
		p.deep = p.own || slices.ContainsFunc(s.Members, func(m Member) bool { return m.Required })
	}
	// Shapes may reach themselves, so this goes on until nothing new is found.
	for changed := true; changed; {
		changed = false
		for i := range svc.Shapes {
			p := &v.plans[i]
			if !p.deep && slices.ContainsFunc(svc.Shapes[i].Members, func(m Member) bool { return m.Shape >= 0 && v.plans[m.Shape].deep }) {
				p.deep, changed = true, true
			}
		}
	}
	return v
}

// constraintCode is the one place that knows which error a service gives for an input that does not keep to its model.
//
// https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html (ValidationError)
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html (InvalidParameterException)
// https://docs.aws.amazon.com/apigateway/latest/api/API_CreateResource.html (BadRequestException)
// https://docs.aws.amazon.com/apigatewayv2/latest/api-reference/apis-apiid-integrations.html (BadRequestException)
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html (ValidationException)
func constraintCode(svc *Service) string {
	switch {
	case svc.Protocol == AWSQuery:
		return "ValidationError"
	case svc.Name == "logs":
		return "InvalidParameterException"
	case svc.Name == "apigateway", svc.Name == "apigatewayv2":
		return "BadRequestException"
	}
	return "ValidationException"
}

// Validate returns nil if in, a structure of the shape with this index, keeps to the model, otherwise an
// *awserr.Generic that tells what is wrong in the words of AWS. Values of sensitive shapes do not stand in it.
//
// An input that is right costs no allocation beyond those of its own EncodeMembers.
func (v *Validator) Validate(shape int, in Struct) error {
	if shape < 0 || !v.plans[shape].deep {
		return nil
	}
	c := v.checks.Get().(*check)
	c.bad, c.shape, c.frames = false, shape, c.frames[:0]
	c.Struct(in)
	bad := c.bad
	v.checks.Put(c)
	if !bad {
		return nil
	}
	// A second walk finds the words, so that the first need not keep anything for them.
	return awserr.New(v.code, "%s", v.explain(shape, in))
}

// A violation is a set of constraints that a value breaks.
type violation uint8

const (
	tooLong violation = 1 << iota
	tooShort
	tooHigh
	tooLow
	noMatch
	notInEnum
	notOne // member of a union
)

// text checks a string.
func (v *Validator) text(shape int, s string) violation {
	if !v.plans[shape].own {
		return 0
	}
	sh := &v.svc.Shapes[shape]
	var bad violation
	if sh.HasMin || sh.HasMax {
		// Lengths count characters, of one to four bytes each. Mostly the bytes tell already.
		n := len(s)
		if sh.HasMax && float64(n) > sh.Max || sh.HasMin && float64(n) < 4*sh.Min {
			n = utf8.RuneCountInString(s)
		}
		bad = v.length(shape, n)
	}
	if !v.matches(shape, s) {
		bad |= noMatch
	}
	if len(sh.Enum) > 0 && !slices.Contains(sh.Enum, s) {
		bad |= notInEnum
	}
	return bad
}

// length checks the number of characters, bytes, elements or entries.
func (v *Validator) length(shape, n int) violation {
	sh := &v.svc.Shapes[shape]
	var bad violation
	if sh.HasMax && float64(n) > sh.Max {
		bad |= tooLong
	}
	if sh.HasMin && float64(n) < sh.Min {
		bad |= tooShort
	}
	return bad
}

// number checks a number.
func (v *Validator) number(shape int, f float64) violation {
	sh := &v.svc.Shapes[shape]
	var bad violation
	if sh.HasMax && f > sh.Max {
		bad |= tooHigh
	}
	if sh.HasMin && f < sh.Min {
		bad |= tooLow
	}
	return bad
}

// A check is an Encoder that finds out whether an input keeps to the model. It stops looking at the first thing that
// does not.
type check struct {
	v   *Validator
	bad bool
	// shape is that of the value that comes next.
	shape  int
	frames []frame
}

// A frame is a structure, list or map that we are in.
type frame struct {
	shape *Shape
	// next is the first member of a structure that has not been passed yet; set counts those that are there.
	next, set int
}

func (c *check) found(bad violation) { c.bad = c.bad || bad != 0 }

// skip says that the value that comes next, and those like it, need not be walked.
func (c *check) skip() bool { return c.bad || !c.v.plans[c.shape].deep }

// skipKeys says the same of the keys of the map we are in.
func (c *check) skipKeys() bool {
	return c.bad || !c.v.plans[c.frames[len(c.frames)-1].shape.Members[0].Shape].own
}

func (c *check) push() {
	c.frames = append(c.frames, frame{shape: &c.v.svc.Shapes[c.shape]})
	c.element()
}

func (c *check) pop() {
	c.frames = c.frames[:len(c.frames)-1]
	c.element()
}

// element makes an element of the innermost list or map the next value.
func (c *check) element() {
	if n := len(c.frames); n > 0 {
		if s := c.frames[n-1].shape; s.Kind != Structure {
			c.shape = s.Members[len(s.Members)-1].Shape
		}
	}
}

// Struct implements Encoder.
func (c *check) Struct(s Struct) {
	if c.skip() {
		return
	}
	c.push()
	s.EncodeMembers(c)
	if c.bad {
		return
	}
	f := &c.frames[len(c.frames)-1]
	c.pass(f, len(f.shape.Members))
	if f.shape.Union && f.set != 1 {
		c.found(notOne)
	}
	c.pop()
}

// pass goes over members up to i, which are not there.
func (c *check) pass(f *frame, i int) {
	for ; f.next < i; f.next++ {
		c.bad = c.bad || f.shape.Members[f.next].Required
	}
}

// Member implements Encoder.
func (c *check) Member(i int) {
	if c.bad {
		return
	}
	f := &c.frames[len(c.frames)-1]
	c.pass(f, i)
	f.next = i + 1
	f.set++
	c.shape = f.shape.Members[i].Shape
}

func (c *check) begin(n int) {
	if c.bad {
		return
	}
	c.found(c.v.length(c.shape, n))
	c.push()
}

func (c *check) end() {
	if !c.bad {
		c.pop()
	}
}

func (c *check) BeginList(n int) { c.begin(n) }
func (c *check) EndList()        { c.end() }
func (c *check) BeginMap(n int)  { c.begin(n) }
func (c *check) EndMap()         { c.end() }

func (c *check) Key(k string) {
	if !c.bad {
		c.found(c.v.text(c.frames[len(c.frames)-1].shape.Members[0].Shape, k))
	}
}

func (c *check) String(s string) {
	if !c.skip() {
		c.found(c.v.text(c.shape, s))
	}
}

func (c *check) Int(i int64) {
	if !c.skip() {
		c.found(c.v.number(c.shape, float64(i)))
	}
}

func (c *check) Float(f float64) {
	if !c.skip() {
		c.found(c.v.number(c.shape, f))
	}
}

func (c *check) Blob(b []byte) {
	if !c.skip() {
		c.found(c.v.length(c.shape, len(b)))
	}
}

func (c *check) Bool(bool)      {}
func (c *check) Time(time.Time) {}

var _ Encoder = (*check)(nil)
