package expression

// TopLevel calls add with the name of each top-level attribute in an expression that may be no valid one: what it is about,
// for those who must know before it runs. What it calls add with in a valid expression are the attributes of all its
// document paths, some of them several times.
func TopLevel(parameter Parameter, src string, names map[string]string, add func(name string)) {
	if len(src) > MaxSize {
		return
	}
	keywords := conditionKeywords[:]
	switch parameter {
	case Update:
		keywords = updateKeywords[:]
	case Projection:
		keywords = nil
	}
	p := parser{src: src, keywords: keywords, token: next(src, 0)}
	for p.token.kind != tokenEOF {
		nested := p.last.kind == tokenSymbol && src[p.last.start:p.last.end] == "."
		switch {
		case nested:
		case p.token.kind == tokenName:
			if name, ok := names[p.text()]; ok {
				add(name)
			}
		case p.atWord():
			if after := next(src, p.token.end); after.kind != tokenSymbol || src[after.start] != '(' {
				add(p.text())
			}
		}
		p.advance()
	}
}
