package number

import "errors"

// The key form orders bytes as numbers. Its first byte is the sign. Of a positive number there follow the exponent of
// the leading digit, shifted to 0…255, then the digits in pairs, each one more than its value (1…100), and a zero. Of a
// negative number all bytes after the sign are complemented.
const (
	signNegative = 1
	signZero     = 2
	signPositive = 3
)

// MaxKeySize is the length of the longest key form.
const MaxKeySize = 2 + MaxDigits/2 + 1

// AppendKey appends the key form of a number. No key form is a prefix of another.
func AppendKey(dst []byte, n string) []byte {
	var d decimal
	if d.parse(n) != nil || d.n == 0 {
		// Canonical text always parses.
		return append(dst, signZero)
	}
	sign, flip := byte(signPositive), byte(0)
	if d.neg {
		sign, flip = signNegative, 0xff
	}
	dst = append(dst, sign, byte(d.exp-MinExponent)^flip)
	for i := 0; i < d.n; i += 2 {
		pair := d.digits[i] * 10
		if i+1 < d.n {
			pair += d.digits[i+1]
		}
		dst = append(dst, (pair+1)^flip)
	}
	return append(dst, flip)
}

var errKey = errors.New("number: malformed key form")

// CutKey decodes the key form at the start of b and returns what follows it.
func CutKey(b []byte) (n string, rest []byte, err error) {
	if len(b) == 0 {
		return "", nil, errKey
	}
	var (
		d    decimal
		flip byte
	)
	switch b[0] {
	case signZero:
		return "0", b[1:], nil
	case signNegative:
		d.neg, flip = true, 0xff
	case signPositive:
	default:
		return "", nil, errKey
	}
	if len(b) < 2 {
		return "", nil, errKey
	}
	d.exp = int(b[1]^flip) + MinExponent
	b = b[2:]
	for {
		if len(b) == 0 {
			return "", nil, errKey
		}
		pair := b[0] ^ flip
		b = b[1:]
		if pair == 0 {
			break
		}
		if pair > 100 || d.n == MaxDigits {
			return "", nil, errKey
		}
		pair--
		d.digits[d.n], d.digits[d.n+1] = pair/10, pair%10
		d.n += 2
	}
	if d.n == 0 || d.digits[0] == 0 {
		return "", nil, errKey
	}
	if d.digits[d.n-1] == 0 {
		d.n--
		if d.digits[d.n-1] == 0 {
			return "", nil, errKey
		}
	}
	return string(d.appendText(make([]byte, 0, d.textLen()))), b, nil
}
