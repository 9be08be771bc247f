package codec

import (
	"encoding/base64"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"brume/internal/awserr"
	"brume/internal/schema"
)

// NoEncoder is a schema.Encoder that drops everything. Encoders for places where only some values can go embed it.
type NoEncoder struct{}

func (NoEncoder) Member(int)           {}
func (NoEncoder) Bool(bool)            {}
func (NoEncoder) Int(int64)            {}
func (NoEncoder) Float(float64)        {}
func (NoEncoder) String(string)        {}
func (NoEncoder) Blob([]byte)          {}
func (NoEncoder) Time(time.Time)       {}
func (NoEncoder) Struct(schema.Struct) {}
func (NoEncoder) BeginList(int)        {}
func (NoEncoder) EndList()             {}
func (NoEncoder) BeginMap(int)         {}
func (NoEncoder) Key(string)           {}
func (NoEncoder) EndMap()              {}

// Scalars reads values that are texts: in paths, query strings, headers and forms. A schema.Decoder for such a place
// embeds it and sets Text and Shape before each value.
type Scalars struct {
	Text  string
	Shape *schema.Shape
	// Code is the code of the error for a text that is not of its shape.
	Code string
	err  error
}

// Err returns the first error, which is an awserr.Error.
func (s *Scalars) Err() error {
	var known awserr.Error
	if s.err == nil || errors.As(s.err, &known) {
		return s.err
	}
	e := awserr.New(s.Code, "")
	e.Cause = s.err
	return e
}

// Fail implements schema.Decoder.
func (s *Scalars) Fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

// Failf is Fail with a message for the client.
func (s *Scalars) Failf(format string, args ...any) { s.Fail(awserr.New(s.Code, format, args...)) }

func (s *Scalars) not(what string) {
	s.Failf("'%s' can not be converted to %s", strings.ToValidUTF8(s.Text[:min(len(s.Text), 64)], ""), what)
}

// Bool implements schema.Decoder.
func (s *Scalars) Bool() bool {
	switch {
	case s.err != nil:
	case strings.EqualFold(s.Text, "true"):
		return true
	case !strings.EqualFold(s.Text, "false"):
		s.not("a Boolean")
	}
	return false
}

// Int implements schema.Decoder.
func (s *Scalars) Int() int64 {
	if s.err != nil {
		return 0
	}
	bits, what := 64, "a Long"
	if s.Shape.Kind == schema.Integer {
		bits, what = 32, "an Integer"
	}
	n, err := strconv.ParseInt(s.Text, 10, bits)
	if err != nil {
		s.not(what)
		return 0
	}
	return n
}

// Float implements schema.Decoder.
func (s *Scalars) Float() float64 {
	if s.err != nil {
		return 0
	}
	switch s.Text {
	case "NaN":
		return math.NaN()
	case "Infinity":
		return math.Inf(1)
	case "-Infinity":
		return math.Inf(-1)
	}
	bits, what := 64, "a Double"
	if s.Shape.Kind == schema.Float {
		bits, what = 32, "a Float"
	}
	f, err := strconv.ParseFloat(s.Text, bits)
	// ParseFloat knows more than AWS: hexadecimal, underscores, and words.
	if err != nil || strings.Trim(s.Text, "+-.0123456789eE") != "" {
		s.not(what)
		return 0
	}
	return f
}

// String implements schema.Decoder.
func (s *Scalars) String() string {
	if s.err != nil {
		return ""
	}
	return s.Text
}

// Blob implements schema.Decoder.
func (s *Scalars) Blob() []byte {
	if s.err != nil {
		return nil
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s.Text)
	if err != nil {
		s.not("a Blob")
		return nil
	}
	return b
}

// Time implements schema.Decoder.
func (s *Scalars) Time() time.Time {
	if s.err != nil {
		return time.Time{}
	}
	t, err := ParseTime(s.Text)
	if err != nil {
		s.not("a Date")
	}
	return t
}

// FormatFloat writes a number of the size of its shape, for the places that Scalars reads.
func FormatFloat(v float64, s *schema.Shape) string {
	bits := 64
	if s.Kind == schema.Float {
		bits = 32
	}
	switch {
	case math.IsInf(v, 1):
		return "Infinity"
	case math.IsInf(v, -1):
		return "-Infinity"
	}
	return strconv.FormatFloat(v, 'g', -1, bits)
}
