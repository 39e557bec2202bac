package rawcopy

import (
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// codec compresses text by itself and writes it to out.
type codec func(out io.Writer, text []byte) error

func codecOf(name string) (codec, error) {
	switch name {
	case "zstd":
		return zstdFrame, nil
	case "gzip":
		return gzipMember, nil
	}
	return nil, fmt.Errorf("unknown codec %q: want zstd or gzip", name)
}

// Compressors are large and lent for one frame.
var (
	zstds = sync.Pool{New: func() any { return new(zstdEncoder) }}
	gzips = sync.Pool{New: func() any {
		w, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
		if err != nil {
			panic(err) // the level is a constant
		}
		return w
	}}
)

type zstdEncoder struct {
	*zstd.Encoder
	frame []byte
}

func zstdFrame(out io.Writer, text []byte) error {
	e := zstds.Get().(*zstdEncoder)
	defer zstds.Put(e)
	if e.Encoder == nil {
		var err error
		if e.Encoder, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1)); err != nil {
			return err
		}
	}
	e.frame = e.EncodeAll(text, e.frame[:0])
	_, err := out.Write(e.frame)
	return err
}

func gzipMember(out io.Writer, text []byte) error {
	w := gzips.Get().(*gzip.Writer)
	defer func() {
		w.Reset(nil) // it must not pin the file
		gzips.Put(w)
	}()
	w.Reset(out)
	if _, err := w.Write(text); err != nil {
		return err
	}
	return w.Close()
}
