package sums

import (
	"fmt"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"weir/pkg/lake"
)

const day = lake.Day(20_000)

func at(minute int) time.Time { return day.Time().Add(time.Duration(minute) * time.Minute) }

func file(source string, n int64, minute int) Sum {
	return Sum{
		Partition: lake.Partition{Table: "eventlogs", SourceID: source, Day: day}, Files: 1, Rows: n, Bytes: 10 * n,
		Columns: map[string]int64{"event": 3 * n, fmt.Sprint("column_", source): n},
		MinTime: at(minute), MaxTime: at(minute + 1), FirstFlush: at(minute + 2), LastFlush: at(minute + 2),
	}
}

func TestADayComesBack(t *testing.T) {
	var d Day
	raw := Sum{Partition: lake.Partition{Table: "eventlogs_raw", SourceID: "a", Day: day}, Files: 1, Rows: 5, Bytes: 50, Unsized: 50}
	d.Apply(4, []Sum{file("a", 5, 10), file("b", 7, 3), raw})
	d.Apply(6, []Sum{file("a", 6, 4)})
	body, err := d.Encode()
	require.NoError(t, err)
	again, err := d.Encode()
	require.NoError(t, err)
	require.Equal(t, body, again)
	got, err := Decode(day, body)
	require.NoError(t, err)
	require.Equal(t, &d, got)
	require.Equal(t, int64(6), got.Applied)
	require.Equal(t, []Sum{
		{
			Partition: lake.Partition{Table: "eventlogs", SourceID: "a", Day: day}, Files: 2, Rows: 11, Bytes: 110,
			Columns: map[string]int64{"event": 33, "column_a": 11}, MinTime: at(4), MaxTime: at(11), FirstFlush: at(6), LastFlush: at(12),
		},
		file("b", 7, 3), raw,
	}, got.List())
}

// Whoever tries a batch again adds nothing.
func TestABatchIsAddedOnce(t *testing.T) {
	var d Day
	d.Apply(2, []Sum{file("a", 5, 0)})
	d.Apply(2, []Sum{file("a", 5, 0)})
	d.Apply(1, []Sum{file("a", 5, 0)})
	require.Equal(t, []Sum{file("a", 5, 0)}, d.List())
	d.Apply(3, []Sum{file("a", 5, 0)})
	require.Equal(t, int64(2), d.List()[0].Files)
}

func TestDecodeRefuses(t *testing.T) {
	packer, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	defer packer.Close()
	for text, why := range map[string]string{
		`{"format":2}`: "run the version that wrote it",
		`{`:            "unexpected end",
		`{"format":1,"applied":"1","sums":[{"times":[0]}]}`:                         "1 times",
		`{"format":1,"applied":"1","sums":[{"times":[0,0,0,0],"columns":[1,2,3]}]}`: "3 of 0 columns",
	} {
		_, err := Decode(day, packer.EncodeAll([]byte(text), nil))
		require.ErrorContains(t, err, "decode the sums of 2024-10-04: ", text)
		require.ErrorContains(t, err, why, text)
	}
	_, err = Decode(day, []byte("no frame"))
	require.ErrorContains(t, err, "decode the sums of 2024-10-04: ")
}
