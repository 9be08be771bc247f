//go:build linux && (amd64 || arm64)

package sandbox

import (
	"slices"
	"syscall"
	"time"
)

// What the plain driver can do on Linux.
const (
	samplesMemory  = true
	diesWithServer = true
)

func plainAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

func watchPlain(pid int, limit int64, done <-chan struct{}, saw func(int64), kill func()) {
	watchProc(pid, limit, done, saw, kill)
}

func plainCPUTime(pid int) time.Duration {
	var total time.Duration
	for _, pid := range descendants(pid) {
		total += cpuTime(pid)
	}
	return total
}

func plainBusy(pid int) bool { return slices.ContainsFunc(descendants(pid), wantsProcessor) }

func maxrssBytes(ru *syscall.Rusage) int64 { return ru.Maxrss << 10 }
