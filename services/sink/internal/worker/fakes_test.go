package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/event"
	"weir/pkg/flush"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/services/sink/internal/cut"
)

// world is the outside of one partition: a store, a log and a group, in memory. Every
// call is a step; a step can be made to fail before or after it took effect.
type world struct {
	t     *testing.T
	owner lake.Owner

	mu      sync.Mutex
	steps   int
	trace   []string
	step    func(n int, what string, after bool) error // nil = nothing goes wrong
	objects map[string][]byte
	types   map[string]string // what they were said to hold
	uploads map[string]*fakeUpload
	created int

	log        []*kgo.Record
	logStart   int64
	unread     int64 // an offset that reading again passes over; -1 = none
	generation int32
	committed  *flush.State
	letters    []event.Record
	letterMax  int // bytes of a dead letter's value that the topic takes; 0 = any
	notes      []flush.Notification
	facts      []any
}

type fakeUpload struct {
	key   string
	parts map[int32][]byte
}

func newWorld(t *testing.T) *world {
	return &world{
		t: t, owner: lake.Owner{Group: "g", Topic: "events", TopicID: lake.TopicID{1}, Partition: 0},
		objects: map[string][]byte{}, types: map[string]string{}, uploads: map[string]*fakeUpload{}, unread: -1,
	}
}

// call performs one step. The lock is held while do runs, not while a hook waits.
func (w *world) call(ctx context.Context, what string, do func() error) error {
	w.mu.Lock()
	w.steps++
	n, hook := w.steps, w.step
	w.trace = append(w.trace, what)
	w.mu.Unlock()
	if hook != nil {
		if err := hook(n, what, false); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	w.mu.Lock()
	err := do()
	w.mu.Unlock()
	if hook != nil {
		if err := hook(n, what, true); err != nil {
			return err
		}
	}
	return err
}

func (w *world) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	return w.call(ctx, "put "+kind(key), func() error {
		if _, there := w.objects[key]; there {
			return s3.ErrExists
		}
		w.objects[key] = bytes.Clone(body)
		return nil
	})
}

func (w *world) PutFileIfAbsent(ctx context.Context, key, contentType string, body []byte) error {
	w.mu.Lock()
	w.types[key] = contentType
	w.mu.Unlock()
	return w.PutIfAbsent(ctx, key, body)
}

func (w *world) GetRange(ctx context.Context, key string, from, n int64) ([]byte, error) {
	body, _, err := w.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	return body[from : from+n], nil
}

func (w *world) Get(ctx context.Context, key string) (body []byte, etag string, err error) {
	err = w.call(ctx, "get "+kind(key), func() error {
		var there bool
		if body, there = w.objects[key]; !there {
			return s3.ErrNotFound
		}
		return nil
	})
	return body, "", err
}

func (w *world) Head(ctx context.Context, key string) (o s3.Object, err error) {
	err = w.call(ctx, "head "+kind(key), func() error {
		body, there := w.objects[key]
		if !there {
			return s3.ErrNotFound
		}
		o = s3.Object{Key: key, Bytes: int64(len(body))}
		return nil
	})
	return o, err
}

func (w *world) CreateUpload(ctx context.Context, key, contentType string) (id string, err error) {
	err = w.call(ctx, "create", func() error {
		w.created++
		w.types[key] = contentType
		id = fmt.Sprintf("upload-%d", w.created)
		w.uploads[id] = &fakeUpload{key: key, parts: map[int32][]byte{}}
		return nil
	})
	return id, err
}

func (w *world) UploadPart(ctx context.Context, _, id string, n int32, body []byte) (p flush.Part, err error) {
	err = w.call(ctx, "part", func() error {
		u := w.uploads[id]
		if u == nil {
			return s3.ErrNoSuchUpload
		}
		u.parts[n] = bytes.Clone(body)
		p = flush.Part{Number: n, ETag: strconv.Itoa(int(n)), Bytes: int64(len(body))}
		return nil
	})
	return p, err
}

func (w *world) CompleteUpload(ctx context.Context, key, id string, parts []flush.Part) error {
	return w.call(ctx, "complete", func() error {
		u := w.uploads[id]
		switch {
		case u == nil:
			return s3.ErrNoSuchUpload
		case w.objects[key] != nil:
			return s3.ErrExists
		}
		var body []byte
		for _, p := range parts {
			body = append(body, u.parts[p.Number]...)
		}
		w.objects[key] = body
		delete(w.uploads, id)
		return nil
	})
}

func (w *world) AbortUpload(_ context.Context, _, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.uploads, id)
	return nil
}

