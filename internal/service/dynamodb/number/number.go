// Package number is DynamoDB's number: a decimal of up to 38 significant digits, zero or of a magnitude from 1E-130 to
// 9.9999999999999999999999999999999999999E+125.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html#HowItWorks.DataTypes.Number
//
// A number is held as its canonical text, the one form in which DynamoDB gives it back: no exponent, no leading zeros
// but the one before a decimal point, no trailing zeros after it, no "-0". Equal numbers therefore are equal strings.
// Canonical makes that form and is the only function that takes text from outside; all others take canonical text.
package number

import (
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"brume/internal/awserr"
)

const (
	// MaxDigits is how many significant digits a number may have.
	MaxDigits = 38
	// MaxExponent and MinExponent bound the exponent of the leading digit.
	MaxExponent = 125
	MinExponent = -130
)

// shortText is the length of the longest text that Canonical takes for canonical without a full parse: 38 digits.
const shortText = MaxDigits

// Canonical returns the canonical text of s, or the ValidationException that DynamoDB answers.
func Canonical(s string) (string, error) {
	if isCanonical(s) {
		return s, nil
	}
	var d decimal
	if err := d.parse(s); err != nil {
		return "", err
	}
	return string(d.appendText(make([]byte, 0, d.textLen()))), nil
}

// isCanonical reports whether s surely is canonical and in range. It says no to some long texts that are.
func isCanonical(s string) bool {
	if len(s) > shortText || s == "" {
		return false
	}
	if s == "0" {
		return true
	}
	i := 0
	if s[0] == '-' {
		i = 1
	}
	if i == len(s) || s[i] < '0' || s[i] > '9' {
		return false
	}
	if s[i] == '0' && (i+1 == len(s) || s[i+1] != '.') {
		return false
	}
	point := -1
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
		case c == '.' && point < 0:
			point = i
		default:
			return false
		}
	}
	// A fraction must end in a digit that counts; "0.0" has none.
	return point < 0 || s[len(s)-1] >= '1'
}

// A decimal is digits[0].digits[1]… × 10^exp, without leading or trailing zeros; n is 0 for zero.
type decimal struct {
	neg    bool
	n      int
	exp    int
	digits [MaxDigits]byte
}

// parse reads a decimal as java.math.BigDecimal writes it: sign, digits with at most one point, exponent.
func (d *decimal) parse(s string) error {
	if s == "" {
		return awserr.Validation("The parameter cannot be converted to a numeric value")
	}
	notANumber := func() error {
		return awserr.Validation("The parameter cannot be converted to a numeric value: %s", s)
	}
	i := 0
	if s[0] == '-' || s[0] == '+' {
		d.neg = s[0] == '-'
		i = 1
	}
	var (
		seen   bool  // a digit at all
		point  bool  // the decimal point
		frac   int   // digits after the point
		zeros  int   // zeros since the last digit that counts
		digits int   // digits from the first that counts to the last
		exp    int64 // the written exponent
	)
mantissa:
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c == '.' && !point:
			point = true
		case c >= '0' && c <= '9':
			seen = true
			if point {
				frac++
			}
			if c == '0' {
				if digits > 0 {
					zeros++
				}
				continue
			}
			// The zeros before this digit are inside the number after all.
			for ; zeros > 0 && digits > 0; zeros-- {
				if digits < MaxDigits {
					d.digits[digits] = 0
				}
				digits++
			}
			if digits < MaxDigits {
				d.digits[digits] = c - '0'
			}
			digits++
		case (c == 'e' || c == 'E') && seen:
			break mantissa
		default:
			return notANumber()
		}
	}
	if !seen {
		return notANumber()
	}
	if i < len(s) {
		i++
		negExp := false
		if i < len(s) && (s[i] == '-' || s[i] == '+') {
			negExp = s[i] == '-'
			i++
		}
		if i == len(s) {
			return notANumber()
		}
		for ; i < len(s); i++ {
			if s[i] < '0' || s[i] > '9' {
				return notANumber()
			}
			exp = min(exp*10+int64(s[i]-'0'), 1<<40)
		}
		if negExp {
			exp = -exp
		}
	}
	if digits == 0 {
		*d = decimal{}
		return nil
	}
	exp += int64(digits + zeros - frac - 1)
	switch {
	case exp > MaxExponent:
		return awserr.Validation("Number overflow. Attempting to store a number with magnitude larger than supported range")
	case exp < MinExponent:
		return awserr.Validation("Number underflow. Attempting to store a number with magnitude smaller than supported range")
	case digits > MaxDigits:
		return awserr.Validation("Attempting to store more than 38 significant digits in a Number")
	}
	d.n, d.exp = digits, int(exp)
	return nil
}

