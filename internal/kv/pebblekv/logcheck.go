package pebblekv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Pebble takes a damaged record at the end of its last log for one whose write was cut short, and drops it and all behind
// it; it cannot know that they were acknowledged. We can: the committer writes a record only after the one before is
// synced. So a record that begins behind a damaged one proves that the damaged one was whole once, and so does the mark
// that Pebble leaves when it closes a log.
//
// A log is blocks of 32 KiB; a block is chunks. A record is one chunk marked as full, or a first one, middle ones and a
// last one. A chunk is its checksum (4 bytes), length (2), kind (1), log number (4), an offset (8), and its bytes. The log
// of a store that has just been made is of an older format, whose chunks have no offset.
const (
	logBlock  = 32 << 10
	oldHeader = 11
	oldFull   = 5
	oldFirst  = 6
	newHeader = 19
	newFull   = 9
	newFirst  = 10
	newLast   = 12
)

// checkLog returns an error that wraps ErrDamaged if the newest log has lost an acknowledged record.
func (s *Store) checkLog() error {
	names, err := s.files.List(s.opts.Dir)
	if err != nil {
		return err
	}
	var name string
	var newest uint64
	for _, n := range names {
		base, isLog := strings.CutSuffix(n, ".log")
		if number, err := strconv.ParseUint(base, 10, 64); isLog && err == nil && number >= newest {
			name, newest = n, number
		}
	}
	if name == "" {
		return nil
	}
	path := s.files.PathJoin(s.opts.Dir, name)
	f, err := s.files.Open(path)
	if err != nil {
		return err
	}
	lost, err := lostRecord(f, uint32(newest))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if lost >= 0 {
		return fmt.Errorf("%w: the log %s is damaged at %d, before its end", ErrDamaged, filepath.Base(path), lost)
	}
	return nil
}

// lostRecord returns where the log of that number is damaged before the end of what was synced, or -1.
func lostRecord(f vfs.File, number uint32) (lost int64, err error) {
	buf := make([]byte, logBlock)
	bad := int64(-1)
	for start := int64(0); ; start += logBlock {
		n, err := f.ReadAt(buf, start)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return 0, err
		}
		block := buf[:n]
		at := 0
		for at+oldHeader <= len(block) {
			c := block[at:]
			length, kind := int(binary.LittleEndian.Uint16(c[4:])), c[6]
			whose := binary.LittleEndian.Uint32(c[7:])
			if kind == oldFull && whose == number+1 && length == 0 { // the mark at the end
				return bad, nil
			}
			size := oldHeader + length
			if kind >= newFull {
				size = newHeader + length
			}
			if kind < oldFull || kind > newLast || whose != number || size > len(c) {
				break
			}
			c = c[:size]
			whole := binary.LittleEndian.Uint32(c) == chunkSum(c[6:])
			if !whole && bad < 0 {
				bad = start + int64(at)
			}
			if whole && bad >= 0 && (kind == oldFull || kind == oldFirst || kind == newFull || kind == newFirst) {
				return bad, nil
			}
			at += len(c)
		}
		if at+newHeader <= len(block) && bad < 0 { // not the rest of a full block
			bad = start + int64(at)
		}
		if n < logBlock {
			return -1, nil
		}
	}
}

// chunkSum is the checksum of a chunk, whose bytes begin with its kind.
func chunkSum(b []byte) uint32 {
	c := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	return (c>>15 | c<<17) + 0xa282ead8
}
