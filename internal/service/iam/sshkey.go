package iam

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"iter"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	api "brume/internal/api/iam"
)

const (
	// maxSSHKeys is how many SSH public keys a user may have.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
	maxSSHKeys = 5
	// minSSHBits is the shortest RSA key that is taken.
	minSSHBits = 2048
)

// An sshKeyRow is the row of an SSH public key of a user.
type sshKeyRow struct {
	ID          string
	Body        string // as ssh-keygen writes it: "ssh-rsa AAAA… comment"
	Fingerprint string
	Status      string
	Uploaded    time.Time
}

// parseSSHKey reads an RSA key in ssh-rsa or PEM form.
func parseSSHKey(body string) (key ssh.PublicKey, text string, err error) {
	invalid := &api.InvalidPublicKeyException{Message: new("The public key is malformed or otherwise invalid.")}
	body = strings.TrimSpace(body)
	var rsaKey *rsa.PublicKey
	if strings.HasPrefix(body, "-----BEGIN ") {
		block, rest := pem.Decode([]byte(body))
		if block == nil || len(rest) > 0 {
			return nil, "", invalid
		}
		var parsed any
		switch block.Type {
		case "PUBLIC KEY":
			parsed, err = x509.ParsePKIXPublicKey(block.Bytes)
		case "RSA PUBLIC KEY":
			parsed, err = x509.ParsePKCS1PublicKey(block.Bytes)
		}
		rsaKey, _ = parsed.(*rsa.PublicKey)
		if err != nil || rsaKey == nil {
			return nil, "", invalid
		}
		if key, err = ssh.NewPublicKey(rsaKey); err != nil {
			return nil, "", invalid
		}
		text = ssh.KeyAlgoRSA + " " + base64.StdEncoding.EncodeToString(key.Marshal())
	} else {
		if !strings.HasPrefix(body, ssh.KeyAlgoRSA+" ") {
			return nil, "", &api.UnrecognizedPublicKeyEncodingException{Message: new("The public key encoding format is unsupported or unrecognized.")}
		}
		if key, _, _, _, err = ssh.ParseAuthorizedKey([]byte(body)); err != nil || strings.ContainsAny(body, "\r\n") {
			return nil, "", invalid
		}
		crypto, _ := key.(ssh.CryptoPublicKey)
		rsaKey, _ = crypto.CryptoPublicKey().(*rsa.PublicKey)
		text = body
	}
	if rsaKey == nil || rsaKey.N.BitLen() < minSSHBits {
		return nil, "", invalid
	}
	return key, text, nil
}

func (r reader) sshKey(u *identity, id string) (*sshKeyRow, error) {
	var row sshKeyRow
	ok, err := r.getJSON(sshKeyKey(u.ID, id), &row)
	if err == nil && !ok {
		err = noSuchEntity("The Public Key with id %s cannot be found.", id)
	}
	return &row, err
}

