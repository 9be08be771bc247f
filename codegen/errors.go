package main

import "net/http"

// emitErrors makes the exceptions errors, with the code and the status that the model gives them.
func (g *generator) emitErrors(s *source) {
	for _, name := range g.shapes {
		sh := g.model.Shapes[name]
		if !sh.Exception {
			continue
		}
		goName, field := g.goName[name], exported(messageMember(sh))
		code, status := name, http.StatusBadRequest
		if sh.Fault {
			status = http.StatusInternalServerError
		}
		if sh.Error != nil {
			if sh.Error.Code != "" {
				code = sh.Error.Code
			}
			if sh.Error.HTTPStatusCode != 0 {
				status = sh.Error.HTTPStatusCode
			}
		}
		s.p("func (v *%s) Error() string { return v.ErrorCode() + \": \" + v.ErrorMessage() }", goName)
		s.p("func (v *%s) ShapeName() string { return %q }", goName, name)
		s.p("func (v *%s) ErrorCode() string { return %q }", goName, code)
		s.p("func (v *%s) HTTPStatus() int { return %d }", goName, status)
		s.p("func (v *%s) ErrorMessage() string {\nif v.%s == nil {\nreturn \"\"\n}\nreturn *v.%s\n}\n", goName, field, field)
	}
}
