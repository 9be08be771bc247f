package iam

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"iter"
	"net/url"
	"strings"
	"time"

	"rsc.io/qr"

	api "brume/internal/api/iam"
	"brume/internal/call"
	"brume/internal/kv"
	"brume/internal/service/iam/totp"
)

const (
	// maxDevices is how many MFA devices a user may have.
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
	maxDevices = 8
	// seedSize is the size of a seed in bytes: 64 characters of base32.
	seedSize = 40

	// How many steps a device's clock may be off: when a code is checked, when the device is enabled, and when it is
	// brought back in step.
	checkWindow  = 1
	enableWindow = 20
	resyncWindow = 120
)

// An mfaRow is the row of a virtual MFA device.
type mfaRow struct {
	// Name is the path and the name, "/path/name".
	Name    string
	Created time.Time
	// Seed is sealed for the device's serial number.
	Seed []byte
	Tags []tag `json:",omitempty"`

	// Of a device that is enabled: the user by ID, or the account for its root.
	Owner   string    `json:",omitempty"`
	Enabled time.Time `json:",omitzero"`
	// Drift is by how many steps the device's clock is ahead. Used is the step of the last code that was accepted: no
	// code counts twice.
	Drift, Used int64 `json:",omitempty"`
}

func (d *mfaRow) serial(account string) string { return arn(account, "mfa"+d.Name) }

// findDevice returns nil if there is no such device.
func (r reader) findDevice(serial string) (*mfaRow, error) {
	account, resource, ok := cutARN(serial)
	name, isDevice := strings.CutPrefix(resource, "mfa/")
	if !ok || !isDevice || account != r.account {
		return nil, nil
	}
	var d mfaRow
	ok, err := r.getJSON(deviceKey(account, "/"+name), &d)
	if err != nil || !ok {
		return nil, err
	}
	return &d, nil
}

// device returns a virtual MFA device, or NoSuchEntity.
func (r reader) device(serial string) (*mfaRow, error) {
	d, err := r.findDevice(serial)
	if err == nil && d == nil {
		err = noSuchEntity("VirtualMFADevice with serial number %s doesn't exist.", serial)
	}
	return d, err
}

// userDevice returns a device that a user has, or NoSuchEntity.
func (r reader) userDevice(u *identity, serial string) (*mfaRow, error) {
	d, err := r.findDevice(serial)
	if err == nil && (d == nil || d.Owner != u.ID) {
		err = noSuchEntity("Device with serial number %s is not associated with user %s.", serial, u.Name)
	}
	return d, err
}

func (t txn) putDevice(d *mfaRow) error { return t.setJSON(deviceKey(t.account, d.Name), d) }

func (s *Service) seed(account string, d *mfaRow) ([]byte, error) {
	return s.sealer.Open(d.Seed, []byte(d.serial(account)))
}

func invalidCode() error {
	return &api.InvalidAuthenticationCodeException{Message: new("Authentication code for device is not valid")}
}

