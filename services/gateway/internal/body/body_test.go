package body

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"weir/services/gateway/internal/produce"
)

const limit = 256 << 10

// packers are how clients pack bodies.
func packers(t testing.TB) map[string]func(text []byte) []byte {
	by := func(make func(io.Writer) io.WriteCloser) func([]byte) []byte {
		return func(text []byte) []byte {
			var b bytes.Buffer
			z := make(&b)
			_, err := z.Write(text)
			require.NoError(t, err)
			require.NoError(t, z.Close())
			return b.Bytes()
		}
	}
	return map[string]func([]byte) []byte{
		"gzip":    by(func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }),
		"deflate": by(func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }),
		"deflate without a frame": by(func(w io.Writer) io.WriteCloser {
			z, err := flate.NewWriter(w, flate.BestCompression)
			require.NoError(t, err)
			return z
		}),
		"br": by(func(w io.Writer) io.WriteCloser { return brotli.NewWriter(w) }),
		"br of the largest window": by(func(w io.Writer) io.WriteCloser {
			return brotli.NewWriterOptions(w, brotli.WriterOptions{Quality: 5, LGWin: 24})
		}),
		"zstd": by(func(w io.Writer) io.WriteCloser {
			z, err := zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.SpeedDefault)) // a window of 8 MiB
			require.NoError(t, err)
			return z
		}),
		"zstd that says how much": func(text []byte) []byte {
			z, err := zstd.NewWriter(nil)
			require.NoError(t, err)
			return z.EncodeAll(text, nil)
		},
	}
}

func requestOf(encoding string, body io.Reader) *http.Request {
	r := &http.Request{Header: http.Header{}, Body: io.NopCloser(body)}
	if encoding != "" {
		r.Header["Content-Encoding"] = []string{encoding}
	}
	return r
}

// read reads a body within a budget, and sees that all of it is given back.
func read(t testing.TB, p *Reader, budget int64, r *http.Request) ([]byte, error) {
	h := produce.NewHangar(budget)
	f, ok := h.Begin("a", 0)
	require.True(t, ok)
	err := p.Fill(f, r)
	body := bytes.Clone(f.Body)
	f.Release()
	require.Zero(t, h.Budget.Used())
	return body, err
}

func first(name string) string {
	encoding, _, _ := strings.Cut(name, " ")
	return encoding
}

func TestEveryEncoding(t *testing.T) {
	p := New(limit)
	texts := [][]byte{nil, []byte("{}"), bytes.Repeat([]byte(`{"some":"event"},`), 3000), bytes.Repeat([]byte("x"), limit)}
	for name, pack := range packers(t) {
		t.Run(name, func(t *testing.T) {
			for _, text := range texts {
				if len(pack(text)) == 0 {
					continue // zstd packs nothing as nothing, which is no archive
				}
				for range 3 { // what is used again is as good as new
					got, err := read(t, p, 64<<20, requestOf(first(name), bytes.NewReader(pack(text))))
					require.NoError(t, err)
					require.True(t, bytes.Equal(text, got), "%d bytes, not %d", len(got), len(text))
				}
				packed := pack(text)
				_, err := read(t, p, 64<<20, requestOf(first(name), bytes.NewReader(packed[:len(packed)-1])))
				require.ErrorIs(t, err, ErrCorrupt, "%d bytes, cut short", len(text))
				_, err = read(t, p, 64<<20, requestOf(first(name), bytes.NewReader([]byte("\xff\xff\xff\xff nonsense"))))
				require.ErrorIs(t, err, ErrCorrupt)
			}
			_, err := read(t, p, 64<<20, requestOf(first(name), bytes.NewReader(pack(bytes.Repeat([]byte("x"), limit+1)))))
			require.ErrorIs(t, err, produce.ErrTooLarge)
			_, err = read(t, p, 64<<20, requestOf(first(name), strings.NewReader("")))
			require.ErrorIs(t, err, ErrCorrupt)
		})
	}
	for _, encoding := range []string{"", "identity", " Identity "} {
		got, err := read(t, p, 64<<20, requestOf(encoding, strings.NewReader("{}")))
		require.NoError(t, err)
		require.Equal(t, "{}", string(got))
	}
	got, err := read(t, p, 64<<20, requestOf("", bytes.NewReader(packers(t)["gzip"]([]byte("{}")))))
	require.NoError(t, err)
	require.Equal(t, "{}", string(got), "gzip that nobody declared")
	z, err := zstd.NewWriter(nil, zstd.WithWindowSize(16<<20), zstd.WithSingleSegment(false))
	require.NoError(t, err)
	_, err = read(t, p, 64<<20, requestOf("zstd", bytes.NewReader(z.EncodeAll(bytes.Repeat([]byte("{}"), 100_000), nil))))
	require.NoError(t, err, "a window that is larger than the text is not needed, and not asked for")
	var b bytes.Buffer
	z.Reset(&b)
	_, err = io.Copy(z, strings.NewReader(strings.Repeat("{}", 100_000)))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	_, err = read(t, p, 64<<20, requestOf("zstd", &b))
	require.ErrorIs(t, err, ErrCorrupt, "too large a window")
	small := packers(t)["zstd that says how much"]([]byte("{}"))
	got, err = read(t, p, 64<<20, requestOf("zstd", bytes.NewReader(append(small, small...))))
	require.NoError(t, err)
	require.Equal(t, "{}{}", string(got))
	_, err = read(t, p, 64<<20, requestOf("zstd", bytes.NewReader(append(small, packers(t)["zstd"](bytes.Repeat([]byte("{}"), 100_000))...))))
	require.ErrorIs(t, err, ErrCorrupt, "a second frame that asks for more than the first")
	_, err = read(t, p, 64<<20, requestOf("compress", strings.NewReader("{}")))
	require.ErrorIs(t, err, ErrEncoding)
	r := requestOf("gzip", strings.NewReader("{}"))
	r.Header.Add("Content-Encoding", "br")
	_, err = read(t, p, 64<<20, r)
	require.ErrorIs(t, err, ErrEncoding)
}

