package body

import (
	"bytes"
	"errors"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"weir/services/gateway/internal/produce"
)

// What a decompressor holds beside its input and what it puts out, measured and rounded up: it is charged while there is
// one, since a client that stalls may keep it for as long as the server waits. What a stream of zstd needs it says.
const (
	holdsInflater = 48 << 10 // the window of 32 KiB, and its tables
	holdsBrotli   = 3 << 20  // beside the window: the tables of 256 trees of each kind
)

// unpack charges the decompressor while it reads.
func (p *Reader) unpack(f *produce.Flight, in *source, by encoding) error {
	if by == gzipped || by == deflated {
		if !f.Reserve(holdsInflater) {
			return produce.ErrFull
		}
		defer f.Return(holdsInflater)
	}
	switch by {
	case gzipped:
		return p.unpackGzip(f, in)
	case deflated:
		return p.unpackDeflate(f, in)
	case brotlied:
		return p.unpackBrotli(f, in)
	}
	return p.unpackZstd(f, in)
}

func (p *Reader) unpackGzip(f *produce.Flight, in *source) error {
	z, _ := p.gzip.Get().(*gzip.Reader)
	if z == nil {
		z = new(gzip.Reader)
	}
	defer p.gzip.Put(z)
	if err := z.Reset(in); err != nil {
		return err
	}
	return f.Fill(z, p.limit)
}

// unpackDeflate reads what the standard calls deflate, which has zlib's frame, and what some clients send under that
// name, which has none. The frame's checksum is passed over.
func (p *Reader) unpackDeflate(f *produce.Flight, in *source) error {
	framed := false
	if head, _ := in.Peek(2); len(head) == 2 && head[0]&0x0f == 8 && (uint(head[0])<<8|uint(head[1]))%31 == 0 {
		framed = true
		_, _ = in.Discard(2) // they are there
	}
	z, _ := p.deflate.Get().(io.ReadCloser)
	if z == nil {
		z = flate.NewReader(in)
	} else if err := z.(flate.Resetter).Reset(in, nil); err != nil {
		return err
	}
	defer p.deflate.Put(z)
	if err := f.Fill(z, p.limit); err != nil {
		return err
	}
	return nothingMore(in, framed)
}

// nothingMore sees that the body ends where its archive does.
func nothingMore(in *source, framed bool) error {
	if framed {
		if n, _ := in.Discard(4); n < 4 {
			return io.ErrUnexpectedEOF
		}
	}
	if _, err := in.ReadByte(); err != io.EOF {
		return errTrailing
	}
	return nil
}

var errTrailing = errors.New("something follows the archive")

// unpackBrotli charges the window that the stream asks for while it is read, and the most that its tables may take.
func (p *Reader) unpackBrotli(f *produce.Flight, in *source) error {
	head, err := in.Peek(1)
	if err != nil {
		return err
	}
	holds := brotliWindow(head[0]) + holdsBrotli
	if !f.Reserve(holds) {
		return produce.ErrFull
	}
	defer f.Return(holds)
	z, _ := p.brotli.Get().(*brotli.Reader)
	if z == nil {
		z = brotli.NewReader(in)
	} else if err := z.Reset(in); err != nil {
		return err
	}
	err = f.Fill(z, p.limit)
	if len(f.Body) <= keepWindow { // the reader's own buffer is about as large as what came out
		_ = z.Reset(nil) // it cannot fail, and lets go of the body
		p.brotli.Put(z)
	}
	return err
}

// keepWindow bounds the output of a decompressor that is kept.
const keepWindow = 256 << 10

// brotliWindow reads how large a window the first byte of a stream asks for (RFC 7932, 9.1).
func brotliWindow(head byte) int64 {
	switch {
	case head&1 == 0:
		return 1 << 16
	case head>>1&7 != 0:
		return 1 << (17 + head>>1&7)
	case head>>4&7 == 0:
		return 1 << 17
	}
	return 1 << (8 + head>>4&7)
}

// The windows of zstd: what a decoder holds beside what it puts out.
const (
	longestWindow = 8 << 20 // what RFC 9659 allows as a Content-Encoding
	leastWindow   = 1 << 10
	largestBlock  = 128 << 10
)

var errWindow = errors.New("the archive asks for too large a window")

// unpackZstd reads the whole archive before it makes room for a window, which is only held while there is work then.
// The first frame says how large a window is, and no other may ask for more.
func (p *Reader) unpackZstd(f *produce.Flight, in *source) error {
	if err := f.Fill(in, p.limit); err != nil {
		return err
	}
	var h zstd.Header
	if err := h.Decode(f.Body); err != nil {
		return err
	}
	if h.HasFCS && h.FrameContentSize > uint64(p.limit) {
		return produce.ErrTooLarge
	}
	window := max(h.WindowSize, leastWindow)
	if h.SingleSegment {
		window = max(h.FrameContentSize, leastWindow)
	}
	if window > longestWindow {
		return errWindow
	}
	holds := int64(window + 2*min(window, largestBlock))
	if !f.Reserve(holds) {
		return produce.ErrFull
	}
	defer f.Return(holds)
	return f.Repack(p.limit, func(packed []byte) (io.Reader, func(), error) { return p.openZstd(packed, window) })
}

func (p *Reader) openZstd(packed []byte, window uint64) (io.Reader, func(), error) {
	z, _ := p.zstd.Get().(*zstd.Decoder)
	if z == nil {
		var err error
		if z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true)); err != nil {
			return nil, nil, err
		}
	}
	if err := z.ResetWithOptions(bytes.NewReader(packed), zstd.WithDecoderMaxWindow(window)); err != nil {
		return nil, nil, err
	}
	return z, func() { p.keepZstd(z, window) }, nil
}

// keepZstd lets go of the body, and of a decoder that a large window has blown up.
func (p *Reader) keepZstd(z *zstd.Decoder, window uint64) {
	if window <= keepWindow && z.Reset(nil) == nil {
		p.zstd.Put(z)
		return
	}
	z.Close()
}
