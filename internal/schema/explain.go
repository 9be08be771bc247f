package schema

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Messages. Their forms, and that keys of maps and elements of lists which are no structures are reported as a whole,
// show in public issues, for instance:
//
//	Value 'Woop' at 'keySchema.3.member.keyType' failed to satisfy constraint: Member must satisfy enum value set: [HASH, RANGE]
//	https://github.com/NixOS/nixops/issues/328 (a length, of the query protocol)
//	https://github.com/boto/boto3/issues/2601 (keys of a map)
//	https://github.com/SWO-GS/auto-tag/issues/77 (values of a map), …/90 (structures in a list)
//	https://github.com/trek10inc/serverless-secrets/issues/39 (a sensitive value is left out)
//	https://github.com/highsource/bitcoin-a-day/issues/1 (a pattern; 'kMSKeyArn')

const (
	// maxErrors is how many errors AWS reports at most.
	maxErrors = 10
	// maxShown is how much of a value a message shows, in bytes. (AWS shows all.)
	maxShown = 1024
	// redacted stands for a sensitive value within another.
	redacted = "*** Sensitive Data Redacted ***"
)

// A value is an input, or a part of one, kept for its messages.
type value struct {
	shape int
	text  string // of a scalar
	bad   violation
	// parts are the members, elements or entries; names are the indices of the members, keys those of the entries.
	parts []*value
	names []int
	keys  []string
	// badKeys says that the key of an entry is not right.
	badKeys bool
}

// A recorder is an Encoder that keeps what it is given.
type recorder struct {
	v *Validator
	// open are the values we are in, the innermost last; the first holds the input.
	open []*value
}

// explain says what is wrong with an input.
func (v *Validator) explain(shape int, in Struct) string {
	r := &recorder{v: v, open: []*value{{shape: -1}}}
	r.open[0].parts = []*value{{shape: shape}}
	r.Struct(in)
	e := explainer{v: v}
	e.structure(r.open[0].parts[0], "", false)
	word := " validation errors detected: "
	if len(e.errors) == 1 {
		word = " validation error detected: "
	}
	return strconv.Itoa(len(e.errors)) + word + strings.Join(e.errors, "; ")
}

// next is the value that comes next: a member that has been announced, or another element.
func (r *recorder) next() *value {
	in := r.open[len(r.open)-1]
	if in.shape >= 0 {
		if s := &r.v.svc.Shapes[in.shape]; s.Kind != Structure {
			in.parts = append(in.parts, &value{shape: s.Members[len(s.Members)-1].Shape})
		}
	}
	return in.parts[len(in.parts)-1]
}

// Struct implements Encoder.
func (r *recorder) Struct(s Struct) {
	x := r.next()
	r.open = append(r.open, x)
	s.EncodeMembers(r)
	if r.v.svc.Shapes[x.shape].Union && len(x.parts) != 1 {
		x.bad = notOne
	}
	r.close()
}

// Member implements Encoder.
func (r *recorder) Member(i int) {
	in := r.open[len(r.open)-1]
	in.names = append(in.names, i)
	in.parts = append(in.parts, &value{shape: r.v.svc.Shapes[in.shape].Members[i].Shape})
}

func (r *recorder) begin(n int) {
	x := r.next()
	x.bad = r.v.length(x.shape, n)
	r.open = append(r.open, x)
}

func (r *recorder) close() { r.open = r.open[:len(r.open)-1] }

func (r *recorder) BeginList(n int) { r.begin(n) }
func (r *recorder) EndList()        { r.close() }
func (r *recorder) BeginMap(n int)  { r.begin(n) }
func (r *recorder) EndMap()         { r.close() }

func (r *recorder) Key(k string) {
	in := r.open[len(r.open)-1]
	in.keys = append(in.keys, k)
	in.badKeys = in.badKeys || r.v.text(r.v.svc.Shapes[in.shape].Members[0].Shape, k) != 0
}

func (r *recorder) String(s string) {
	x := r.next()
	x.text, x.bad = s, r.v.text(x.shape, s)
}

func (r *recorder) Int(i int64) {
	x := r.next()
	x.text, x.bad = strconv.FormatInt(i, 10), r.v.number(x.shape, float64(i))
}

func (r *recorder) Float(f float64) {
	x := r.next()
	x.text, x.bad = strconv.FormatFloat(f, 'g', -1, 64), r.v.number(x.shape, f)
}

func (r *recorder) Blob(b []byte) {
	x := r.next()
	// As Java shows a buffer.
	n := strconv.Itoa(len(b))
	x.text, x.bad = "java.nio.HeapByteBuffer[pos=0 lim="+n+" cap="+n+"]", r.v.length(x.shape, len(b))
}

func (r *recorder) Bool(b bool)      { r.next().text = strconv.FormatBool(b) }
func (r *recorder) Time(t time.Time) { r.next().text = t.UTC().Format(time.RFC3339) }

// An explainer collects the messages for a recorded input.
type explainer struct {
	v      *Validator
	errors []string
}

// add writes a message about the value shown at a path.
func (e *explainer) add(shown, path, constraint string) {
	if len(e.errors) < maxErrors {
		e.errors = append(e.errors, "Value "+shown+"at '"+path+"' failed to satisfy constraint: "+constraint)
	}
}

// structure explains the members of x. hidden says that x is part of a sensitive value.
func (e *explainer) structure(x *value, path string, hidden bool) {
	shape := &e.v.svc.Shapes[x.shape]
	hidden = hidden || shape.Sensitive
	e.own(x, path, hidden)
	part := 0
	for i := range shape.Members {
		m := &shape.Members[i]
		at := join(path, lowerFirst(m.Name))
		switch {
		case part < len(x.names) && x.names[part] == i:
			e.value(x.parts[part], at, hidden)
			part++
		case m.Required:
			e.add("null ", at, "Member must not be null")
		}
	}
}

