// Package customdomain is the custom domain names of API Gateway, which its services share: whose a name is, and which API
// and stage each of its base paths leads to.
//
// It promises that a name is taken once, across all accounts and services, since a request has nothing else to tell whose it
// is; and that of the base paths that fit a request the longest is the one. What may be mapped is the services' to say.
//
// https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-custom-domains.html
package customdomain

import (
	"cmp"
	"context"
	"iter"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"brume/internal/edge"
	"brume/internal/kv"
	"brume/internal/kv/jsonrow"
	"brume/internal/kv/tuple"
)

// MaxMappings is how many base paths a name can map.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
const MaxMappings = 200

// Types of endpoints.
const (
	Edge     = "EDGE"
	Regional = "REGIONAL"
)

// A Row is a name with its mappings. Rows are JSON, under "customdomain" NAME.
type Row struct {
	Account, Region string
	// Name is in lower case.
	Name string
	// Endpoint is Edge or Regional, Target the name that DNS should lead to.
	Endpoint, Target string
	SecurityPolicy   string
	// Certificate is that of the endpoint. It is recorded: TLS ends in front of Brume.
	Certificate Certificate
	// OwnershipARN is the certificate that proves whose the name is.
	OwnershipARN string `json:",omitempty"`
	Tags         map[string]string
	// Mappings are by descending length of the base path, so that the first that fits is the one.
	Mappings []Mapping
}

// A Certificate is recorded as it was given.
type Certificate struct {
	ARN  string `json:",omitempty"`
	Name string `json:",omitempty"`
	// Uploaded is when it was given.
	Uploaded time.Time
}

// A Mapping leads from a base path to a stage of an API.
type Mapping struct {
	ID string
	// BasePath has no slashes around it; it is empty for what no other takes.
	BasePath string
	API      string
	// Stage is empty if the segment behind the base path names it.
	Stage string
}

func table() []byte { return tuple.AppendString(nil, "customdomain") }

// Prefix is what stands before every key.
func Prefix() []byte { return table() }

// Key is where the row of a name is.
func Key(name string) []byte { return tuple.AppendString(table(), Fold(name)) }

