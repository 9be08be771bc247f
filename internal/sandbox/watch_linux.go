//go:build linux && (amd64 || arm64)

package sandbox

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel counts what lies in a tmpfs as memory of those who wrote it. A sandbox's memory limit does not mean /tmp
// (Lambda's does not either), so its cgroup is limited to both together, and what keeps the memory itself to its limit is
// a watcher. It sleeps until the kernel says that the cgroup uses more than the limit without /tmp, and then looks how
// much of it is in /tmp. Without /tmp there is no watcher, and without a memory cgroup the watcher samples /proc.

// watchCgroup kills the sandbox when it uses more than limit beside /tmp, whose descriptor is tmp. It tells saw what it
// finds in use, and returns when the cgroup is removed.
func watchCgroup(g cgroup, tmp int, limit int64, done <-chan struct{}, saw func(int64), kill func()) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if err := g.pressed(); err != nil {
			if errors.Is(err, os.ErrClosed) {
				return nil
			}
			return err
		}
		// Pressed once, it may stay above the limit without a further event for as long as something is in /tmp or in the
		// page cache. So look until it is well below.
		for {
			used, charged, err := g.memory()
			if err != nil {
				return ifNotGone(err)
			}
			inTmp, err := bytesIn(tmp)
			if err != nil {
				return err
			}
			saw(used - inTmp)
			if used-inTmp > limit {
				kill()
				return nil
			}
			if err := g.allow(inTmp); err != nil {
				return ifNotGone(err)
			}
			// The kernel tells only of a crossing. While page cache keeps the charge above the limit there is none.
			if charged <= limit {
				break
			}
			timer.Reset(untilFull(limit - (used - inTmp)))
			select {
			case <-timer.C:
			case <-done:
				return nil
			}
		}
	}
}

// ifNotGone is err, unless it says that a cgroup has been removed meanwhile.
func ifNotGone(err error) error {
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// untilFull is how long one may look away from a process that has so much memory left: processes fill memory at a
// gigabyte or two per second.
func untilFull(left int64) time.Duration {
	return min(max(time.Duration(left)*time.Nanosecond/2, 5*time.Millisecond), 250*time.Millisecond)
}

// bytesIn is how much is in the tmpfs of a descriptor.
func bytesIn(fd int) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return 0, os.NewSyscallError("fstatfs", err)
	}
	return int64(st.Blocks-st.Bfree) * st.Bsize, nil
}

// watchProc samples the memory of the process pid and its descendants until done, tells the largest sum to saw, and kills
// them when it is more than limit, if that is not 0.
func watchProc(pid int, limit int64, done <-chan struct{}, saw func(int64), kill func()) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-done:
			return
		}
		pids := descendants(pid)
		// What forked processes share is in the sum once for each of them.
		used := sum(pids, residentMemory)
		if limit > 0 && used > limit {
			used = sum(pids, proportionalMemory)
		}
		saw(used)
		if limit == 0 {
			timer.Reset(250 * time.Millisecond)
			continue
		}
		if used > limit {
			kill()
			return
		}
		timer.Reset(untilFull(limit - used))
	}
}

func sum(pids []int, of func(int) int64) int64 {
	var total int64
	for _, pid := range pids {
		total += of(pid)
	}
	return total
}

// descendants returns pid and all below it. Processes come and go meanwhile: who is not there is not counted.
func descendants(pid int) []int {
	pids := []int{pid}
	for i := 0; i < len(pids); i++ {
		proc := "/proc/" + strconv.Itoa(pids[i]) + "/task/"
		tasks, err := os.ReadDir(proc)
		if err != nil {
			continue
		}
		for _, t := range tasks {
			b, err := os.ReadFile(filepath.Join(proc, t.Name(), "children"))
			if err != nil {
				continue
			}
			for _, f := range strings.Fields(string(b)) {
				if child, err := strconv.Atoi(f); err == nil {
					pids = append(pids, child)
				}
			}
		}
	}
	return pids
}

// residentMemory is what a process holds of anonymous and shared memory, 0 if it is gone.
func residentMemory(pid int) int64 {
	return kilobytes("/proc/"+strconv.Itoa(pid)+"/status", "RssAnon", "RssShmem")
}

// proportionalMemory is the same, with what is shared divided by those who share it. It costs a walk over page tables.
func proportionalMemory(pid int) int64 {
	return kilobytes("/proc/"+strconv.Itoa(pid)+"/smaps_rollup", "Pss_Anon", "Pss_Shmem")
}

// kilobytes sums lines "key: n kB" of a file, as bytes.
func kilobytes(file string, keys ...string) int64 {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	var total int64
	for line := range strings.Lines(string(b)) {
		k, v, _ := strings.Cut(line, ":")
		for _, key := range keys {
			if k != key {
				continue
			}
			if f := strings.Fields(v); len(f) == 2 {
				if n, err := strconv.ParseInt(f[0], 10, 64); err == nil {
					total += n << 10
				}
			}
		}
	}
	return total
}

// cpuTime is the processor time of a process and of those it has waited for, 0 if it is gone.
func cpuTime(pid int) time.Duration {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	var ticks int64
	for i := 11; i < 15 && i < len(f); i++ { // utime, stime, cutime, cstime
		n, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100) // USER_HZ is 100 on every architecture we run on
}

// wantsProcessor says whether a thread of a process runs or is ready to.
// https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
func wantsProcessor(pid int) bool {
	tasks, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
	if err != nil {
		return false
	}
	return slices.ContainsFunc(tasks, func(t os.DirEntry) bool {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/task/" + t.Name() + "/stat")
		return err == nil && strings.HasPrefix(string(b[bytes.LastIndexByte(b, ')')+1:]), " R")
	})
}
