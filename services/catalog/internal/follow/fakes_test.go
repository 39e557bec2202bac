package follow

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

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/glue"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/services/catalog/internal/change"
)

// world is what outlives a catalog: the flush topic, the lake, Glue. Every effect
// on it goes through act, where a test may let it fail, land without an answer, or
// kill the catalog.
type world struct {
	t  *testing.T
	mu sync.Mutex

	log       []flush.Notification // of the flush topic; a zero one is unreadable
	committed int64                // -1 = none
	grown     chan struct{}

	objects map[string]object
	etag    int

	database   bool
	tables     map[string]glue.Table
	versions   map[string]int
	partitions map[string]glue.Partition // by table/values

	unreadable string             // key of an object that is refused once
	gets       map[string]int     // how often an object was read
	reading    func(string) error // before an object is read, outside of the lock; nil = at once

	meddled  bool // Glue lacks what it was given, or refuses it
	repaired bool // a gate was written by hand

	effects []string                       // what was done, in order
	act     func(name string) (does, says) // nil = everything works
}

type object struct {
	body []byte
	etag string
}

// does: whether the effect takes place. says: what the caller is told.
type (
	does bool
	says error
)

func newWorld(t *testing.T) *world {
	return &world{
		t: t, committed: -1, grown: make(chan struct{}), objects: make(map[string]object),
		gets: make(map[string]int), tables: make(map[string]glue.Table), versions: make(map[string]int), partitions: make(map[string]glue.Partition),
	}
}

// effect lets one effect happen, or not.
func (w *world) effect(name string, land func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	ok, answer := does(true), says(nil)
	if w.act != nil {
		ok, answer = w.act(name)
	}
	if !ok {
		return answer
	}
	w.effects = append(w.effects, name)
	if err := land(); err != nil {
		return err
	}
	return answer
}

// The flush topic.

func (w *world) publish(notes ...flush.Notification) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, notes...)
	close(w.grown)
	w.grown = make(chan struct{})
}

type reader struct {
	w    *world
	at   int64
	most int // records of one poll; 0 = all
}

func (r *reader) Resume(context.Context) error {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	r.at = max(0, r.w.committed)
	return nil
}

func (r *reader) Rewind(ctx context.Context) error {
	err := r.Commit(ctx, 0)
	if err == nil {
		r.at = 0
	}
	return err
}

func (r *reader) Poll(ctx context.Context) (Batch, error) {
	for {
		r.w.mu.Lock()
		grown, log := r.w.grown, r.w.log
		r.w.mu.Unlock()
		b := Batch{First: r.at}
		for ; int(r.at) < len(log) && (r.most == 0 || len(b.Notes) < r.most); r.at++ {
			if n := log[r.at]; n.Seq == 0 {
				b.Unreadable = append(b.Unreadable, Unreadable{Offset: r.at, Err: errors.New("no protobuf")})
			} else {
				b.Notes = append(b.Notes, n)
			}
			b.Next = r.at + 1
		}
		if b.Next > 0 {
			return b, nil
		}
		select {
		case <-ctx.Done():
			return b, ctx.Err()
		case <-grown:
		}
	}
}

func (r *reader) Commit(ctx context.Context, next int64) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return r.w.effect(fmt.Sprintf("commit %d", next), func() error {
		r.w.committed = next
		r.w.checkCommit(next)
		return nil
	})
}

// checkCommit: whatever is passed over on the flush topic has passed the gate, or
// is stopped at it.
func (w *world) checkCommit(next int64) {
	for _, n := range w.log[:next] {
		if n.Seq == 0 || !n.In(testLake().Location.String()) {
			continue
		}
		if _, err := codec.DecodeGate(w.objects[lake.GateKey("db", n.TopicID)].body); err != nil && w.objects[lake.GateKey("db", n.TopicID)].body != nil {
			continue // it stands at a gate whose memory cannot be read
		}
		mark := w.gate(n.TopicID).Marks[n.Partition]
		if w.repaired {
			continue // it was left while it stood at the gate
		}
		assert.True(w.t, mark.Seq >= n.Seq || mark.Alarm != "", "offset %d is committed, and flush %d of partition %d is not in the gate's memory", next, n.Seq, n.Partition)
	}
}

func (w *world) gate(id lake.TopicID) flush.Gate {
	o, ok := w.objects[lake.GateKey("db", id)]
	if !ok {
		return flush.Gate{}
	}
	g, err := codec.DecodeGate(o.body)
	require.NoError(w.t, err)
	return *g
}

// The lake.

