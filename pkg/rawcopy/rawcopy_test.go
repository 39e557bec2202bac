package rawcopy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"weir/pkg/event"
)

var codecs = []string{"zstd", "gzip"}

func unpack(t require.TestingT, codec string, b []byte) []byte {
	var r io.Reader
	if codec == "zstd" {
		d, err := zstd.NewReader(bytes.NewReader(b))
		require.NoError(t, err)
		defer d.Close()
		r = d
	} else {
		z, err := gzip.NewReader(bytes.NewReader(b))
		require.NoError(t, err)
		r = z
	}
	out, err := io.ReadAll(r)
	require.NoError(t, err)
	return out
}

func write(t require.TestingT, codec string, values ...string) []byte {
	var out bytes.Buffer
	f, err := NewFile(codec, &out)
	require.NoError(t, err)
	for _, v := range values {
		require.NoError(t, f.Append(&event.Record{Value: []byte(v)}, nil))
	}
	require.Equal(t, int64(len(values)), f.Rows())
	require.NoError(t, f.Close())
	return out.Bytes()
}

func TestLinesAreTheRecordsBytes(t *testing.T) {
	for _, codec := range codecs {
		got := unpack(t, codec, write(t, codec, `{"b":1, "a":1.0e3,"a":"\u00e9\n"}`, "{\r\n\t\"x\": [1,\n2]\n}", "{\"bad\":\"\xff\"}\r"))
		require.Equal(t, `{"b":1, "a":1.0e3,"a":"\u00e9\n"}`+"\n{  \t\"x\": [1, 2] }\n{\"bad\":\"\xff\"} \n", string(got), codec)
	}
}

func TestAnyEventsComeBack(t *testing.T) {
	for _, codec := range codecs {
		rapid.Check(t, func(t *rapid.T) {
			var values []string
			for range rapid.IntRange(1, 8).Draw(t, "events") {
				fields := rapid.MapOfN(rapid.String(), rapid.String(), 0, 5).Draw(t, "fields")
				fields["pad"] = strings.Repeat("p", rapid.SampledFrom([]int{0, 1, 10, 100, 1000, 2000, 3000, 5000, 0, 1, 2, 3, 4, 5, 6, frameBytes + 1}).Draw(t, "pad"))
				b, err := json.MarshalIndent(fields, "", rapid.SampledFrom([]string{"", " ", "\t"}).Draw(t, "indent"))
				require.NoError(t, err)
				values = append(values, string(b))
			}
			lines := strings.Split(strings.TrimSuffix(string(unpack(t, codec, write(t, codec, values...))), "\n"), "\n")
			require.Len(t, lines, len(values))
			for i := range values {
				require.True(t, strings.ReplaceAll(values[i], "\n", " ") == lines[i], "%.200q", values[i])
			}
		})
	}
}

func TestNothingIsBorrowed(t *testing.T) {
	var out bytes.Buffer
	f, err := NewFile("zstd", &out)
	require.NoError(t, err)
	value := []byte("{\n}")
	require.NoError(t, f.Append(&event.Record{Value: value}, nil))
	require.Equal(t, "{\n}", string(value), "the record is not written to")
	copy(value, "###")
	require.NoError(t, f.Close())
	require.Equal(t, "{ }\n", string(unpack(t, "zstd", out.Bytes())))
}

func TestBuffered(t *testing.T) {
	for _, codec := range codecs {
		var out bytes.Buffer
		f, err := NewFile(codec, &out)
		require.NoError(t, err)
		require.Zero(t, f.Buffered())
		r := &event.Record{Value: []byte(`{"k":"` + strings.Repeat("v", 1000) + `"}`)}
		for range 1000 {
			require.NoError(t, f.Append(r, nil))
			require.GreaterOrEqual(t, f.Buffered(), int64(len(f.tail)))
			require.Less(t, f.Buffered(), int64(4*frameBytes))
		}
		require.Positive(t, out.Len(), "full frames went out")
		huge := &event.Record{Value: []byte(`{"k":"` + strings.Repeat("v", 2<<20) + `"}`)}
		require.NoError(t, f.Append(huge, nil))
		require.Less(t, f.Buffered(), int64(4*frameBytes), "the room of a huge event is given back")
		require.NoError(t, f.Close())
		require.Zero(t, f.Buffered())
	}
}

type failing struct{ left int }

var errFull = errors.New("disk full")

func (w *failing) Write(b []byte) (int, error) {
	if len(b) > w.left {
		return 0, errFull
	}
	w.left -= len(b)
	return len(b), nil
}

func TestOutFails(t *testing.T) {
	for _, codec := range codecs {
		for _, left := range []int{0, 1, 50, 400} {
			f, err := NewFile(codec, &failing{left: left})
			require.NoError(t, err)
			r := &event.Record{Value: []byte(fmt.Sprintf(`{"k":"%s"}`, strings.Repeat("v", frameBytes)))}
			for range 20 {
				if err = f.Append(r, nil); err != nil {
					break
				}
			}
			require.ErrorIs(t, err, errFull, "%s %d", codec, left)
			require.Equal(t, err, f.Append(r, nil), "an error stays")
			require.Equal(t, err, f.Close())
		}
		f, err := NewFile(codec, &failing{})
		require.NoError(t, err)
		require.NoError(t, f.Append(&event.Record{Value: []byte("{}")}, nil))
		require.ErrorIs(t, f.Close(), errFull)
		// The compressor that failed is lent again and has forgotten it.
		require.Equal(t, "{}\n", string(unpack(t, codec, write(t, codec, "{}"))))
	}
}

func TestClosedAndUnknown(t *testing.T) {
	_, err := NewFile("lzo", io.Discard)
	require.ErrorContains(t, err, "want zstd or gzip")
	var out bytes.Buffer
	f, err := NewFile("zstd", &out)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	require.NoError(t, f.Close())
	require.ErrorIs(t, f.Append(&event.Record{Value: []byte("{}")}, nil), errClosed)
	require.Zero(t, out.Len())
}

// Files of several workers share the compressors.
func TestWorkersShareCompressors(t *testing.T) {
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			codec := codecs[w%2]
			value := fmt.Sprintf(`{"w":%d,"pad":"%s"}`, w, strings.Repeat("x", 10_000+w))
			var values []string
			for range 50 {
				values = append(values, value)
			}
			got := string(unpack(t, codec, write(t, codec, values...)))
			if got != strings.Repeat(value+"\n", 50) {
				t.Errorf("worker %d reads something else", w)
			}
		})
	}
	wg.Wait()
}

func TestAppendAllocatesLittle(t *testing.T) {
	for _, codec := range codecs {
		f, err := NewFile(codec, io.Discard)
		require.NoError(t, err)
		r := &event.Record{Value: []byte(`{"k":"` + strings.Repeat("v", 1000) + `"}`)}
		next := func() { require.NoError(t, f.Append(r, nil)) }
		for range 1000 {
			next()
		}
		require.Less(t, testing.AllocsPerRun(2000, next), 1.0, codec)
	}
}
