package iam

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"iter"
	"time"

	api "brume/internal/api/iam"
	"brume/internal/awserr"
)

// maxServiceCredentials is how many credentials a user may have for one service.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateServiceSpecificCredential.html
const maxServiceCredentials = 2

// A credentialRow is the row of a service-specific credential. No service of Brume asks for one.
type credentialRow struct {
	ID       string
	Service  string
	UserName string // of the credential
	Hash     passwordHash
	Status   string
	Created  time.Time
}

func checkCredentialService(name string) error {
	switch name {
	case "codecommit.amazonaws.com", "cassandra.amazonaws.com":
		return nil
	}
	return &api.ServiceNotSupportedException{Message: new(fmt.Sprintf("The service %s does not support service-specific credentials.", name))}
}

// newServicePassword returns a password and what is kept of it.
func (s *Service) newServicePassword(ctx context.Context) (string, passwordHash, error) {
	var b [32]byte
	rand.Read(b[:])
	password := base64.StdEncoding.EncodeToString(b[:])
	hash, err := s.hasher.hash(ctx, password)
	return password, hash, err
}

func (row *credentialRow) out(u *identity, password string) *api.ServiceSpecificCredential {
	return &api.ServiceSpecificCredential{
		CreateDate: &row.Created, ServiceName: &row.Service, ServiceUserName: &row.UserName, ServicePassword: &password,
		ServiceSpecificCredentialId: &row.ID, UserName: &u.Name, Status: &row.Status,
	}
}

// credentials lists the service-specific credentials of a user, by id.
func (r reader) credentials(user string) iter.Seq2[item[*credentialRow], error] {
	return rows(r, after(credentialScope(user), ""), func(row *credentialRow) string { return row.ID })
}

// CreateServiceSpecificCredential shows the password: but for ResetServiceSpecificCredential, no other operation does.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateServiceSpecificCredential.html
func (s *Service) CreateServiceSpecificCredential(ctx context.Context, in *api.CreateServiceSpecificCredentialInput) (*api.CreateServiceSpecificCredentialOutput, error) {
	if err := checkCredentialService(*in.ServiceName); err != nil {
		return nil, err
	}
	if in.CredentialAgeDays != nil {
		return nil, awserr.NotImplemented("CreateServiceSpecificCredential with CredentialAgeDays")
	}
	password, hash, err := s.newServicePassword(ctx)
	if err != nil {
		return nil, err
	}
	out := &api.CreateServiceSpecificCredentialOutput{}
	err = s.update(ctx, func(t txn) error {
		u, err := t.identity(kindUser, *in.UserName)
		if err != nil {
			return err
		}
		row := &credentialRow{
			ID: newID(prefixCredential), Service: *in.ServiceName, Hash: hash, Status: statusActive,
			UserName: u.Name + "-at-" + t.account, Created: t.tx.Now().UTC().Truncate(time.Second),
		}
		n := 0
		for c, err := range t.credentials(u.ID) {
			if err != nil {
				return err
			}
			if c.value.Service != row.Service {
				continue
			}
			n++
			if c.value.UserName == row.UserName {
				row.UserName = u.Name + "+1-at-" + t.account
			}
		}
		if n >= maxServiceCredentials {
			return quota("ServiceSpecificCredentialsPerUser", maxServiceCredentials)
		}
		out.ServiceSpecificCredential = row.out(u, password)
		return t.setJSON(credentialKey(u.ID, row.ID), row)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListServiceSpecificCredentials.html
func (s *Service) ListServiceSpecificCredentials(ctx context.Context, in *api.ListServiceSpecificCredentialsInput) (*api.ListServiceSpecificCredentialsOutput, error) {
	if in.ServiceName != nil {
		if err := checkCredentialService(*in.ServiceName); err != nil {
			return nil, err
		}
	}
	out := &api.ListServiceSpecificCredentialsOutput{}
	err := s.view(ctx, func(r reader) error {
		u, err := profileUser(ctx, r, in.UserName)
		if err != nil {
			return err
		}
		out.ServiceSpecificCredentials = []api.ServiceSpecificCredentialMetadata{}
		for c, err := range r.credentials(u.ID) {
			if err != nil {
				return err
			}
			row := c.value
			if in.ServiceName == nil || row.Service == *in.ServiceName {
				out.ServiceSpecificCredentials = append(out.ServiceSpecificCredentials, api.ServiceSpecificCredentialMetadata{
					UserName: &u.Name, Status: &row.Status, ServiceUserName: &row.UserName, CreateDate: &row.Created,
					ServiceSpecificCredentialId: &row.ID, ServiceName: &row.Service,
				})
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// changeCredential changes a service-specific credential of the user that an operation means.
func (s *Service) changeCredential(ctx context.Context, userName *string, id string, change func(t txn, u *identity, row *credentialRow) error) error {
	return s.update(ctx, func(t txn) error {
		u, err := profileUser(ctx, t.reader, userName)
		if err != nil {
			return err
		}
		var row credentialRow
		ok, err := t.getJSON(credentialKey(u.ID, id), &row)
		if err == nil && !ok {
			err = noSuchEntity("No such credential %s exists", id)
		}
		if err != nil {
			return err
		}
		return change(t, u, &row)
	})
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateServiceSpecificCredential.html
func (s *Service) UpdateServiceSpecificCredential(ctx context.Context, in *api.UpdateServiceSpecificCredentialInput) (*api.UpdateServiceSpecificCredentialOutput, error) {
	err := s.changeCredential(ctx, in.UserName, *in.ServiceSpecificCredentialId, func(t txn, u *identity, row *credentialRow) error {
		row.Status = *in.Status
		return t.setJSON(credentialKey(u.ID, row.ID), row)
	})
	return &api.UpdateServiceSpecificCredentialOutput{}, err
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ResetServiceSpecificCredential.html
func (s *Service) ResetServiceSpecificCredential(ctx context.Context, in *api.ResetServiceSpecificCredentialInput) (*api.ResetServiceSpecificCredentialOutput, error) {
	password, hash, err := s.newServicePassword(ctx)
	if err != nil {
		return nil, err
	}
	out := &api.ResetServiceSpecificCredentialOutput{}
	err = s.changeCredential(ctx, in.UserName, *in.ServiceSpecificCredentialId, func(t txn, u *identity, row *credentialRow) error {
		row.Hash = hash
		out.ServiceSpecificCredential = row.out(u, password)
		return t.setJSON(credentialKey(u.ID, row.ID), row)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteServiceSpecificCredential.html
func (s *Service) DeleteServiceSpecificCredential(ctx context.Context, in *api.DeleteServiceSpecificCredentialInput) (*api.DeleteServiceSpecificCredentialOutput, error) {
	err := s.changeCredential(ctx, in.UserName, *in.ServiceSpecificCredentialId, func(t txn, u *identity, row *credentialRow) error {
		return t.tx.Delete(credentialKey(u.ID, row.ID))
	})
	return &api.DeleteServiceSpecificCredentialOutput{}, err
}