func (row *sshKeyRow) out(u *identity, body string) *api.SSHPublicKey {
	return &api.SSHPublicKey{
		UserName: &u.Name, SSHPublicKeyId: &row.ID, Fingerprint: &row.Fingerprint, SSHPublicKeyBody: &body,
		Status: &row.Status, UploadDate: &row.Uploaded,
	}
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UploadSSHPublicKey.html
func (s *Service) UploadSSHPublicKey(ctx context.Context, in *api.UploadSSHPublicKeyInput) (*api.UploadSSHPublicKeyOutput, error) {
	key, text, err := parseSSHKey(*in.SSHPublicKeyBody)
	if err != nil {
		return nil, err
	}
	out := &api.UploadSSHPublicKeyOutput{}
	err = s.update(ctx, func(t txn) error {
		u, err := t.identity(kindUser, *in.UserName)
		if err != nil {
			return err
		}
		row := &sshKeyRow{
			ID: newID(prefixPublicKey), Body: text, Fingerprint: ssh.FingerprintLegacyMD5(key), Status: statusActive,
			Uploaded: t.tx.Now().UTC().Truncate(time.Second),
		}
		known, err := t.has(sshKeyOfKey(t.account, row.Fingerprint))
		if err != nil {
			return err
		}
		if known {
			return &api.DuplicateSSHPublicKeyException{Message: new("The SSH public key is already associated with the specified IAM user or another one.")}
		}
		n, err := t.count(sshKeyScope(u.ID), maxSSHKeys)
		if err != nil {
			return err
		}
		if n == maxSSHKeys {
			return quota("SSHPublicKeysPerUser", maxSSHKeys)
		}
		out.SSHPublicKey = row.out(u, text)
		if err := t.tx.Set(sshKeyOfKey(t.account, row.Fingerprint), nil); err != nil {
			return err
		}
		return t.setJSON(sshKeyKey(u.ID, row.ID), row)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetSSHPublicKey.html
func (s *Service) GetSSHPublicKey(ctx context.Context, in *api.GetSSHPublicKeyInput) (*api.GetSSHPublicKeyOutput, error) {
	out := &api.GetSSHPublicKeyOutput{}
	err := s.view(ctx, func(r reader) error {
		u, err := r.identity(kindUser, *in.UserName)
		if err != nil {
			return err
		}
		row, err := r.sshKey(u, *in.SSHPublicKeyId)
		if err != nil {
			return err
		}
		body := row.Body
		if *in.Encoding == "PEM" {
			key, _, err := parseSSHKey(row.Body)
			if err != nil {
				return err
			}
			der, err := x509.MarshalPKIXPublicKey(key.(ssh.CryptoPublicKey).CryptoPublicKey())
			if err != nil {
				return err
			}
			body = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		}
		out.SSHPublicKey = row.out(u, body)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// sshKeys lists the SSH public keys of a user, by id.
func (r reader) sshKeys(user, afterID string) iter.Seq2[item[*sshKeyRow], error] {
	return rows(r, after(sshKeyScope(user), afterID), func(row *sshKeyRow) string { return row.ID })
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListSSHPublicKeys.html
func (s *Service) ListSSHPublicKeys(ctx context.Context, in *api.ListSSHPublicKeysInput) (*api.ListSSHPublicKeysOutput, error) {
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListSSHPublicKeysOutput{}
	err = s.view(ctx, func(r reader) error {
		u, err := profileUser(ctx, r, in.UserName)
		if err != nil {
			return err
		}
		keys, truncated, marker, err := take(p, r.sshKeys(u.ID, p.after))
		out.SSHPublicKeys, out.IsTruncated, out.Marker = make([]api.SSHPublicKeyMetadata, len(keys)), truncated, marker
		for i, k := range keys {
			out.SSHPublicKeys[i] = api.SSHPublicKeyMetadata{UserName: &u.Name, SSHPublicKeyId: &k.ID, Status: &k.Status, UploadDate: &k.Uploaded}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateSSHPublicKey.html
func (s *Service) UpdateSSHPublicKey(ctx context.Context, in *api.UpdateSSHPublicKeyInput) (*api.UpdateSSHPublicKeyOutput, error) {
	err := s.update(ctx, func(t txn) error {
		u, err := t.identity(kindUser, *in.UserName)
		if err != nil {
			return err
		}
		row, err := t.sshKey(u, *in.SSHPublicKeyId)
		if err != nil {
			return err
		}
		row.Status = *in.Status
		return t.setJSON(sshKeyKey(u.ID, row.ID), row)
	})
	return &api.UpdateSSHPublicKeyOutput{}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteSSHPublicKey.html
func (s *Service) DeleteSSHPublicKey(ctx context.Context, in *api.DeleteSSHPublicKeyInput) (*api.DeleteSSHPublicKeyOutput, error) {
	err := s.update(ctx, func(t txn) error {
		u, err := t.identity(kindUser, *in.UserName)
		if err != nil {
			return err
		}
		row, err := t.sshKey(u, *in.SSHPublicKeyId)
		if err != nil {
			return err
		}
		if err := t.tx.Delete(sshKeyOfKey(t.account, row.Fingerprint)); err != nil {
			return err
		}
		return t.tx.Delete(sshKeyKey(u.ID, row.ID))
	})
	return &api.DeleteSSHPublicKeyOutput{}, err
}
