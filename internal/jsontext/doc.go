// Package jsontext reads and writes JSON text (RFC 8259) without reflection.
//
// The Scanner is pulled through a text in one pass: whoever knows what should come next asks for it. It accepts exactly
// what encoding/json accepts, but for two things that it refuses: strings that are not valid UTF-8, and nesting deeper
// than MaxDepth. A Scanner's first error sticks; every later call returns a zero value, so that callers check once.
//
// The Appender writes a text into a byte slice. It puts the commas.
package jsontext
