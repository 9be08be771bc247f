package policy

import (
	"encoding/base64"
	"net/netip"
	"strings"
	"time"
)

// A condition is one key of one operator in a Condition element. All conditions of a statement must hold.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
type condition struct {
	key      string // lower-cased
	operator operator
	negated  bool
	ifExists bool
	set      setOperator
	values   []conditionValue
}

type operator uint8

const (
	opStringEquals operator = iota
	opStringEqualsIgnoreCase
	opStringLike
	opNumeric
	opDate
	opBool
	opBinary
	opIP
	opArn
	opNull
)

type setOperator uint8

const (
	setNone setOperator = iota
	setAll              // ForAllValues:
	setAny              // ForAnyValue:
)

// ordering says which results of a comparison match.
type ordering uint8

const (
	less ordering = 1 << iota
	equal
	greater
)

func (o ordering) holds(cmp int) bool {
	switch {
	case cmp < 0:
		return o&less != 0
	case cmp > 0:
		return o&greater != 0
	}
	return o&equal != 0
}

// A conditionValue is a compiled value of a condition. Which fields are set follows from the operator.
type conditionValue struct {
	pattern  pattern
	arn      arnPattern
	ordering ordering
	number   decimal
	time     time.Time
	prefix   netip.Prefix
	bytes    string
	flag     bool
}

// An operatorForm is what an operator's name stands for.
type operatorForm struct {
	operator operator
	negated  bool
	ordering ordering
}

// operatorNamed returns the operator without its set prefix and its IfExists.
func operatorNamed(name string) (operatorForm, bool) {
	switch name {
	case "StringEquals":
		return operatorForm{operator: opStringEquals}, true
	case "StringNotEquals":
		return operatorForm{operator: opStringEquals, negated: true}, true
	case "StringEqualsIgnoreCase":
		return operatorForm{operator: opStringEqualsIgnoreCase}, true
	case "StringNotEqualsIgnoreCase":
		return operatorForm{operator: opStringEqualsIgnoreCase, negated: true}, true
	case "StringLike":
		return operatorForm{operator: opStringLike}, true
	case "StringNotLike":
		return operatorForm{operator: opStringLike, negated: true}, true
	case "Bool":
		return operatorForm{operator: opBool}, true
	case "BinaryEquals":
		return operatorForm{operator: opBinary}, true
	case "IpAddress":
		return operatorForm{operator: opIP}, true
	case "NotIpAddress":
		return operatorForm{operator: opIP, negated: true}, true
	case "ArnEquals", "ArnLike":
		return operatorForm{operator: opArn}, true
	case "ArnNotEquals", "ArnNotLike":
		return operatorForm{operator: opArn, negated: true}, true
	case "Null":
		return operatorForm{operator: opNull}, true
	}
	form, rest := operatorForm{operator: opNumeric}, ""
	switch {
	case strings.HasPrefix(name, "Numeric"):
		rest = name[len("Numeric"):]
	case strings.HasPrefix(name, "Date"):
		form.operator, rest = opDate, name[len("Date"):]
	}
	switch rest {
	case "Equals":
		form.ordering = equal
	case "NotEquals":
		form.ordering, form.negated = equal, true
	case "LessThan":
		form.ordering = less
	case "LessThanEquals":
		form.ordering = less | equal
	case "GreaterThan":
		form.ordering = greater
	case "GreaterThanEquals":
		form.ordering = greater | equal
	default:
		return operatorForm{}, false
	}
	return form, true
}

func (p *parser) conditions(n *node, s *statement) *MalformedError {
	if n == nil {
		return nil
	}
	if n.kind != nodeObject {
		return p.syntax()
	}
	for i := range n.members {
		block := &n.members[i]
		var c condition
		name := block.name
		if rest, ok := strings.CutPrefix(name, "ForAllValues:"); ok {
			c.set, name = setAll, rest
		} else if rest, ok := strings.CutPrefix(name, "ForAnyValue:"); ok {
			c.set, name = setAny, rest
		}
		name, c.ifExists = strings.CutSuffix(name, "IfExists")
		form, ok := operatorNamed(name)
		if !ok || block.value.kind != nodeObject || form.operator == opNull && (c.ifExists || c.set != setNone) {
			return p.syntax()
		}
		c.operator, c.negated = form.operator, form.negated
		for j := range block.value.members {
			m := &block.value.members[j]
			if !strings.Contains(m.name, ":") {
				return malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.")
			}
			list, ok := m.value.scalars()
			if !ok {
				return p.syntax()
			}
			c := c
			c.key = strings.ToLower(m.name)
			c.values = make([]conditionValue, len(list))
			for k, text := range list {
				if err := p.conditionValue(form, text, &c.values[k]); err != nil {
					return err
				}
			}
			s.conditions = append(s.conditions, c)
		}
	}
	return nil
}

