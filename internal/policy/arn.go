package policy

import "strings"

// arnParts are the six components of an ARN: "arn", partition, service, region, account, resource. The resource may hold
// further colons.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns
type arnParts [6]string

// splitARN returns the components of s, and false if there are not six of them.
func splitARN(s string) (parts arnParts, ok bool) {
	for i := range 5 {
		parts[i], s, ok = strings.Cut(s, ":")
		if !ok {
			return arnParts{}, false
		}
	}
	parts[5] = s
	return parts, parts[0] == "arn"
}

// An arnPattern matches ARNs component by component: a star does not reach over a colon, except in the resource.
type arnPattern struct {
	any bool
	// isARN is false for a pattern that cannot be an ARN. Then whole is compared with the whole string.
	isARN bool
	parts [6]pattern
	whole pattern
}

// compileARN compiles s. With pad, components missing at the end stand for "*", as IAM reads them in a Resource element.
func compileARN(s string, d dialect, pad bool) (arnPattern, bool) {
	if s == "*" && d.wildcards {
		return arnPattern{any: true}, true
	}
	elems, ok := compileElems(s, d)
	if !ok {
		return arnPattern{}, false
	}
	// Only colons of the text separate components. Those of a variable's name do not, nor will those of its value.
	var parts [6][]elem
	part := 0
	for _, el := range elems {
		for el.kind == elemText && part < 5 {
			before, after, found := strings.Cut(el.text, ":")
			if !found {
				break
			}
			if before != "" {
				parts[part] = append(parts[part], elem{kind: elemText, text: before})
			}
			el.text = after
			part++
		}
		if el.kind != elemText || el.text != "" {
			parts[part] = append(parts[part], el)
		}
	}
	prefix := parts[0]
	if part == 0 || len(prefix) != 1 || prefix[0].kind != elemText || prefix[0].text != "arn" || part < 5 && !pad {
		return arnPattern{whole: newPattern(elems)}, true
	}
	p := arnPattern{isARN: true}
	for i := range parts {
		if i > part {
			p.parts[i] = pattern{shape: shapeAll}
		} else {
			p.parts[i] = newPattern(parts[i])
		}
	}
	return p, true
}

// match says whether s, with the components parts if isARN, matches. For resolved see pattern.match.
func (p *arnPattern) match(e *evaluation, s string, parts *arnParts, isARN bool) (matched, resolved bool) {
	if p.any {
		return true, true
	}
	if !p.isARN {
		return p.whole.match(e, s)
	}
	if !isARN {
		return false, true
	}
	// The last components differ most often.
	for i := len(p.parts) - 1; i >= 0; i-- {
		if matched, resolved := p.parts[i].match(e, parts[i]); !matched {
			return false, resolved
		}
	}
	return true, true
}
