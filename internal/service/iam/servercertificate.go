package iam

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	api "brume/internal/api/iam"
)

// A certificateRow is the row of a server certificate.
type certificateRow struct {
	Name     string
	Path     string
	ID       string
	Uploaded time.Time
	Expiry   time.Time
	Body     string
	Chain    string `json:",omitempty"`
	// Key is the private key in PEM form, sealed for the certificate's id. It is never shown again.
	Key  []byte
	Tags []tag `json:",omitempty"`
}

func (c *certificateRow) arn(account string) string {
	return arn(account, "server-certificate"+c.Path+c.Name)
}

func (c *certificateRow) metadata(account string) *api.ServerCertificateMetadata {
	return &api.ServerCertificateMetadata{
		Path: &c.Path, ServerCertificateName: &c.Name, ServerCertificateId: &c.ID, Arn: new(c.arn(account)),
		UploadDate: &c.Uploaded, Expiration: &c.Expiry,
	}
}

func (r reader) certificate(name string) (*certificateRow, error) {
	var c certificateRow
	ok, err := r.getJSON(certificateKey(r.account, name), &c)
	if err == nil && !ok {
		err = noSuchEntity("The Server Certificate with name %s cannot be found.", name)
	}
	return &c, err
}

func (t txn) putCertificate(c *certificateRow) error {
	return t.setJSON(certificateKey(t.account, c.Name), c)
}

func malformedCertificate(format string, args ...any) error {
	return &api.MalformedCertificateException{Message: new(fmt.Sprintf(format, args...))}
}

// checkCertificate checks a certificate, its private key and its chain, and returns the certificate.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_server-certs.html
func checkCertificate(body, key string, chain *string) (*x509.Certificate, error) {
	own, ok := parseCertificates(body)
	if !ok || len(own) != 1 {
		return nil, malformedCertificate("Unable to parse certificate. Please ensure the certificate is in PEM format.")
	}
	// X509KeyPair reads every form of private key, and says whether it belongs to the certificate.
	if _, err := tls.X509KeyPair([]byte(body), []byte(key)); err != nil {
		if !readsAsKey(key) {
			return nil, malformedCertificate("Unable to parse key; the body must be PEM encoded.")
		}
		return nil, &api.KeyPairMismatchException{Message: new("Private key does not match certificate.")}
	}
	if chain == nil {
		return own[0], nil
	}
	issuers, ok := parseCertificates(*chain)
	if !ok {
		return nil, malformedCertificate("Unable to parse certificate chain. Please ensure the certificates are in PEM format.")
	}
	signed := own[0]
	for i, issuer := range issuers {
		if issuer.CheckSignature(signed.SignatureAlgorithm, signed.RawTBSCertificate, signed.Signature) != nil {
			return nil, malformedCertificate("Unable to validate certificate chain. The certificate chain must start with the immediate signing certificate, followed by any intermediaries in order. The index within the chain of the invalid certificate is: %d", i)
		}
		signed = issuer
	}
	return own[0], nil
}

// readsAsKey says whether text is an unencrypted private key.
func readsAsKey(text string) bool {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return false
	}
	_, pkcs1 := x509.ParsePKCS1PrivateKey(block.Bytes)
	_, pkcs8 := x509.ParsePKCS8PrivateKey(block.Bytes)
	_, ec := x509.ParseECPrivateKey(block.Bytes)
	return pkcs1 == nil || pkcs8 == nil || ec == nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UploadServerCertificate.html