// Fold is a name as it is stored.
func Fold(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// FoldLabel brings a value in the path of a call to its one form: names are not told apart by case, so policies need not. The
// label is that of the value in either service.
func FoldLabel(label, v string) string {
	switch label {
	case "domain_name", "domainName":
		return Fold(v)
	case "resource_arn", "resource-arn":
		const part = "::/domainnames/"
		if i := strings.Index(v, part); i >= 0 {
			return v[:i+len(part)] + Fold(v[i+len(part):])
		}
	}
	return v
}

// Get returns a name of an account in a region; nil if they have none such.
func Get(r kv.Reader, account, region, name string) (*Row, error) {
	row, err := jsonrow.Get[Row](r, Key(name))
	if err != nil || row == nil || !row.Belongs(account, region) {
		return nil, err
	}
	return row, nil
}

// Belongs says whether a name is an account's in a region.
func (row *Row) Belongs(account, region string) bool {
	return row.Account == account && row.Region == region
}

// Taken says whether a name cannot be an account's: somebody has it, or another account has a wildcard that stands for it, or a
// name that it would stand for as a wildcard.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/how-to-custom-domains.html#wildcard-custom-domain-names
func Taken(r kv.Reader, account, name string) (bool, error) {
	name = Fold(name)
	if _, taken, err := r.Get(Key(name)); err != nil || taken {
		return taken, err
	}
	first, parent, _ := strings.Cut(name, ".")
	if first != "*" {
		row, err := jsonrow.Get[Row](r, Key("*."+parent))
		return row != nil && row.Account != account, err
	}
	for row, err := range jsonrow.All[Row](r, kv.Prefix(table())) {
		if err != nil {
			return false, err
		}
		if _, p, _ := strings.Cut(row.Name, "."); p == parent && row.Account != account {
			return true, nil
		}
	}
	return false, nil
}

// Put writes a row.
func Put(tx kv.Tx, row *Row) error { return jsonrow.Put(tx, Key(row.Name), row) }

// Delete removes a name with its mappings.
func Delete(tx kv.Tx, name string) error { return tx.Delete(Key(name)) }

// All yields the names of an account in a region, in order.
func All(r kv.Reader, account, region string) iter.Seq2[*Row, error] {
	return func(yield func(*Row, error) bool) {
		for row, err := range jsonrow.All[Row](r, kv.Prefix(table())) {
			if err == nil && !row.Belongs(account, region) {
				continue
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

// LeadsTo returns a name that leads to an API; empty if none does.
func LeadsTo(r kv.Reader, account, region, api string) (string, error) {
	for row, err := range All(r, account, region) {
		if err != nil {
			return "", err
		}
		if slices.ContainsFunc(row.Mappings, func(m Mapping) bool { return m.API == api }) {
			return row.Name, nil
		}
	}
	return "", nil
}

// Find is where the mapping of a base path is; false if there is none.
func (row *Row) Find(basePath string) (int, bool) {
	i := slices.IndexFunc(row.Mappings, func(m Mapping) bool { return m.BasePath == basePath })
	return i, i >= 0
}

// Set puts a mapping at the place i, or behind the last, and keeps the order.
func (row *Row) Set(i int, m Mapping) {
	if i < len(row.Mappings) {
		row.Mappings[i] = m
	} else {
		row.Mappings = append(row.Mappings, m)
	}
	slices.SortFunc(row.Mappings, func(a, b Mapping) int {
		return cmp.Or(cmp.Compare(len(b.BasePath), len(a.BasePath)), cmp.Compare(a.BasePath, b.BasePath))
	})
}

// Reserved says whether a host, folded, is for AWS's services themselves, whoever asks for it: below AWS's own names, by which
// functions reach services, or named for a service by its first label. Whoever had such a name would answer others' calls.
func Reserved(host string) bool {
	for _, own := range []string{"amazonaws.com", "amazonaws.com.cn", "api.aws", "on.aws"} {
		if host == own || strings.HasSuffix(host, "."+own) {
			return true
		}
	}
	first, _, _ := strings.Cut(host, ".")
	switch first {
	case "apigateway", "cloudtrail", "dynamodb", "execute-api", "iam", "lambda", "logs", "s3", "streams", "sts":
		return true
	}
	switch host {
	case "localhost", "localhost.localstack.cloud", "host.docker.internal", "gateway.docker.internal", "host.containers.internal": // as containers call the machine
		return true
	}
	return false
}

// ValidName says whether a name, folded, can be one: labels of letters, digits and hyphens, of which the first may be "*".
func ValidName(name string) bool {
	if Reserved(name) {
		return false
	}
	labels := strings.Split(name, ".")
	for i, l := range labels {
		ok := l != "" && len(l) <= 63 && !strings.HasPrefix(l, "-") && !strings.HasSuffix(l, "-") && strings.IndexFunc(l, func(r rune) bool {
			return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-')
		}) < 0
		if !ok && !(i == 0 && l == "*") {
			return false
		}
	}
	return len(labels) >= 2 && len(name) <= 253
}

// ValidBasePath says whether a base path, which is not empty, has only characters that one can have. It may have slashes.
func ValidBasePath(p string) bool {
	return strings.IndexFunc(p, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("$-_.+!*'()/", r))
	}) < 0
}

// Names finds what requests to custom domain names are for.
type Names struct {
	Store kv.Store
	Log   *slog.Logger
	// Own is the host of Brume itself, which is nobody's custom domain name.
	Own string
}

// A Target is where a request leads.
type Target struct {
	// API is empty if no base path fits.
	API, Stage string
	// Path is the rest of the path.
	Path string
	How  edge.CustomName
}

// Locate finds the API and the stage that a request to a custom domain name is for, and the rest of its path. ok is false
// if the host is no such name.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-mappings.html
func (n *Names) Locate(ctx context.Context, host, path string) (t Target, ok bool) {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = Fold(host)
	// What nearly every request says is no custom name: it is not looked up.
	if host == "localhost" || net.ParseIP(strings.Trim(host, "[]")) != nil || !strings.Contains(host, ".") || Reserved(host) || host == Fold(n.Own) {
		return Target{}, false
	}
	_, parent, _ := strings.Cut(host, ".")
	var row *Row
	err := n.Store.View(ctx, func(r kv.Reader) (err error) {
		if row, err = jsonrow.Get[Row](r, Key(host)); err == nil && row == nil {
			row, err = jsonrow.Get[Row](r, Key("*."+parent))
		}
		return err
	})
	if err != nil {
		n.Log.ErrorContext(ctx, "a custom domain name could not be looked up", slog.String("host", host), slog.String("error", err.Error()))
		return Target{Path: path}, true
	}
	if row == nil {
		return Target{}, false
	}
	for _, m := range row.Mappings {
		base := ""
		if m.BasePath != "" {
			base = "/" + m.BasePath
		}
		rest, fits := strings.CutPrefix(path, base)
		if !fits || rest != "" && rest[0] != '/' {
			continue
		}
		t := Target{API: m.API, Stage: m.Stage, Path: rest, How: edge.CustomName{BasePath: m.BasePath, Prefix: base}}
		if t.Stage == "" {
			t.Stage, rest, _ = strings.Cut(strings.TrimPrefix(rest, "/"), "/")
			t.Path = "/" + rest
			t.How.Prefix += "/" + t.Stage
		}
		return t, true
	}
	return Target{Path: path}, true
}
