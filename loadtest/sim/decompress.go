package sim

import (
	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kgo"
)

// decompressor is the client's own but for zstd, whose decoders the client leaves to a finalizer: that runs outside of
// the bubble, where it must not close a channel that was made inside.
type decompressor struct{ kgo.Decompressor }

func newDecompressor() kgo.Decompressor { return decompressor{kgo.DefaultDecompressor()} }

func (d decompressor) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
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
