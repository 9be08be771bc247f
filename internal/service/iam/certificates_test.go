package iam

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	api "brume/internal/api/iam"
)

// A testCertificate is a certificate and its key, both in PEM form.
type testCertificate struct {
	body, key string
	parsed    *x509.Certificate
	private   *ecdsa.PrivateKey
}

func newCertificate(t testing.TB) testCertificate { return issued(t, nil) }

// issued makes a certificate that another one signed, or that signed itself.
func issued(t testing.TB, by *testCertificate) testCertificate {
	t.Helper()
	private := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	parent, signer := template, private
	if by != nil {
		parent, signer = by.parsed, by.private
	}
	der := must(x509.CreateCertificate(rand.Reader, template, parent, &private.PublicKey, signer))(t)
	return testCertificate{
		body:   string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		key:    string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(private))(t)})),
		parsed: must(x509.ParseCertificate(der))(t), private: private,
	}
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_server-certs.html
func TestServerCertificates(t *testing.T) {
	f := newFixture(t)
	ca := newCertificate(t)
	leaf, other := issued(t, &ca), newCertificate(t)
	upload := func(name, body, key string, chain *string) error {
		return f.do(root(), &api.UploadServerCertificateInput{ServerCertificateName: &name, Path: new("/web/"), CertificateBody: &body, PrivateKey: &key, CertificateChain: chain, Tags: []api.Tag{{Key: new("a"), Value: new("b")}}})
	}
	fails(t, upload("c", "no certificate", leaf.key, nil), "MalformedCertificate", "Unable to parse certificate. Please ensure the certificate is in PEM format.")
	fails(t, upload("c", leaf.body+ca.body, leaf.key, nil), "MalformedCertificate", "")
	fails(t, upload("c", leaf.body, "no key", nil), "MalformedCertificate", "Unable to parse key; the body must be PEM encoded.")
	fails(t, upload("c", leaf.body, other.key, nil), "KeyPairMismatch", "")
	fails(t, upload("c", leaf.body, leaf.key, &other.body), "MalformedCertificate", "Unable to validate certificate chain. The certificate chain must start with the immediate signing certificate, followed by any intermediaries in order. The index within the chain of the invalid certificate is: 0")
	ok(t, upload("c", leaf.body, leaf.key, &ca.body))
	fails(t, upload("C", leaf.body, leaf.key, nil), "EntityAlreadyExists", "The Server Certificate with name C already exists.")

	got := must(run[api.GetServerCertificateOutput](f, root(), &api.GetServerCertificateInput{ServerCertificateName: new("c")}))(t).ServerCertificate
	m := got.ServerCertificateMetadata
	if *m.Arn != arn(account, "server-certificate/web/c") || !strings.HasPrefix(*m.ServerCertificateId, "ASCA") || !m.Expiration.Equal(leaf.parsed.NotAfter) ||
		*got.CertificateBody != leaf.body || *got.CertificateChain != ca.body || len(got.Tags) != 1 {
		t.Errorf("%+v", got)
	}
	ok(t, f.do(root(), &api.UpdateServerCertificateInput{ServerCertificateName: new("c"), NewServerCertificateName: new("d"), NewPath: new("/")}))
	fails(t, f.do(root(), &api.GetServerCertificateInput{ServerCertificateName: new("c")}), "NoSuchEntity", "The Server Certificate with name c cannot be found.")
	ok(t, f.do(root(), &api.TagServerCertificateInput{ServerCertificateName: new("d"), Tags: []api.Tag{{Key: new("x"), Value: new("y")}}}))
	ok(t, f.do(root(), &api.UntagServerCertificateInput{ServerCertificateName: new("d"), TagKeys: []string{"a"}}))
	tags := must(run[api.ListServerCertificateTagsOutput](f, root(), &api.ListServerCertificateTagsInput{ServerCertificateName: new("d")}))(t).Tags
	if len(tags) != 1 || *tags[0].Key != "x" {
		t.Errorf("%+v", tags)
	}
	for prefix, want := range map[string]int{"/": 1, "/web/": 0} {
		list := must(run[api.ListServerCertificatesOutput](f, root(), &api.ListServerCertificatesInput{PathPrefix: &prefix}))(t)
		if len(list.ServerCertificateMetadataList) != want {
			t.Errorf("%s: %+v", prefix, list)
		}
	}
	// The key comes back for who serves with it, and its text is not in the store.
	pair := must(f.ServerCertificate(context.Background(), arn(account, "server-certificate/d")))(t)
	if pair == nil || len(pair.Certificate) != 2 || !leaf.private.Equal(pair.PrivateKey) {
		t.Errorf("%+v", pair)
	}
	ok(t, f.view(root(), func(r reader) error {
		data, _, err := r.Get(certificateKey(account, "d"))
		if strings.Contains(string(data), "PRIVATE KEY") {
			t.Error("the private key is in the store as it is")
		}
		return err
	}))
	ok(t, f.do(root(), &api.DeleteServerCertificateInput{ServerCertificateName: new("d")}))
	fails(t, f.do(root(), &api.DeleteServerCertificateInput{ServerCertificateName: new("d")}), "NoSuchEntity", "")
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_ssh-keys.html
func TestSSHPublicKeys(t *testing.T) {
	f := newFixture(t)
	f.user(t, "bob")
	newKey := func(bits int) string {
		private := must(rsa.GenerateKey(rand.Reader, bits))(t)
		return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(must(ssh.NewPublicKey(&private.PublicKey))(t))))
	}
	upload := func(body string) (*api.UploadSSHPublicKeyOutput, error) {
		return run[api.UploadSSHPublicKeyOutput](f, root(), &api.UploadSSHPublicKeyInput{UserName: new("bob"), SSHPublicKeyBody: &body})
	}
	body := newKey(2048) + " bob@example.com"
	k := must(upload(body))(t).SSHPublicKey
	if !strings.HasPrefix(*k.SSHPublicKeyId, "APKA") || *k.SSHPublicKeyBody != body || *k.Status != "Active" || strings.Count(*k.Fingerprint, ":") != 15 {
		t.Errorf("%+v", k)
	}
	_, err := upload(strings.TrimSuffix(body, " bob@example.com"))
	fails(t, err, "DuplicateSSHPublicKey", "")
	_, err = upload("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPf")
	fails(t, err, "UnrecognizedPublicKeyEncoding", "")
	for _, bad := range []string{"ssh-rsa AAAA", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", newKey(1024)} {
		_, err = upload(bad)
		fails(t, err, "InvalidPublicKey", "")
	}
	get := func(encoding string) string {
		return *must(run[api.GetSSHPublicKeyOutput](f, root(), &api.GetSSHPublicKeyInput{UserName: new("bob"), SSHPublicKeyId: k.SSHPublicKeyId, Encoding: &encoding}))(t).SSHPublicKey.SSHPublicKeyBody
	}
	pemBody := get("PEM")
	if get("SSH") != body || !strings.HasPrefix(pemBody, "-----BEGIN PUBLIC KEY-----\n") {
		t.Errorf("%q", pemBody)
	}
	_, err = upload(pemBody)
	fails(t, err, "DuplicateSSHPublicKey", "")
	ok(t, f.do(root(), &api.UpdateSSHPublicKeyInput{UserName: new("bob"), SSHPublicKeyId: k.SSHPublicKeyId, Status: new("Inactive")}))
	fails(t, f.do(root(), &api.DeleteUserInput{UserName: new("bob")}), "DeleteConflict", "")
	for range maxSSHKeys - 1 {
		must(upload(newKey(2048)))(t)
	}
	_, err = upload(newKey(2048))
	fails(t, err, "LimitExceeded", "Cannot exceed quota for SSHPublicKeysPerUser: 5")
	list := must(run[api.ListSSHPublicKeysOutput](f, root(), &api.ListSSHPublicKeysInput{UserName: new("bob")}))(t).SSHPublicKeys
	inactive := 0
	for _, k := range list {
		if *k.Status == "Inactive" {
			inactive++
		}
		ok(t, f.do(root(), &api.DeleteSSHPublicKeyInput{UserName: new("bob"), SSHPublicKeyId: k.SSHPublicKeyId}))
	}
	if len(list) != maxSSHKeys || inactive != 1 {
		t.Errorf("%+v", list)
	}
	fails(t, f.do(root(), &api.DeleteSSHPublicKeyInput{UserName: new("bob"), SSHPublicKeyId: k.SSHPublicKeyId}), "NoSuchEntity", "The Public Key with id "+*k.SSHPublicKeyId+" cannot be found.")
	must(upload(body))(t) // it is free again
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UploadSigningCertificate.html
func TestSigningCertificates(t *testing.T) {
	f := newFixture(t)
	bob := f.user(t, "bob")
	ok(t, f.do(root(), &api.PutUserPolicyInput{UserName: new("bob"), PolicyName: new("p"), PolicyDocument: new(statement("Allow", "iam:*SigningCert*", arn(account, "user/bob")))}))
	upload := func(ctx context.Context, user *string, body string) (*api.UploadSigningCertificateOutput, error) {
		return run[api.UploadSigningCertificateOutput](f, ctx, &api.UploadSigningCertificateInput{UserName: user, CertificateBody: &body})
	}
	first := newCertificate(t)
	c := must(upload(bob, nil, first.body))(t).Certificate
	if *c.UserName != "bob" || len(*c.CertificateId) != 32 || *c.Status != "Active" {
		t.Errorf("%+v", c)
	}
	_, err := upload(root(), new("bob"), first.body)
	fails(t, err, "DuplicateCertificate", "")
	_, err = upload(root(), new("bob"), "x")
	fails(t, err, "MalformedCertificate", "")
	_, err = upload(bob, new("eve"), first.body)
	fails(t, err, "AccessDenied", "")
	must(upload(root(), new("bob"), newCertificate(t).body))(t)
	_, err = upload(root(), new("bob"), newCertificate(t).body)
	fails(t, err, "LimitExceeded", "Cannot exceed quota for SigningCertificatesPerUser: 2")
	ok(t, f.do(bob, &api.UpdateSigningCertificateInput{CertificateId: c.CertificateId, Status: new("Inactive")}))
	list := must(run[api.ListSigningCertificatesOutput](f, bob, &api.ListSigningCertificatesInput{}))(t).Certificates
	if len(list) != 2 || (*list[0].Status == "Inactive") == (*list[1].Status == "Inactive") {
		t.Errorf("%+v", list)
	}
	ok(t, f.do(bob, &api.DeleteSigningCertificateInput{CertificateId: c.CertificateId}))
	fails(t, f.do(bob, &api.DeleteSigningCertificateInput{CertificateId: c.CertificateId}), "NoSuchEntity", "The Certificate with id "+*c.CertificateId+" cannot be found.")
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateServiceSpecificCredential.html
func TestServiceSpecificCredentials(t *testing.T) {
	f := newFixture(t)
	f.user(t, "bob")
	create := func(service string) (*api.CreateServiceSpecificCredentialOutput, error) {
		return run[api.CreateServiceSpecificCredentialOutput](f, root(), &api.CreateServiceSpecificCredentialInput{UserName: new("bob"), ServiceName: &service})
	}
	c := must(create("codecommit.amazonaws.com"))(t).ServiceSpecificCredential
	if !strings.HasPrefix(*c.ServiceSpecificCredentialId, "ACCA") || *c.ServiceUserName != "bob-at-"+account || len(*c.ServicePassword) < 40 {
		t.Errorf("%+v", c)
	}
	second := must(create("codecommit.amazonaws.com"))(t).ServiceSpecificCredential
	if *second.ServiceUserName == *c.ServiceUserName {
		t.Error("two credentials have one name")
	}
	_, err := create("codecommit.amazonaws.com")
	fails(t, err, "LimitExceeded", "")
	fails(t, f.do(root(), &api.CreateServiceSpecificCredentialInput{UserName: new("bob"), ServiceName: new("codecommit.amazonaws.com"), CredentialAgeDays: new(int32(5))}), "NotImplemented", "")
	_, err = create("lambda.amazonaws.com")
	fails(t, err, "NotSupportedService", "")
	must(create("cassandra.amazonaws.com"))(t)
	again := must(run[api.ResetServiceSpecificCredentialOutput](f, root(), &api.ResetServiceSpecificCredentialInput{UserName: new("bob"), ServiceSpecificCredentialId: c.ServiceSpecificCredentialId}))(t).ServiceSpecificCredential
	if *again.ServicePassword == *c.ServicePassword {
		t.Error("the password was not reset")
	}
	ok(t, f.do(root(), &api.UpdateServiceSpecificCredentialInput{UserName: new("bob"), ServiceSpecificCredentialId: c.ServiceSpecificCredentialId, Status: new("Inactive")}))
	list := must(run[api.ListServiceSpecificCredentialsOutput](f, root(), &api.ListServiceSpecificCredentialsInput{UserName: new("bob"), ServiceName: new("codecommit.amazonaws.com")}))(t).ServiceSpecificCredentials
	if len(list) != 2 {
		t.Errorf("%+v", list)
	}
	ok(t, f.do(root(), &api.DeleteServiceSpecificCredentialInput{UserName: new("bob"), ServiceSpecificCredentialId: c.ServiceSpecificCredentialId}))
	fails(t, f.do(root(), &api.DeleteServiceSpecificCredentialInput{UserName: new("bob"), ServiceSpecificCredentialId: c.ServiceSpecificCredentialId}), "NoSuchEntity", "")
}

// metadata is that of a SAML identity provider.
func metadata(c testCertificate, validUntil string) string {
	if validUntil != "" {
		validUntil = ` validUntil="` + validUntil + `"`
	}
	return fmt.Sprintf(`<?xml version="1.0"?><md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://idp.example.com"%s>
<md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><md:KeyDescriptor use="signing">
<ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>%s</ds:X509Certificate></ds:X509Data></ds:KeyInfo>
</md:KeyDescriptor><md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://idp.example.com/sso"/>
</md:IDPSSODescriptor></md:EntityDescriptor>`+strings.Repeat(" ", 1000), validUntil, base64.StdEncoding.EncodeToString(c.parsed.Raw))
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_providers_create_saml.html
func TestSAMLProviders(t *testing.T) {
	f := newFixture(t)
	c := newCertificate(t)
	create := func(name, document string) (*api.CreateSAMLProviderOutput, error) {
		return run[api.CreateSAMLProviderOutput](f, root(), &api.CreateSAMLProviderInput{Name: &name, SAMLMetadataDocument: &document, Tags: []api.Tag{{Key: new("a"), Value: new("b")}}})
	}
	good := metadata(c, "")
	out := must(create("idp", good))(t)
	if *out.SAMLProviderArn != arn(account, "saml-provider/idp") || len(out.Tags) != 1 {
		t.Errorf("%+v", out)
	}
	_, err := create("idp", good)
	fails(t, err, "EntityAlreadyExists", "")
	for _, bad := range []string{
		strings.Repeat("x", 1000), strings.ReplaceAll(good, "IDPSSODescriptor", "SPSSODescriptor"),
		strings.ReplaceAll(good, "X509Certificate", "X509Other"), strings.ReplaceAll(good, "SAML:2.0:metadata", "SAML:9.0:metadata"),
		metadata(c, "tomorrow"), good[:len(good)-1020] + strings.Repeat(" ", 1000), good + strings.Repeat(" ", maxMetadata),
	} {
		_, err := create("bad", bad)
		fails(t, err, "InvalidInput", "")
	}
	keys := strings.Repeat(good[strings.Index(good, "<md:KeyDescriptor"):strings.Index(good, "<md:SingleSign")], maxSAMLKeys)
	_, err = create("keys", strings.Replace(good, "<md:KeyDescriptor", keys+"<md:KeyDescriptor", 1))
	fails(t, err, "LimitExceeded", "")
	get := func() *api.GetSAMLProviderOutput {
		return must(run[api.GetSAMLProviderOutput](f, root(), &api.GetSAMLProviderInput{SAMLProviderArn: out.SAMLProviderArn}))(t)
	}
	if p := get(); *p.SAMLMetadataDocument != good || p.ValidUntil.Year() != p.CreateDate.Year()+100 {
		t.Errorf("%+v", p)
	}
	ok(t, f.do(root(), &api.UpdateSAMLProviderInput{SAMLProviderArn: out.SAMLProviderArn, SAMLMetadataDocument: new(metadata(c, "2040-01-02T03:04:05Z"))}))
	if p := get(); !p.ValidUntil.Equal(time.Date(2040, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("%+v", p)
	}
	ok(t, f.do(root(), &api.UpdateSAMLProviderInput{SAMLProviderArn: out.SAMLProviderArn}))
	if p := get(); p.ValidUntil.Year() != 2040 {
		t.Errorf("%+v", p)
	}
	fails(t, f.do(root(), &api.UpdateSAMLProviderInput{SAMLProviderArn: out.SAMLProviderArn, AssertionEncryptionMode: new("Allowed")}), "NotImplemented", "")
	fails(t, f.do(root(), &api.CreateSAMLProviderInput{Name: new("enc"), SAMLMetadataDocument: &good, AddPrivateKey: new("key")}), "NotImplemented", "")
	ok(t, f.do(root(), &api.TagSAMLProviderInput{SAMLProviderArn: out.SAMLProviderArn, Tags: []api.Tag{{Key: new("x"), Value: new("y")}}}))
	ok(t, f.do(root(), &api.UntagSAMLProviderInput{SAMLProviderArn: out.SAMLProviderArn, TagKeys: []string{"A"}}))
	if tags := must(run[api.ListSAMLProviderTagsOutput](f, root(), &api.ListSAMLProviderTagsInput{SAMLProviderArn: out.SAMLProviderArn}))(t).Tags; len(tags) != 1 {
		t.Errorf("%+v", tags)
	}
	if list := must(run[api.ListSAMLProvidersOutput](f, root(), &api.ListSAMLProvidersInput{}))(t).SAMLProviderList; len(list) != 1 {
		t.Errorf("%+v", list)
	}
	ok(t, f.do(root(), &api.DeleteSAMLProviderInput{SAMLProviderArn: out.SAMLProviderArn}))
	fails(t, f.do(root(), &api.DeleteSAMLProviderInput{SAMLProviderArn: out.SAMLProviderArn}), "NoSuchEntity", "Manifest not found for arn "+*out.SAMLProviderArn)
	fails(t, f.do(root(), &api.GetSAMLProviderInput{SAMLProviderArn: new(arn(account, "user/bob-who-is-none"))}), "InvalidInput", "")
}

// Metadata of any kind are taken or refused, and never anything else.
func FuzzSAMLMetadata(f *testing.F) {
	f.Add(metadata(newCertificate(f), "2040-01-02T03:04:05Z"))
	f.Add("<!DOCTYPE x [<!ENTITY y 'z'>]><x>&y;</x>")
	f.Fuzz(func(t *testing.T, text string) {
		_, err := parseSAMLMetadata(text)
		var limit *api.LimitExceededException
		if err != nil && !isClientError(err) && !errors.As(err, &limit) {
			t.Error(err)
		}
	})
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateOpenIDConnectProvider.html
func TestOIDCProviders(t *testing.T) {
	f := newFixture(t)
	thumbprint := strings.Repeat("ab", 20)
	create := func(url string, thumbprints, clients []string) (*api.CreateOpenIDConnectProviderOutput, error) {
		return run[api.CreateOpenIDConnectProviderOutput](f, root(), &api.CreateOpenIDConnectProviderInput{Url: &url, ThumbprintList: thumbprints, ClientIDList: clients, Tags: []api.Tag{{Key: new("a"), Value: new("b")}}})
	}
	for _, bad := range []string{"http://example.com", "example.com", "https://", "https://example.com/?a=b", "https://u@example.com", "https://example.com/#x"} {
		_, err := create(bad, nil, nil)
		fails(t, err, "ValidationError", "Invalid Open ID Connect Provider URL")
	}
	_, err := create("https://example.com", []string{thumbprint, thumbprint, thumbprint, thumbprint, thumbprint, thumbprint}, nil)
	fails(t, err, "InvalidInput", "Thumbprint list must contain fewer than 5 entries.")
	_, err = create("https://example.com", []string{strings.Repeat("xy", 20)}, nil)
	fails(t, err, "InvalidInput", "")
	clients := make([]string, maxClientIDs+1)
	for i := range clients {
		clients[i] = fmt.Sprint("client", i)
	}
	_, err = create("https://example.com", nil, clients)
	fails(t, err, "LimitExceeded", "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100")
	out := must(create("https://example.com/id/x", []string{thumbprint}, clients[:maxClientIDs]))(t)
	id := out.OpenIDConnectProviderArn
	if *id != arn(account, "oidc-provider/example.com/id/x") {
		t.Errorf("%+v", out)
	}
	_, err = create("https://example.com/id/x", nil, nil)
	fails(t, err, "EntityAlreadyExists", "Provider with url https://example.com/id/x already exists.")
	fails(t, f.do(root(), &api.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: id, ClientID: new("more")}), "LimitExceeded", "")
	for _, c := range clients[1:maxClientIDs] {
		ok(t, f.do(root(), &api.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderArn: id, ClientID: &c}))
	}
	for range 2 {
		ok(t, f.do(root(), &api.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: id, ClientID: new("more")}))
	}
	ok(t, f.do(root(), &api.UpdateOpenIDConnectProviderThumbprintInput{OpenIDConnectProviderArn: id, ThumbprintList: []string{thumbprint, thumbprint}}))
	got := must(run[api.GetOpenIDConnectProviderOutput](f, root(), &api.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: id}))(t)
	if *got.Url != "example.com/id/x" || fmt.Sprint(got.ClientIDList) != "[client0 more]" || len(got.ThumbprintList) != 2 || len(got.Tags) != 1 {
		t.Errorf("%+v", got)
	}
	if p := must(f.OpenIDProvider(context.Background(), account, "example.com/id/x"))(t); p == nil || p.ARN != *id || len(p.ClientIDs) != 2 || len(p.Thumbprints) != 2 {
		t.Errorf("%+v", p)
	}
	for _, url := range []string{"example.com/id", "https://example.com/id/x"} {
		if p := must(f.OpenIDProvider(context.Background(), account, url))(t); p != nil {
			t.Errorf("%s: %+v", url, p)
		}
	}
	ok(t, f.do(root(), &api.TagOpenIDConnectProviderInput{OpenIDConnectProviderArn: id, Tags: []api.Tag{{Key: new("x"), Value: new("y")}}}))
	ok(t, f.do(root(), &api.UntagOpenIDConnectProviderInput{OpenIDConnectProviderArn: id, TagKeys: []string{"a"}}))
	if tags := must(run[api.ListOpenIDConnectProviderTagsOutput](f, root(), &api.ListOpenIDConnectProviderTagsInput{OpenIDConnectProviderArn: id}))(t).Tags; len(tags) != 1 || *tags[0].Key != "x" {
		t.Errorf("%+v", tags)
	}
	for _, want := range []int{1, 0, 0} {
		list := must(run[api.ListOpenIDConnectProvidersOutput](f, root(), &api.ListOpenIDConnectProvidersInput{}))(t).OpenIDConnectProviderList
		if len(list) != want {
			t.Errorf("%+v, want %d", list, want)
		}
		ok(t, f.do(root(), &api.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: id}))
	}
	fails(t, f.do(root(), &api.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: id}), "NoSuchEntity", "OpenIDConnect Provider not found for arn "+*id)
}