// value explains x, which is the member of a structure or part of a list or map.
func (e *explainer) value(x *value, path string, hidden bool) {
	shape := &e.v.svc.Shapes[x.shape]
	switch shape.Kind {
	case Structure:
		e.structure(x, path, hidden)
	case List, Map:
		e.own(x, path, hidden)
		e.parts(x, shape, path, hidden || shape.Sensitive)
	default:
		e.own(x, path, hidden)
	}
}

// parts explains the elements of a list or the entries of a map. What they are is told as a constraint of the whole;
// only what is wrong inside of them has a path of its own.
func (e *explainer) parts(x *value, shape *Shape, path string, hidden bool) {
	element := shape.Members[len(shape.Members)-1].Shape
	if x.badKeys {
		e.add(e.shown(x, hidden), path, "Map keys must satisfy constraint: ["+e.constraints(shape.Members[0].Shape)+"]")
	}
	for _, p := range x.parts {
		if p.bad == 0 {
			continue
		}
		what := "Member must satisfy constraint: ["
		if shape.Kind == Map {
			what = "Map value must satisfy constraint: ["
		}
		e.add(e.shown(x, hidden), path, what+e.constraints(element)+"]")
		break
	}
	for i, p := range x.parts {
		name := strconv.Itoa(i + 1)
		if shape.Kind == Map {
			if name = clip(x.keys[i]); e.v.svc.Shapes[shape.Members[0].Shape].Sensitive {
				name = redacted
			}
		}
		at := path + "." + name + ".member"
		inside := &e.v.svc.Shapes[p.shape]
		switch inside.Kind {
		case Structure:
			bad := p.bad
			p.bad = 0 // told above
			e.structure(p, at, hidden)
			p.bad = bad
		case List, Map:
			e.parts(p, inside, at, hidden || inside.Sensitive)
		}
	}
}

// own explains what x breaks itself.
func (e *explainer) own(x *value, path string, hidden bool) {
	for bit := violation(1); bit != 0 && bit <= x.bad; bit <<= 1 {
		if x.bad&bit != 0 {
			e.add(e.shown(x, hidden), path, e.constraint(x.shape, bit))
		}
	}
}

// constraint words one constraint of a shape.
func (e *explainer) constraint(shape int, c violation) string {
	s := &e.v.svc.Shapes[shape]
	number := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	switch c {
	case tooLong:
		return "Member must have length less than or equal to " + number(s.Max)
	case tooShort:
		return "Member must have length greater than or equal to " + number(s.Min)
	case tooHigh:
		return "Member must have value less than or equal to " + number(s.Max)
	case tooLow:
		return "Member must have value greater than or equal to " + number(s.Min)
	case noMatch:
		return "Member must satisfy regular expression pattern: " + s.Pattern
	case notInEnum:
		return "Member must satisfy enum value set: [" + strings.Join(s.Enum, ", ") + "]"
	}
	return "Member must have exactly one member set"
}

// constraints words all that a shape has.
func (e *explainer) constraints(shape int) string {
	s := &e.v.svc.Shapes[shape]
	long, short := tooLong, tooShort
	switch s.Kind {
	case Integer, Long, Float, Double:
		long, short = tooHigh, tooLow
	}
	var all []string
	for _, c := range []struct {
		has  bool
		what violation
	}{{s.HasMax, long}, {s.HasMin, short}, {s.Pattern != "", noMatch}, {len(s.Enum) > 0, notInEnum}, {s.Union, notOne}} {
		if c.has {
			all = append(all, e.constraint(shape, c.what))
		}
	}
	return strings.Join(all, ", ")
}

// shown is x for a message, with a space behind it; nothing if it is sensitive.
func (e *explainer) shown(x *value, hidden bool) string {
	if hidden || e.v.svc.Shapes[x.shape].Sensitive {
		return ""
	}
	var b strings.Builder
	e.show(&b, x)
	return "'" + clip(b.String()) + "' "
}

// show writes x as Java shows values.
func (e *explainer) show(b *strings.Builder, x *value) {
	shape := &e.v.svc.Shapes[x.shape]
	switch {
	case b.Len() > maxShown:
		// It will be cut off.
	case shape.Sensitive:
		b.WriteString(redacted)
	case shape.Kind == Structure:
		b.WriteString(shape.Name + "(")
		for i, p := range x.parts {
			comma(b, i)
			b.WriteString(lowerFirst(shape.Members[x.names[i]].Name) + "=")
			e.show(b, p)
		}
		b.WriteByte(')')
	case shape.Kind == List:
		b.WriteByte('[')
		for i, p := range x.parts {
			comma(b, i)
			e.show(b, p)
		}
		b.WriteByte(']')
	case shape.Kind == Map:
		b.WriteByte('{')
		for i, p := range x.parts {
			comma(b, i)
			if e.v.svc.Shapes[shape.Members[0].Shape].Sensitive {
				b.WriteString(redacted)
			} else {
				b.WriteString(x.keys[i])
			}
			b.WriteByte('=')
			e.show(b, p)
		}
		b.WriteByte('}')
	default:
		b.WriteString(x.text)
	}
}

func comma(b *strings.Builder, i int) {
	if i > 0 {
		b.WriteString(", ")
	}
}

// clip cuts a text to what a message shows.
func clip(s string) string {
	if len(s) <= maxShown {
		return s
	}
	end := maxShown
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// lowerFirst makes the model's name of a member AWS's name of it in messages: KMSKeyArn is kMSKeyArn there.
func lowerFirst(name string) string {
	r, n := utf8.DecodeRuneInString(name)
	return string(unicode.ToLower(r)) + name[n:]
}

var _ Encoder = (*recorder)(nil)
