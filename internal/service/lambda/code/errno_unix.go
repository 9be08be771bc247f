//go:build unix

package code

import (
	"errors"
	"syscall"
)

// isDirectory says whether err is that of a path which has a file where it needs a directory, or the other way round.
func isDirectory(err error) bool {
	return errors.Is(err, syscall.EISDIR) || errors.Is(err, syscall.ENOTDIR)
}
