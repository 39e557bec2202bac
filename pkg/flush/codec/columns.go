package codec

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"weir/pkg/lake"
)

// columnNames numbers the columns that a manifest's files have, in the order in which they are met: the names stand in
// the manifest once, and a file adds about three bytes for a column.
type columnNames map[string]int

func (n columnNames) list() []string {
	if len(n) == 0 {
		return nil
	}
	names := make([]string, len(n))
	for name, at := range n {
		names[at] = name
	}
	return names
}

// encode writes a varint for each column up to the last that the file has.
func (n columnNames) encode(columns []lake.ColumnBytes) []byte {
	if len(columns) == 0 {
		return nil
	}
	last := 0
	for _, c := range columns {
		at, ok := n[c.Name]
		if !ok {
			at = len(n)
			n[c.Name] = at
		}
		last = max(last, at)
	}
	counts := make([]int64, last+1)
	for _, c := range columns {
		counts[n[c.Name]] = c.Bytes
	}
	var b []byte
	for _, count := range counts {
		b = binary.AppendUvarint(b, uint64(count))
	}
	return b
}

func decodeColumns(b []byte, names []string) ([]lake.ColumnBytes, error) {
	if len(b) == 0 {
		return nil, nil
	}
	columns := make([]lake.ColumnBytes, 0, min(len(b), len(names)))
	for at := 0; len(b) > 0; at++ {
		count, n := binary.Uvarint(b)
		if n <= 0 || count > math.MaxInt64 || at >= len(names) {
			return nil, fmt.Errorf("column %d of %d cannot be read", at, len(names))
		}
		b = b[n:]
		if count > 0 {
			columns = append(columns, lake.ColumnBytes{Name: names[at], Bytes: int64(count)})
		}
	}
	slices.SortFunc(columns, func(a, b lake.ColumnBytes) int { return strings.Compare(a.Name, b.Name) })
	return columns, nil
}
