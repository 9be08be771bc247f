package schema

// Explain is what Validate says of an input that the quick walk refuses.
func (v *Validator) Explain(shape int, in Struct) string { return v.explain(shape, in) }