func (w *world) Get(ctx context.Context, key string) ([]byte, string, error) {
	if w.reading != nil {
		if err := w.reading(key); err != nil {
			return nil, "", err
		}
	}
	if ctx.Err() != nil {
		return nil, "", ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gets[key]++
	if w.unreadable == key {
		w.unreadable = ""
		return nil, "", s3.ErrDenied
	}
	o, ok := w.objects[key]
	if !ok {
		return nil, "", s3.ErrNotFound
	}
	return o.body, o.etag, nil
}

func (w *world) Head(_ context.Context, key string) (s3.Object, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o, ok := w.objects[key]
	if !ok {
		return s3.Object{}, s3.ErrNotFound
	}
	return s3.Object{Key: key, Bytes: int64(len(o.body))}, nil
}

func (w *world) List(_ context.Context, prefix, startAfter string) iter.Seq2[s3.Object, error] {
	w.mu.Lock()
	defer w.mu.Unlock()
	keys := slices.Sorted(maps.Keys(w.objects))
	return func(yield func(s3.Object, error) bool) {
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) && key > startAfter && !yield(s3.Object{Key: key}, nil) {
				return
			}
		}
	}
}

func (w *world) PutIfMatch(ctx context.Context, key string, body []byte, etag string) (string, error) {
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	var made string
	err := w.effect("put "+key, func() error {
		if w.objects[key].etag != etag {
			return s3.ErrChanged
		}
		made = w.put(key, body)
		w.checkGate(key)
		return nil
	})
	return made, err
}

func (w *world) put(key string, body []byte) string {
	w.etag++
	etag := strconv.Itoa(w.etag)
	w.objects[key] = object{body, etag}
	return etag
}

// checkGate: what the gate remembers as passed can be queried.
func (w *world) checkGate(key string) {
	g, err := codec.DecodeGate(w.objects[key].body)
	require.NoError(w.t, err)
	for _, n := range w.log {
		own := n.Seq > 0 && n.In(testLake().Location.String()) && n.Manifest == owner(n.TopicID, n.Partition).ManifestKey(n.Seq, "f")
		if !own || lake.GateKey("db", n.TopicID) != key || g.Marks[n.Partition].Seq < n.Seq {
			continue
		}
		for _, f := range n.Files {
			_, ok := w.partitions[partitionKey(f.Partition)]
			assert.True(w.t, ok || w.meddled, "flush %d is in the gate's memory, and %s not in Glue", n.Seq, partitionKey(f.Partition))
		}
	}
}

// Glue.

func (w *world) CreateDatabase(ctx context.Context, _ glue.Database) error {
	return w.glue(ctx, "create database", func() error {
		if w.database {
			return glue.ErrExists
		}
		w.database = true
		return nil
	})
}

func (w *world) GetTable(ctx context.Context, _, name string) (glue.Table, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t, ok := w.tables[name]
	if !ok {
		return t, glue.ErrNotFound
	}
	t.VersionID = strconv.Itoa(w.versions[name])
	return t, ctx.Err()
}

func (w *world) CreateTable(ctx context.Context, t glue.Table, _ ...glue.PartitionIndex) error {
	return w.glue(ctx, "create table "+t.Name, func() error {
		if !w.database {
			return glue.ErrNotFound
		}
		if _, ok := w.tables[t.Name]; ok {
			return glue.ErrExists
		}
		assert.Equal(w.t, int64(0), w.committed, "a table is made anew, and the offset does not lead back to its partitions")
		w.tables[t.Name] = t
		return nil
	})
}

func (w *world) UpdateTable(ctx context.Context, t glue.Table) error {
	return w.glue(ctx, "update table "+t.Name, func() error {
		if t.VersionID != strconv.Itoa(w.versions[t.Name]) {
			return glue.ErrChanged
		}
		w.versions[t.Name]++
		w.tables[t.Name] = t
		return nil
	})
}

func (w *world) Partitions(ctx context.Context, _, table string, f glue.Filter) iter.Seq2[glue.Partition, error] {
	w.mu.Lock()
	defer w.mu.Unlock()
	since := strings.TrimSuffix(strings.TrimPrefix(f.Expression, "dt >= '"), "'")
	var list []glue.Partition
	for _, key := range slices.Sorted(maps.Keys(w.partitions)) {
		if p := w.partitions[key]; strings.HasPrefix(key, table+"/") && p.Values[1] >= since {
			list = append(list, p)
		}
	}
	return func(yield func(glue.Partition, error) bool) {
		for _, p := range list {
			if !yield(p, ctx.Err()) {
				return
			}
		}
	}
}

func (w *world) BatchCreatePartition(ctx context.Context, _, table string, ps []glue.Partition) ([]glue.ItemError, error) {
	var items []glue.ItemError
	err := w.glue(ctx, fmt.Sprintf("create %d partitions of %s", len(ps), table), func() error {
		if _, ok := w.tables[table]; !ok {
			return glue.ErrNotFound
		}
		assert.LessOrEqual(w.t, len(ps), 100)
		for _, p := range ps {
			key := table + "/" + strings.Join(p.Values, "/")
			if _, ok := w.partitions[key]; ok {
				items = append(items, glue.ItemError{Values: p.Values, Err: glue.ErrExists})
				continue
			}
			assert.Empty(w.t, p.Columns)
			w.partitions[key] = p
		}
		return nil
	})
	return items, err
}

