package iam

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base32"
	"encoding/pem"
	"iter"
	"time"

	api "brume/internal/api/iam"
)

// maxSigningCertificates is how many X.509 signing certificates a user, or the root of an account, may have.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const maxSigningCertificates = 2

// A signingRow is the row of an X.509 signing certificate.
type signingRow struct {
	ID       string
	Body     string
	Status   string
	Uploaded time.Time
}

// parseCertificates reads certificates in PEM form, one after the other, and nothing else.
func parseCertificates(text string) ([]*x509.Certificate, bool) {
	var out []*x509.Certificate
	for rest := []byte(text); ; {
		block, next := pem.Decode(rest)
		if block == nil {
			return out, len(out) > 0 && blank(rest)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil {
			return nil, false
		}
		out, rest = append(out, c), next
	}
}

func blank(text []byte) bool {
	for _, c := range text {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return false
		}
	}
	return true
}

func (row *signingRow) out(userName string) *api.SigningCertificate {
	return &api.SigningCertificate{
		UserName: &userName, CertificateId: &row.ID, CertificateBody: &row.Body, Status: &row.Status, UploadDate: &row.Uploaded,
	}
}

// signingCertificates lists the signing certificates of an owner, by id.
func (r reader) signingCertificates(owner, afterID string) iter.Seq2[item[*signingRow], error] {
	return rows(r, after(signingScope(owner), afterID), func(row *signingRow) string { return row.ID })
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UploadSigningCertificate.html
func (s *Service) UploadSigningCertificate(ctx context.Context, in *api.UploadSigningCertificateInput) (*api.UploadSigningCertificateOutput, error) {
	name, err := callerName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	if parsed, ok := parseCertificates(*in.CertificateBody); !ok || len(parsed) != 1 {
		return nil, &api.MalformedCertificateException{Message: new("Unable to parse certificate. Please ensure the certificate is in PEM format.")}
	}
	out := &api.UploadSigningCertificateOutput{}
	err = s.update(ctx, func(t txn) error {
		owner, userName, err := t.owner(name)
		if err != nil {
			return err
		}
		n := 0
		for c, err := range t.signingCertificates(owner, "") {
			if err != nil {
				return err
			}
			if c.value.Body == *in.CertificateBody {
				return &api.DuplicateCertificateException{Message: new("The certificate already exists.")}
			}
			n++
		}
		if n >= maxSigningCertificates {
			return quota("SigningCertificatesPerUser", maxSigningCertificates)
		}
		var id [20]byte
		rand.Read(id[:])
		row := &signingRow{
			ID: base32.StdEncoding.EncodeToString(id[:]), Body: *in.CertificateBody, Status: statusActive,
			Uploaded: t.tx.Now().UTC().Truncate(time.Second),
		}
		out.Certificate = row.out(userName)
		return t.setJSON(signingKey(owner, row.ID), row)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListSigningCertificates.html
func (s *Service) ListSigningCertificates(ctx context.Context, in *api.ListSigningCertificatesInput) (*api.ListSigningCertificatesOutput, error) {
	name, err := callerName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListSigningCertificatesOutput{}
	err = s.view(ctx, func(r reader) error {
		owner, userName, err := r.owner(name)
		if err != nil {
			return err
		}
		list, truncated, marker, err := take(p, r.signingCertificates(owner, p.after))
		out.Certificates, out.IsTruncated, out.Marker = make([]api.SigningCertificate, len(list)), truncated, marker
		for i, row := range list {
			out.Certificates[i] = *row.out(userName)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// changeSigning changes a signing certificate of who an operation means.
func (s *Service) changeSigning(ctx context.Context, userName *string, id string, change func(t txn, key []byte, row *signingRow) error) error {
	name, err := callerName(ctx, userName)
	if err != nil {
		return err
	}
	return s.update(ctx, func(t txn) error {
		owner, _, err := t.owner(name)
		if err != nil {
			return err
		}
		var row signingRow
		key := signingKey(owner, id)
		ok, err := t.getJSON(key, &row)
		if err == nil && !ok {
			err = noSuchEntity("The Certificate with id %s cannot be found.", id)
		}
		if err != nil {
			return err
		}
		return change(t, key, &row)
	})
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateSigningCertificate.html
func (s *Service) UpdateSigningCertificate(ctx context.Context, in *api.UpdateSigningCertificateInput) (*api.UpdateSigningCertificateOutput, error) {
	err := s.changeSigning(ctx, in.UserName, *in.CertificateId, func(t txn, key []byte, row *signingRow) error {
		row.Status = *in.Status
		return t.setJSON(key, row)
	})
	return &api.UpdateSigningCertificateOutput{}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteSigningCertificate.html
func (s *Service) DeleteSigningCertificate(ctx context.Context, in *api.DeleteSigningCertificateInput) (*api.DeleteSigningCertificateOutput, error) {
	err := s.changeSigning(ctx, in.UserName, *in.CertificateId, func(t txn, key []byte, _ *signingRow) error {
		return t.tx.Delete(key)
	})
	return &api.DeleteSigningCertificateOutput{}, err
}
