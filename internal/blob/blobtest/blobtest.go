// Package blobtest holds the contract of package blob as one test suite, which every driver runs.
package blobtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"brume/internal/blob"
)

// MaxSize is the size of the largest blob that the stores given to Run take.
const MaxSize = 1 << 20

// Bytes returns n bytes that do not repeat.
func Bytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b) // never fails
	return b
}

// Run checks a Store. open returns an empty one that takes blobs of up to MaxSize bytes.
func Run(t *testing.T, open func(t *testing.T) blob.Store) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s blob.Store)
	}{
		{"RoundTrip", testRoundTrip},
		{"Seek", testSeek},
		{"Own", testOwn},
		{"Missing", testMissing},
		{"FailedPut", testFailedPut},
		{"Limit", testLimit},
		{"OpenWhileDeleted", testOpenWhileDeleted},
		{"List", testList},
		{"Concurrent", testConcurrent},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func put(t *testing.T, s blob.Store, b []byte) blob.Ref {
	t.Helper()
	ref, err := s.Put(context.Background(), bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func open(t *testing.T, s blob.Store, ref blob.Ref) blob.Blob {
	t.Helper()
	b, err := s.Open(context.Background(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func refs(t *testing.T, s blob.Store) map[blob.Ref]time.Time {
	t.Helper()
	all := map[blob.Ref]time.Time{}
	for info, err := range s.List(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		all[info.Ref] = info.ModTime
	}
	return all
}

func testRoundTrip(t *testing.T, s blob.Store) {
	for _, size := range []int{0, 1, 1000, 64<<10 - 1, 64 << 10, 64<<10 + 1, 3*64<<10 + 17, MaxSize} {
		want := Bytes(size)
		// However small the pieces are in which it comes.
		ref, err := s.Put(context.Background(), iotest.HalfReader(bytes.NewReader(want)))
		if err != nil {
			t.Fatal(err)
		}
		if ref.SHA256 != sha256.Sum256(want) || ref.Size != int64(size) {
			t.Errorf("%d bytes: the reference is %v", size, ref)
		}
		b := open(t, s, ref)
		if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes came back as %d, %v", size, len(got), err)
		}
		if _, err := b.Seek(0, io.SeekStart); err != nil {
			t.Error(err)
		}
		if size <= 1000 { // it reads byte by byte
			if err := iotest.TestReader(b, want); err != nil {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if _, err := b.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("Read after Close: %v", err)
		}
	}
}

func testSeek(t *testing.T, s blob.Store) {
	want := Bytes(200_000)
	b := open(t, s, put(t, s, want))
	defer b.Close()
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		from := random.IntN(len(want))
		n := random.IntN(100_000)
		end := min(from+n, len(want))
		got := make([]byte, n)
		c, err := b.ReadAt(got, int64(from))
		if !bytes.Equal(got[:c], want[from:end]) || (err != nil) != (c < n) || err != nil && err != io.EOF {
			t.Fatalf("ReadAt %d bytes at %d: %d, %v", n, from, c, err)
		}
		whence, offset := io.SeekStart, int64(from)
		if random.IntN(2) == 0 {
			whence, offset = io.SeekEnd, int64(from-len(want))
		}
		if at, err := b.Seek(offset, whence); at != int64(from) || err != nil {
			t.Fatalf("Seek to %d: %d, %v", from, at, err)
		}
		got = got[:end-from]
		if _, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got, want[from:end]) {
			t.Fatalf("reading %d bytes at %d: %v", len(got), from, err)
		}
	}
	if _, err := b.Seek(-1, io.SeekStart); err == nil {
		t.Error("Seek before the beginning")
	}
	if _, err := b.Seek(0, 7); err == nil {
		t.Error("Seek with an unknown whence")
	}
	if _, err := b.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("ReadAt before the beginning")
	}
	if at, err := b.Seek(10, io.SeekEnd); at != int64(len(want))+10 || err != nil {
		t.Errorf("Seek behind the end: %d, %v", at, err)
	}
	if _, err := b.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("Read behind the end: %v", err)
	}
	if _, err := b.ReadAt(make([]byte, 1), int64(len(want))); err != io.EOF {
		t.Errorf("ReadAt behind the end: %v", err)
	}
}

// Equal bytes put twice are two blobs.
func testOwn(t *testing.T, s blob.Store) {
	a, b := put(t, s, []byte("same")), put(t, s, []byte("same"))
	if a == b || a.SHA256 != b.SHA256 {
		t.Errorf("the references are %v and %v", a, b)
	}
	if err := s.Delete(context.Background(), a); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(context.Background(), a); err != nil {
		t.Errorf("deleting once more: %v", err)
	}
	if _, err := s.Open(context.Background(), a); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("opening what is deleted: %v", err)
	}
	f := open(t, s, b)
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || string(got) != "same" {
		t.Errorf("the other one is %q, %v", got, err)
	}
}

func testMissing(t *testing.T, s blob.Store) {
	for _, ref := range []blob.Ref{{}, {SHA256: [32]byte{1}, Size: 3, ID: [8]byte{1}}} {
		if _, err := s.Open(context.Background(), ref); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Open: %v", err)
		}
		if err := s.Delete(context.Background(), ref); err != nil {
			t.Errorf("Delete: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Put(ctx, bytes.NewReader(nil)); !errors.Is(err, context.Canceled) {
		t.Errorf("Put with a context that has ended: %v", err)
	}
	if _, err := s.Open(ctx, blob.Ref{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with a context that has ended: %v", err)
	}
	if err := s.Delete(ctx, blob.Ref{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Delete with a context that has ended: %v", err)
	}
}

// A Put that does not end leaves nothing.
func testFailedPut(t *testing.T, s blob.Store) {
	mine := errors.New("mine")
	if _, err := s.Put(context.Background(), io.MultiReader(bytes.NewReader(Bytes(100_000)), iotest.ErrReader(mine))); err != mine {
		t.Errorf("Put returns %v, want the reader's error as it is", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	endless := readerFunc(func(p []byte) (int, error) {
		if n++; n == 5 {
			cancel()
		}
		return len(p), nil
	})
	if _, err := s.Put(ctx, endless); !errors.Is(err, context.Canceled) {
		t.Errorf("Put whose context ends: %v", err)
	}
	if all := refs(t, s); len(all) > 0 {
		t.Errorf("what is left: %v", all)
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func testLimit(t *testing.T, s blob.Store) {
	put(t, s, Bytes(MaxSize))
	if _, err := s.Put(context.Background(), bytes.NewReader(Bytes(MaxSize+1))); !errors.Is(err, blob.ErrTooLarge) {
		t.Errorf("Put of a byte too many: %v", err)
	}
	read := 0
	_, err := s.Put(context.Background(), readerFunc(func(p []byte) (int, error) {
		read += len(p)
		return len(p), nil
	}))
	if !errors.Is(err, blob.ErrTooLarge) || read > 2*MaxSize {
		t.Errorf("Put of an endless reader: %v after %d bytes", err, read)
	}
	if all := refs(t, s); len(all) != 1 {
		t.Errorf("what is left: %v", all)
	}
}

func testOpenWhileDeleted(t *testing.T, s blob.Store) {
	want := Bytes(300_000)
	ref := put(t, s, want)
	b := open(t, s, ref)
	defer b.Close()
	if _, err := io.ReadFull(b, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(context.Background(), ref); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, want[10:]) {
		t.Errorf("the rest is %d bytes, %v", len(got), err)
	}
}

func testList(t *testing.T, s blob.Store) {
	before := time.Now().Add(-time.Minute)
	want := map[blob.Ref]bool{}
	for i := range 20 {
		want[put(t, s, Bytes(i+1))] = true
	}
	gone := put(t, s, []byte("gone"))
	if err := s.Delete(context.Background(), gone); err != nil {
		t.Fatal(err)
	}
	got := refs(t, s)
	for ref, at := range got {
		if !want[ref] || at.Before(before) || at.After(time.Now().Add(time.Minute)) {
			t.Errorf("%v of %v is listed", ref, at)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d blobs are listed, want %d", len(got), len(want))
	}
	n := 0
	for range s.List(context.Background()) {
		if n++; n == 3 {
			break
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, err := range s.List(ctx) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("List with a context that has ended: %v", err)
		}
	}
}

func testConcurrent(t *testing.T, s blob.Store) {
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 10 {
				want := Bytes(w*20_000 + i)
				ref, err := s.Put(context.Background(), bytes.NewReader(want))
				if err != nil {
					t.Error(err)
					return
				}
				b, err := s.Open(context.Background(), ref)
				if err != nil {
					t.Error(err)
					return
				}
				var readers sync.WaitGroup
				for part := range 4 {
					readers.Go(func() {
						from, to := len(want)*part/4, len(want)*(part+1)/4
						got := make([]byte, to-from)
						if _, err := b.ReadAt(got, int64(from)); err != nil || !bytes.Equal(got, want[from:to]) {
							t.Errorf("ReadAt: %v", err)
						}
					})
				}
				readers.Wait()
				if err := b.Close(); err != nil {
					t.Error(err)
				}
				if i%2 == 0 {
					if err := s.Delete(context.Background(), ref); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if n := len(refs(t, s)); n != 40 {
		t.Errorf("%d blobs are left, want 40", n)
	}
}
