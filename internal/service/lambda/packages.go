package lambda

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"brume/internal/blob"
	"brume/internal/kv"
	"brume/internal/outbox"
	"brume/internal/service/lambda/code"
)

// CodeQueue is the queue of the jobs that remove deployment packages which no function has any more.
const CodeQueue = "lambda.code"

// Packages are the deployment packages of all functions: as archives in a blob store, and unpacked in a cache. A package
// is stored before the row that names it, and removed by a job that is written together with the removal of the last row.
type Packages struct {
	store kv.Store
	blobs blob.Store
	cache *code.Cache
}

// NewPackages returns the packages in blobs, which must hold nothing else: Sweep removes what no row names.
func NewPackages(store kv.Store, blobs blob.Store, cache *code.Cache) *Packages {
	return &Packages{store, blobs, cache}
}

// Acquire returns the directory of a package by its name in environment.Function.
func (p *Packages) Acquire(ctx context.Context, name string) (*code.Dir, error) {
	ref, err := blob.ParseRef(name)
	if err != nil {
		return nil, err
	}
	return p.cache.Acquire(ctx, digestOf(ref), func() (code.Archive, error) {
		b, err := p.blobs.Open(ctx, ref)
		if err != nil {
			return nil, err
		}
		return archive{b, ref.Size}, nil
	})
}

type archive struct {
	blob.Blob
	size int64
}

func (a archive) Size() int64 { return a.size }

func digestOf(ref blob.Ref) string { return hex.EncodeToString(ref.SHA256[:]) }

// AcquireLayers returns the directory in which packages lie one over the other, as layers do: of files with the same name
// the one of the last package is there.
func (p *Packages) AcquireLayers(ctx context.Context, names []string) (*code.Dir, error) {
	layers := make([]*code.Dir, 0, len(names))
	defer func() {
		for _, dir := range layers {
			dir.Release()
		}
	}()
	for _, name := range names {
		dir, err := p.Acquire(ctx, name)
		if err != nil {
			return nil, err
		}
		layers = append(layers, dir)
	}
	if len(layers) == 1 {
		only := layers[0]
		layers = nil
		return only, nil
	}
	return p.cache.AcquireMerged(ctx, layers)
}

// add checks and stores a package, and says how large its files are. If the caller then cannot name it in a row, it calls
// discard.
func (p *Packages) add(ctx context.Context, data []byte) (ref blob.Ref, unzipped int64, err error) {
	ref, err = p.blobs.Put(ctx, bytes.NewReader(data))
	if err != nil {
		return blob.Ref{}, 0, err
	}
	dir, err := p.Acquire(ctx, ref.String())
	if err == nil {
		unzipped, err = code.Size(dir.Path)
		dir.Release()
	}
	if err != nil {
		return blob.Ref{}, 0, errors.Join(packageError(err), p.discard(ctx, ref))
	}
	return ref, unzipped, nil
}

// discard removes a package that no row names.
func (p *Packages) discard(ctx context.Context, ref blob.Ref) error {
	ctx = context.WithoutCancel(ctx)
	if err := p.blobs.Delete(ctx, ref); err != nil {
		return err
	}
	used, err := p.used(ctx, codeDigestPrefix(digestOf(ref)))
	if err == nil && !used {
		p.cache.Remove(digestOf(ref))
	}
	return err
}

// packageError is the API's error for a package that cannot be unpacked.
func packageError(err error) error {
	if _, ok := errors.AsType[*code.InvalidError](err); ok {
		return invalid("Could not unzip uploaded file. Please check your file, then try to upload again.")
	}
	switch {
	case errors.Is(err, code.ErrEmpty):
		return invalid("Uploaded file must be a non-empty zip")
	case errors.Is(err, code.ErrTooLarge):
		return invalid("Unzipped size must be smaller than %d bytes", code.MaxUnzipped)
	}
	return err
}

// use records that a version has a package.
func (p *Packages) use(tx kv.Tx, ref blob.Ref, r ref, number uint64) error {
	return tx.Set(codeKey(ref.String(), r.scope, r.name, number), nil)
}

// drop records that a version has a package no more, and has it removed if it was the last one.
func (p *Packages) drop(tx kv.Tx, ref blob.Ref, r ref, number uint64) error {
	if err := tx.Delete(codeKey(ref.String(), r.scope, r.name, number)); err != nil {
		return err
	}
	used, err := exists(tx, codePrefix(ref.String()))
	if err != nil || used {
		return err
	}
	_, err = outbox.Enqueue(tx, outbox.Job{Queue: CodeQueue, Payload: []byte(ref.String())})
	return err
}

// useAll records that a version has its packages: its code and its layers.
func (p *Packages) useAll(tx kv.Tx, v *versionRow, r ref) error {
	for ref := range v.packages() {
		if err := p.use(tx, ref, r, v.Number); err != nil {
			return err
		}
	}
	return nil
}

// dropAll records that a version has its packages no more.
func (p *Packages) dropAll(tx kv.Tx, v *versionRow, r ref) error {
	for ref := range v.packages() {
		if err := p.drop(tx, ref, r, v.Number); err != nil {
			return err
		}
	}
	return nil
}

// exists says whether there is a key with a prefix.
func exists(rd kv.Reader, prefix []byte) (bool, error) {
	rg := kv.Prefix(prefix)
	rg.Limit = 1
	for _, err := range rd.Scan(rg) {
		return err == nil, err
	}
	return false, nil
}

func (p *Packages) used(ctx context.Context, prefix []byte) (used bool, err error) {
	err = p.store.View(ctx, func(rd kv.Reader) (err error) {
		used, err = exists(rd, prefix)
		return err
	})
	return used, err
}

// Remove is the handler of CodeQueue.
func (p *Packages) Remove(ctx context.Context, d outbox.Delivery) error {
	ref, err := blob.ParseRef(string(d.Payload))
	if err != nil {
		return err
	}
	return p.discard(ctx, ref)
}

// Sweep removes what a process that died left behind: packages that were stored before a time, which must not be after
// this process's start, and that no row names.
func (p *Packages) Sweep(ctx context.Context, before time.Time) error {
	kept := make(map[string]bool)
	for info, err := range p.blobs.List(ctx) {
		if err != nil {
			return fmt.Errorf("lambda: %w", err)
		}
		used, err := p.used(ctx, codePrefix(info.Ref.String()))
		if err == nil && !used && info.ModTime.Before(before) {
			err = p.blobs.Delete(ctx, info.Ref)
		} else {
			kept[digestOf(info.Ref)] = true
		}
		if err != nil {
			return fmt.Errorf("lambda: %w", err)
		}
	}
	return p.cache.Sweep(func(digest string) bool { return kept[digest] })
}

// Open opens a package for download.
func (p *Packages) open(ctx context.Context, ref blob.Ref) (io.ReadSeekCloser, error) {
	return p.blobs.Open(ctx, ref)
}
