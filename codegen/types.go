package main

import "fmt"

// emitTypes writes the structures and how they walk themselves.
func (g *generator) emitTypes(s *source) {
	g.emitEnums(s)
	for _, name := range g.shapes {
		if g.model.Shapes[name].Type != "structure" || g.isByHand(name) {
			continue
		}
		g.emitStructure(s, name)
	}
}

func (g *generator) isByHand(name string) bool {
	_, ok := g.target.ByHand[name]
	return ok
}

func (g *generator) emitStructure(s *source, name string) {
	s.imports["brume/internal/schema"] = true
	sh, goName := g.model.Shapes[name], g.goName[name]
	s.p("// %s is %s of the service model.", goName, name)
	s.p("type %s struct {", goName)
	for _, m := range sh.Members {
		if g.model.Shapes[m.Shape].EventStream {
			s.p("%s schema.Events", exported(m.Name))
		} else {
			s.p("%s %s", exported(m.Name), g.memberType(s, m.Shape))
		}
	}
	s.p("}\n")
	for _, m := range sh.Members {
		if g.model.Shapes[m.Shape].EventStream {
			s.p("// Stream implements schema.Streamer.")
			s.p("func (v *%s) Stream() schema.Events { return v.%s }\n", goName, exported(m.Name))
		}
	}

	s.p("func (v *%s) EncodeMembers(e schema.Encoder) {", goName)
	for i, m := range sh.Members {
		if g.model.Shapes[m.Shape].EventStream {
			continue
		}
		field := "v." + exported(m.Name)
		s.p("if %s != nil {\ne.Member(%d)\n%s\n}", field, i, g.encodeMember(s, m.Shape, field))
	}
	s.p("}\n")

	s.p("func (v *%s) DecodeMember(i int, d schema.Decoder) {", goName)
	if len(sh.Members) > 0 {
		s.p("switch i {")
		for i, m := range sh.Members {
			if g.model.Shapes[m.Shape].EventStream {
				continue
			}
			s.p("case %d:\nv.%s = %s", i, exported(m.Name), g.decodeMember(s, m.Shape))
		}
		s.p("}")
	}
	s.p("}\n")
}

// valueType is the Go type of a shape as an element; memberType as a member, where nil means absent.
func (g *generator) valueType(s *source, name string) string {
	if t, ok := g.target.ByHand[name]; ok {
		if t.Import != "" {
			s.imports[t.Import] = true
		}
		return handQualifier(t) + t.Type
	}
	sh := g.model.Shapes[name]
	switch sh.Type {
	case "structure":
		return g.goName[name]
	case "list":
		return "[]" + g.valueType(s, sh.Member.Shape)
	case "map":
		return "map[string]" + g.valueType(s, sh.Value.Shape)
	case "string", "character":
		return "string"
	case "blob":
		return "[]byte"
	case "boolean":
		return "bool"
	case "integer":
		return "int32"
	case "long":
		return "int64"
	case "float", "double":
		return "float64"
	case "timestamp":
		s.imports["time"] = true
		return "time.Time"
	}
	panic(fmt.Sprintf("shape %s has the unknown type %q", name, sh.Type))
}

func (g *generator) memberType(s *source, name string) string {
	t := g.valueType(s, name)
	if g.isByHand(name) {
		return t
	}
	switch g.model.Shapes[name].Type {
	case "list", "map", "blob":
		return t
	}
	return "*" + t
}

func handQualifier(t byHand) string {
	if t.Import == "" {
		return ""
	}
	return lastElement(t.Import) + "."
}

func lastElement(path string) string {
	for i := len(path) - 1; i >= 0; i-- {
		if path[i] == '/' {
			return path[i+1:]
		}
	}
	return path
}

func (g *generator) encodeMember(s *source, name, field string) string {
	if t, ok := g.target.ByHand[name]; ok {
		return fmt.Sprintf("%sEncode%s(e, %s)", handQualifier(t), t.Type, field)
	}
	switch sh := g.model.Shapes[name]; sh.Type {
	case "structure":
		return fmt.Sprintf("e.Struct(%s)", field)
	case "list", "map", "blob":
		return g.encodeValue(s, name, field)
	default:
		return g.encodeValue(s, name, "*"+field)
	}
}

