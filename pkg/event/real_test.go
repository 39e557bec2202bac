package event

import (
	"bufio"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// Events that real libraries send and that Segment's documentation shows are seen as the reference sees them.
func TestRealEvents(t *testing.T) {
	f, err := os.Open("../../loadtest/replay/testdata/segment-events.jsonl") // with its licences beside it
	require.NoError(t, err)
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	n := 0
	var v View
	for ; lines.Scan(); n++ {
		r := record(lines.Text())
		_, want := reference(r)
		require.Equal(t, want, v.Decode(r), lines.Text())
		if want == "" {
			requireSame(t, r, &v)
			requireSound(t, &v)
		}
	}
	require.NoError(t, lines.Err())
	require.Equal(t, 198, n)
}
