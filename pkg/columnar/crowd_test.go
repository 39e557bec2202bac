package columnar

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/event"
	"weir/pkg/lake"
)

// Many files, few of which see most events, stay within the memory of their layout; each still holds its own rows.
func TestCrowdedFilesKeepWithinTheBound(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: it is long and has one goroutine")
	}
	const files, events, bound = 200, 40_000, int64(8 << 20)
	l, err := NewLayout(lake.EventLogs().Schema, Options{RowsBytes: bound, Promoted: promoted})
	require.NoError(t, err)
	outs := make([]bytes.Buffer, files)
	open := make([]*File, files)
	for i := range open {
		open[i] = l.NewFile(&outs[i])
	}
	rs := records(2000)
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 1, files-1)
	wants := make([][]row, files)
	v := event.View{Promotion: event.NewPromotion(promoted)}
	most := int64(0)
	for i := range events {
		r := rs[i%len(rs)]
		r.Offset = int64(i)
		require.Equal(t, event.Reason(""), v.Decode(&r))
		at := int(zipf.Uint64())
		if at%40 == 3 {
			wants[at] = append(wants[at], rowOf(&r, &v))
		}
		require.NoError(t, open[at].Append(&r, &v))
		most = max(most, l.held.Load())
	}
	require.Less(t, most, bound+bound/4)
	require.Greater(t, most, bound/2, "the bound was met")
	for i, f := range open {
		require.NoError(t, f.Close())
		if wants[i] != nil {
			require.Equal(t, wants[i], read(t, outs[i].Bytes()))
		}
	}
	require.Zero(t, l.held.Load())
	require.Zero(t, l.files.Load())
}

// A file that is given up, or fails, leaves its room to the others.
func TestAbandon(t *testing.T) {
	l, err := NewLayout(lake.EventLogs().Schema, Options{})
	require.NoError(t, err)
	rs := records(3000)
	var v event.View
	for name, end := range map[string]func(*File){
		"abandoned":              func(f *File) { f.Abandon(); f.Abandon() },
		"abandoned, then closed": func(f *File) { f.Abandon(); require.NoError(t, f.Close()) },
		"failed": func(f *File) {
			f.out.w = &failing{}
			require.ErrorIs(t, f.Close(), errFull)
			require.ErrorIs(t, f.Close(), errFull)
		},
	} {
		for _, n := range []int{0, 10, len(rs)} {
			f := l.NewFile(io.Discard)
			for i := range rs[:n] {
				require.Equal(t, event.Reason(""), v.Decode(&rs[i]))
				require.NoError(t, f.Append(&rs[i], &v))
			}
			require.Equal(t, int64(1), l.files.Load(), name)
			end(f)
			require.Zero(t, l.files.Load(), name)
			require.Zero(t, l.held.Load(), name)
			require.Zero(t, f.Buffered(), name)
		}
	}
}
