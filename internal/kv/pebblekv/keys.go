package pebblekv

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// In Pebble, a key of the store stands behind dataSpace. What the engine keeps for itself stands behind metaSpace.
const (
	metaSpace = 0x00
	dataSpace = 0x01
	dataEnd   = dataSpace + 1
)

// formatVersion is the version of this layout.
const formatVersion = 1

func formatKey() []byte { return []byte{metaSpace, 'f'} }
func clockKey() []byte  { return []byte{metaSpace, 'c'} }

// readMeta returns the clock of the last commit, and whether the store has had no commit yet.
func (s *Store) readMeta() (clock int64, fresh bool, err error) {
	format, err := s.getMeta(formatKey())
	if err != nil {
		return 0, false, err
	}
	if format == nil {
		it, err := s.db.NewIter(nil)
		if err != nil {
			return 0, false, err
		}
		empty := !it.First()
		if err := errors.Join(it.Error(), it.Close()); err != nil {
			return 0, false, err
		}
		if !empty {
			return 0, false, fmt.Errorf("%w: its format is not recorded", ErrDamaged)
		}
		return 0, true, nil
	}
	if len(format) != 1 || format[0] != formatVersion {
		return 0, false, fmt.Errorf("%w: its format is %x, this version reads %x", ErrDamaged, format, formatVersion)
	}
	c, err := s.getMeta(clockKey())
	if err != nil || c == nil {
		return 0, false, err
	}
	if len(c) != 8 {
		return 0, false, fmt.Errorf("%w: its clock has %d bytes", ErrDamaged, len(c))
	}
	return int64(binary.BigEndian.Uint64(c)), false, nil
}

func (s *Store) getMeta(key []byte) ([]byte, error) {
	v, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v = append([]byte{}, v...)
	return v, closer.Close()
}

// appendMeta adds the engine's own rows to a batch.
func appendMeta(b *pebble.Batch, fresh bool, clock int64) error {
	if fresh {
		if err := b.Set(formatKey(), []byte{formatVersion}, nil); err != nil {
			return err
		}
	}
	return b.Set(clockKey(), binary.BigEndian.AppendUint64(nil, uint64(clock)), nil)
}
