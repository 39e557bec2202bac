// Package segment is the form of the spill on disk: how a request's records become a
// frame, how frames follow each other in a segment, what a segment's end says of the
// write that was cut off there, and the book of what is settled. Its invariant: what
// decodes is what was encoded, byte for byte, and bytes that were damaged are never
// taken for a frame. It is pure: files, goroutines and time are the spill's, which
// owns it.
package segment

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
)

// A frame is
//
//	magic 4 | kind 1 | length of the payload 4 | CRC32C of kind, length, payload 4 | payload
//
// The magic has bytes that JSON in UTF-8 cannot hold, so that no event can be made to
// look like a frame; a frame behind damage is found by it.
const (
	magic    = "\x00\xf7ws"
	headSize = 13
	// maxPayload is more than a request of the largest body may become.
	maxPayload = 1 << 30
)

// Kind is what a frame holds.
type Kind uint8

// The kinds of frames.
const (
	KindHead    Kind = iota + 1 // of a segment: its first frame
	KindRequest                 // a request's records
	KindNotes                   // which requests are in Kafka
	KindHanded                  // which requests Kafka's client gets now
)

// Begin makes room for a frame's head; the payload is appended behind it.
func Begin(dst []byte, k Kind) []byte {
	dst = append(dst, magic...)
	return append(dst, byte(k), 0, 0, 0, 0, 0, 0, 0, 0)
}

// End writes the head of the frame that begins at start and ends with the slice.
func End(b []byte, start int) []byte {
	f := b[start:]
	binary.LittleEndian.PutUint32(f[5:], uint32(len(f)-headSize))
	binary.LittleEndian.PutUint32(f[9:], checksum(f))
	return b
}

func checksum(frame []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(frame[4:9], table), table, frame[headSize:])
}

// Frame is one valid frame of a segment.
type Frame struct {
	Kind    Kind
	Payload []byte
	Size    int // with the head
}

// First reads the frame that data begins with. False means that there is none: it is
// cut off or damaged; need is then how many bytes its head asks for, 0 where there is no head.
func First(data []byte) (f Frame, need int, ok bool) {
	if len(data) < headSize || string(data[:4]) != magic {
		return Frame{}, 0, false
	}
	n := binary.LittleEndian.Uint32(data[5:])
	if n > maxPayload {
		return Frame{}, 0, false
	}
	size := headSize + int(n)
	if len(data) < size {
		return Frame{}, size, false
	}
	if binary.LittleEndian.Uint32(data[9:]) != checksum(data[:size]) {
		return Frame{}, size, false
	}
	return Frame{Kind: Kind(data[4]), Payload: data[headSize:size], Size: size}, size, true
}

// Scan visits the frames of a segment in order. It stops at the first byte that begins
// no valid frame, and gives how many bytes are valid and, where a valid frame stands
// behind that, its offset: then the damage is in the middle. -1 means that nothing
// valid follows: the end was cut off, or never written.
func Scan(data []byte, visit func(at int, f Frame) error) (valid, beyond int, err error) {
	for valid < len(data) {
		f, _, ok := First(data[valid:])
		if !ok {
			return valid, next(data, valid+1), nil
		}
		if err := visit(valid, f); err != nil {
			return valid, -1, err
		}
		valid += f.Size
	}
	return valid, -1, nil
}

// next finds a valid frame from an offset on; -1 = there is none.
func next(data []byte, from int) int {
	for from < len(data) {
		i := bytes.Index(data[from:], []byte(magic))
		if i < 0 {
			return -1
		}
		if _, _, ok := First(data[from+i:]); ok {
			return from + i
		}
		from += i + 1
	}
	return -1
}
