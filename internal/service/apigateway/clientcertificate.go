package apigateway

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"time"

	api "brume/internal/api/apigateway"
	"brume/internal/kv"
)

// certificateLife is how long a client certificate is good.
const certificateLife = 365 * 24 * time.Hour

func getCertificate(r kv.Reader, sc scope, id string) (*api.ClientCertificate, error) {
	row, err := get[api.ClientCertificate](r, certificateKey(sc, id))
	if err == nil && row == nil {
		err = notFound("Invalid client certificate ID")
	}
	return row, err
}

// GenerateClientCertificate makes a certificate with which back ends could know API Gateway. It is recorded: integrations
// do not present it yet, so its private key is thrown away.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/getting-started-client-side-ssl-authentication.html
func (s *Service) GenerateClientCertificate(ctx context.Context, in *api.GenerateClientCertificateInput) (*api.ClientCertificate, error) {
	if err := checkTags(in.Tags); err != nil {
		return nil, err
	}
	sc := scopeOf(ctx)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	var row *api.ClientCertificate
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		created := now(tx)
		expires := created.Add(certificateLife)
		form := &x509.Certificate{
			SerialNumber: serial, Subject: pkix.Name{CommonName: "ApiGateway"}, NotBefore: *created, NotAfter: expires,
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}
		der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
		if err != nil {
			return err
		}
		row = &api.ClientCertificate{
			ClientCertificateId: new(newID(6)), Description: in.Description, CreatedDate: created, ExpirationDate: &expires, Tags: in.Tags,
			PemEncodedCertificate: new(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		}
		return put(tx, certificateKey(sc, *row.ClientCertificateId), row)
	})
	if err != nil {
		return nil, err
	}
	return row, nil
}

func (s *Service) GetClientCertificate(ctx context.Context, in *api.GetClientCertificateInput) (row *api.ClientCertificate, err error) {
	err = s.store.View(ctx, func(r kv.Reader) error {
		row, err = getCertificate(r, scopeOf(ctx), *in.ClientCertificateId)
		return err
	})
	return row, err
}

func (s *Service) GetClientCertificates(ctx context.Context, in *api.GetClientCertificatesInput) (*api.ClientCertificates, error) {
	prefix := inScope(tagCertificate, scopeOf(ctx))
	out := &api.ClientCertificates{}
	err := s.store.View(ctx, func(r kv.Reader) (err error) {
		out.Items, out.Position, err = page[api.ClientCertificate](r, prefix, in.Position, in.Limit, nil)
		return err
	})
	return out, err
}

func (s *Service) UpdateClientCertificate(ctx context.Context, in *api.UpdateClientCertificateInput) (row *api.ClientCertificate, err error) {
	sc := scopeOf(ctx)
	err = s.store.Update(ctx, func(tx kv.Tx) error {
		if row, err = getCertificate(tx, sc, *in.ClientCertificateId); err != nil {
			return err
		}
		if err := applyPatches(in.PatchOperations, []patchRule{{"replace", "/description", setString(&row.Description)}}); err != nil {
			return err
		}
		return put(tx, certificateKey(sc, *row.ClientCertificateId), row)
	})
	if err != nil {
		return nil, err
	}
	return row, nil
}

func (s *Service) DeleteClientCertificate(ctx context.Context, in *api.DeleteClientCertificateInput) (*api.DeleteClientCertificateOutput, error) {
	sc := scopeOf(ctx)
	err := s.store.Update(ctx, func(tx kv.Tx) error {
		row, err := getCertificate(tx, sc, *in.ClientCertificateId)
		if err != nil {
			return err
		}
		for st, err := range rows[api.Stage](tx, kv.Prefix(inScope(tagStage, sc))) {
			if err != nil {
				return err
			}
			if value(st.ClientCertificateId) == *row.ClientCertificateId {
				return conflict("Client certificate %s is in use by the stage %s", *row.ClientCertificateId, *st.StageName)
			}
		}
		return tx.Delete(certificateKey(sc, *row.ClientCertificateId))
	})
	return new(api.DeleteClientCertificateOutput), err
}
