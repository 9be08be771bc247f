package iam

import (
	"fmt"

	api "brume/internal/api/iam"
	"brume/internal/awserr"
	"brume/internal/policy"
)

func noSuchEntity(format string, args ...any) error {
	return &api.NoSuchEntityException{Message: new(fmt.Sprintf(format, args...))}
}

func alreadyExists(format string, args ...any) error {
	return &api.EntityAlreadyExistsException{Message: new(fmt.Sprintf(format, args...))}
}

func deleteConflict(message string) error {
	return &api.DeleteConflictException{Message: &message}
}

func limitExceeded(format string, args ...any) error {
	return &api.LimitExceededException{Message: new(fmt.Sprintf(format, args...))}
}

// quota is the error for one more than a quota allows.
func quota(name string, limit int) error {
	return limitExceeded("Cannot exceed quota for %s: %d", name, limit)
}

func invalidInput(format string, args ...any) error {
	return &api.InvalidInputException{Message: new(fmt.Sprintf(format, args...))}
}

// validation is the error that IAM, unlike other services, calls ValidationError.
func validation(format string, args ...any) error {
	return awserr.New("ValidationError", format, args...)
}

func malformedPolicy(err error) error {
	if m, ok := err.(*policy.MalformedError); ok {
		return &api.MalformedPolicyDocumentException{Message: &m.Message}
	}
	return err
}
