package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/lake"
	reader "weir/pkg/ledger"
	"weir/pkg/s3"
	"weir/pkg/shape"
	"weir/services/catalog/internal/change"
	"weir/services/catalog/internal/follow"
	"weir/services/catalog/internal/views/keep"
)

// world is what outlives a keeper: the lake and Glue. Every effect goes through act, where a test may let it fail, land
// without an answer, or let somebody else come between.
type world struct {
	t *testing.T

	mu      sync.Mutex // of what follows, while a keeper runs; act is called without it
	objects map[string]stored
	etag    int
	days    map[string]string // that Glue holds, and where they are; nil = not even the table

	unreadable string // key of an object that cannot be read now
	effects    int
	act        func(n int, name string) (land bool, answer error)
}

type stored struct {
	body []byte
	etag string
}

func newWorld(t *testing.T) *world { return &world{t: t, objects: make(map[string]stored)} }

func (w *world) effect(name string, land func() error) error {
	w.effects++
	ok, answer := true, error(nil)
	if w.act != nil {
		ok, answer = w.act(w.effects, name)
	}
	if !ok {
		return answer
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := land(); err != nil {
		return err
	}
	return answer
}

func (w *world) Get(_ context.Context, key string) ([]byte, string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o, ok := w.objects[key]
	switch {
	case key == w.unreadable:
		return nil, "", s3.ErrDenied
	case !ok:
		return nil, "", s3.ErrNotFound
	}
	return o.body, o.etag, nil
}

func (w *world) Head(_ context.Context, key string) (s3.Object, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.objects[key]; !ok {
		return s3.Object{}, s3.ErrNotFound
	}
	return s3.Object{Key: key}, nil
}

func (w *world) List(_ context.Context, prefix, after string) iter.Seq2[s3.Object, error] {
	w.mu.Lock()
	keys := slices.Sorted(maps.Keys(w.objects))
	w.mu.Unlock()
	return func(yield func(s3.Object, error) bool) {
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) && key > after && !yield(s3.Object{Key: key}, nil) {
				return
			}
		}
	}
}

func (w *world) PutIfMatch(_ context.Context, key string, body []byte, etag string) (made string, err error) {
	err = w.effect("put "+key, func() error {
		if w.objects[key].etag != etag {
			return s3.ErrChanged
		}
		if strings.HasPrefix(key, lake.FilesName+"/") {
			require.NotEmpty(w.t, w.days[dayOf(key)], "%s is put before Glue holds its day", key)
		}
		made = w.set(key, body)
		return nil
	})
	return made, err
}

func dayOf(key string) string {
	_, day, _ := strings.Cut(key, "/dt=")
	return day[:len(time.DateOnly)]
}

func (w *world) put(key string, body []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.set(key, body)
}

// refuse lets no read of an object succeed.
func (w *world) refuse(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unreadable = key
}

func (w *world) set(key string, body []byte) string {
	w.etag++
	w.objects[key] = stored{body, strconv.Itoa(w.etag)}
	return w.objects[key].etag
}

func (w *world) Register(_ context.Context, spec change.Spec, parts []change.Partition) error {
	return w.effect("register", func() error {
		require.Equal(w.t, "s3://b/lake/weir_files/db/", spec.Location)
		if w.days == nil {
			w.days = make(map[string]string)
		}
		for _, p := range parts {
			if w.days[p.Values[0]] == "" {
				w.days[p.Values[0]] = strings.TrimPrefix(p.Location, "s3://b/lake/")
			}
		}
		return nil
	})
}

func (w *world) Move(_ context.Context, _ change.Spec, p change.Partition) error {
	return w.effect("move", func() error {
		require.NotEmpty(w.t, w.days[p.Values[0]])
		w.days[p.Values[0]] = strings.TrimPrefix(p.Location, "s3://b/lake/")
		return nil
	})
}

// Flushes.

var topicID = lake.TopicID{0xa}

func owner(partition int32) lake.Owner {
	return lake.Owner{Group: "g", Topic: "t", TopicID: topicID, Partition: partition}
}

const today = lake.Day(20_000)

// manifest is the flush of a seq, with a file of each table for each source of each of so many days.
func manifest(partition int32, seq uint64, days int, sources ...string) *flush.Manifest {
	o := owner(partition)
	m := &flush.Manifest{
		Format: flush.Format, ClusterID: "c", Group: o.Group, Topic: o.Topic, TopicID: o.TopicID, Partition: partition,
		Seq: seq, FlushID: "f", Low: int64(seq-1) * 1000, NextLow: int64(seq) * 1000, LeaderEpoch: -1, Bucket: "b", Trigger: "age",
		CreatedAt: today.Time().Add(time.Duration(seq) * time.Second), MemberID: "m",
	}
	if seq > 1 {
		m.Predecessor = o.ManifestKey(seq-1, "f")
	}
	at := m.Low
	for day := range days {
		for _, source := range sources {
			for _, table := range []lake.Table{lake.EventLogs(), lake.EventLogsRaw("zstd")} {
				p := lake.Partition{Table: table.Name, SourceID: source, Day: today - lake.Day(day)}
				f := flush.File{
					Table: table.Name, Partition: p, Key: lake.ObjectKey(table, p, fmt.Sprintf("%d-%d", partition, seq), len(m.Files)), UploadID: "u",
					Rows: 2, Bytes: 100, Offsets: flush.NewOffsets(at, at+1), MinTime: p.Day.Time(), MaxTime: p.Day.Time().Add(time.Hour),
				}
				if table.Format == lake.Parquet {
					f.Columns = []lake.ColumnBytes{{Name: "event", Bytes: 30}, {Name: "type", Bytes: 10}}
				}
				m.Files = append(m.Files, f)
			}
			at += 2
		}
	}
	m.Key = o.ManifestKey(seq, m.FlushID)
	packed, err := codec.PackShapes(&shape.Summary{Events: map[shape.Event]*shape.Seen{
		{Type: "track", Name: "E"}: {Events: 1, Properties: map[string]*shape.Counts{fmt.Sprintf("p%d", seq%3): {shape.Text: 1}}},
	}})
	if err != nil {
		panic(err)
	}
	m.Shapes = packed
	return m
}

