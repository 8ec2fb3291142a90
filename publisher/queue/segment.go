package queue

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	segmentMagic   = "lbqueue\n"
	segmentVersion = 1
	headerSize     = 64
	headersSize    = 2 * headerSize // it stands there twice, for without it the rest cannot be checked
	segmentSuffix  = ".log"
)

// A segment is one file of a folder. What is here does not change once a later segment has begun, but for compaction,
// which puts a new one in its place.
type segment struct {
	header
	end     uint64 // number after its last
	size    int64  // bytes that are durable
	begun   int64  // bytes that it began with: header and state; 0: not known
	oldest  int64  // when its first and its last batch were stored, Unix nanoseconds; 0: it has none
	newest  int64
	stated  bool // it begins with its state
	kept    bool // nothing in it may be dropped for want of room
	records int  // of batches and letters
}

// A header begins a segment.
type header struct {
	flags   uint32
	index   uint64 // rising, in the name of the file too
	base    uint64 // no number in it is lower
	stream  uint32
	machine uint64 // who wrote it; 0: not known
}

const (
	flagCompacted = 1       // batches were taken out of the segment
	flagNoHeader  = 1 << 31 // neither header is whole; never written
)

func (h *header) place() place { return place{h.stream, h.index} }

func segmentName(index uint64) string { return fmt.Sprintf("%010d", index) + segmentSuffix }

func segmentIndex(name string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	n, err := strconv.ParseUint(digits, 10, 62)
	return n, ok && err == nil && name == segmentName(n)
}

func (s *segment) path(dir string) string { return filepath.Join(dir, segmentName(s.index)) }

// encode appends the header, twice.
func (h *header) encode(b []byte) []byte {
	at := len(b)
	b = append(b, segmentMagic...)
	b = binary.LittleEndian.AppendUint32(b, segmentVersion)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint64(b, h.index)
	b = binary.LittleEndian.AppendUint64(b, h.base)
	b = binary.LittleEndian.AppendUint64(b, h.machine)
	b = binary.LittleEndian.AppendUint32(b, h.stream)
	b = binary.LittleEndian.AppendUint32(b, h.flags)
	b = append(b, make([]byte, headerSize-(len(b)-at))...)
	binary.LittleEndian.PutUint32(b[at+12:], headerSum(b[at:]))
	return append(b, b[at:]...)
}

func headerSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:12], castagnoli), castagnoli, b[16:headerSize])
}

// errVersion is a folder that a later version wrote.
type errVersion struct {
	file    string
	version uint32
}

func (e *errVersion) Error() string {
	return fmt.Sprintf("%s: format %d, and this program knows %d: it was written by a newer version; install that one",
		e.file, e.version, segmentVersion)
}

// decodeHeader reads one of the two; ok is false if it is damaged.
func decodeHeader(b []byte, index uint64) (h header, version uint32, ok bool) {
	if string(b[:8]) != segmentMagic || binary.LittleEndian.Uint32(b[12:]) != headerSum(b) {
		return header{}, 0, false
	}
	version = binary.LittleEndian.Uint32(b[8:])
	h = header{
		index:   binary.LittleEndian.Uint64(b[16:]),
		base:    binary.LittleEndian.Uint64(b[24:]),
		machine: binary.LittleEndian.Uint64(b[32:]),
		stream:  binary.LittleEndian.Uint32(b[40:]),
		flags:   binary.LittleEndian.Uint32(b[44:]),
	}
	return h, version, version != segmentVersion || h.index == index
}

// readHeader reads the header of a file, whichever of the two is whole. faults are the offsets of damaged ones.
func readHeader(f File, name string, index uint64) (h header, ok bool, faults []int64, err error) {
	var b [headersSize]byte
	if err := readAll(f, b[:], 0); err != nil {
		return header{}, false, nil, fmt.Errorf("read %s: %w", name, err)
	}
	for off := int64(0); off < headersSize; off += headerSize {
		one, version, good := decodeHeader(b[off:off+headerSize], index)
		switch {
		case !good:
			faults = append(faults, off)
		case version != segmentVersion:
			return header{}, false, nil, &errVersion{name, version}
		default:
			h, ok = one, true
		}
	}
	return h, ok, faults, nil
}
