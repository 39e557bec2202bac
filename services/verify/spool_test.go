package verify

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSpool(t *testing.T) {
	s, err := openSpool(t.TempDir())
	require.NoError(t, err)
	want := map[string][]entry{}
	for i, key := range []string{"a", "b\n\t", "c", "a", "\xff", "b\n\t"} {
		e := entry{says: says(i % 4), key: key, bytes: int64(i) << 40, partition: int32(i), table: "t", manifest: "m", pending: i%2 == 1}
		want[key] = append(want[key], e)
		require.NoError(t, s.add(e))
	}
	for range 2 { // it can be read again
		got := map[string][]entry{}
		for b := range buckets {
			require.NoError(t, s.read(b, func(e entry) error {
				got[e.key] = append(got[e.key], e)
				return nil
			}))
		}
		require.Equal(t, want, got)
	}
	require.NoError(t, s.close())
}

func TestSpoolThatBreaksOff(t *testing.T) {
	dir := t.TempDir()
	s, err := openSpool(dir)
	require.NoError(t, err)
	require.NoError(t, s.add(entry{key: "a", table: "t"}))
	var bucket int
	for b := range buckets {
		require.NoError(t, s.read(b, func(entry) error { bucket = b; return nil }))
	}
	name := s.files[bucket].Name()
	require.Equal(t, dir, filepath.Dir(name))
	whole, err := os.ReadFile(name)
	require.NoError(t, err)
	for n := range len(whole) {
		_, err := readEntry(bufio.NewReader(bytes.NewReader(whole[:n])))
		if n == 0 {
			require.ErrorIs(t, err, io.EOF)
			continue
		}
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%d bytes", n)
		require.NotErrorIs(t, err, io.EOF)
	}
	require.NoError(t, s.close())
}
