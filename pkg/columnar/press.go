package columnar

import (
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
)

// press is what making a page needs and no file keeps. It is lent for the time of a page, so that there are as many as
// goroutines that make pages at once.
type press struct {
	body   []byte
	packed []byte
	named  []bool
	zstd   *zstd.Encoder
}

var presses = sync.Pool{New: func() any { return new(press) }}

func (s *press) giveBack() {
	s.body, s.packed = kept(s.body), kept(s.packed)
	presses.Put(s)
}

// compress returns body as it stands in the file, in the scratch or body itself.
func (s *press) compress(codec format.CompressionCodec, body []byte) ([]byte, error) {
	switch codec {
	case format.Snappy:
		s.packed = s2.EncodeSnappy(s.packed[:cap(s.packed)], body)
	case format.Zstd:
		if s.zstd == nil {
			var err error
			if s.zstd, err = newZstd(); err != nil {
				return nil, err
			}
		}
		s.packed = s.zstd.EncodeAll(body, s.packed[:0])
	default:
		return body, nil
	}
	return s.packed, nil
}

// newZstd makes a compressor like the C library at level 1. Pages have their own checksum.
func newZstd() (*zstd.Encoder, error) {
	return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithWindowSize(pageBytes))
}
