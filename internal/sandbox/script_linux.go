//go:build linux && (amd64 || arm64)

package sandbox

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A script is the list of system calls that turns a freshly cloned process into a sandbox: what they are, what they
// point at, and what each is for. The driver writes it, the spawner maps it into memory, and the cloned process runs it
// with no decision left to make (run_linux.go). The first call that fails ends the process, and its name tells why.
//
// Descriptors have fixed numbers: the ones that the driver passes lie at slot(0), slot(1)…, and what the script opens
// gets the lowest number free, which the script knows and the runner checks.
type script struct {
	arena  []byte   // what the calls point at; pointers are offsets into it
	steps  []step   //
	names  []string // of the steps, for errors
	relocs []uint32 // offsets in arena of the pointers that lie there
	open   []bool   // which descriptors are open, by number
	err    error
}

// A step is one system call. The runner reads this layout.
type step struct {
	nr      uint64
	args    [6]uint64
	want    int64  // the result that counts as success, or anyResult
	forgive int32  // an errno that counts as success, or forgiveAny
	ptrs    uint8  // bit i says that args[i] is an offset into the arena
	fork    bool   // the call is a clone, and the child goes on with what follows
	skip    uint16 // so many steps are the child's alone: they end with the execution of its program
}

const (
	anyResult  = -1
	forgiveAny = -1
)

// slotBase is the first of the descriptors that the driver passes, above all that a script opens.
const slotBase = 200

// The descriptors that every script is given, by their slots; those of the cgroups follow.
const (
	slotControl = iota // socket to the driver
	slotErrors         // pipe to the driver, for the failure of a step
	slotStdout
	slotStderr
	slotCompanions // the output of companions
	slotCgroups
)

func slot(i int) arg { return num(slotBase + i) }

// An arg is an argument of a system call.
type arg struct {
	v   uint64
	ptr bool
}

func num[T ~int | ~int32 | ~uint | ~uint32 | ~uint64 | ~uintptr](v T) arg { return arg{v: uint64(v)} }

func newScript() *script {
	// Offset 0 stays unused, and 0..2 are standard input and output from the first step on.
	return &script{arena: make([]byte, 8, 4096), open: []bool{true, true, true}}
}

// fork appends a clone and what the child does, ending with the execution of a program.
func (s *script) fork(child func()) {
	at := len(s.steps)
	s.call("fork", unix.SYS_CLONE, num(int(unix.SIGCHLD))).fork = true
	child()
	s.steps[at].skip = uint16(len(s.steps) - at - 1)
}

// call appends a step that fails on any error.
func (s *script) call(name string, nr int, args ...arg) *step {
	st := step{nr: uint64(nr), want: anyResult}
	for i, a := range args {
		st.args[i] = a.v
		if a.ptr {
			st.ptrs |= 1 << i
		}
	}
	s.steps = append(s.steps, st)
	s.names = append(s.names, name)
	return &s.steps[len(s.steps)-1]
}

// callFD appends a step that opens a descriptor and returns the number it will have.
func (s *script) callFD(name string, nr int, args ...arg) int {
	fd := 0
	for fd < len(s.open) && s.open[fd] {
		fd++
	}
	if fd == len(s.open) {
		s.open = append(s.open, false)
	}
	if fd >= slotBase {
		s.err = fmt.Errorf("sandbox: more than %d descriptors are needed at once", slotBase)
	}
	s.open[fd] = true
	s.call(name, nr, args...).want = int64(fd)
	return fd
}

func (s *script) close(fd int) {
	s.open[fd] = false
	s.call("close", unix.SYS_CLOSE, num(fd))
}

// bytes puts b into the arena, on an 8-byte boundary, and returns the pointer to it.
func (s *script) bytes(b []byte) arg {
	for len(s.arena)%8 != 0 {
		s.arena = append(s.arena, 0)
	}
	off := len(s.arena)
	s.arena = append(s.arena, b...)
	return arg{v: uint64(off), ptr: true}
}

// str is bytes for a string that ends with a NUL.
func (s *script) str(v string) arg {
	off := len(s.arena)
	s.arena = append(append(s.arena, v...), 0)
	return arg{v: uint64(off), ptr: true}
}

// words puts 64-bit words into the arena, some of which may be pointers.
func (s *script) words(ws ...arg) arg {
	b := make([]byte, 0, 8*len(ws))
	for _, w := range ws {
		b = binary.NativeEndian.AppendUint64(b, w.v)
	}
	p := s.bytes(b)
	for i, w := range ws {
		if w.ptr {
			s.relocs = append(s.relocs, uint32(p.v)+uint32(8*i))
		}
	}
	return p
}

// strs puts a NULL-terminated array of strings into the arena.
func (s *script) strs(vs []string) arg {
	ws := make([]arg, 0, len(vs)+1)
	for _, v := range vs {
		ws = append(ws, s.str(v))
	}
	return s.words(append(ws, num(0))...)
}

// header begins the image of a script.
type header struct {
	steps, relocs, arena uint32 // how many of each, the arena in bytes
	_                    uint32
}

const (
	headerSize = int(unsafe.Sizeof(header{}))
	stepSize   = int(unsafe.Sizeof(step{}))
)

// memfd writes the image of the script to a new memory file: header, steps, arena, relocs.
func (s *script) memfd() (int, error) {
	if s.err != nil {
		return -1, s.err
	}
	for len(s.arena)%8 != 0 {
		s.arena = append(s.arena, 0)
	}
	h := header{steps: uint32(len(s.steps)), relocs: uint32(len(s.relocs)), arena: uint32(len(s.arena))}
	parts := [][]byte{
		unsafe.Slice((*byte)(unsafe.Pointer(&h)), headerSize),
		unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s.steps))), stepSize*len(s.steps)),
		s.arena,
		unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s.relocs))), 4*len(s.relocs)),
	}
	total := 0
	for _, p := range parts {
		total += len(p)
	}
	fd, err := unix.MemfdCreate("brume-sandbox", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("sandbox: memfd_create: %w", err)
	}
	n, err := unix.Writev(fd, parts)
	if err == nil && n != total {
		err = unix.ENOSPC
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("sandbox: write script: %w", err)
	}
	return fd, nil
}

// An image is a script in memory, as the runner takes it.
type image struct {
	mem   []byte
	steps unsafe.Pointer // of nsteps steps
	n     uintptr
	base  uintptr // of the arena
}

// mapImage maps what memfd wrote, copy on write, and makes the pointers in the arena point.
func mapImage(fd int) (image, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return image{}, err
	}
	mem, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_POPULATE)
	if err != nil {
		return image{}, err
	}
	h := (*header)(unsafe.Pointer(unsafe.SliceData(mem)))
	arenaOff := headerSize + int(h.steps)*stepSize
	relocOff := arenaOff + int(h.arena)
	if len(mem) != relocOff+4*int(h.relocs) {
		_ = unix.Munmap(mem)
		return image{}, unix.EINVAL
	}
	arena := mem[arenaOff:relocOff]
	base := uintptr(unsafe.Pointer(unsafe.SliceData(arena)))
	for r := mem[relocOff:]; len(r) > 0; r = r[4:] {
		at := arena[binary.NativeEndian.Uint32(r):]
		binary.NativeEndian.PutUint64(at, binary.NativeEndian.Uint64(at)+uint64(base))
	}
	return image{mem: mem, steps: unsafe.Pointer(&mem[headerSize]), n: uintptr(h.steps), base: base}, nil
}

func (im image) unmap() error { return unix.Munmap(im.mem) }
