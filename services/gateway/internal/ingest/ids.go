package ingest

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"time"
)

// Both kinds of id are UUIDs of version 7: unique without coordination, and ordered
// by time where someone sorts by them. The generator of math/rand/v2 is seeded by
// the system and made for this; ids are no secrets.

// NewRequestID names a request.
func NewRequestID(at time.Time) string {
	var b [36]byte
	return string(appendUUID(b[:0], at))
}

func appendMessageID(dst []byte) []byte { return appendUUID(dst, time.Now()) }

func appendUUID(dst []byte, at time.Time) []byte {
	var u [16]byte
	binary.BigEndian.PutUint64(u[:8], uint64(at.UnixMilli())<<16|rand.Uint64()&0x0fff|0x7000)
	binary.BigEndian.PutUint64(u[8:], rand.Uint64()&0x3fff_ffff_ffff_ffff|0x8000_0000_0000_0000)
	for i, from := range [...]int{0, 4, 6, 8, 10} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, u[from:[...]int{4, 6, 8, 10, 16}[i]])
	}
	return dst
}
