package ledger

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/lake"
	"weir/pkg/ledger/sums"
	"weir/pkg/s3"
)

// bucket counts what is read.
type bucket struct {
	mu      sync.Mutex
	objects map[string][]byte
	read    []string
	err     error
}

func (b *bucket) Get(_ context.Context, key string) ([]byte, string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.read = append(b.read, key)
	body, ok := b.objects[key]
	if !ok {
		return nil, "", s3.ErrNotFound
	}
	return body, "etag", b.err
}

func (b *bucket) List(_ context.Context, prefix, after string) iter.Seq2[s3.Object, error] {
	return func(yield func(s3.Object, error) bool) {
		for _, key := range slices.Sorted(maps.Keys(b.objects)) {
			if strings.HasPrefix(key, prefix) && key > after && !yield(s3.Object{Key: key}, nil) {
				return
			}
		}
	}
}

func (b *bucket) put(t *testing.T, day lake.Day, list ...Sum) {
	var d sums.Day
	d.Apply(1, list)
	body, err := d.Encode()
	require.NoError(t, err)
	b.objects[lake.SumsKey("db", day)] = body
}

func sum(table, source string, day lake.Day) Sum {
	return Sum{Partition: lake.Partition{Table: table, SourceID: source, Day: day}, Files: 1, Rows: 2, Bytes: 3}
}

const first = lake.Day(20_000)

func TestSums(t *testing.T) {
	b := &bucket{objects: map[string][]byte{lake.SumsDir("db") + "other": nil, lake.LedgerKey("db"): nil}}
	for day := first; day < first+30; day++ {
		b.put(t, day, sum("eventlogs", "b", day), sum("eventlogs", "a", day), sum("eventlogs_raw", "a", day))
	}
	l := Open(b, "db")
	got, err := l.Sums(t.Context(), "eventlogs", Filter{From: first + 7, To: first + 8})
	require.NoError(t, err)
	require.Equal(t, []Sum{
		sum("eventlogs", "a", first+7), sum("eventlogs", "b", first+7), sum("eventlogs", "a", first+8), sum("eventlogs", "b", first+8),
	}, got)
	require.ElementsMatch(t, []string{lake.SumsKey("db", first+7), lake.SumsKey("db", first+8)}, b.read, "only the days that were asked for")

	got, err = l.Sums(t.Context(), "", Filter{Sources: []string{"a"}, To: first})
	require.NoError(t, err)
	require.Equal(t, []Sum{sum("eventlogs", "a", first), sum("eventlogs_raw", "a", first)}, got)

	got, err = l.Sums(t.Context(), "eventlogs", Filter{})
	require.NoError(t, err)
	require.Len(t, got, 60)
	got, err = Open(b, "elsewhere").Sums(t.Context(), "", Filter{})
	require.NoError(t, err)
	require.Empty(t, got)

	b.err = errors.New("it is away")
	_, err = l.Sums(t.Context(), "", Filter{})
	require.ErrorIs(t, err, b.err)
	b.err = nil
	b.objects[lake.SumsKey("db", first)] = []byte("x")
	_, err = l.Sums(t.Context(), "", Filter{})
	require.ErrorContains(t, err, lake.SumsKey("db", first)+": decode the sums of 2024-10-04")
}