// flushed puts manifests into the lake and lets the gate pass them.
func (w *world) flushed(list ...*flush.Manifest) {
	for _, m := range list {
		w.attempt(m)
		w.gate(m)
	}
}

func (w *world) attempt(m *flush.Manifest) {
	body, err := codec.EncodeManifest(m)
	require.NoError(w.t, err)
	w.put(m.Key, body)
}

func (w *world) gate(m *flush.Manifest) {
	key := lake.GateKey("db", m.TopicID)
	gate := &flush.Gate{}
	if body, _, err := w.Get(w.t.Context(), key); err == nil {
		gate, err = codec.DecodeGate(body)
		require.NoError(w.t, err)
	}
	gate.Accept(m.Notification(m.CreatedAt))
	body, err := codec.EncodeGate(gate)
	require.NoError(w.t, err)
	w.put(key, body)
}

// Keepers.

type facts struct {
	mu   sync.Mutex
	list []Fact
}

func (f *facts) tell(fact Fact) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, fact)
}

func of[T Fact](f *facts) (list []T) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fact := range f.list {
		if one, ok := fact.(T); ok {
			list = append(list, one)
		}
	}
	return list
}

func (w *world) keeper() (*Keeper, *facts) {
	f := new(facts)
	s := Settings{Database: "db", Lake: change.NewLake(lake.Location{Bucket: "b", Prefix: "lake"}), Every: time.Minute}
	return New(s, w, w, f.tell, func(follow.Fact) {}), f
}

// rounds keeps the ledger until there is nothing to do.
func (w *world) rounds(k *Keeper) {
	w.t.Helper()
	for range 1000 {
		more, err := k.round(w.t.Context())
		require.NoError(w.t, err)
		if !more {
			return
		}
	}
	w.t.Fatal("it does not end")
}

// What stands in the lake. rows are what engines find: all objects where Glue leads them.
func (w *world) rows() []row {
	var all []row
	w.mu.Lock()
	days := maps.Clone(w.days)
	w.mu.Unlock()
	for _, day := range slices.Sorted(maps.Keys(days)) {
		for o := range w.List(w.t.Context(), days[day], "") {
			body, _, err := w.Get(w.t.Context(), o.Key)
			require.NoError(w.t, err)
			rows, err := parquet.Read[row](bytes.NewReader(body), int64(len(body)))
			require.NoError(w.t, err)
			for _, r := range rows {
				require.Contains(w.t, r.Key, "/dt="+day+"/", "it stands under another day")
			}
			all = append(all, rows...)
		}
	}
	return all
}

// check: each file of the flushes stands in one row, and the sums are those of the rows.
func (w *world) check(flushes ...*flush.Manifest) {
	w.t.Helper()
	want, got := make(map[string]int), make(map[string]int)
	sums := make(map[lake.Partition]reader.Sum)
	for _, m := range flushes {
		for _, f := range m.Files {
			want[f.Key]++
			s := sums[f.Partition]
			s.Partition, s.Files, s.Rows, s.Bytes = f.Partition, s.Files+1, s.Rows+f.Rows, s.Bytes+f.Bytes
			sums[f.Partition] = s
		}
	}
	for _, r := range w.rows() {
		got[r.Key]++
	}
	require.Equal(w.t, want, got)
	known, _, err := keep.Read(w.t.Context(), w, "db")
	require.NoError(w.t, err)
	var seen, values int64
	for _, s := range known.Seen.Events {
		seen += s.Events
		for _, n := range s.Properties {
			values += n.Sum()
		}
	}
	require.Equal(w.t, []int64{int64(len(flushes)), int64(len(flushes))}, []int64{seen, values}, "events are counted once")
	list, err := reader.Open(w, "db").Sums(w.t.Context(), "", reader.Filter{})
	require.NoError(w.t, err)
	require.Len(w.t, list, len(sums))
	for _, s := range list {
		want := sums[s.Partition]
		require.Equal(w.t, []int64{want.Files, want.Rows, want.Bytes}, []int64{s.Files, s.Rows, s.Bytes}, "%v", s.Partition)
		if s.Partition.Table == lake.EventLogsName {
			require.Equal(w.t, map[string]int64{"event": 30 * s.Files, "type": 10 * s.Files}, s.Columns)
		} else {
			require.Equal(w.t, s.Bytes, s.Unsized)
		}
	}
}

var errDied = errors.New("it died")

// bubble is synctest.Test: what libraries keep in pools was made outside of it and is no use inside, and the other way
// round. Two collections empty a pool.
func bubble(t *testing.T, do func(t *testing.T)) {
	empty := func() { runtime.GC(); runtime.GC() }
	empty()
	defer empty()
	synctest.Test(t, do)
}

func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}
