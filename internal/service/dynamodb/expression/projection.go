package expression

// Projection parses a ProjectionExpression, to be used with Project.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ProjectionExpressions.html
func (p *Placeholders) Projection(src string) ([]Path, error) {
	parser, err := newParser(p, Projection, src, nil)
	if err != nil {
		return nil, err
	}
	paths := []Path{parser.path()}
	for parser.accept(",") {
		paths = append(paths, parser.path())
	}
	parser.checkPaths(paths)
	if err := parser.finish(faultReserved, faultName, faultOverlap, faultConflict); err != nil {
		return nil, err
	}
	return paths, nil
}

// checkPaths notes pairs of paths that cannot stand in one projection or update.
func (p *parser) checkPaths(paths []Path) {
	const must = "must remove or rewrite one of these paths; path one: %s, path two: %s"
	for i, path := range paths {
		for _, earlier := range paths[:i] {
			switch earlier.relate(path) {
			case overlapping:
				p.note(faultOverlap, "Two document paths overlap with each other; "+must, earlier, path)
			case conflicting:
				p.note(faultConflict, "Two document paths conflict with each other; "+must, earlier, path)
			}
		}
	}
}
