//go:build linux && (amd64 || arm64)

package sandbox

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestParseCgroupMount(t *testing.T) {
	for line, want := range map[string]cgroupMount{
		"35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory": {
			version: 1, root: "/", point: "/sys/fs/cgroup/memory", controllers: []string{"rw", "memory"}},
		"36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct": {
			version: 1, root: "/", point: "/sys/fs/cgroup/cpu,cpuacct", controllers: []string{"rw", "cpu", "cpuacct"}},
		"41 31 0:38 /docker/ab /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate": {
			version: 2, root: "/docker/ab", point: "/sys/fs/cgroup"},
		`42 31 0:39 / /mnt/a\040b ro - cgroup2 none ro`: {version: 2, root: "/", point: "/mnt/a b"},
	} {
		got, ok := parseCgroupMount(line)
		if !ok || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, %v", line, got, ok)
		}
	}
	for _, line := range []string{"", " - ", "1 2 3 - cgroup2 x y", "23 1 0:20 / /proc rw - proc proc rw", "a b c d e f - cgroup2 x"} {
		if m, ok := parseCgroupMount(line); ok {
			t.Errorf("%q: %+v", line, m)
		}
	}
}

func TestParseOwnCgroups(t *testing.T) {
	got := parseOwnCgroups("4:memory:/a/b\n3:cpu,cpuacct:/c\n1:name=systemd:/\n0::/user.slice/x:y\nbroken\n")
	want := map[string]string{"memory": "/a/b", "cpu": "/c", "cpuacct": "/c", "name=systemd": "/", "": "/user.slice/x:y"}
	if !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
}

