package main

// emitService writes the Service interface, Unimplemented, and the table of handlers.
func (g *generator) emitService(s *source) {
	s.imports["context"] = true
	s.imports["brume/internal/awserr"] = true
	s.imports["brume/internal/schema"] = true

	s.p("// Service is %s. Whoever implements it embeds Unimplemented and writes the operations it has.", g.model.Metadata.ServiceFullName)
	s.p("type Service interface {")
	for _, op := range g.ops {
		s.p("%s(ctx context.Context, in *%s) (*%s, error)", op.Name, g.goName[op.Input.Shape], g.goName[op.Output.Shape])
	}
	s.p("}\n")

	s.p("// Unimplemented answers NotImplemented to every operation.")
	s.p("type Unimplemented struct{}\n")
	for _, op := range g.ops {
		s.p("func (Unimplemented) %s(context.Context, *%s) (*%s, error) {\nreturn nil, awserr.NotImplemented(%q)\n}\n",
			op.Name, g.goName[op.Input.Shape], g.goName[op.Output.Shape], op.Name)
	}

	s.p("// Handlers returns a handler for each operation of Schema, in its order.")
	s.p("func Handlers(s Service) []schema.Handler {\nreturn []schema.Handler{")
	for _, op := range g.ops {
		s.p("schema.Handle(s.%s),", op.Name)
	}
	s.p("}\n}")
}
