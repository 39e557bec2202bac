package manifests

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"weir/pkg/lake"
	"weir/pkg/s3"
)

// shelf is a store that holds nothing but keys.
type shelf struct {
	keys  []string
	lists int
}

func (s *shelf) List(_ context.Context, prefix, startAfter string) iter.Seq2[s3.Object, error] {
	s.lists++
	return func(yield func(s3.Object, error) bool) {
		for _, k := range s.keys {
			if k > startAfter && len(k) >= len(prefix) && k[:len(prefix)] == prefix && !yield(s3.Object{Key: k}, nil) {
				return
			}
		}
	}
}

// The newest manifest is found whatever seqs there are, attempts under one seq and
// missing ones included, and with few listings.
func TestNewestManifest(t *testing.T) {
	owner := lake.Owner{Group: "g", Topic: "t", TopicID: lake.TopicID{1}, Partition: 4}
	find := func(seqs []uint64) (string, int) {
		shelf := &shelf{keys: []string{owner.StartedKey()}}
		for i, seq := range seqs {
			shelf.keys = append(shelf.keys, owner.ManifestKey(seq, fmt.Sprintf("id-%d", i)))
		}
		slices.Sort(shelf.keys)
		key, seq, err := Newest(t.Context(), shelf, owner)
		require.NoError(t, err)
		if _, of, _, err := lake.ParseManifestKey(key); err == nil {
			require.Equal(t, of, seq)
		}
		return key, shelf.lists
	}
	key, _ := find(nil)
	require.Empty(t, key)
	key, _ = find([]uint64{1})
	require.Equal(t, owner.ManifestKey(1, "id-0"), key)
	rapid.Check(t, func(rt *rapid.T) {
		seqs := rapid.SliceOfN(rapid.Uint64Range(1, 1_000_000), 1, 50).Draw(rt, "seqs")
		key, lists := find(seqs)
		_, seq, _, err := lake.ParseManifestKey(key)
		if err != nil || seq != slices.Max(seqs) {
			rt.Fatalf("found %s, the newest of %v is %d", key, seqs, slices.Max(seqs))
		}
		if lists > 60 {
			rt.Fatalf("%d listings for %v", lists, seqs)
		}
	})
}

// Every owner is found, whatever else stands beside its manifests.
func TestOwners(t *testing.T) {
	var want []lake.Owner
	shelf := &shelf{keys: []string{
		lake.ColumnsKey(lake.EventLogsName), lake.ColumnsCopyKey(lake.EventLogsName, 3), lake.OwnersKey(lake.TopicID{1}), lake.GateKey("weir", lake.TopicID{1}), "eventlogs/x",
	}}
	for _, group := range []string{"a", "weir-sink", "zz"} {
		for p := range int32(12) {
			o := lake.Owner{Group: group, Topic: "t", TopicID: lake.TopicID{1}, Partition: p}
			want = append(want, o)
			shelf.keys = append(shelf.keys, o.StartedKey(), o.ManifestKey(1, "x"), o.ManifestKey(1<<40, "y"))
		}
	}
	slices.Sort(shelf.keys)
	got, err := Owners(t.Context(), shelf)
	require.NoError(t, err)
	require.ElementsMatch(t, want, got)
	require.Equal(t, len(want)+1, shelf.lists)
}