// textLen is the length of the canonical text.
func (d *decimal) textLen() int {
	n := 1
	switch {
	case d.n == 0:
	case d.exp < 0:
		n = 1 - d.exp + d.n // "0." and the zeros after it
	case d.exp >= d.n-1:
		n = d.exp + 1
	default:
		n = d.n + 1
	}
	if d.neg {
		n++
	}
	return n
}

func (d *decimal) appendText(b []byte) []byte {
	if d.n == 0 {
		return append(b, '0')
	}
	if d.neg {
		b = append(b, '-')
	}
	if d.exp < 0 {
		b = append(b, '0', '.')
		for range -d.exp - 1 {
			b = append(b, '0')
		}
	}
	for i, c := range d.digits[:d.n] {
		if d.exp >= 0 && i == d.exp+1 {
			b = append(b, '.')
		}
		b = append(b, '0'+c)
	}
	for range d.exp - d.n + 1 {
		b = append(b, '0')
	}
	return b
}

// Compare orders two numbers.
func Compare(a, b string) int {
	if a == b {
		return 0
	}
	aNeg, bNeg := a[0] == '-', b[0] == '-'
	switch {
	case aNeg && bNeg:
		return compareMagnitude(b[1:], a[1:])
	case aNeg:
		return -1
	case bNeg:
		return 1
	}
	return compareMagnitude(a, b)
}

func compareMagnitude(a, b string) int {
	if la, lb := integerLen(a), integerLen(b); la != lb {
		return la - lb
	}
	// Points stand at the same place and nothing ends in a zero that does not count, so byte order is the order.
	return strings.Compare(a, b)
}

func integerLen(s string) int {
	if i := strings.IndexByte(s, '.'); i >= 0 {
		return i
	}
	return len(s)
}

// Size is the number of bytes that DynamoDB counts for a number: one for every two significant digits and one more.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
func Size(n string) int {
	first, last, point := -1, -1, 0
	for i := 0; i < len(n); i++ {
		switch c := n[i]; {
		case c == '.':
			if first >= 0 {
				point = 1
			}
		case c >= '1' && c <= '9':
			if first < 0 {
				first = i
			}
			last = i - point
		}
	}
	if first < 0 {
		return 1
	}
	return 1 + (last-first+2)/2
}

// Add returns a + b, or the error that DynamoDB answers where the sum is out of range or needs more than 38 digits.
func Add(a, b string) (string, error) { return sum(a, b, false) }

// Sub returns a - b, with the errors of Add.
func Sub(a, b string) (string, error) { return sum(a, b, true) }

func sum(a, b string, subtract bool) (string, error) {
	if x, ok := small(a); ok {
		if y, ok := small(b); ok {
			if subtract {
				y = -y
			}
			return strconv.FormatInt(x+y, 10), nil
		}
	}
	var x, y, z apd.Decimal
	if _, _, err := x.SetString(a); err != nil {
		return "", err
	}
	if _, _, err := y.SetString(b); err != nil {
		return "", err
	}
	// A context without precision adds exactly.
	exact := apd.Context{MaxExponent: apd.MaxExponent, MinExponent: apd.MinExponent}
	op := exact.Add
	if subtract {
		op = exact.Sub
	}
	if _, err := op(&z, &x, &y); err != nil {
		return "", err
	}
	return Canonical(z.Text('f'))
}

// small returns the value of an integer of up to 18 digits.
func small(s string) (v int64, ok bool) {
	neg := s[0] == '-'
	if neg {
		s = s[1:]
	}
	if len(s) > 18 {
		return 0, false
	}
	for i := 0; i < len(s); i++ {
		if s[i] == '.' {
			return 0, false
		}
		v = v*10 + int64(s[i]-'0')
	}
	if neg {
		v = -v
	}
	return v, true
}
