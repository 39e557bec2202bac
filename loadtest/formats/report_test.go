package formats

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/lake"
)

// made is a run whose figures are made up: question i, way j takes i seconds and j tenths, and reads as many megabytes.
func made() Run {
	r := Run{
		Day: "2026-11-29", Revision: "abc", Machine: "a machine", Rounds: 3, Absent: "Trino: no\nJava",
		Lake: &Lake{Events: 1_000_000, Bytes: map[Form]int64{JSON: 1_000_000_000, Gzip: 200_000_000, Parquet: 150_000_000}, Places: make([]lake.Partition, 12), ByTime: Cut{Files: 10_000, Bytes: 400_000_000, Footers: 70_000_000}},
	}
	for range 2 {
		m := Measured{Engine: "An engine"}
		for i, q := range Questions() {
			var figures []Figure
			for j := range q.Ways {
				figures = append(figures, Figure{Wall: time.Duration(10*(i+1)+j) * time.Second / 10, Bytes: int64(10*(i+1)-j) << 20})
			}
			m.Figures = append(m.Figures, figures)
		}
		r.Engines = append(r.Engines, m)
	}
	return r
}

func TestPage(t *testing.T) {
	page := made().Markdown("x.svg")
	require.Contains(t, page, "2026-11-29, revision abc, a machine. 1,000,000 events of 1000 bytes, 3 sources, 4 days, a file for each source and day.\n")
	require.Contains(t, page, "| Parquet | 150 | 150 | 15 % |\n")
	require.Contains(t, page, "| count by type, one source's day | JSON lines | 1.00 | – | 1× | 10 | 100 % | $0.000048 | $0.0477 |\n")
	require.Contains(t, page, "|  | Parquet, the column | 4.30 | – | 0.93× | 39 | 92 % | $0.000176 | $0.1764 |\n")
	require.Contains(t, page, "Not measured here: Trino: no; Java\n")
	require.Contains(t, page, "These events would be 10,000 files of 100 rows\ninstead of 12, 400 MB instead of 150, and 70 MB of that are footers,")
	require.Contains(t, page, "Again: `make bench-formats EVENTS=1000000`")
}

func TestPictureOfARun(t *testing.T) {
	picture := made().Picture()
	require.Equal(t, 13*3, boxed(t, picture), "a bar for each way in each panel")
	require.Contains(t, picture, "The same 1,000,000 events as JSON and as Parquet")
	require.Equal(t, 3, strings.Count(picture, ", s</text>")+strings.Count(picture, ", MB</text>"))
}
