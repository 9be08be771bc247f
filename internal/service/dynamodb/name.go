package dynamodb

import (
	"fmt"
	"strings"

	"brume/internal/awserr"
)

// tableName returns the name of the table that a request names by its name or its ARN.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html#HowItWorks.NamingRules
func (sc scope) tableName(name *string) (string, error) {
	if name == nil {
		return "", awserr.Validation("The parameter 'TableName' is required but was not present in the request")
	}
	if strings.HasPrefix(*name, "arn:") {
		return sc.tableOfARN(*name)
	}
	return *name, checkTableName(*name)
}

func checkTableName(name string) error {
	var faults []string
	add := func(constraint string) {
		faults = append(faults, fmt.Sprintf("Value '%s' at 'tableName' failed to satisfy constraint: %s", name, constraint))
	}
	if !isName(name) {
		add("Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+")
	}
	if len(name) < 3 {
		add("Member must have length greater than or equal to 3")
	}
	if len(name) > 255 {
		add("Member must have length less than or equal to 255")
	}
	return violations(faults)
}

// violations is the error of violated constraints, nil if there are none.
func violations(faults []string) error {
	switch len(faults) {
	case 0:
		return nil
	case 1:
		return awserr.Validation("1 validation error detected: %s", faults[0])
	}
	return awserr.Validation("%d validation errors detected: %s", len(faults), strings.Join(faults, "; "))
}

func isName(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '.':
		default:
			return false
		}
	}
	return true
}

// locate is tableName for requests that name one table: by its ARN it may be another account's, into whose scope sc moves.
// Whether the caller may use it there is for the policies on both sides to say.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/rbac-cross-account-access.html
func (sc *scope) locate(name *string) (string, error) {
	if name != nil && strings.HasPrefix(*name, "arn:") {
		if parts := strings.SplitN(*name, ":", 6); len(parts) == 6 && isAccount(parts[4]) {
			sc.account = parts[4]
		}
	}
	return sc.tableName(name)
}

func isAccount(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return len(s) == 12
}

// tableOfARN returns the name in a table's ARN. Tables of other accounts and regions cannot be reached.
func (sc scope) tableOfARN(arn string) (string, error) {
	parts := strings.SplitN(arn, ":", 6)
	// A table has one ARN, for policies to name.
	if len(parts) != 6 || parts[0] != "arn" || parts[1] != "aws" || parts[2] != "dynamodb" {
		return "", invalidARN(arn)
	}
	name, ok := strings.CutPrefix(parts[5], "table/")
	if !ok || checkTableName(name) != nil {
		return "", invalidARN(arn)
	}
	if parts[3] != sc.region || parts[4] != sc.account {
		return "", awserr.New("AccessDeniedException", "Cross-account and cross-region access is not supported: %s", arn)
	}
	return name, nil
}

func invalidARN(arn string) error {
	return awserr.Validation("Invalid TableArn: Invalid ResourceArn provided as input %s", arn)
}