func TestCgroupDir(t *testing.T) {
	point := t.TempDir()
	if err := os.MkdirAll(point+"/a/b", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ root, path, want string }{
		{"/", "/a/b", "/a/b"},
		{"/", "/", ""},
		{"/", "/gone", ""},
		{"/", "/../..", ""},
		{"/", "/..", ""},
		{"/docker/x", "/docker/x/a", "/a"},
		{"/docker/x", "/docker/x", ""},
		{"/docker/x", "/elsewhere", ""},
	} {
		if got := (cgroupMount{root: c.root, point: point}).dir(c.path); got != point+c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestAbandoned(t *testing.T) {
	name, err := treeName()
	if err != nil {
		t.Fatal(err)
	}
	own, err := startTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		name: false,
		fmt.Sprintf("brume.%d.%d.00ff00ff", os.Getpid(), own+1): true, // another process that had our id
		fmt.Sprintf("brume.%d.5.00ff00ff", math.MaxInt32):       true,
		"brume":             false,
		"brume.":            false,
		"brume.service":     false,
		"brume.x.1.2":       false,
		"brume.1.2.3.4":     false,
		serverPrefix + name: false,
		"system.slice":      false,
		"brume.99999.1.a":   !alive(99999),
	} {
		if got := abandoned(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func alive(pid int) bool {
	_, err := os.Stat("/proc/" + strconv.Itoa(pid))
	return err == nil
}

func TestChooseIDs(t *testing.T) {
	for idMap, want := range map[string][2]uint32{
		"         0          0 4294967295\n": {highIDs, highCount},
		"0 100000 65536\n":                   {64536, 900},
		"0 1000 1\n1 100000 65536\n":         {64537, 900},
		"0 1000 1\n":                         {},
		"":                                   {},
		"x y z\n0 1 2 3\n":                   {},
		"0 0 1000\n1000 1000 9999\n20000 0 20000\n": {39000, 900},
	} {
		base, count, ok := chooseIDs(idMap)
		if base != want[0] || count != want[1] || ok != (want[1] > 0) {
			t.Errorf("%q: %d %d %v", idMap, base, count, ok)
		}
	}
}

func TestKernelVersion(t *testing.T) {
	for release, want := range map[string][2]int{
		"6.1.0-18-amd64": {6, 1}, "5.14": {5, 14}, "6.18.44-fc": {6, 18}, "10.0-rc1": {10, 0},
	} {
		if got, err := kernelVersion(release); err != nil || got != want {
			t.Errorf("%s: %v %v", release, got, err)
		}
	}
	if _, err := kernelVersion("six"); err == nil {
		t.Error("six")
	}
	if slices.Compare([]int{5, 13}, minKernel[:]) >= 0 || slices.Compare([]int{6, 0}, minKernel[:]) < 0 {
		t.Error("versions compare badly")
	}
}

func TestUntilFull(t *testing.T) {
	for left, want := range map[int64]time.Duration{
		-1: 5 * time.Millisecond, 0: 5 * time.Millisecond, 1 << 20: 5 * time.Millisecond,
		100e6: 50 * time.Millisecond, 1 << 40: 250 * time.Millisecond,
	} {
		if got := untilFull(left); got != want {
			t.Errorf("%d: %v", left, got)
		}
	}
}

func TestQuota(t *testing.T) {
	for cpus, want := range map[float64]int64{0.5: 50_000, 2: 200_000, 0.0001: 1000} {
		if got := (limits{cpus: cpus}).quota(); got != want {
			t.Errorf("%v: %d", cpus, got)
		}
	}
}

func TestSockaddr(t *testing.T) {
	family, sa := sockaddr(netip.MustParseAddrPort("127.0.0.1:9001"))
	if family != unix.AF_INET || string(sa) != "\x02\x00\x23\x29\x7f\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00" {
		t.Errorf("%d %x", family, sa)
	}
	family, sa = sockaddr(netip.MustParseAddrPort("[::1]:53"))
	if family != unix.AF_INET6 || len(sa) != 28 || sa[2] != 0 || sa[3] != 53 || sa[23] != 1 {
		t.Errorf("%d %x", family, sa)
	}
	if family, _ = sockaddr(netip.MustParseAddrPort("[::ffff:127.0.0.1]:53")); family != unix.AF_INET {
		t.Errorf("%d", family)
	}
}

// view, str and words read an image as the runner would.
func (im image) view() []step { return unsafe.Slice((*step)(im.steps), im.n) }

func (im image) arena() []byte {
	off := headerSize + int(im.n)*stepSize
	return im.mem[off:]
}

func (im image) str(off uint64) string {
	s, _, _ := strings.Cut(string(im.arena()[off:]), "\x00")
	return s
}

func (im image) words(off uint64, n int) []uint64 {
	var ws []uint64
	for i := range n {
		ws = append(ws, binary.NativeEndian.Uint64(im.arena()[off+uint64(8*i):]))
	}
	return ws
}

// A script survives its way through a memory file, and its pointers point.
func TestScriptImage(t *testing.T) {
	s := newScript()
	s.call("one", 11, num(1), s.str("hello"), num(-1))
	s.call("two", 22, s.words(num(7), s.str("a"), s.bytes([]byte{1, 2, 3})), s.strs([]string{"x=1", "y"})).forgive = forgiveAny
	fd, err := s.memfd()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	img, err := mapImage(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := img.unmap(); err != nil {
			t.Error(err)
		}
	}()
	steps := img.view()
	if len(steps) != 2 || steps[0].nr != 11 || steps[0].args[2] != math.MaxUint64 || steps[0].ptrs != 0b10 ||
		steps[1].ptrs != 0b11 || steps[1].forgive != forgiveAny || steps[1].want != anyResult {
		t.Fatalf("%+v", steps)
	}
	if got := img.str(steps[0].args[1]); got != "hello" {
		t.Errorf("%q", got)
	}
	words := img.words(steps[1].args[0], 3)
	if words[0] != 7 || img.str(words[1]-uint64(img.base)) != "a" {
		t.Errorf("%x", words)
	}
	argv := img.words(steps[1].args[1], 3)
	if img.str(argv[0]-uint64(img.base)) != "x=1" || img.str(argv[1]-uint64(img.base)) != "y" || argv[2] != 0 {
		t.Errorf("%x", argv)
	}

	// A file that is no image is refused.
	if err := unix.Ftruncate(fd, int64(len(img.mem)-4)); err != nil {
		t.Fatal(err)
	}
	if _, err := mapImage(fd); err != unix.EINVAL {
		t.Errorf("a short image: %v", err)
	}
}

func TestScriptDescriptors(t *testing.T) {
	s := newScript()
	a, b := s.callFD("a", 1), s.callFD("b", 1)
	s.close(a)
	c := s.callFD("c", 1)
	d := s.callFD("d", 1)
	if a != 3 || b != 4 || c != 3 || d != 5 {
		t.Errorf("%d %d %d %d", a, b, c, d)
	}
	for range slotBase {
		s.callFD("many", 1)
	}
	if _, err := s.memfd(); err == nil || !strings.Contains(err.Error(), "descriptors") {
		t.Errorf("too many descriptors: %v", err)
	}
}

func FuzzParseCgroups(f *testing.F) {
	f.Add("35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory")
	f.Add("0::/user.slice\n4:memory:/a\n")
	f.Add("0 1000 1\n1 100000 65536\n")
	f.Add("brume.12.34.ab")
	f.Add("6.1.0-18-amd64")
	f.Add("low 0\nhigh 12\nmax 3\noom_kill 1\n")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, s string) {
		if m, ok := parseCgroupMount(s); ok {
			if m.version != 1 && m.version != 2 {
				t.Errorf("version %d", m.version)
			}
			if !m.has("x") && m.version == 2 && len(m.controllers) != 0 {
				t.Error("version 2 with controllers")
			}
		}
		for c, p := range parseOwnCgroups(s) {
			if strings.ContainsAny(c, ",\n") || strings.Contains(p, "\n") {
				t.Errorf("%q: %q", c, p)
			}
		}
		if base, count, ok := chooseIDs(s); ok && (base == 0 || count == 0) {
			t.Errorf("%d %d", base, count)
		}
		abandoned(s)
		_, _ = kernelVersion(s)
		file := filepath.Join(dir, "f")
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
		if v, err := readKeys(dir, "f", "high", "oom_kill"); err == nil && len(v) != 2 {
			t.Error(v)
		}
		if kilobytes(file, "high") < 0 && !strings.Contains(s, "-") {
			t.Error("negative memory")
		}
	})
}