// Much of nothing costs what the limit is, whatever it is packed by.
func TestBombs(t *testing.T) {
	p := New(limit)
	nothing := make([]byte, 8<<20)
	for name, pack := range packers(t) {
		bomb := pack(nothing)
		if first(name) == "gzip" || first(name) == "zstd" {
			bomb = bytes.Repeat(bomb, 8) // an archive may have many
		}
		_, _ = read(t, p, 64<<20, requestOf(first(name), bytes.NewReader(bomb))) // what is kept for the next is there
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := read(t, p, 64<<20, requestOf(first(name), bytes.NewReader(bomb)))
		runtime.ReadMemStats(&after)
		require.ErrorIs(t, err, produce.ErrTooLarge, name)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(40<<20), name)
	}
}

// What a decompressor holds is charged: without room for it the body is refused, and may be sent again.
func TestDecompressorsAreCharged(t *testing.T) {
	p := New(limit)
	for name, budget := range map[string]int64{"br": 2 << 20, "br of the largest window": 8 << 20, "zstd": 64 << 10, "zstd that says how much": 300 << 10, "gzip": 64 << 10} {
		text := bytes.Repeat([]byte("some text "), 20_000)
		_, err := read(t, p, budget, requestOf(first(name), bytes.NewReader(packers(t)[name](text))))
		require.ErrorIs(t, err, produce.ErrFull, name)
	}
}

// stalling gives what was sent, and then looks at the budget in place of waiting.
type stalling struct {
	io.Reader
	look func()
}

func (s stalling) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err == io.EOF {
		s.look()
	}
	return n, err
}

// A client that sends half a body and waits keeps a decompressor: it is charged for as long, whatever it has sent.
func TestAStalledDecompressorIsCharged(t *testing.T) {
	p := New(limit)
	for name, holds := range map[string]int64{"gzip": 48 << 10, "deflate": 48 << 10, "deflate without a frame": 48 << 10, "br": 3 << 20, "br of the largest window": 19 << 20} {
		h := produce.NewHangar(64 << 20)
		f, ok := h.Begin("a", 0)
		require.True(t, ok)
		before, looked := h.Budget.Used(), false
		half := packers(t)[name](bytes.Repeat([]byte("x"), 1000))[:10]
		body := stalling{bytes.NewReader(half), func() {
			looked = true
			require.GreaterOrEqual(t, h.Budget.Used()-before, holds, name)
		}}
		require.ErrorIs(t, p.Fill(f, requestOf(first(name), body)), ErrCorrupt, name)
		require.True(t, looked, name)
		f.Release()
		require.Zero(t, h.Budget.Used(), name)
	}
}

type failing struct {
	io.Reader
	err error
}

func (f failing) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err == io.EOF {
		err = f.err
	}
	return n, err
}

// A connection that breaks is told from an archive that does: one may be sent again.
func TestCutConnections(t *testing.T) {
	p := New(limit)
	for name, pack := range packers(t) {
		half := pack(bytes.Repeat([]byte("x"), 1000))[:10]
		for want, err := range map[error]error{ErrCut: io.ErrUnexpectedEOF, ErrSlow: os.ErrDeadlineExceeded} {
			_, got := read(t, p, 64<<20, requestOf(first(name), failing{bytes.NewReader(half), err}))
			require.ErrorIs(t, got, want, name)
			_, got = read(t, p, 64<<20, requestOf("", failing{strings.NewReader("{"), err}))
			require.ErrorIs(t, got, want)
		}
	}
}

// Whatever the bytes and the encoding, reading ends within its bounds, and says one of the things that it may say.
func FuzzFill(f *testing.F) {
	encodings := []string{"", "gzip", "deflate", "br", "zstd", "x-gzip", "other"}
	for name, pack := range packers(f) {
		for i, encoding := range encodings {
			if encoding == first(name) {
				f.Add(uint8(i), pack([]byte(`{"batch":[]}`)))
			}
		}
	}
	f.Add(uint8(3), []byte{0x0f, 0xff, 0xff})
	p := New(64 << 10)
	f.Fuzz(func(t *testing.T, encoding uint8, body []byte) {
		got, err := read(t, p, 32<<20, requestOf(encodings[int(encoding)%len(encodings)], bytes.NewReader(body)))
		switch {
		case err == nil:
			require.LessOrEqual(t, len(got), 64<<10)
		case errors.Is(err, ErrCorrupt), errors.Is(err, ErrEncoding), errors.Is(err, produce.ErrTooLarge):
		default:
			t.Fatalf("%v", err)
		}
	})
}
