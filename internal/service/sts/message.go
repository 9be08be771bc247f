package sts

import (
	"context"
	"encoding/base64"
	"strings"

	api "brume/internal/api/sts"
	"brume/internal/call"
)

// maxMessage is the longest encoded message that DecodeAuthorizationMessage takes, in bytes.
const maxMessage = 10240

// messageFor is what an encoded message is sealed for: an account, and no other use.
func messageFor(account string) []byte { return []byte("authorization-message " + account) }

// EncodeAuthorizationMessage seals what there is to say of a denial for the account of who was denied. They need not know
// it: it names policies and keys. It is empty for a message that would be too long to be decoded.
func (s *Service) EncodeAuthorizationMessage(account string, message []byte) string {
	encoded := base64.RawURLEncoding.EncodeToString(s.sealer.Seal(message, messageFor(account)))
	if len(encoded) > maxMessage {
		return ""
	}
	return encoded
}

// https://docs.aws.amazon.com/STS/latest/APIReference/API_DecodeAuthorizationMessage.html
func (s *Service) DecodeAuthorizationMessage(ctx context.Context, in *api.DecodeAuthorizationMessageInput) (*api.DecodeAuthorizationMessageOutput, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(*in.EncodedMessage)
	// The decoder reads over line breaks.
	if err != nil || strings.ContainsAny(*in.EncodedMessage, "\r\n") {
		return nil, errNotAMessage()
	}
	message, err := s.sealer.Open(sealed, messageFor(call.From(ctx).Account))
	if err != nil {
		return nil, errNotAMessage()
	}
	return &api.DecodeAuthorizationMessageOutput{DecodedMessage: new(string(message))}, nil
}

func errNotAMessage() error {
	return &api.InvalidAuthorizationMessageException{Message: new("Message is not valid")}
}
