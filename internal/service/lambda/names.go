package lambda

import (
	"context"
	"strings"

	"brume/internal/call"
)

const latest = "$LATEST"

// maxFunctionName is the longest name of a function.
// https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunction.html#lambda-CreateFunction-request-FunctionName
const maxFunctionName = 64

// scope is whose state a call acts on.
type scope struct{ account, region string }

func scopeOf(ctx context.Context) scope {
	info := call.From(ctx)
	return scope{info.Account, info.Region}
}

// A ref names a function, and perhaps one of its versions or aliases.
type ref struct {
	scope
	name string
	// qualifier is "$LATEST", a version's number, an alias, or empty.
	qualifier string
}

// arn returns the ARN of what r names.
func (r ref) arn() string {
	arn := "arn:aws:lambda:" + r.region + ":" + r.account + ":function:" + r.name
	if r.qualifier != "" {
		arn += ":" + r.qualifier
	}
	return arn
}

// function returns r without its qualifier.
func (r ref) function() ref { return ref{r.scope, r.name, ""} }

// at returns r with another qualifier.
func (r ref) at(qualifier string) ref { return ref{r.scope, r.name, qualifier} }

// isVersion says whether the qualifier is the number of a published version.
func (r ref) isVersion() bool {
	return r.qualifier != "" && strings.Trim(r.qualifier, "0123456789") == ""
}

// isAlias says whether the qualifier can only be an alias.
func (r ref) isAlias() bool { return r.qualifier != "" && r.qualifier != latest && !r.isVersion() }

// resolveName reads a function's name, partial ARN or ARN, with or without a qualifier at its end, and the qualifier that
// was given beside it.
// https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html#lambda-GetFunction-request-FunctionName
func resolveName(ctx context.Context, name, qualifier *string) (ref, error) {
	sc := scopeOf(ctx)
	r, region, ok := parseName(*name)
	if !ok {
		return ref{}, failsConstraint(*name, "functionName", "Member must satisfy regular expression pattern: "+
			`(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}(-gov)?-[a-z]+-\d{1}:)?(\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\$LATEST|[a-zA-Z0-9-_]+))?`)
	}
	if len(r.name) > maxFunctionName {
		return ref{}, failsConstraint(*name, "functionName", "Member must have length less than or equal to 64")
	}
	if region != "" && region != sc.region {
		return ref{}, notFound("Functions from '%s' are not reachable in this region ('%s')", region, sc.region)
	}
	r.region = sc.region
	if r.account == "" {
		r.account = sc.account
	}
	if qualifier != nil && *qualifier != "" {
		if r.qualifier != "" && r.qualifier != *qualifier {
			return ref{}, invalid("The derived qualifier from the function name does not match the specified qualifier.")
		}
		r.qualifier = *qualifier
	}
	return r, nil
}

// parseName takes a name apart. All parts before the name may be missing.
func parseName(s string) (r ref, region string, ok bool) {
	rest, isARN := strings.CutPrefix(s, "arn:")
	if isARN {
		partition, after, found := strings.Cut(rest, ":lambda:")
		if !found || partition != "aws" && !strings.HasPrefix(partition, "aws-") {
			return ref{}, "", false
		}
		rest = after
	}
	parts := strings.Split(rest, ":")
	if len(parts) > 1 && isRegion(parts[0]) {
		region, parts = parts[0], parts[1:]
	}
	if len(parts) > 1 && isAccount(parts[0]) {
		r.account, parts = parts[0], parts[1:]
	}
	if len(parts) > 1 && parts[0] == "function" {
		parts = parts[1:]
	} else if isARN {
		return ref{}, "", false
	}
	if isARN && (region == "" || r.account == "") || len(parts) > 2 || !isIdentifier(parts[0]) {
		return ref{}, "", false
	}
	r.name = parts[0]
	if len(parts) == 2 {
		if r.qualifier = parts[1]; r.qualifier != latest && !isIdentifier(r.qualifier) {
			return ref{}, "", false
		}
	}
	return r, region, true
}

func isAccount(s string) bool { return len(s) == 12 && strings.Trim(s, "0123456789") == "" }

// isRegion says whether s has the form of a region: "eu-central-1", "us-gov-west-1".
func isRegion(s string) bool {
	parts := strings.Split(s, "-")
	if len(parts) != 3 && (len(parts) != 4 || parts[1] != "gov") {
		return false
	}
	last := parts[len(parts)-1]
	if len(parts[0]) != 2 || len(last) != 1 || last < "0" || last > "9" {
		return false
	}
	for _, p := range parts[:len(parts)-1] {
		if p == "" || strings.Trim(p, "abcdefghijklmnopqrstuvwxyz") != "" {
			return false
		}
	}
	return true
}

func isIdentifier(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '-' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return s != ""
}
