package reconcile

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/services/catalog/internal/change"
)

// memoryStore is a lake in memory.
type memoryStore struct {
	mu      sync.Mutex
	objects map[string][]byte
	etags   map[string]int
	gets    map[string]int
	before  func(key string) error // a put
}

func (s *memoryStore) Get(_ context.Context, key string) ([]byte, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets[key]++
	body, ok := s.objects[key]
	if !ok {
		return nil, "", s3.ErrNotFound
	}
	return body, strconv.Itoa(s.etags[key]), nil
}

func (s *memoryStore) Head(context.Context, string) (s3.Object, error) {
	return s3.Object{}, s3.ErrNotFound
}

func (s *memoryStore) List(_ context.Context, prefix, after string) iter.Seq2[s3.Object, error] {
	keys := slices.Sorted(maps.Keys(s.objects))
	return func(yield func(s3.Object, error) bool) {
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) && key > after && !yield(s3.Object{Key: key}, nil) {
				return
			}
		}
	}
}

func (s *memoryStore) PutIfMatch(_ context.Context, key string, body []byte, etag string) (string, error) {
	if s.before != nil {
		if err := s.before(key); err != nil {
			return "", err
		}
	}
	if strconv.Itoa(s.etags[key]) != etag {
		return "", s3.ErrChanged
	}
	s.put(key, body)
	return strconv.Itoa(s.etags[key]), nil
}

func (s *memoryStore) put(key string, body []byte) {
	s.objects[key] = body
	s.etags[key]++
}

type committedFlush flush.Link

func (c committedFlush) Standing(_ context.Context, _, _ string, _ lake.TopicID, partitions []int32) (map[int32]Standing, string, error) {
	all := make(map[int32]Standing)
	for _, p := range partitions {
		all[p] = Standing{State: flush.State{Seq: c.Seq, Manifest: c.Manifest, Phase: flush.Done}}
	}
	return all, "", nil
}

var owner = lake.Owner{Group: "g", Topic: "t", TopicID: lake.TopicID{5}, Partition: 0}

// stopped is a gate that stopped at flush 1 of n without files.
func stopped(t *testing.T, n int) (*Repair, *memoryStore) {
	store := &memoryStore{objects: make(map[string][]byte), etags: make(map[string]int), gets: make(map[string]int)}
	for seq := range uint64(n) {
		m := &flush.Manifest{
			Key: owner.ManifestKey(seq+1, "f"), Format: flush.Format, Group: "g", Topic: "t", TopicID: owner.TopicID, Seq: seq + 1, FlushID: "f",
			NextLow: int64(seq) + 1, CreatedAt: time.Now(),
		}
		if seq > 0 {
			m.Predecessor = owner.ManifestKey(seq, "f")
		}
		body, err := codec.EncodeManifest(m)
		require.NoError(t, err)
		store.put(m.Key, body)
	}
	store.gate(t, flush.Mark{Group: "g", Seq: 1, Manifest: owner.ManifestKey(1, "f"), Low: 1, Alarm: "it stands"}, nil)
	l := change.NewLake(lake.Location{Bucket: "b"}, lake.EventLogs())
	return &Repair{
		Lake:       Lake{Store: store, Database: "db", Lake: l, Progress: func(string) {}},
		Committed:  committedFlush{Seq: uint64(n), Manifest: owner.ManifestKey(uint64(n), "f")},
		Partitions: []int32{0},
	}, store
}

func (s *memoryStore) gate(t *testing.T, mark flush.Mark, more map[int32]flush.Mark) {
	gate := &flush.Gate{Marks: map[int32]flush.Mark{0: mark}}
	maps.Copy(gate.Marks, more)
	body, err := codec.EncodeGate(gate)
	require.NoError(t, err)
	s.put(lake.GateKey("db", owner.TopicID), body)
}

func (s *memoryStore) marks(t *testing.T) map[int32]flush.Mark {
	gate, err := codec.DecodeGate(s.objects[lake.GateKey("db", owner.TopicID)])
	require.NoError(t, err)
	return gate.Marks
}

// A catalog writes the gate while it is being repaired: what it wrote stays.
func TestRepairBesideACatalog(t *testing.T) {
	r, store := stopped(t, 4)
	theirs := map[int32]flush.Mark{1: {Group: "g", Seq: 9, Manifest: "m"}}
	once := true
	store.before = func(string) error {
		if once {
			once = false
			mark := store.marks(t)[0]
			store.gate(t, mark, theirs)
		}
		return nil
	}
	all, err := r.Run(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, Cleared, all[0].Result)
	marks := store.marks(t)
	require.Equal(t, theirs[1], marks[1])
	require.Equal(t, uint64(4), marks[0].Seq)
	require.Empty(t, marks[0].Alarm)

	r, store = stopped(t, 4)
	store.before = func(string) error { store.gate(t, store.marks(t)[0], nil); return nil }
	_, err = r.Run(t.Context())
	require.ErrorIs(t, err, s3.ErrChanged, "one that never rests is given up")
}

// A long repair that is ended goes on from where it was, and nothing passes before the
// chain is whole.
func TestRepairGoesOn(t *testing.T) {
	r, store := stopped(t, 1700)
	puts := 0
	broken := errors.New("the store is away")
	store.before = func(string) error {
		if puts++; puts == 3 {
			return broken
		}
		return nil
	}
	_, err := r.Run(t.Context())
	require.ErrorIs(t, err, broken)
	mark := store.marks(t)[0]
	require.Equal(t, uint64(1001), mark.Seq)
	require.Equal(t, "it stands", mark.Alarm)

	clear(store.gets)
	store.before = nil
	all, err := r.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, "flushes 1002 to 1700 follow without a hole", all[len(all)-1].Why)
	mark = store.marks(t)[0]
	require.Equal(t, uint64(1700), mark.Seq)
	require.Empty(t, mark.Alarm)
	for seq := range uint64(1001) {
		require.Zero(t, store.gets[owner.ManifestKey(seq+1, "f")], fmt.Sprint(seq+1))
	}
}

// Of a chain that is not whole nothing passes.
func TestRepairOfAChainWithAHole(t *testing.T) {
	r, store := stopped(t, 1700)
	delete(store.objects, owner.ManifestKey(2, "f"))
	before := store.marks(t)
	all, err := r.Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, "the manifest of flush 2, "+owner.ManifestKey(2, "f")+", is not there", all[0].Why)
	require.Equal(t, before, store.marks(t))
}