// CreateVirtualMFADevice shows the seed: no other operation does.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateVirtualMFADevice.html
func (s *Service) CreateVirtualMFADevice(ctx context.Context, in *api.CreateVirtualMFADeviceInput) (*api.CreateVirtualMFADeviceOutput, error) {
	tags, err := newTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	seed := make([]byte, seedSize)
	rand.Read(seed)
	text := base32.StdEncoding.EncodeToString(seed)
	path := "/"
	if in.Path != nil {
		path = *in.Path
	}
	account := call.From(ctx).Account
	code, err := qr.Encode("otpauth://totp/"+url.PathEscape(*in.VirtualMFADeviceName+"@"+account)+"?secret="+text, qr.M)
	if err != nil {
		return nil, err
	}
	out := &api.CreateVirtualMFADeviceOutput{}
	err = s.update(ctx, func(t txn) error {
		d := &mfaRow{Name: path + *in.VirtualMFADeviceName, Created: t.tx.Now().UTC().Truncate(time.Second), Tags: tags}
		taken, err := t.has(deviceKey(t.account, d.Name))
		if err != nil {
			return err
		}
		if taken {
			return alreadyExists("MFADevice entity at the same path and name already exists.")
		}
		if err := t.add(devicesQuota()); err != nil {
			return err
		}
		serial := d.serial(t.account)
		d.Seed = s.sealer.Seal(seed, []byte(serial))
		out.VirtualMFADevice = &api.VirtualMFADevice{
			SerialNumber: &serial, Base32StringSeed: []byte(text), QRCodePNG: code.PNG(), Tags: outTags(d.Tags),
		}
		return t.putDevice(d)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_EnableMFADevice.html
func (s *Service) EnableMFADevice(ctx context.Context, in *api.EnableMFADeviceInput) (*api.EnableMFADeviceOutput, error) {
	err := s.update(ctx, func(t txn) error {
		u, err := t.identity(kindUser, *in.UserName)
		if err != nil {
			return err
		}
		d, err := t.device(*in.SerialNumber)
		if err != nil {
			return err
		}
		if d.Owner != "" {
			return alreadyExists("MFA Device is already in use.")
		}
		n, err := t.count(deviceOfScope(u.ID), maxDevices)
		if err != nil {
			return err
		}
		if n == maxDevices {
			return quota("MFADevicesPerUser", maxDevices)
		}
		d.Owner, d.Enabled = u.ID, t.tx.Now().UTC().Truncate(time.Second)
		if err := s.synchronise(t, d, enableWindow, *in.AuthenticationCode1, *in.AuthenticationCode2); err != nil {
			return err
		}
		return t.tx.Set(deviceOfKey(u.ID, d.Name), nil)
	})
	if err != nil {
		return nil, err
	}
	return &api.EnableMFADeviceOutput{}, nil
}

// synchronise finds out by two codes, one after the other, how far off a device's clock is.
func (s *Service) synchronise(t txn, d *mfaRow, window int, code1, code2 string) error {
	seed, err := s.seed(t.account, d)
	if err != nil {
		return err
	}
	now := totp.Counter(t.tx.Now())
	counter, ok := totp.Find(seed, now, window, code1, code2)
	if !ok || counter <= d.Used {
		return invalidCode()
	}
	d.Drift, d.Used = counter+1-now, counter+1
	return t.putDevice(d)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ResyncMFADevice.html
func (s *Service) ResyncMFADevice(ctx context.Context, in *api.ResyncMFADeviceInput) (*api.ResyncMFADeviceOutput, error) {
	err := s.update(ctx, func(t txn) error {
		u, err := t.identity(kindUser, *in.UserName)
		if err != nil {
			return err
		}
		d, err := t.userDevice(u, *in.SerialNumber)
		if err != nil {
			return err
		}
		if !s.codeTries.attempt(*in.SerialNumber, time.Now()) {
			return tooManyTries()
		}
		return s.synchronise(t, d, resyncWindow, *in.AuthenticationCode1, *in.AuthenticationCode2)
	})
	if err != nil {
		return nil, err
	}
	s.codeTries.succeeded(*in.SerialNumber)
	return &api.ResyncMFADeviceOutput{}, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeactivateMFADevice.html
func (s *Service) DeactivateMFADevice(ctx context.Context, in *api.DeactivateMFADeviceInput) (*api.DeactivateMFADeviceOutput, error) {
	err := s.update(ctx, func(t txn) error {
		u, err := profileUser(ctx, t.reader, in.UserName)
		if err != nil {
			return err
		}
		d, err := t.userDevice(u, *in.SerialNumber)
		if err != nil {
			return err
		}
		d.Owner, d.Enabled, d.Drift = "", time.Time{}, 0
		if err := t.tx.Delete(deviceOfKey(u.ID, d.Name)); err != nil {
			return err
		}
		return t.putDevice(d)
	})
	if err != nil {
		return nil, err
	}
	return &api.DeactivateMFADeviceOutput{}, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteVirtualMFADevice.html
func (s *Service) DeleteVirtualMFADevice(ctx context.Context, in *api.DeleteVirtualMFADeviceInput) (*api.DeleteVirtualMFADeviceOutput, error) {
	err := s.update(ctx, func(t txn) error {
		d, err := t.device(*in.SerialNumber)
		if err != nil {
			return err
		}
		if d.Owner != "" {
			return deleteConflict("MFA VirtualDevice is in use. Must deactivate first.")
		}
		if err := t.drop(devicesQuota()); err != nil {
			return err
		}
		return t.tx.Delete(deviceKey(t.account, d.Name))
	})
	if err != nil {
		return nil, err
	}
	return &api.DeleteVirtualMFADeviceOutput{}, nil
}

// devicesOf lists the enabled devices of a user, by name.
func (r reader) devicesOf(owner, afterName string) iter.Seq2[item[*mfaRow], error] {
	return func(yield func(item[*mfaRow], error) bool) {
		for pair, err := range r.Scan(after(deviceOfScope(owner), afterName)) {
			var (
				name string
				d    mfaRow
			)
			if err == nil {
				_, name, err = parseDeviceOfKey(pair.Key)
			}
			if err == nil {
				_, err = r.getJSON(deviceKey(r.account, name), &d)
			}
			if !yield(item[*mfaRow]{name, &d}, err) || err != nil {
				return
			}
		}
	}
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListMFADevices.html
func (s *Service) ListMFADevices(ctx context.Context, in *api.ListMFADevicesInput) (*api.ListMFADevicesOutput, error) {
	name, err := callerName(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListMFADevicesOutput{}
	err = s.view(ctx, func(r reader) error {
		owner, userName, err := r.owner(name)
		if err != nil {
			return err
		}
		devices, truncated, marker, err := take(p, r.devicesOf(owner, p.after))
		out.MFADevices, out.IsTruncated, out.Marker = make([]api.MFADevice, len(devices)), truncated, marker
		for i, d := range devices {
			out.MFADevices[i] = api.MFADevice{UserName: &userName, SerialNumber: new(d.serial(r.account)), EnableDate: &d.Enabled}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListVirtualMFADevices.html
func (s *Service) ListVirtualMFADevices(ctx context.Context, in *api.ListVirtualMFADevicesInput) (*api.ListVirtualMFADevicesOutput, error) {
	p, err := newPage(in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &api.ListVirtualMFADevicesOutput{}
	err = s.view(ctx, func(r reader) error {
		out.VirtualMFADevices, out.IsTruncated, out.Marker, err = take(p, r.devices(p.after, in.AssignmentStatus))
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// devices lists the devices of the account that are assigned, unassigned, or any, by name.
func (r reader) devices(afterName string, status *string) iter.Seq2[item[api.VirtualMFADevice], error] {
	return func(yield func(item[api.VirtualMFADevice], error) bool) {
		for pair, err := range r.Scan(after(deviceScope(r.account), afterName)) {
			var d mfaRow
			if err == nil {
				_, err = r.getJSON(pair.Key, &d)
			}
			if err == nil && status != nil && (*status == "Assigned" && d.Owner == "" || *status == "Unassigned" && d.Owner != "") {
				continue
			}
			out := api.VirtualMFADevice{SerialNumber: new(d.serial(r.account))}
			if err == nil && d.Owner != "" {
				out.EnableDate = &d.Enabled
				var u *identity
				if _, u, err = identityByID(r, d.Owner); u != nil {
					out.User = u.user(r.account)
				}
			}
			if !yield(item[api.VirtualMFADevice]{d.Name, out}, err) || err != nil {
				return
			}
		}
	}
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetMFADevice.html
func (s *Service) GetMFADevice(ctx context.Context, in *api.GetMFADeviceInput) (*api.GetMFADeviceOutput, error) {
	out := &api.GetMFADeviceOutput{}
	err := s.view(ctx, func(r reader) error {
		u, err := profileUser(ctx, r, in.UserName)
		if err != nil {
			return err
		}
		d, err := r.userDevice(u, *in.SerialNumber)
		if err != nil {
			return err
		}
		out.UserName, out.SerialNumber, out.EnableDate = &u.Name, in.SerialNumber, &d.Enabled
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Service) retagDevice(ctx context.Context, serial string, add []api.Tag, remove []string) error {
	return s.update(ctx, func(t txn) error {
		d, err := t.device(serial)
		if err != nil {
			return err
		}
		if d.Tags, err = newTags(withoutTags(d.Tags, remove), add); err != nil {
			return err
		}
		return t.putDevice(d)
	})
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_TagMFADevice.html
func (s *Service) TagMFADevice(ctx context.Context, in *api.TagMFADeviceInput) (*api.TagMFADeviceOutput, error) {
	return &api.TagMFADeviceOutput{}, s.retagDevice(ctx, *in.SerialNumber, in.Tags, nil)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_UntagMFADevice.html
func (s *Service) UntagMFADevice(ctx context.Context, in *api.UntagMFADeviceInput) (*api.UntagMFADeviceOutput, error) {
	return &api.UntagMFADeviceOutput{}, s.retagDevice(ctx, *in.SerialNumber, nil, in.TagKeys)
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListMFADeviceTags.html
func (s *Service) ListMFADeviceTags(ctx context.Context, in *api.ListMFADeviceTagsInput) (*api.ListMFADeviceTagsOutput, error) {
	tags, truncated, marker, err := s.listTags(ctx, in.Marker, in.MaxItems, func(r reader) ([]tag, error) {
		d, err := r.device(*in.SerialNumber)
		if err != nil {
			return nil, err
		}
		return d.Tags, nil
	})
	return &api.ListMFADeviceTagsOutput{Tags: tags, IsTruncated: truncated, Marker: marker}, err
}

// CheckMFA says whether p, a user or a root, has the device, and whether code is what it shows now. With use, the code
// counts this once and never again. After some wrong codes none is accepted for a while.
func (s *Service) CheckMFA(ctx context.Context, p *call.Principal, serial, code string, use bool) (known, valid bool, err error) {
	check := func(kvr kv.Reader) (d *mfaRow, err error) {
		known, valid = false, false
		r := reader{kvr, p.Account}
		d, err = r.findDevice(serial)
		if err != nil || d == nil || d.Owner == "" || d.Owner != p.ID {
			return nil, err
		}
		known = true
		seed, err := s.seed(p.Account, d)
		if err != nil || !s.codeTries.attempt(serial, time.Now()) {
			return nil, err
		}
		at := totp.Counter(kvr.Now())
		counter, ok := totp.Find(seed, at+d.Drift, checkWindow, code)
		if valid = ok && counter > d.Used; valid {
			d.Used, d.Drift = counter, counter-at
		}
		return d, nil
	}
	if use {
		err = s.store.Update(ctx, func(tx kv.Tx) error {
			d, err := check(tx)
			if err != nil || !valid {
				return err
			}
			return txn{reader{tx, p.Account}, tx}.putDevice(d)
		})
	} else {
		err = s.store.View(ctx, func(r kv.Reader) error {
			_, err := check(r)
			return err
		})
	}
	if err != nil {
		return false, false, err
	}
	if valid {
		s.codeTries.succeeded(serial)
	}
	return known, valid, nil
}
