package dynamodb

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	api "brume/internal/api/dynamodb"
	"brume/internal/kv/pebblekv"
)

// A failingDisk fails what it is told to from the moment it is told.
type failingDisk struct {
	broken atomic.Bool
	kinds  []errorfs.OpKind
	err    error
}

func (d *failingDisk) String() string { return "failing disk" }

func (d *failingDisk) MaybeError(op errorfs.Op) error {
	if d.broken.Load() {
		for _, k := range d.kinds {
			if k == op.Kind {
				return d.err
			}
		}
	}
	return nil
}

// When the disk is full or an fsync fails, writes of all kinds are refused with InternalServerError, reads go on, and
// what was acknowledged is there after the next start, even if the machine loses its memory.
func TestFailingDisk(t *testing.T) {
	for _, test := range []struct {
		name string
		disk *failingDisk
	}{
		{"disk full", &failingDisk{kinds: []errorfs.OpKind{errorfs.OpFileWrite, errorfs.OpCreate, errorfs.OpReuseForWrite}, err: syscall.ENOSPC}},
		{"fsync fails", &failingDisk{kinds: []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}, err: syscall.EIO}},
	} {
		t.Run(test.name, func(t *testing.T) {
			mem := vfs.NewCrashableMem()
			open := func(fs vfs.FS) (*pebblekv.Store, *bench) {
				store, err := pebblekv.Open(context.Background(), pebblekv.Options{Dir: "/data", FS: fs})
				if err != nil {
					t.Fatal(err)
				}
				return store, &bench{t, New(store, slog.New(slog.DiscardHandler)), callerOf("000000000000", "us-east-1")}
			}
			store, b := open(errorfs.Wrap(mem, test.disk))
			b.create("table", "pk:S", "gsi g:S ALL")
			put := func(b *bench, i int) error {
				_, err := b.PutItem(b.ctx, &api.PutItemInput{TableName: new("table"),
					Item: M{"pk": api.S(fmt.Sprint(i)), "g": api.S("all"), "fill": api.S(strings.Repeat("x", 10_000))}})
				return err
			}
			acknowledged := 0
			for ; acknowledged < 50; acknowledged++ {
				if err := put(b, acknowledged); err != nil {
					t.Fatal(err)
				}
			}
			test.disk.broken.Store(true)
			for i := range 3 { // the first one is in the middle of its commit, the others find the store closed to writes
				wantError(t, put(b, 1000+i), "InternalServerError: Internal server error: …")
			}
			_, err := b.UpdateItem(b.ctx, &api.UpdateItemInput{TableName: new("table"), Key: M{"pk": api.S("1")}, UpdateExpression: new("SET z = g")})
			wantError(t, err, "InternalServerError: Internal server error: …")
			_, err = b.DeleteItem(b.ctx, &api.DeleteItemInput{TableName: new("table"), Key: M{"pk": api.S("1")}})
			wantError(t, err, "InternalServerError: Internal server error: …")
			_, err = b.TransactWriteItems(b.ctx, &api.TransactWriteItemsInput{TransactItems: []api.TransactWriteItem{
				{Delete: &api.Delete{TableName: new("table"), Key: M{"pk": api.S("1")}}}}})
			wantError(t, err, "InternalServerError: Internal server error: …")

			check := func(b *bench, when string) {
				t.Helper()
				for i := range acknowledged {
					out, err := b.GetItem(b.ctx, &api.GetItemInput{TableName: new("table"), Key: M{"pk": api.S(fmt.Sprint(i))}})
					if err != nil || len(out.Item) != 3 {
						t.Fatalf("%s: item %d: %v, %v", when, i, out, err)
					}
				}
				rows := must(b.Query(b.ctx, &api.QueryInput{TableName: new("table"), IndexName: new("gsi"), KeyConditionExpression: new("g = :g"),
					ExpressionAttributeValues: M{":g": api.S("all")}, Select: new("COUNT")}))(t)
				items := must(b.Scan(b.ctx, &api.ScanInput{TableName: new("table"), Select: new("COUNT")}))(t)
				if *rows.Count != *items.Count || int(*items.Count) < acknowledged {
					t.Errorf("%s: %d items, %d entries of the index, %d acknowledged", when, *items.Count, *rows.Count, acknowledged)
				}
			}
			check(b, "broken")
			// The machine stops, and what was not synced is gone.
			after := mem.CrashClone(vfs.CrashCloneCfg{})
			test.disk.broken.Store(false)
			wantError(t, put(b, 2000), "InternalServerError: Internal server error: …")
			if err := store.Close(); err != nil {
				t.Logf("close: %v", err)
			}
			store, b = open(after)
			check(b, "started again")
			if err := put(b, acknowledged); err != nil {
				t.Error(err)
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
