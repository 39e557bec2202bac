// Package body reads a request's body into its flight, decompressed. Its invariant: what a body unpacks to is bounded
// while it is unpacked, and what a decompressor holds is charged to the flight's budget like the body itself. It knows
// the encodings of HTTP and nothing of what a body says (intake). Owned by the gateway's transports.
package body

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"

	"weir/services/gateway/internal/produce"
)

// Why a body could not be read, beside what produce says.
var (
	ErrEncoding = errors.New("Content-Encoding is not supported: send gzip, deflate, br, zstd or none")
	ErrCorrupt  = errors.New("the body cannot be decompressed")
	ErrCut      = errors.New("the body did not arrive in full")
	ErrSlow     = errors.New("the body did not arrive in time")
)

// Reader reads bodies; it keeps the buffers and the decompressors of idle ones.
type Reader struct {
	limit int

	plain   sync.Pool // *source
	gzip    sync.Pool // *gzip.Reader
	deflate sync.Pool // io.ReadCloser of flate
	brotli  sync.Pool // *brotli.Reader
	zstd    sync.Pool // *zstd.Decoder
}

// New makes a reader of bodies that have at most limit bytes once they are decompressed.
func New(limit int) *Reader { return &Reader{limit: limit} }

// promise is how much room a body gets before any of it is there: enough for most batches, which do not have to move.
const promise = 128 << 10

// Room is for how many bytes a flight begins whose body is to have length bytes (-1 = not said). A length is a promise:
// who says much and sends nothing must not hold it, and a larger body finds its room as it comes.
func Room(length int64) int {
	return int(min(length, promise-1)) + 1 // one more: its end is seen without growing
}

// Fill reads the request's body into the flight, decompressed. gzip is recognised by its first bytes too: some proxies
// and libraries send it without saying so.
func (p *Reader) Fill(f *produce.Flight, r *http.Request) error {
	declared, err := encodingOf(r.Header["Content-Encoding"])
	if err != nil {
		return err
	}
	in := p.get(r.Body)
	defer p.put(in)
	if magic, _ := in.Peek(2); declared == identity && len(magic) == 2 && magic[0] == 0x1f && magic[1] == 0x8b {
		declared = gzipped
	}
	if declared == identity {
		return in.explain(f.Fill(in, p.limit), false)
	}
	return in.explain(p.unpack(f, in, declared), true)
}

// FillRaw reads the request's body as it is.
func (p *Reader) FillRaw(f *produce.Flight, r *http.Request) error {
	in := p.get(r.Body)
	defer p.put(in)
	return in.explain(f.Fill(in, p.limit), false)
}

// source remembers why the connection failed, which tells a cut connection from a
// cut archive: both end in io.ErrUnexpectedEOF.
type source struct {
	bufio.Reader
	body io.Reader
	err  error
}

func (r *source) read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// explain gives an error of reading its one meaning.
func (r *source) explain(err error, packed bool) error {
	switch {
	case err == nil, errors.Is(err, produce.ErrTooLarge), errors.Is(err, produce.ErrFull):
		return err
	case r.err == nil && packed:
		return ErrCorrupt
	case errors.Is(r.err, os.ErrDeadlineExceeded):
		return ErrSlow
	}
	return ErrCut
}

func (p *Reader) get(body io.Reader) *source {
	r, _ := p.plain.Get().(*source)
	if r == nil {
		r = new(source)
	}
	r.body, r.err = body, nil
	r.Reset(readFunc(r.read))
	return r
}

func (p *Reader) put(r *source) {
	r.body = nil
	p.plain.Put(r)
}

// encoding is how a body is packed.
type encoding uint8

const (
	identity encoding = iota
	gzipped
	deflated
	brotlied
	zstandard
)

func encodingOf(headers []string) (encoding, error) {
	switch len(headers) {
	case 0:
		return identity, nil
	case 1:
		switch strings.ToLower(strings.TrimSpace(headers[0])) {
		case "", "identity":
			return identity, nil
		case "gzip", "x-gzip":
			return gzipped, nil
		case "deflate":
			return deflated, nil
		case "br":
			return brotlied, nil
		case "zstd":
			return zstandard, nil
		}
	}
	return identity, ErrEncoding
}
