package iam

import (
	"bytes"
	"context"
	"encoding/base32"
	"fmt"
	"image/png"
	"testing"
	"time"

	api "brume/internal/api/iam"
	"brume/internal/call"
	"brume/internal/service/iam/totp"
)

// device makes a virtual MFA device.
func (f *fixture) device(t testing.TB, name string) (serial string, seed []byte) {
	t.Helper()
	d := must(run[api.CreateVirtualMFADeviceOutput](f, root(), &api.CreateVirtualMFADeviceInput{VirtualMFADeviceName: &name}))(t).VirtualMFADevice
	seed, err := base32.StdEncoding.DecodeString(string(d.Base32StringSeed))
	ok(t, err)
	return *d.SerialNumber, seed
}

// codes returns the codes of the step that is some steps from now, and of the next one.
func codes(seed []byte, steps int64) (*string, *string) {
	now := totp.Counter(time.Now()) + steps
	return new(totp.Code(seed, now)), new(totp.Code(seed, now+1))
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_mfa_enable_virtual.html
func TestVirtualMFADevices(t *testing.T) {
	f := newFixture(t)
	bob := f.user(t, "bob")
	d := must(run[api.CreateVirtualMFADeviceOutput](f, root(), &api.CreateVirtualMFADeviceInput{VirtualMFADeviceName: new("phone"), Path: new("/p/"), Tags: []api.Tag{{Key: new("a"), Value: new("b")}}}))(t).VirtualMFADevice
	if *d.SerialNumber != "arn:aws:iam::"+account+":mfa/p/phone" || len(d.Base32StringSeed) != 64 {
		t.Errorf("%+v", d)
	}
	img, err := png.Decode(bytes.NewReader(d.QRCodePNG))
	if err != nil || img.Bounds().Dx() < 50 {
		t.Errorf("QR code: %v", err)
	}
	fails(t, f.do(root(), &api.CreateVirtualMFADeviceInput{VirtualMFADeviceName: new("phone"), Path: new("/p/")}), "EntityAlreadyExists", "MFADevice entity at the same path and name already exists.")
	seed, err := base32.StdEncoding.DecodeString(string(d.Base32StringSeed))
	ok(t, err)

	code1, code2 := codes(seed, 0)
	enable := func(c1, c2 *string) error {
		return f.do(root(), &api.EnableMFADeviceInput{UserName: new("bob"), SerialNumber: d.SerialNumber, AuthenticationCode1: c1, AuthenticationCode2: c2})
	}
	const wrong = "Authentication code for device is not valid"
	fails(t, enable(code2, code1), "InvalidAuthenticationCode", wrong)
	far1, far2 := codes(seed, enableWindow+2)
	fails(t, enable(far1, far2), "InvalidAuthenticationCode", wrong)
	ok(t, enable(code1, code2))
	fails(t, enable(code1, code2), "EntityAlreadyExists", "")
	fails(t, f.do(root(), &api.DeleteVirtualMFADeviceInput{SerialNumber: d.SerialNumber}), "DeleteConflict", "MFA VirtualDevice is in use. Must deactivate first.")
	fails(t, f.do(root(), &api.DeleteUserInput{UserName: new("bob")}), "DeleteConflict", "Cannot delete entity, must delete MFA device first.")

	list := must(run[api.ListMFADevicesOutput](f, root(), &api.ListMFADevicesInput{UserName: new("bob")}))(t)
	if len(list.MFADevices) != 1 || *list.MFADevices[0].SerialNumber != *d.SerialNumber || *list.MFADevices[0].UserName != "bob" {
		t.Errorf("%+v", list)
	}
	ok(t, f.do(root(), &api.GetMFADeviceInput{UserName: new("bob"), SerialNumber: d.SerialNumber}))
	spare, _ := f.device(t, "spare")
	for status, want := range map[string][]string{"Any": {*d.SerialNumber, spare}, "Assigned": {*d.SerialNumber}, "Unassigned": {spare}} {
		out := must(run[api.ListVirtualMFADevicesOutput](f, root(), &api.ListVirtualMFADevicesInput{AssignmentStatus: &status}))(t)
		var got []string
		for _, d := range out.VirtualMFADevices {
			got = append(got, *d.SerialNumber)
			if d.Base32StringSeed != nil || (d.User != nil) != (*d.SerialNumber != spare) {
				t.Errorf("%+v", d)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v", status, got)
		}
	}

	// The code that enabled the device does not count again; that of a later step does, once.
	p := call.From(bob).Principal
	check := func(p *call.Principal, serial string, code *string, use bool) (known, valid bool) {
		t.Helper()
		known, valid, err := f.CheckMFA(context.Background(), p, serial, *code, use)
		ok(t, err)
		return known, valid
	}
	if known, valid := check(&p, *d.SerialNumber, code2, false); !known || valid {
		t.Errorf("a used code: %v %v", known, valid)
	}
	_, code3 := codes(seed, 1)
	for _, use := range []bool{false, false, true} {
		if known, valid := check(&p, *d.SerialNumber, code3, use); !known || !valid {
			t.Errorf("a new code: %v %v", known, valid)
		}
	}
	if _, valid := check(&p, *d.SerialNumber, code3, true); valid {
		t.Error("a code counts twice")
	}
	other := call.From(f.user(t, "eve")).Principal
	if known, _ := check(&other, *d.SerialNumber, code3, false); known {
		t.Error("someone else's device is known")
	}
	if known, _ := check(&p, spare, code3, false); known {
		t.Error("a device that is not enabled is known")
	}

	// A clock far off is found by two codes.
	off1, off2 := codes(seed, 100)
	if _, valid := check(&p, *d.SerialNumber, off1, false); valid {
		t.Error("a code of another hour is good")
	}
	ok(t, f.do(root(), &api.ResyncMFADeviceInput{UserName: new("bob"), SerialNumber: d.SerialNumber, AuthenticationCode1: off1, AuthenticationCode2: off2}))
	_, off3 := codes(seed, 101)
	if _, valid := check(&p, *d.SerialNumber, off3, true); !valid {
		t.Error("the device is not in step")
	}

	// Who guesses is not heard.
	_, off4 := codes(seed, 102)
	for range freeTries {
		check(&p, *d.SerialNumber, code1, false)
	}
	if _, valid := check(&p, *d.SerialNumber, off4, true); valid {
		t.Error("a guesser is heard")
	}

	ok(t, f.do(root(), &api.DeactivateMFADeviceInput{UserName: new("bob"), SerialNumber: d.SerialNumber}))
	fails(t, f.do(root(), &api.DeactivateMFADeviceInput{UserName: new("bob"), SerialNumber: d.SerialNumber}), "NoSuchEntity", "")
	ok(t, f.do(root(), &api.DeleteVirtualMFADeviceInput{SerialNumber: d.SerialNumber}))
	fails(t, f.do(root(), &api.DeleteVirtualMFADeviceInput{SerialNumber: d.SerialNumber}), "NoSuchEntity", "VirtualMFADevice with serial number "+*d.SerialNumber+" doesn't exist.")
	ok(t, f.do(root(), &api.DeleteUserInput{UserName: new("bob")}))
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
func TestMFADevicesPerUser(t *testing.T) {
	f := newFixture(t)
	f.user(t, "bob")
	for i := range maxDevices + 1 {
		serial, seed := f.device(t, fmt.Sprint("d", i))
		c1, c2 := codes(seed, 0)
		err := f.do(root(), &api.EnableMFADeviceInput{UserName: new("bob"), SerialNumber: &serial, AuthenticationCode1: c1, AuthenticationCode2: c2})
		if i < maxDevices {
			ok(t, err)
		} else {
			fails(t, err, "LimitExceeded", "Cannot exceed quota for MFADevicesPerUser: 8")
		}
	}
}

func TestMFADeviceTags(t *testing.T) {
	f := newFixture(t)
	serial, _ := f.device(t, "d")
	ok(t, f.do(root(), &api.TagMFADeviceInput{SerialNumber: &serial, Tags: []api.Tag{{Key: new("a"), Value: new("1")}, {Key: new("b"), Value: new("2")}}}))
	ok(t, f.do(root(), &api.UntagMFADeviceInput{SerialNumber: &serial, TagKeys: []string{"a"}}))
	out := must(run[api.ListMFADeviceTagsOutput](f, root(), &api.ListMFADeviceTagsInput{SerialNumber: &serial}))(t)
	if len(out.Tags) != 1 || *out.Tags[0].Key != "b" {
		t.Errorf("%+v", out.Tags)
	}
}
