package codec

import (
	"fmt"
	"maps"
	"slices"

	"weir/pkg/flush"
	flushv1 "weir/proto/weir/flush/v1"
)

// encodeAhead writes the sets in the order of their tables, so that the same manifest is the same bytes.
func encodeAhead(ahead map[string]*flush.Offsets) ([]*flushv1.Flushed, error) {
	var all []*flushv1.Flushed
	for _, table := range slices.Sorted(maps.Keys(ahead)) {
		offsets, err := ahead[table].MarshalBinary()
		if err != nil {
			return nil, fmt.Errorf("flushed offsets of %s: %w", table, err)
		}
		all = append(all, &flushv1.Flushed{Table: table, Offsets: offsets})
	}
	return all, nil
}

func decodeAhead(all []*flushv1.Flushed) (map[string]*flush.Offsets, error) {
	ahead := make(map[string]*flush.Offsets, len(all))
	for _, p := range all {
		if ahead[p.Table] != nil {
			return nil, fmt.Errorf("flushed offsets of %s stand twice", p.Table)
		}
		ahead[p.Table] = new(flush.Offsets)
		if err := ahead[p.Table].UnmarshalBinary(p.Offsets); err != nil {
			return nil, fmt.Errorf("flushed offsets of %s: %w", p.Table, err)
		}
	}
	return ahead, nil
}
