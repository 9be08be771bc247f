//go:build !linux || !(amd64 || arm64)

package sandbox

import (
	"runtime"
	"syscall"
	"time"
)

// What the plain driver can do elsewhere: there is no /proc to sample, and no parent-death signal.
const (
	samplesMemory  = false
	diesWithServer = false
)

const noSandbox = "Brume has no sandbox for " + runtime.GOOS + "/" + runtime.GOARCH

func plainAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

func watchPlain(int, int64, <-chan struct{}, func(int64), func()) {}

func plainCPUTime(int) time.Duration { return 0 }

func plainBusy(int) bool { return false }

// maxrssBytes: the unit of ru_maxrss is the byte on Darwin and the kilobyte elsewhere.
func maxrssBytes(ru *syscall.Rusage) int64 {
	if runtime.GOOS == "darwin" {
		return int64(ru.Maxrss)
	}
	return int64(ru.Maxrss) << 10
}
