package sts

import (
	"strings"
	"testing"

	api "brume/internal/api/sts"
)

// https://docs.aws.amazon.com/STS/latest/APIReference/API_DecodeAuthorizationMessage.html
func TestDecodeAuthorizationMessage(t *testing.T) {
	f := newFixture(t)
	const message = `{"allowed":false}`
	encoded := f.EncodeAuthorizationMessage(account, []byte(message))
	decode := func(text string) (*api.DecodeAuthorizationMessageOutput, error) {
		return run[api.DecodeAuthorizationMessageOutput](f, root(), "DecodeAuthorizationMessage", &api.DecodeAuthorizationMessageInput{EncodedMessage: &text})
	}
	out, err := decode(encoded)
	if err != nil || *out.DecodedMessage != message || strings.Contains(encoded, "allowed") {
		t.Errorf("%+v, %v of %s", out, err, encoded)
	}
	session, err := run[api.GetSessionTokenOutput](f, bob(), "GetSessionToken", &api.GetSessionTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	flipped := encoded[:9] + "A" + encoded[10:]
	if flipped == encoded {
		flipped = encoded[:9] + "B" + encoded[10:]
	}
	for name, text := range map[string]string{
		"nothing of ours":   "abc",
		"line breaks":       encoded + "\n",
		"changed":           flipped,
		"cut":               encoded[:len(encoded)-2],
		"another account's": f.EncodeAuthorizationMessage(foreign, []byte(message)),
		// What is sealed for another use is not opened: a token holds a secret.
		"a session token": *session.Credentials.SessionToken,
	} {
		_, err := decode(text)
		if fails(t, err, "InvalidAuthorizationMessageException", "Message is not valid"); t.Failed() {
			t.Fatal(name)
		}
	}
	if _, _, err := f.ResolveAccessKey(t.Context(), "AKIA", encoded); err == nil {
		t.Error("a message is taken for a session token")
	}
	if long := f.EncodeAuthorizationMessage(account, make([]byte, maxMessage)); long != "" {
		t.Errorf("%d bytes that cannot be decoded", len(long))
	}
	_, err = run[api.DecodeAuthorizationMessageOutput](f, bob(), "DecodeAuthorizationMessage", &api.DecodeAuthorizationMessageInput{EncodedMessage: &encoded})
	fails(t, err, "AccessDenied", "User: "+bob().ARN+" is not authorized to perform: sts:DecodeAuthorizationMessage on resource: * because no identity-based policy allows the sts:DecodeAuthorizationMessage action")
}