func (w *world) BatchUpdatePartition(ctx context.Context, _, table string, ps []glue.Partition) ([]glue.ItemError, error) {
	var items []glue.ItemError
	err := w.glue(ctx, fmt.Sprintf("update %d partitions of %s", len(ps), table), func() error {
		for _, p := range ps {
			key := table + "/" + strings.Join(p.Values, "/")
			if _, ok := w.partitions[key]; !ok {
				items = append(items, glue.ItemError{Values: p.Values, Err: glue.ErrNotFound})
				continue
			}
			w.partitions[key] = p
		}
		return nil
	})
	return items, err
}

func (w *world) glue(ctx context.Context, name string, land func() error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return w.effect(name, land)
}

func partitionKey(p lake.Partition) string { return p.Table + "/" + p.SourceID + "/" + p.Day.String() }

// Notifications.

var topicA, topicB = lake.TopicID{0xa}, lake.TopicID{0xb}

func owner(id lake.TopicID, partition int32) lake.Owner {
	return lake.Owner{Group: "g", Topic: "t", TopicID: id, Partition: partition}
}

// note is the flush seq of a partition, with a file of both tables for each source.
func note(id lake.TopicID, partition int32, seq uint64, sources ...string) flush.Notification {
	n := flush.Notification{
		Group: "g", Topic: "t", TopicID: id, Partition: partition, Seq: seq, Manifest: owner(id, partition).ManifestKey(seq, "f"),
		Low: int64(seq-1) * 10, NextLow: int64(seq) * 10, CommittedAt: time.Now(),
	}
	if seq > 1 {
		n.Predecessor = owner(id, partition).ManifestKey(seq-1, "f")
	}
	for _, s := range sources {
		for _, table := range []string{lake.EventLogsName, lake.EventLogsRawName} {
			n.Files = append(n.Files, flush.NotifiedFile{
				Table: table, Partition: lake.Partition{Table: table, SourceID: s, Day: lake.DayOf(time.Now())},
				Key: fmt.Sprintf("%s/%s/%d-%d", table, s, partition, seq), Rows: 5, Bytes: 50,
			})
		}
	}
	return n
}

// manifest puts the manifest of a notification into the lake, and its files.
func (w *world) manifest(n flush.Notification) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := &flush.Manifest{
		Key: n.Manifest, Format: flush.Format, Group: n.Group, Topic: n.Topic, TopicID: n.TopicID, Partition: n.Partition,
		Seq: n.Seq, FlushID: "f", Predecessor: n.Predecessor, Low: n.Low, NextLow: n.NextLow, LeaderEpoch: -1,
		ClusterID: "c", Bucket: "b", Trigger: "age", CreatedAt: time.Now(), MemberID: "m",
	}
	for i, f := range n.Files {
		offsets := new(flush.Offsets)
		offsets.AddRange(n.Low+int64(i/2)*5, n.Low+int64(i/2)*5+5)
		m.Files = append(m.Files, flush.File{
			Table: f.Table, Partition: f.Partition, Key: f.Key, UploadID: "u", Rows: 5, Bytes: f.Bytes, Offsets: offsets,
			MinTime: time.Now(), MaxTime: time.Now(),
		})
		w.put(f.Key, make([]byte, f.Bytes+1))
	}
	body, err := codec.EncodeManifest(m)
	require.NoError(w.t, err)
	w.put(m.Key, body)
}

// facts collects what a follower tells.
type facts struct {
	mu   sync.Mutex
	list []Fact
}

func (f *facts) tell(fact Fact) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, fact)
}

func of[T Fact](f *facts) []T {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []T
	for _, fact := range f.list {
		if one, ok := fact.(T); ok {
			list = append(list, one)
		}
	}
	return list
}

func testLake() change.Lake {
	return change.NewLake(lake.Location{Bucket: "b", Prefix: "lake"}, lake.EventLogs(), lake.EventLogsRaw("zstd"))
}

// catalog starts a follower on the world; stop ends it and waits.
func (w *world) catalog(most int) (f *facts, stop func()) {
	f = new(facts)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	follower := New(Settings{Database: "db", Lake: testLake(), Window: 250 * time.Millisecond}, &reader{w: w, most: most}, w, w, w, f.tell)
	go func() { done <- follower.Run(ctx) }()
	return f, func() {
		cancel()
		require.ErrorIs(w.t, <-done, context.Canceled)
	}
}
