package columnar

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/event"
)

// FuzzFile makes a file of whatever lines are events, cut into pages and row groups of any size, and has it read back.
func FuzzFile(f *testing.F) {
	var all []byte
	for _, s := range samples[:5] {
		all = append(append(all, s...), '\n')
	}
	f.Add(all, uint8(0), uint8(3), uint8(2))
	f.Add([]byte(`{"type":"track","properties":{"a":"","b":null,"":0},"context":{}}`+"\n"+`{"type":"track","traits":null,"userId":"\ud83c"}`), uint8(1), uint8(1), uint8(1))
	f.Add([]byte(`{"type":"track","properties":{"revenue":1.5,"quantity":2,"b":true,"day":"2026-11-24","at":"2026-11-24T10:00:00Z","k":-0.0}}`+"\n"+
		`{"type":"track","properties":{"revenue":"1.5","quantity":2.5,"b":"true","day":20261124,"at":[],"k":1e300}}`+"\n"+`{"type":"track"}`), uint8(0), uint8(1), uint8(2))
	f.Add(bytes.Repeat([]byte(`{"type":"x","event":"same","userId":"u"}`+"\n"), 40), uint8(2), uint8(9), uint8(30))
	f.Fuzz(func(t *testing.T, lines []byte, codec, pageRows, groupRows uint8) {
		var records []*event.Record
		var v event.View
		for line := range bytes.Lines(lines) {
			r := record(len(records), string(line))
			if len(records) < 200 && v.Decode(r) == "" {
				records = append(records, r)
			}
		}
		o := Options{Codec: []string{"zstd", "snappy", "none"}[codec%3], PageRows: int(pageRows), RowGroupRows: int(groupRows)}
		b, want := write(t, o, records...)
		require.Equal(t, want, read(t, b))
		if len(want) > 0 {
			require.Equal(t, want, readArrow(t, b))
			readByDuckDB(t, b, want)
		}
	})
}