func (s *Service) UploadServerCertificate(ctx context.Context, in *api.UploadServerCertificateInput) (*api.UploadServerCertificateOutput, error) {
	parsed, err := checkCertificate(*in.CertificateBody, *in.PrivateKey, in.CertificateChain)
	if err != nil {
		return nil, err
	}
	tags, err := newTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	out := &api.UploadServerCertificateOutput{}
	err = s.update(ctx, func(t txn) error {
		c := &certificateRow{
			Name: *in.ServerCertificateName, Path: "/", ID: newID(prefixCertificate), Tags: tags,
			Uploaded: t.tx.Now().UTC().Truncate(time.Second), Expiry: parsed.NotAfter.UTC(),
			Body: *in.CertificateBody, Chain: str(in.CertificateChain),
		}
		if in.Path != nil {
			c.Path = *in.Path
		}
		taken, err := t.has(certificateKey(t.account, c.Name))
		if err != nil {
			return err
		}
		if taken {
			return alreadyExists("The Server Certificate with name %s already exists.", c.Name)
		}
		if err := t.add(certificatesQuota()); err != nil {
			return err
		}
		c.Key = s.sealer.Seal([]byte(*in.PrivateKey), []byte(c.ID))
		out.ServerCertificateMetadata, out.Tags = c.metadata(t.account), outTags(c.Tags)
		return t.putCertificate(c)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ServerCertificate returns the server certificate with this ARN and its private key, for who serves with it; nil if
// there is none.
func (s *Service) ServerCertificate(ctx context.Context, certificateARN string) (certificate *tls.Certificate, err error) {
	account, resource, ok := cutARN(certificateARN)
	if !ok {
		return nil, nil
	}
	err = s.viewAny(ctx, func(r reader) error {
		r.account = account
		var c certificateRow
		ok, err := r.getJSON(certificateKey(account, lastPart(resource)), &c)
		if err != nil || !ok || c.arn(account) != certificateARN {
			return err
		}
		key, err := s.sealer.Open(c.Key, []byte(c.ID))
		if err != nil {
			return err
		}
		pair, err := tls.X509KeyPair([]byte(c.Body+"\n"+c.Chain), key)
		certificate = &pair
		return err
	})
	if err != nil {
		return nil, err
	}
	return certificate, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetServerCertificate.html
func (s *Service) GetServerCertificate(ctx context.Context, in *api.GetServerCertificateInput) (*api.GetServerCertificateOutput, error) {
	out := &api.GetServerCertificateOutput{}
	err := s.view(ctx, func(r reader) error {
		c, err := r.certificate(*in.ServerCertificateName)
		if err != nil {
			return err
		}
		out.ServerCertificate = &api.ServerCertificate{
			ServerCertificateMetadata: c.metadata(r.account), CertificateBody: &c.Body, Tags: outTags(c.Tags),
		}
		if c.Chain != "" {
			out.ServerCertificate.CertificateChain = &c.Chain
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListServerCertificates.html
func (s *Service) ListServerCertificates(ctx context.Context, in *api.ListServerCertificatesInput) (*api.ListServerCertificatesOutput, error) {
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListServerCertificatesOutput{}
	err = s.view(ctx, func(r reader) error {
		all := rows(r, after(certificateScope(r.account), p.after), func(c *certificateRow) string { return fold(c.Name) })
		list, truncated, marker, err := take(p, only(all, func(c *certificateRow) bool { return hasPathPrefix(c.Path, in.PathPrefix) }))
		out.ServerCertificateMetadataList, out.IsTruncated, out.Marker = make([]api.ServerCertificateMetadata, len(list)), truncated, marker
		for i, c := range list {
			out.ServerCertificateMetadataList[i] = *c.metadata(r.account)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateServerCertificate.html
func (s *Service) UpdateServerCertificate(ctx context.Context, in *api.UpdateServerCertificateInput) (*api.UpdateServerCertificateOutput, error) {
	err := s.update(ctx, func(t txn) error {
		c, err := t.certificate(*in.ServerCertificateName)
		if err != nil {
			return err
		}
		if in.NewPath != nil {
			c.Path = *in.NewPath
		}
		if name := in.NewServerCertificateName; name != nil {
			if fold(*name) != fold(c.Name) {
				taken, err := t.has(certificateKey(t.account, *name))
				if err != nil {
					return err
				}
				if taken {
					return alreadyExists("The Server Certificate with name %s already exists.", *name)
				}
				if err := t.tx.Delete(certificateKey(t.account, c.Name)); err != nil {
					return err
				}
			}
			c.Name = *name
		}
		return t.putCertificate(c)
	})
	return &api.UpdateServerCertificateOutput{}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteServerCertificate.html
func (s *Service) DeleteServerCertificate(ctx context.Context, in *api.DeleteServerCertificateInput) (*api.DeleteServerCertificateOutput, error) {
	err := s.update(ctx, func(t txn) error {
		c, err := t.certificate(*in.ServerCertificateName)
		if err != nil {
			return err
		}
		if err := t.drop(certificatesQuota()); err != nil {
			return err
		}
		return t.tx.Delete(certificateKey(t.account, c.Name))
	})
	return &api.DeleteServerCertificateOutput{}, err
}

func (s *Service) retagCertificate(ctx context.Context, name string, add []api.Tag, remove []string) error {
	return s.update(ctx, func(t txn) error {
		c, err := t.certificate(name)
		if err != nil {
			return err
		}
		if c.Tags, err = newTags(withoutTags(c.Tags, remove), add); err != nil {
			return err
		}
		return t.putCertificate(c)
	})
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagServerCertificate.html
func (s *Service) TagServerCertificate(ctx context.Context, in *api.TagServerCertificateInput) (*api.TagServerCertificateOutput, error) {
	return &api.TagServerCertificateOutput{}, s.retagCertificate(ctx, *in.ServerCertificateName, in.Tags, nil)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagServerCertificate.html
func (s *Service) UntagServerCertificate(ctx context.Context, in *api.UntagServerCertificateInput) (*api.UntagServerCertificateOutput, error) {
	return &api.UntagServerCertificateOutput{}, s.retagCertificate(ctx, *in.ServerCertificateName, nil, in.TagKeys)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListServerCertificateTags.html
func (s *Service) ListServerCertificateTags(ctx context.Context, in *api.ListServerCertificateTagsInput) (*api.ListServerCertificateTagsOutput, error) {
	tags, truncated, marker, err := s.listTags(ctx, in.Marker, in.MaxItems, func(r reader) ([]tag, error) {
		c, err := r.certificate(*in.ServerCertificateName)
		if err != nil {
			return nil, err
		}
		return c.Tags, nil
	})
	return &api.ListServerCertificateTagsOutput{Tags: tags, IsTruncated: truncated, Marker: marker}, err
}
