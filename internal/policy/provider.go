package policy

// An OpenIDProvider is an OpenID Connect provider as an account has registered it.
type OpenIDProvider struct {
	ARN string
	// ClientIDs are the audiences that tokens may be for.
	ClientIDs []string
	// Thumbprints are the SHA-1 fingerprints, in hexadecimal, of authorities that may have issued its server's certificate.
	Thumbprints []string
}
