package main

import (
	"fmt"
	"regexp"
)

// rewrites holds the patterns that use what package regexp lacks on purpose (look-around), or that misstate code points
// beyond the basic plane, each in an equivalent form.
var rewrites = map[string]string{
	`(?!^[0-9]+$)([a-zA-Z0-9-_]+)`:                                                       `[0-9]*[a-zA-Z_-][a-zA-Z0-9_-]*`,
	`(^\$LATEST$)|((?!^[0-9]+$)([a-zA-Z0-9-_]+))`:                                        `\$LATEST|[0-9]*[a-zA-Z_-][a-zA-Z0-9_-]*`,
	`(^(?!(system\x2e)))(^[_a-zA-Z0-9])([^$]*)`:                                          `[_a-zA-Z0-9][^$]*`,
	`^[0-9A-Za-z\.\-_]*(?<!\.)$`:                                                         `([0-9A-Za-z._-]*[0-9A-Za-z_-])?`,
	`^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$`:                                          `[a-z0-9]+(-[a-z0-9]+)*`,
	`[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]+`: `[\x09\x0A\x0D\x20-\x7E\x{85}\x{A0}-\x{D7FF}\x{E000}-\x{FFFD}\x{10000}-\x{10FFFF}]+`,
	`[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*`:                           `[\x20-\x{D7FF}\x{E000}-\x{FFFD}\x{10000}-\x{10FFFF}\t]*`,
	`[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*`:                       `[\x20-\x{D7FF}\x{E000}-\x{FFFD}\x{10000}-\x{10FFFF}\r\n\t]*`,
}

var unicodeEscape = regexp.MustCompile(`\\u([0-9A-Fa-f]{4})`)
var printClass = regexp.MustCompile(`\\p\{Print\}`)

// translatePattern turns a pattern in Java's syntax into one for package regexp.
func translatePattern(pattern string) (string, error) {
	out, ok := rewrites[pattern]
	if !ok {
		out = unicodeEscape.ReplaceAllString(pattern, `\x{$1}`)
		out = printClass.ReplaceAllString(out, `[[:print:]]`)
	}
	if _, err := regexp.Compile(`^(?:` + out + `)$`); err != nil {
		return "", fmt.Errorf("pattern %q needs an entry in rewrites: %w", pattern, err)
	}
	return out, nil
}