func (g *generator) encodeValue(s *source, name, expr string) string {
	if t, ok := g.target.ByHand[name]; ok {
		return fmt.Sprintf("%sEncode%s(e, %s)", handQualifier(t), t.Type, expr)
	}
	switch sh := g.model.Shapes[name]; sh.Type {
	case "structure":
		return fmt.Sprintf("e.Struct(&%s)", expr)
	case "list":
		if el := sh.Member.Shape; g.model.Shapes[el].Type == "structure" && !g.isByHand(el) {
			return fmt.Sprintf("schema.EncodeStructList(e, %s)", expr)
		}
		return fmt.Sprintf("schema.EncodeList(e, %s, %s)", expr, g.encodeFunc(s, sh.Member.Shape))
	case "map":
		if t, ok := g.target.ByHand[sh.Value.Shape]; ok {
			return fmt.Sprintf("%sEncode%sMap(e, %s)", handQualifier(t), t.Type, expr)
		}
		return fmt.Sprintf("schema.EncodeMap(e, %s, %s)", expr, g.encodeFunc(s, sh.Value.Shape))
	case "integer":
		return fmt.Sprintf("e.Int(int64(%s))", expr)
	default:
		return fmt.Sprintf("e.%s(%s)", methodOf(sh.Type), expr)
	}
}

// encodeFunc is a func(schema.Encoder, T) for an element of shape name.
func (g *generator) encodeFunc(s *source, name string) string {
	sh := g.model.Shapes[name]
	if t, ok := g.target.ByHand[name]; ok {
		return handQualifier(t) + "Encode" + t.Type
	}
	switch sh.Type {
	case "structure":
		return fmt.Sprintf("schema.EncodeStruct[%s]", g.goName[name])
	case "list", "map", "integer":
		return fmt.Sprintf("func(e schema.Encoder, v %s) { %s }", g.valueType(s, name), g.encodeValue(s, name, "v"))
	}
	return "schema.Encoder." + methodOf(sh.Type)
}

func (g *generator) decodeMember(s *source, name string) string {
	if !g.isByHand(name) {
		switch sh := g.model.Shapes[name]; sh.Type {
		case "structure":
			return fmt.Sprintf("schema.DecodeStructPointer[%s](d)", g.goName[name])
		case "list", "map", "blob":
		default:
			return fmt.Sprintf("new(%s)", g.decodeValue(s, name))
		}
	}
	return g.decodeValue(s, name)
}

func (g *generator) decodeValue(s *source, name string) string {
	if t, ok := g.target.ByHand[name]; ok {
		return fmt.Sprintf("%sDecode%s(d)", handQualifier(t), t.Type)
	}
	switch sh := g.model.Shapes[name]; sh.Type {
	case "structure":
		return fmt.Sprintf("schema.DecodeStruct[%s](d)", g.goName[name])
	case "list":
		return fmt.Sprintf("schema.DecodeList(d, %s)", g.decodeFunc(s, sh.Member.Shape))
	case "map":
		if t, ok := g.target.ByHand[sh.Value.Shape]; ok {
			return fmt.Sprintf("%sDecode%sMap(d)", handQualifier(t), t.Type)
		}
		return fmt.Sprintf("schema.DecodeMap(d, %s)", g.decodeFunc(s, sh.Value.Shape))
	case "integer":
		return "int32(d.Int())"
	default:
		return fmt.Sprintf("d.%s()", methodOf(sh.Type))
	}
}

// decodeFunc is a func(schema.Decoder) T for an element of shape name.
func (g *generator) decodeFunc(s *source, name string) string {
	sh := g.model.Shapes[name]
	if t, ok := g.target.ByHand[name]; ok {
		return handQualifier(t) + "Decode" + t.Type
	}
	switch sh.Type {
	case "structure":
		return fmt.Sprintf("schema.DecodeStruct[%s]", g.goName[name])
	case "list", "map", "integer":
		return fmt.Sprintf("func(d schema.Decoder) %s { return %s }", g.valueType(s, name), g.decodeValue(s, name))
	}
	return "schema.Decoder." + methodOf(sh.Type)
}

// methodOf is the method of Encoder and Decoder for a scalar.
func methodOf(kind string) string {
	switch kind {
	case "string", "character":
		return "String"
	case "blob":
		return "Blob"
	case "boolean":
		return "Bool"
	case "integer", "long":
		return "Int"
	case "float", "double":
		return "Float"
	case "timestamp":
		return "Time"
	}
	panic("no method for a " + kind)
}
