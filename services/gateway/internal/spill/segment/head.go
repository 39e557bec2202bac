package segment

import (
	"encoding/binary"
	"strconv"
	"strings"
)

const (
	version = 1
	suffix  = ".spill"
	digits  = 20
)

// Head is the first frame of a segment.
type Head struct {
	Number uint64 // of the segment; it stands in the file's name too
	First  ID     // that the segment's first request has
}

// AppendHead appends the frame of a head.
func AppendHead(dst []byte, h Head) []byte {
	start := len(dst)
	dst = append(Begin(dst, KindHead), version)
	dst = binary.LittleEndian.AppendUint64(dst, h.Number)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.First))
	return End(dst, start)
}

// ReadHead reads the payload of a head's frame.
func ReadHead(payload []byte) (Head, error) {
	if len(payload) != 17 || payload[0] != version {
		return Head{}, ErrForm
	}
	return Head{Number: binary.LittleEndian.Uint64(payload[1:]), First: ID(binary.LittleEndian.Uint64(payload[9:]))}, nil
}

// Name is the name of a segment's file; names sort as the segments do.
func Name(number uint64) string {
	text := strconv.FormatUint(number, 10)
	return strings.Repeat("0", digits-len(text)) + text + suffix
}

// NumberOf reads a file's name; false where it is no segment's.
func NumberOf(name string) (uint64, bool) {
	text, ok := strings.CutSuffix(name, suffix)
	if !ok || len(text) != digits {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil
}
