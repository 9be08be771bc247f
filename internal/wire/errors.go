package wire

import (
	"errors"
	"net/http"

	"brume/internal/awserr"
	"brume/internal/schema"
	"brume/internal/wire/sigv4"
)

// signatureError words a refusal of the signature as the service's protocol does.
//
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
// https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
func signatureError(svc *schema.Service, err error) awserr.Error {
	var refusal *sigv4.Error
	if !errors.As(err, &refusal) {
		return awserr.Internal(err)
	}
	query := svc.Protocol == schema.AWSQuery || svc.Protocol == schema.RestXML
	e := &awserr.Generic{Message: refusal.Message, Status: http.StatusForbidden}
	switch refusal.Kind {
	case sigv4.MissingToken:
		e.Code = pick(query, "MissingAuthenticationToken", "MissingAuthenticationTokenException")
	case sigv4.IncompleteSignature:
		e.Code = pick(query, "IncompleteSignature", "IncompleteSignatureException")
		e.Status = http.StatusBadRequest
	case sigv4.InvalidClientToken:
		e.Code = pick(query, "InvalidClientTokenId", "UnrecognizedClientException")
	case sigv4.ExpiredToken:
		e.Code = pick(query, "ExpiredToken", "ExpiredTokenException")
	default:
		e.Code = pick(query, "SignatureDoesNotMatch", "InvalidSignatureException")
	}
	return localise(svc, e)
}

func pick(query bool, inQuery, inJSON string) string {
	if query {
		return inQuery
	}
	return inJSON
}

// localise gives an error that every service knows the name and the status that it has in the service's protocol.
func localise(svc *schema.Service, err awserr.Error) awserr.Error {
	generic, ok := err.(*awserr.Generic)
	if !ok {
		return err
	}
	query := svc.Protocol == schema.AWSQuery
	e := *generic
	switch e.Code {
	case "AccessDenied":
		if !query {
			e.Code = "AccessDeniedException"
		}
	case "InternalFailure":
		if svc.Name == "dynamodb" || svc.Name == "dynamodbstreams" {
			e.Code = "InternalServerError"
		}
	}
	if svc.Protocol == schema.AWSJSON && e.Status == http.StatusForbidden {
		e.Status = http.StatusBadRequest
	}
	return &e
}
