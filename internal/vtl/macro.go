package vtl

import "regexp"

// maxCalls bounds macros, definitions and evaluations within each other, as Velocity's velocimacro.max.depth does.
const maxCalls = 20

// macroNames finds the names of a source's macros, so that one can be called before the place where it is written, as in
// Velocity.
var macroNames = regexp.MustCompile(`#\{?macro\}?\s*\(\s*([A-Za-z_][A-Za-z0-9_-]*)`)

func findMacros(src string) map[string]*macro {
	found := map[string]*macro{}
	for _, m := range macroNames.FindAllStringSubmatch(src, -1) {
		if found[m[1]] == nil {
			found[m[1]] = &macro{}
		}
	}
	return found
}

// A macro is a part of a template that can be called by its name.
type macro struct {
	params []string
	body   []node
}

// callNode is a call of a macro. Its arguments are evaluated once, before it runs.
type callNode struct {
	src   string
	macro *macro
	args  []expr
}

func (n *callNode) render(x *execution) error {
	if n.macro.body == nil && n.macro.params == nil {
		return x.write(n.src) // it is named, but never defined
	}
	values := make([]any, len(n.macro.params))
	for i := range values {
		if i < len(n.args) {
			var err error
			if values[i], err = n.args[i].eval(x); err != nil {
				return err
			}
		}
	}
	return x.nested(func() error {
		defer x.hide(n.macro.params)()
		for i, name := range n.macro.params {
			x.set(name, values[i])
		}
		return x.renderAll(n.macro.body)
	})
}

// nested runs fn one level deeper.
func (x *execution) nested(fn func() error) error {
	if x.calls++; x.calls > maxCalls {
		return errTooDeep
	}
	defer func() { x.calls-- }()
	return fn()
}

// hide puts variables aside and returns what brings them back.
func (x *execution) hide(names []string) (restore func()) {
	hidden := map[string]any{}
	for _, name := range names {
		if old, ok := x.vars[name]; ok {
			hidden[name] = old
		}
	}
	return func() {
		for _, name := range names {
			if old, ok := hidden[name]; ok {
				x.vars[name] = old
			} else {
				delete(x.vars, name)
			}
		}
	}
}

// A definition is a block that is rendered wherever its reference stands.
type definition struct{ body []node }

type defineNode struct {
	name string
	body []node
}

func (n *defineNode) render(x *execution) error {
	x.set(n.name, &definition{n.body})
	return nil
}

// text renders the definition.
func (d *definition) text(x *execution) (string, error) {
	out := x.out
	x.out = nil
	err := x.nested(func() error { return x.renderAll(d.body) })
	text := string(x.out)
	x.out = out
	return text, err
}

// evaluateNode renders a text as a template.
type evaluateNode struct{ source expr }

func (n *evaluateNode) render(x *execution) error {
	v, err := n.source.eval(x)
	if err != nil || v == nil {
		return err
	}
	src, err := Text(v)
	if err != nil {
		return err
	}
	t, err := Parse(src)
	if err != nil {
		return err
	}
	return x.nested(func() error { return x.renderAll(t.nodes) })
}
