package code

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
)

// AcquireMerged returns a directory in which the unpacked packages of dirs lie one over the other: of two files with the
// same name the one of the later package is there. The files are links to those of dirs, so they cost no room.
//
// https://docs.aws.amazon.com/lambda/latest/dg/chapter-layers.html
func (c *Cache) AcquireMerged(ctx context.Context, dirs []*Dir) (*Dir, error) {
	sum := sha256.New()
	for _, dir := range dirs {
		sum.Write([]byte("merged " + filepath.Base(dir.Path) + "\n")) // its digest
	}
	return c.acquire(ctx, hex.EncodeToString(sum.Sum(nil)), func(target string) error {
		for _, dir := range dirs {
			if err := lay(ctx, dir.Path, target); err != nil {
				return err
			}
		}
		return nil
	})
}

// lay puts what is in source over what is in target. Directories of both become one; of everything else the one of source
// is left.
func lay(ctx context.Context, source, target string) error {
	return filepath.WalkDir(source, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		name, err := filepath.Rel(source, path)
		if err != nil || name == "." {
			return err
		}
		to := filepath.Join(target, name)
		below, err := os.Lstat(to)
		if err == nil {
			if d.IsDir() && below.IsDir() {
				return nil
			}
			if err := os.RemoveAll(to); err != nil {
				return err
			}
		} else if !os.IsNotExist(err) {
			return err
		}
		switch {
		case d.IsDir():
			if err := os.Mkdir(to, 0o755); err != nil {
				return err
			}
			return os.Chmod(to, 0o755) // the umask must not decide
		case d.Type()&fs.ModeSymlink != 0:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, to)
		}
		return os.Link(path, to)
	})
}

// Size is how large the files in an unpacked package are together, in bytes.
func Size(dir string) (size int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	return size, err
}