func kind(key string) string {
	switch {
	case strings.HasSuffix(key, "started"):
		return "started"
	case strings.HasSuffix(key, ".json"):
		return "manifest"
	case strings.HasPrefix(key, "_weir-bundles/"):
		return "bundle"
	}
	return "file"
}

func (w *world) Commit(ctx context.Context, s flush.State, id Identity) flush.Input {
	in := flush.Input{Kind: flush.CommitApplied}
	err := w.call(ctx, "commit "+s.Phase.String(), func() error {
		if id.Generation != w.generation {
			in = flush.Input{Kind: flush.CommitFenced, Err: errors.New("illegal generation")}
			return nil
		}
		w.committed = &s
		return nil
	})
	if err != nil {
		return flush.Input{Kind: flush.CommitUnanswered, Err: err}
	}
	return in
}

// ProduceDeadLetters takes them one by one, up to the first that is too large.
func (w *world) ProduceDeadLetters(ctx context.Context, letters []event.Record) (acked int, err error) {
	err = w.call(ctx, "dead letters", func() error {
		for _, l := range letters {
			if w.letterMax > 0 && len(l.Value) > w.letterMax {
				return ErrTooLarge
			}
			w.letters = append(w.letters, l)
			acked++
		}
		return nil
	})
	return acked, err
}

func (w *world) fit(ctx context.Context, letters []event.Record) error {
	return w.call(ctx, "fit", func() error {
		for _, l := range letters {
			if w.letterMax > 0 && len(l.Value) > w.letterMax {
				return ErrTooLarge
			}
		}
		return nil
	})
}

func (w *world) Notify(ctx context.Context, n flush.Notification) error {
	return w.call(ctx, "notify", func() error {
		w.notes = append(w.notes, n)
		return nil
	})
}

func (w *world) Reread(ctx context.Context, offsets *flush.Offsets, begin func() error, each func(*event.Record) error) error {
	if err := w.call(ctx, "reread", func() error {
		if offsets.Min() < w.logStart {
			return ErrGone
		}
		return nil
	}); err != nil {
		return err
	}
	if err := begin(); err != nil {
		return err
	}
	for o := range offsets.All() {
		if w.unread != 0 && o == w.unread {
			continue
		}
		r := w.log[o]
		if err := each(&event.Record{Topic: w.owner.Topic, TopicID: w.owner.TopicID, Offset: o, Key: r.Key, Value: r.Value, Timestamp: r.Timestamp}); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) gather(context.Context) (flush.Known, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	k := flush.Known{
		Owner: w.owner, ClusterID: "c", Bucket: "b", Home: flush.Home("c", w.owner.TopicID, "b", ""),
		Tables: []string{"eventlogs", "eventlogs_raw"}, LeaderEpoch: 1, LogStart: w.logStart, LogEnd: int64(len(w.log)), OwnedPartitions: 1,
	}
	if s := w.committed; s != nil {
		k.Committed, k.Offset, k.CommittedEpoch, k.Metadata = true, s.Low, s.LeaderEpoch, s.Metadata()
	}
	return k, nil
}

func (w *world) confirm(_ context.Context, want flush.State) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.committed != nil && *w.committed == want, nil
}

// produce adds records to the log: "a", "b", … are events of that source, "-" is none, ";" is
// the marker that ends a transaction.
func (w *world) produce(sources ...string) {
	for _, s := range sources {
		r := &kgo.Record{Topic: w.owner.Topic, Offset: int64(len(w.log)), LeaderEpoch: 1, Key: []byte(s), Timestamp: time.Now().Truncate(time.Millisecond), Value: []byte(`{"type":"track"}`)}
		switch s {
		case "-":
			r.Key, r.Value = []byte("a"), []byte("nonsense")
		case ";":
			r.Key, r.Value = []byte{0, 0, 0, 1}, []byte{0, 0, 0, 0, 0, 0}
			r.Attrs = kgo.NewRecordAttrs(kgo.RecordAttrsOpts{Transactional: true, Control: true})
		}
		w.log = append(w.log, r)
	}
}

// lines is an encoder whose file is its offsets, a line each.
type lines struct {
	out  io.Writer
	rows int64
	held bytes.Buffer
}

func (l *lines) Append(r *event.Record, _ *event.View) error {
	l.rows++
	fmt.Fprintf(&l.held, "%d\n", r.Offset)
	return nil
}
func (l *lines) Buffered() int64 { return int64(l.held.Len()) }
func (l *lines) Rows() int64     { return l.rows }
func (l *lines) Close() error {
	_, err := l.out.Write(l.held.Bytes())
	l.held.Reset()
	return err
}

