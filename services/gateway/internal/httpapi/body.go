package httpapi

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"

	"weir/services/gateway/internal/produce"
)

// Why a body could not be read, beside what produce says.
var (
	errEncoding = errors.New("Content-Encoding is not supported: send gzip or none")
	errCorrupt  = errors.New("the body cannot be decompressed")
	errCut      = errors.New("the body did not arrive in full")
	errSlow     = errors.New("the body did not arrive in time")
)

// readers decodes bodies; it keeps the buffers and the decompressors of idle ones.
type readers struct {
	plain sync.Pool // *reader
	gzip  sync.Pool // *gzip.Reader
}

// reader remembers why the connection failed, which tells a cut connection from a
// cut archive: both end in io.ErrUnexpectedEOF.
type reader struct {
	bufio.Reader
	body io.Reader
	err  error
}

func (r *reader) source(p []byte) (int, error) {
	n, err := r.body.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}

type sourceFunc func([]byte) (int, error)

func (f sourceFunc) Read(p []byte) (int, error) { return f(p) }

// fill reads the request's body into the flight, decompressed, and at most limit
// bytes of it. gzip is recognised by its first bytes too: some proxies and libraries
// send it without saying so.
func (p *readers) fill(f *produce.Flight, r *http.Request, limit int) error {
	declared, err := declaredGzip(r.Header["Content-Encoding"])
	if err != nil {
		return err
	}
	in := p.get(r.Body)
	defer p.put(in)
	magic, _ := in.Peek(2)
	if !declared && (len(magic) < 2 || magic[0] != 0x1f || magic[1] != 0x8b) {
		return in.explain(f.Fill(in, limit), false)
	}
	return p.inflate(f, in, limit)
}

func (p *readers) inflate(f *produce.Flight, in *reader, limit int) error {
	z, _ := p.gzip.Get().(*gzip.Reader)
	if z == nil {
		z = new(gzip.Reader)
	}
	defer p.gzip.Put(z)
	if err := z.Reset(in); err != nil {
		return in.explain(err, true)
	}
	return in.explain(f.Fill(z, limit), true)
}

// explain gives an error of reading its one meaning.
func (r *reader) explain(err error, packed bool) error {
	switch {
	case err == nil, errors.Is(err, produce.ErrTooLarge), errors.Is(err, produce.ErrFull):
		return err
	case r.err == nil && packed:
		return errCorrupt
	case errors.Is(r.err, os.ErrDeadlineExceeded):
		return errSlow
	}
	return errCut
}

func (p *readers) get(body io.Reader) *reader {
	r, _ := p.plain.Get().(*reader)
	if r == nil {
		r = new(reader)
	}
	r.body, r.err = body, nil
	r.Reset(sourceFunc(r.source))
	return r
}

func (p *readers) put(r *reader) {
	r.body = nil
	p.plain.Put(r)
}

func declaredGzip(encodings []string) (bool, error) {
	switch len(encodings) {
	case 0:
		return false, nil
	case 1:
		switch strings.ToLower(strings.TrimSpace(encodings[0])) {
		case "", "identity":
			return false, nil
		case "gzip", "x-gzip":
			return true, nil
		}
	}
	return false, errEncoding
}
