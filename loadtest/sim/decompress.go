package sim

import (
	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"
)

// decompressor is the client's own but for zstd, whose decoders the client leaves to a finalizer: that runs outside of
// the bubble, where it must not close a channel that was made inside.
type decompressor struct {
	kgo.Decompressor
	limit int // bytes of a batch; the client holds no decompressor but its own to its option
}

func newDecompressor(limit int) kgo.Decompressor {
	return decompressor{kgo.DefaultDecompressor(), limit}
}

func (d decompressor) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	out, err := d.unpack(src, codec)
	if err == nil && len(out) > d.limit {
		return nil, kgo.ErrMaxDecompress
	}
	return out, err
}

func (d decompressor) unpack(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	if codec != kgo.CodecZstd {
		return d.Decompressor.Decompress(src, codec)
	}
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	return z.DecodeAll(src, nil)
}