// conditionValue compiles a value. Variables have a meaning to the string and ARN operators alone.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html#policy-vars-conditionelement
func (p *parser) conditionValue(form operatorForm, text string, v *conditionValue) *MalformedError {
	var ok bool
	switch form.operator {
	case opStringEquals, opStringEqualsIgnoreCase:
		if v.pattern, ok = compilePattern(text, dialect{variables: p.variables}); !ok {
			return p.syntax()
		}
	case opStringLike:
		if v.pattern, ok = compilePattern(text, dialect{wildcards: true, variables: p.variables}); !ok {
			return p.syntax()
		}
	case opArn:
		if v.arn, ok = compileARN(text, dialect{wildcards: true, variables: p.variables}, false); !ok {
			return p.syntax()
		}
	case opNumeric:
		v.ordering = form.ordering
		if v.number, ok = parseDecimal(text); !ok {
			return p.legacy()
		}
	case opDate:
		v.ordering = form.ordering
		if v.time, ok = parseDate(text); !ok {
			return p.legacy()
		}
	case opBool, opNull:
		if v.flag, ok = parseBool(text); !ok {
			return p.legacy()
		}
	case opBinary:
		if v.bytes, ok = parseBinary(text); !ok {
			return p.legacy()
		}
	case opIP:
		if v.prefix, ok = parsePrefix(text); !ok {
			return p.legacy()
		}
	}
	return nil
}

// holds says whether the condition is met, for a statement that denies or one that allows.
func (c *condition) holds(e *evaluation, deny bool) bool {
	var buf [1]string
	values := e.lookup(c.key, &buf)
	if c.operator == opNull {
		for i := range c.values {
			if c.values[i].flag == (len(values) == 0) {
				return true
			}
		}
		return false
	}
	if len(values) == 0 {
		switch {
		case c.ifExists, c.set == setAll:
			return true
		case c.set == setAny:
			return false
		}
		return c.negated
	}
	// Without a set operator, a key with several values meets a condition with any of them, and meets the negation
	// only with all of them.
	every := c.set == setAll || c.set == setNone && c.negated
	for _, value := range values {
		if c.test(e, value, deny) != every {
			return !every
		}
	}
	return every
}

// test says whether one value of the request meets the condition: it matches one of the condition's values, or with a
// negated operator none of them. What cannot be compared matches nothing, and does not make an Allow apply by not
// matching.
func (c *condition) test(e *evaluation, value string, deny bool) bool {
	r := requestValue{text: value}
	r.read(c.operator)
	if !r.comparable {
		return c.negated && deny
	}
	understood := true
	for i := range c.values {
		matched, resolved := c.values[i].match(e, c.operator, &r)
		if matched {
			return !c.negated
		}
		understood = understood && resolved
	}
	return c.negated && (understood || deny)
}

// A requestValue is a value of the request, read as the operator needs it.
type requestValue struct {
	text       string
	comparable bool
	number     decimal
	time       time.Time
	flag       bool
	bytes      string
	addr       netip.Addr
	arn        arnParts
	isARN      bool
}

func (r *requestValue) read(op operator) {
	r.comparable = true
	switch op {
	case opNumeric:
		r.number, r.comparable = parseDecimal(r.text)
	case opDate:
		r.time, r.comparable = parseDate(r.text)
	case opBool:
		r.flag, r.comparable = parseBool(r.text)
	case opBinary:
		r.bytes, r.comparable = parseBinary(r.text)
	case opIP:
		addr, err := netip.ParseAddr(r.text)
		r.addr, r.comparable = addr.Unmap().WithZone(""), err == nil
	case opArn:
		r.arn, r.isARN = splitARN(r.text)
	}
}

func (v *conditionValue) match(e *evaluation, op operator, r *requestValue) (matched, resolved bool) {
	switch op {
	case opStringEquals, opStringLike:
		return v.pattern.match(e, r.text)
	case opStringEqualsIgnoreCase:
		return v.pattern.equalFold(e, r.text)
	case opNumeric:
		return v.ordering.holds(r.number.compare(v.number)), true
	case opDate:
		return v.ordering.holds(r.time.Compare(v.time)), true
	case opBool:
		return r.flag == v.flag, true
	case opBinary:
		return r.bytes == v.bytes, true
	case opIP:
		return v.prefix.Contains(r.addr), true
	case opArn:
		return v.arn.match(e, r.text, &r.arn, r.isARN)
	}
	return false, false
}

// equalFold compares a pattern without wildcards, ignoring case.
func (p *pattern) equalFold(e *evaluation, s string) (matched, resolved bool) {
	if p.shape != shapeDynamic {
		return strings.EqualFold(p.text, s), true
	}
	elems, ok := e.expand(p.elems)
	if !ok {
		return false, false
	}
	text := ""
	if len(elems) > 0 {
		text = elems[0].text
	}
	return strings.EqualFold(text, s), true
}

func parseBool(s string) (value, ok bool) {
	switch {
	case strings.EqualFold(s, "true"):
		return true, true
	case strings.EqualFold(s, "false"):
		return false, true
	}
	return false, false
}

func parseBinary(s string) (string, bool) {
	b, err := base64.StdEncoding.DecodeString(s)
	return string(b), err == nil
}

// parsePrefix reads an address or a range in CIDR form. An address alone is a range of one.
func parsePrefix(s string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	prefix, err := netip.ParsePrefix(s)
	return prefix.Masked(), err == nil
}

// parseDate reads the forms that policies use: those of https://www.w3.org/TR/NOTE-datetime, and seconds since 1970.
func parseDate(s string) (time.Time, bool) {
	if n, ok := parseDecimal(s); ok && len(s) != len("2006") && !strings.Contains(s, "-") {
		return n.unixTime()
	}
	for _, layout := range [...]string{
		time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02", "2006-01", "2006",
	} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}
