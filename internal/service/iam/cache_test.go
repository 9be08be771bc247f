package iam

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	api "brume/internal/api/iam"
	"brume/internal/call"
	"brume/internal/kv"
)

func TestCache(t *testing.T) {
	c := newCache[string, int](10)
	loads := 0
	load := func(v int) func() (int, bool, error) {
		return func() (int, bool, error) { loads++; return v, true, nil }
	}
	get := func(want int, load func() (int, bool, error)) {
		t.Helper()
		if v, ok, err := c.get("k", load); v != want || !ok || err != nil {
			t.Errorf("%d %v %v, want %d", v, ok, err, want)
		}
	}
	get(1, load(1))
	get(1, load(2))
	c.invalidate()
	get(3, load(3))
	if loads != 2 {
		t.Errorf("%d loads", loads)
	}
	// What was read before a change and comes back after it is not kept.
	c.invalidate()
	get(4, func() (int, bool, error) { c.invalidate(); return 4, true, nil })
	get(5, load(5))
	// Neither is what was not found, or an error.
	if _, ok, err := c.get("none", func() (int, bool, error) { return 0, false, nil }); ok || err != nil {
		t.Error(ok, err)
	}
	broken := errors.New("broken")
	if _, _, err := c.get("none", func() (int, bool, error) { return 1, true, broken }); err != broken {
		t.Error(err)
	}
	if v, ok, err := c.get("none", load(6)); v != 6 || !ok || err != nil {
		t.Error(v, ok, err)
	}
}

func TestDocumentsAreBounded(t *testing.T) {
	d := newDocuments()
	first := statement("Allow", "s3:*", "*")
	kept, err := d.parse(first)
	ok(t, err)
	for i := range 40 {
		text := strings.Replace(statement("Allow", fmt.Sprintf("s3:Get%d", i), "*"), ",", ","+strings.Repeat(" ", maxCachedText/20), 1)
		doc, err := d.parse(text)
		ok(t, err)
		if same, _ := d.parse(text); same != doc {
			t.Fatal("parsed again")
		}
		if again, _ := d.parse(first); again != kept {
			t.Fatal("what is in use was dropped")
		}
		if size := d.size; size > maxCachedText {
			t.Fatalf("%d bytes", size)
		}
	}
	if len(d.young)+len(d.old) > 44 || len(d.young)+len(d.old) == 41 {
		t.Errorf("%d documents are kept", len(d.young)+len(d.old))
	}
	if _, err := d.parse("{}"); err == nil {
		t.Error("no error")
	}
}

// A boundary whose policy is gone allows nothing, and an attached policy that is gone adds nothing.
func TestVanishedPolicies(t *testing.T) {
	f := newFixture(t)
	bob := f.user(t, "bob")
	ok(t, f.do(root(), &api.PutUserPolicyInput{UserName: new("bob"), PolicyName: new("p"), PolicyDocument: new(allowAll)}))
	const gone = "arn:aws:iam::aws:policy/WithdrawnByAWS"
	set := func(change func(tx kv.Tx, u *identity) error) {
		t.Helper()
		ok(t, f.store.Update(context.Background(), func(tx kv.Tx) error {
			tt := txn{reader{tx, account}, tx}
			u, err := tt.identity(kindUser, "bob")
			if err != nil {
				return err
			}
			if err := change(tx, u); err != nil {
				return err
			}
			return tt.put(u)
		}))
		f.changed()
	}
	set(func(tx kv.Tx, u *identity) error { return tx.Set(attachedKey(u.ID, gone), nil) })
	if got := f.may(t, bob, "s3:GetObject", "*"); got != "allowed" {
		t.Error(got)
	}
	if list := must(run[api.ListAttachedUserPoliciesOutput](f, root(), &api.ListAttachedUserPoliciesInput{UserName: new("bob")}))(t); len(list.AttachedPolicies) != 0 {
		t.Errorf("%+v", list)
	}
	ok(t, f.do(root(), &api.DetachUserPolicyInput{UserName: new("bob"), PolicyArn: new(gone)}))
	set(func(_ kv.Tx, u *identity) error { u.Boundary = gone; return nil })
	if got := f.may(t, bob, "s3:GetObject", "*"); !strings.Contains(got, "because no permissions boundary allows") {
		t.Error(got)
	}
}

// A store that fails is a fault of ours: nobody is told that they may not, and nobody may.
func TestStoreFails(t *testing.T) {
	f := newFixture(t)
	p := call.From(f.user(t, "bob")).Principal
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if policies, err := f.PoliciesFor(ctx, &p); err == nil {
		t.Errorf("%+v", policies)
	}
	if exists, err := f.Exists(ctx, &p); exists || err == nil {
		t.Error(exists, err)
	}
	if _, _, _, err := f.AccessKey(ctx, "AKIAIOSFODNN7EXAMPLE"); err == nil {
		t.Error("no error")
	}
}