func (l *lines) Abandon() { l.held.Reset() }

// whole writes every record's bytes at once.
type whole struct{ lines }

func (e *whole) Append(r *event.Record, _ *event.View) error {
	e.rows++
	_, err := e.out.Write(r.Value)
	return err
}

func tables() []*Table {
	open := func(out io.Writer) (Encoder, error) { return &lines{out: out}, nil }
	return []*Table{{Table: lake.EventLogs(), New: open}, {Table: lake.EventLogsRaw("zstd"), New: open}}
}

var testLimits = cut.Limits{FileSize: 1 << 20, FileAge: time.Minute, OpenFiles: 1000, Behind: 1 << 20, DeadLetters: 100, DeadLetterBytes: 1 << 20}

// own starts an ownership in a new generation. Errors of the world are retried as in
// the service. No file is small enough for a bundle: see staging.
func (w *world) own(ctx context.Context, change ...func(*Config)) (*Worker, *Pin) {
	w.mu.Lock()
	w.generation++
	pin := NewPin(Identity{MemberID: "m", Generation: w.generation})
	w.mu.Unlock()
	retry := Retry{Observe: w.observe}
	c := Config{
		Owner: w.owner, Tables: tables(), Limits: testLimits, Store: RetryStore(w, retry), Kafka: RetryKafka(w, retry),
		Uploaders: NewUploaders(4, 1), Pin: pin, Gather: w.gather, Confirm: w.confirm,
		Fit: func(ctx context.Context, letters []event.Record) error {
			return retry.Do(ctx, DependencyKafka, "fit", func() error { return w.fit(ctx, letters) }, ErrTooLarge)
		},
		Memory: func(cut.Holder) {}, Resume: func() {}, Observe: w.observe, FeedLimit: 1 << 20, PinWait: time.Hour,
	}
	for _, f := range change {
		f(&c)
	}
	worker := New(c)
	worker.Go(ctx)
	return worker, pin
}

// bigPart is more bytes than most files of a test have.
const bigPart = 8 << 20

// staging is a Config whose files are all small.
func staging(c *Config) { c.Uploaders = NewUploaders(4, bigPart) }

func (w *world) observe(fact any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.facts = append(w.facts, fact)
}

func factsOf[T any](w *world) []T {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []T
	for _, f := range w.facts {
		if t, ok := f.(T); ok {
			out = append(out, t)
		}
	}
	return out
}

// feed waits until the worker consumes and gives it everything from where it begins.
func (w *world) feed(worker *Worker) bool {
	select {
	case <-worker.Ready():
		worker.Feed(w.log[worker.Began():], int64(len(w.log)))
		return true
	case <-worker.Done():
		return false
	}
}

// requireOnce: every record stands once in each table, or is a dead letter; each flush
// was notified in order.
func (w *world) requireOnce() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := map[string]map[int64]int{"eventlogs": {}, "raw": {}}
	for key, body := range w.objects {
		require.Equal(w.t, strings.HasPrefix(key, "_weir-bundles/"), w.types[key] == bundleType, key)
		table, _, _ := strings.Cut(key, "/")
		if seen[table] == nil {
			continue
		}
		for line := range strings.Lines(string(body)) {
			o, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
			require.NoError(w.t, err)
			seen[table][o]++
		}
	}
	letters := map[int64]bool{}
	for _, l := range w.letters {
		original, _, err := event.Original(&l)
		require.NoError(w.t, err)
		letters[original.Offset] = true
	}
	for o, r := range w.log {
		want, letter := 1, string(r.Value) == "nonsense"
		if letter || r.Attrs.IsControl() {
			want = 0
		}
		for table, rows := range seen {
			require.Equal(w.t, want, rows[int64(o)], "offset %d in %s", o, table)
		}
		require.Equal(w.t, letter, letters[int64(o)], "offset %d in the dead letters", o)
	}
	var last flush.Notification
	for _, n := range w.notes {
		if n.Manifest != last.Manifest {
			require.Equal(w.t, last.Seq+1, n.Seq)
			require.Equal(w.t, last.Manifest, n.Predecessor)
		}
		last = n
	}
	require.Equal(w.t, flush.Done, w.committed.Phase)
	require.Equal(w.t, int64(len(w.log)), w.committed.Low)
	require.Equal(w.t, last.Manifest, w.committed.Manifest)
}

func (w *world) notified() []flush.Notification {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.notes)
}

func (w *world) open() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.uploads))
}
