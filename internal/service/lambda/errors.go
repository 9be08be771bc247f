package lambda

import (
	"fmt"

	api "brume/internal/api/lambda"
	"brume/internal/awserr"
)

// Lambda says of each exception whose fault it is.
const userFault = "User"

func invalid(format string, args ...any) error {
	return &api.InvalidParameterValueException{Type: new(userFault), Message: new(fmt.Sprintf(format, args...))}
}

func notFound(format string, args ...any) error {
	return &api.ResourceNotFoundException{Type: new(userFault), Message: new(fmt.Sprintf(format, args...))}
}

func functionNotFound(arn string) error { return notFound("Function not found: %s", arn) }

func conflict(format string, args ...any) error {
	return &api.ResourceConflictException{Type: new(userFault), Message: new(fmt.Sprintf(format, args...))}
}

// staleRevision is the error for a RevisionId that is not the latest. where is the operation that returns that.
func staleRevision(where string) error {
	return &api.PreconditionFailedException{Type: new(userFault), Message: new(
		"The Revision Id provided does not match the latest Revision Id. Call the " + where + " API to retrieve the latest Revision Id")}
}

func throttled(reason string) error {
	return &api.TooManyRequestsException{Type: new(userFault), Reason: &reason, Message: new("Rate Exceeded.")}
}

const (
	http403 = 403
	http413 = 413
)

func accessDenied(format string, args ...any) error {
	return awserr.New("AccessDeniedException", format, args...).WithStatus(http403)
}

// failsConstraint is what the model does not say of a value.
func failsConstraint(value any, member, constraint string) error {
	return awserr.Validation("1 validation error detected: Value '%v' at '%s' failed to satisfy constraint: %s", value, member, constraint)
}
