package columnar

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/event"
)

// patterns say of which rows a value is absent: none, all, some of each kind, and runs that end beside a page's end.
var patterns = map[string]func(i int) bool{
	"never":      func(int) bool { return false },
	"always":     func(int) bool { return true },
	"first":      func(i int) bool { return i == 0 },
	"last":       func(i int) bool { return i == matrixRows-1 },
	"odd":        func(i int) bool { return i%2 == 1 },
	"in runs":    func(i int) bool { return i/61%2 == 0 },
	"all but":    func(i int) bool { return i%97 != 0 },
	"later":      func(i int) bool { return i < 150 },
	"no more":    func(i int) bool { return i >= 150 },
	"at random":  func(i int) bool { return rand.New(rand.NewPCG(uint64(i), 1)).IntN(3) == 0 },
	"every page": func(i int) bool { return i%100 == 0 },
}

const matrixRows = 311

// matrixEvents have or lack all optional values by a pattern; some repeat, so that dictionaries pay, and some do not.
func matrixEvents(absent func(int) bool) []*event.Record {
	var records []*event.Record
	for i := range matrixRows {
		e := map[string]any{"type": "track", "messageId": fmt.Sprintf("m%d", i)}
		if !absent(i) {
			e["userId"], e["event"], e["version"] = fmt.Sprintf("u%d", i*7919), fmt.Sprintf("Event %d", i%3), nil
			e["timestamp"] = fmt.Sprintf("2026-11-23T10:%02d:%02d.%03dZ", i%60, i*7%60, i*31%1000)
			e["properties"] = map[string]any{
				"k": i % 5, fmt.Sprintf("k%d", i%11): nil, "long": fmt.Sprint("é", i*i), "d": float64(i*i)/8 - 1000, "b": i%3 == 0,
				"at": e["timestamp"], "day": fmt.Sprintf("20%02d-02-%02d", i%100, 1+i%28), "revenue": odd(i, 41), "quantity": odd(i, 100), "price": i,
			}
			e["traits"] = map[string]any{}
		}
		value, _ := json.Marshal(e)
		r := record(i, string(value))
		r.Partition = 7
		records = append(records, r)
	}
	return records
}

// odd is a number, or now and then anything else.
func odd(i, every int) any {
	if i%every > 0 {
		return i
	}
	return []any{"text", true, 0.5, []int{i}, map[string]int{"a": i}, nil, uint64(1<<63 + 1)}[i/every%7]
}

// matrix is every codec, pattern of NULLs and place of a page's end.
func matrix(each func(name string, o Options, records []*event.Record)) {
	for pattern, absent := range patterns {
		records := matrixEvents(absent)
		for _, codec := range []string{"zstd", "snappy", "none"} {
			for _, pageRows := range []int{1, 100, matrixRows - 1} {
				each(fmt.Sprintf("%s/%s/%d", pattern, codec, pageRows), Options{Codec: codec, PageRows: pageRows, RowGroupRows: 200}, records)
			}
		}
	}
}

// heavy tells of files that take a reader long: a page a row, each of them compressed.
func heavy(o Options) bool { return o.PageRows == 1 && o.Codec != "none" }

// The matrix, read by two readers that share no code with each other; DuckDB is the third where it is linked in.
// TestSpark and TestTrino have it read by those.
func TestMatrix(t *testing.T) {
	matrix(func(name string, o Options, records []*event.Record) {
		if testing.Short() && heavy(o) {
			return
		}
		t.Run(name, func(t *testing.T) {
			b, want := write(t, o, records...)
			require.Equal(t, want, read(t, b))
			require.Equal(t, want, readArrow(t, b))
			readByDuckDB(t, b, want)
		})
	})
}
