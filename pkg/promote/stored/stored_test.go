package stored

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"weir/loadtest/sim/bucket"
	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/lake"
	"weir/pkg/promote"
	"weir/pkg/s3"
)

type transport struct{ http.Handler }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	t.ServeHTTP(w, r)
	return w.Result(), nil
}

// world is a lake in memory with those that write its registry.
type world struct {
	t        *testing.T
	bucket   *bucket.Bucket
	store    *s3.Store
	restored []Restored
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, bucket: bucket.New("b", bucket.Remembers, 5<<20, nil)}
	var err error
	w.store, err = s3.Open(t.Context(), s3.Config{
		Lake: lake.Location{Bucket: "b", Prefix: "lake"}, Endpoint: "http://s3.sim", Region: "us-east-1",
		AccessKey: "a", SecretKey: "s", Transport: transport{w.bucket},
	}, nil)
	require.NoError(t, err)
	return w
}

// once tries nothing again.
func once(_ context.Context, _ string, do func() error, _ ...error) error { return do() }

func (w *world) book(store Writer) *Book {
	return NewBook(store, once, func(r Restored) { w.restored = append(w.restored, r) })
}

func wanted(t *testing.T, list string) []promote.Wanted {
	var l promote.List
	require.NoError(t, l.UnmarshalText([]byte(list)))
	return l.Paths
}

// open is the start of a sink.
func (w *world) open(list string) *Book {
	b := w.book(w.store)
	_, err := b.Open(w.t.Context(), wanted(w.t, list))
	require.NoError(w.t, err)
	return b
}

func (w *world) body(key string) []byte {
	o, ok := w.bucket.Object("lake/" + key)
	if !ok {
		return nil
	}
	return o.Body
}

func (w *world) remove(key string) { w.bucket.Remove("lake/" + key) }

func (w *world) put(key string, body []byte) { w.bucket.Put("lake/"+key, body) }

// flushed puts the manifest of a flush whose files were written with a version.
func (w *world) flushed(seq uint64, version int64) string {
	o := lake.Owner{Group: "g", Topic: "t", TopicID: lake.TopicID{1}, Partition: 3}
	m := &flush.Manifest{
		Key: o.ManifestKey(seq, "id"), Seq: seq, FlushID: "id", Group: o.Group, Topic: o.Topic, TopicID: o.TopicID, Partition: o.Partition,
		ClusterID: "c", NextLow: int64(seq), Low: int64(seq) - 1, Columns: version,
	}
	body, err := codec.EncodeManifest(m)
	require.NoError(w.t, err)
	w.put(m.Key, body)
	return m.Key
}

const (
	first  = "properties.revenue: double"
	second = "properties.revenue: double, traits.name: string"
	other  = "properties.orderId: string"
)

// Each version has a copy, and a lake whose weir made none gets one of what it has.
func TestCopies(t *testing.T) {
	w := newWorld(t)
	require.EqualValues(t, 0, w.open("none").Known().Version)
	require.Empty(t, w.bucket.Objects(), "nothing is promoted")
	b := w.open(first)
	require.NoError(t, b.Beside(t.Context(), []string{"properties_revenue__string"}))
	require.EqualValues(t, 2, b.Known().Version)
	for v := range int64(2) {
		require.NotNil(t, w.body(copyKey(v+1)))
	}
	require.Equal(t, w.body(key), w.body(copyKey(2)))

	w.remove(copyKey(1))
	w.remove(copyKey(2))
	w.open(first)
	require.Equal(t, w.body(key), w.body(copyKey(2)))
	require.Nil(t, w.body(copyKey(1)), "what newer ones grew from is not needed")
	require.Empty(t, w.restored)
}

// An operator who deletes the registry, or puts an older version of it back, changes nothing of what columns mean.
func TestDeletedOrPutBack(t *testing.T) {
	for what, harm := range map[string]func(w *world, old []byte){
		"deleted":  func(w *world, _ []byte) { w.remove(key) },
		"put back": func(w *world, old []byte) { w.put(key, old) },
	} {
		w := newWorld(t)
		w.open(first)
		old := w.body(key)
		was := w.open(second).Known()
		harm(w, old)
		now := w.open(other).Known()
		require.Equal(t, was.Columns, now.Columns[:2], what)
		require.EqualValues(t, was.Version+1, now.Version, what)
		require.Equal(t, []Restored{{key, was.Version}}, w.restored, what)
		require.Equal(t, now.Encode(), w.body(key), what)

		harm(w, old)
		require.True(t, now.Equal(w.open("none").Known()), "a start that adds nothing puts it back too")
		require.Equal(t, now.Encode(), w.body(key), what)
	}
}

// The same while a sink runs, which knows an ETag that fits the older version again.
func TestPutBackUnderASink(t *testing.T) {
	w := newWorld(t)
	b := w.open(first)
	old := w.body(key)
	was := w.open(second).Known()
	w.put(key, old)
	require.NoError(t, b.Beside(t.Context(), []string{"properties_revenue__string"}))
	require.Equal(t, was.Version+1, b.Known().Version)
	require.Len(t, b.Known().Columns, 2)
	require.Equal(t, b.Known().Encode(), w.body(key))
	require.Equal(t, b.Known().Encode(), w.body(copyKey(was.Version+1)))
}

// A sink under which an older version was put back, as it was byte for byte, may die at any step: it leaves nothing that
// contradicts what others have. (Seed 7119 of the simulation.)
func TestPutBackUnderASinkThatDies(t *testing.T) {
	for _, lands := range []bool{false, true} {
		for at := 1; ; at++ {
			w := newWorld(t)
			b := w.open(first)
			old := w.body(key)
			w.open(second)
			w.put(key, old)
			b.store = &mortal{Writer: w.store, at: at, after: lands}
			err := b.Beside(t.Context(), []string{"properties_revenue__string"})
			require.Equal(t, []string{"properties_revenue", "traits_name"}, names(w.open(second).Known())[:2])
			if err == nil {
				require.Greater(t, at, 4)
				break
			}
			require.ErrorIs(t, err, errDied)
		}
	}
}

// Whatever is deleted while a sink runs, it puts back, even all.
func TestDeletedUnderASink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		b := w.open(second)
		was := w.body(key)
		w.remove(key)
		w.remove(copyKey(1))
		require.NoError(t, b.Beside(t.Context(), nil))
		require.Nil(t, w.body(key), "it does not look for each file")
		time.Sleep(lookAgain)
		require.NoError(t, b.Beside(t.Context(), nil))
		require.Equal(t, was, w.body(key))
		require.Equal(t, was, w.body(copyKey(1)))
		require.Equal(t, []Restored{{key, 1}}, w.restored)
	})
}

// With everything gone, files say that there was one: nothing is made in its place until it is there again.
func TestEverythingIsDeleted(t *testing.T) {
	w := newWorld(t)
	was := w.open(second).Known()
	manifest := ""
	for seq := range uint64(20) {
		version := int64(0) // flushes of the raw copy alone
		if seq == 15 {
			version = was.Version
		}
		if key := w.flushed(seq+1, version); version > 0 {
			manifest = key
		}
	}
	saved := w.body(key)
	w.remove(key)
	w.remove(copyKey(was.Version))
	for _, list := range []string{other, first, "none"} {
		_, err := w.book(w.store).Open(t.Context(), wanted(t, list))
		require.ErrorIs(t, err, ErrUnusable, list)
		for _, says := range []string{key, manifest, "with version 1", "neither that nor a copy", "weir catalog repair"} {
			require.ErrorContains(t, err, says)
		}
	}
	require.Nil(t, w.body(key))
	w.put(key, saved)
	require.Equal(t, was.Columns, w.open(other).Known().Columns[:2])
}

// A registry that came back too old is not added to.
func TestEverythingIsPutBack(t *testing.T) {
	w := newWorld(t)
	w.open(first)
	old := w.body(key)
	was := w.open(second).Known()
	w.flushed(1, was.Version)
	w.put(key, old)
	w.remove(copyKey(was.Version))
	require.EqualValues(t, 1, w.open(first).Known().Version, "its columns are those of the newer one")
	_, err := w.book(w.store).Open(t.Context(), wanted(t, other))
	require.ErrorIs(t, err, ErrUnusable)
	require.ErrorContains(t, err, "the newest that is left is version 1")
}

// One that was made anew by a weir that did not look, or by hand, is not taken for the lake's.
func TestMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.open(second)
		anew, _, err := promote.Registry{}.Extend(wanted(t, other))
		require.NoError(t, err)
		w.put(key, anew.Encode())
		_, err = w.book(w.store).Open(t.Context(), wanted(t, first))
		require.ErrorIs(t, err, ErrUnusable)
		require.ErrorIs(t, err, promote.ErrContradiction)
		require.ErrorContains(t, err, "delete of "+key)
		w.remove(key)
		w.open(first)
		require.Equal(t, w.body(copyKey(1)), w.body(key))
	})
}

var errDied = errors.New("the process has died")

// mortal is the store of a process that does something else at one of its calls, or dies at it.
type mortal struct {
	Writer
	calls, at int
	do        func() // instead of dying
	after     bool   // the call has its effect
	died      bool
	begun     bool // the registry is replaced, and its copy not yet made
}

func (m *mortal) call(effect func() error) error {
	if m.died {
		return errDied
	}
	m.calls++
	if m.calls != m.at {
		return effect()
	}
	if m.do != nil {
		m.do()
		return effect()
	}
	m.died = true
	if m.after {
		_ = effect()
	}
	return errDied
}

func (m *mortal) Get(ctx context.Context, key string) (body []byte, etag string, err error) {
	err = m.call(func() (err error) { body, etag, err = m.Writer.Get(ctx, key); return err })
	return body, etag, err
}

func (m *mortal) PutIfMatch(ctx context.Context, name string, body []byte, etag string) (newETag string, err error) {
	err = m.call(func() (err error) {
		newETag, err = m.Writer.PutIfMatch(ctx, name, body, etag)
		if err == nil {
			m.begun = name == key && !m.begun // the second time it puts back what it found
		}
		return err
	})
	return newETag, err
}

// A first version may arrive when others have gone on from another first one, of which there was no copy yet, and somebody
// has deleted what stood in its place. Nobody uses it: theirs comes back.
func TestAFirstVersionArrivesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		m := &mortal{Writer: w.store, at: 3}
		var met *Book
		var wait sync.WaitGroup
		m.do = func() {
			_, err := w.book(&mortal{Writer: w.store, at: 4}).Open(t.Context(), wanted(t, first))
			require.ErrorIs(t, err, errDied)
			require.Nil(t, w.body(copyKey(1)))
			require.EqualValues(t, 2, w.open(second).Known().Version)
			w.remove(key)
			m.at, m.do = 4, func() { // the late one stands there now
				wait.Go(func() { met = w.open(first) })
				synctest.Wait()
			}
		}
		b := w.book(m)
		_, err := b.Open(t.Context(), wanted(t, other))
		require.NoError(t, err)
		wait.Wait()
		require.EqualValues(t, 3, b.Known().Version)
		require.Equal(t, []string{"properties_revenue", "traits_name", "properties_order_id"}, names(b.Known()))
		require.Equal(t, names(b.Known())[:2], names(met.Known())[:2], "who reads the late one waits until it is put back")
		require.Equal(t, w.body(copyKey(3)), w.body(key))
	})
}

func names(r promote.Registry) (list []string) {
	for _, c := range r.Columns {
		list = append(list, c.Name)
	}
	return list
}

// history is a lake over which sinks with any lists start, die and overtake each other, while an operator deletes the
// registry or its copies, or puts older versions back. One of the two is left whole until a start has mended the other.
type history struct {
	*world
	rnd   *rand.Rand
	books []*Book
	used  []promote.Registry // files may have been written with them
	olds  [][]byte
	harm  string // what of it is not whole
	torn  bool   // a sink died between its two writes while it was not: all stop, and a person decides
	harms int
	seed  uint64
}

func (h *history) list() string {
	return []string{first, second, other, "none", "traits.a: bigint", "traits.a: string, traits.b: date"}[h.rnd.IntN(6)]
}

func (h *history) operator() {
	what := []string{"current", "copies"}[h.rnd.IntN(2)]
	if h.harm != "" && h.harm != what {
		return
	}
	if body := h.body(key); body != nil && h.copied(body) {
		h.olds = append(h.olds, body)
	}
	h.harm = what
	h.harms++
	switch {
	case what == "copies":
		for _, o := range h.bucket.Objects() {
			if k := o.Key[len("lake/"):]; k != key && h.rnd.IntN(3) > 0 {
				h.remove(k)
			}
		}
	case len(h.olds) == 0 || h.rnd.IntN(2) == 0:
		h.remove(key)
	default:
		h.put(key, h.olds[h.rnd.IntN(len(h.olds))])
	}
}

// copied tells whether files may have been written with it: what nobody could use is no older version.
func (h *history) copied(body []byte) bool {
	r, err := promote.Decode(body)
	require.NoError(h.t, err)
	return bytes.Equal(h.body(copyKey(r.Version)), body)
}

// sink is a start, or a file of a sink that runs, with an accident in the middle perhaps.
func (h *history) sink(depth int) {
	m := &mortal{Writer: h.store, at: h.rnd.IntN(12), after: h.rnd.IntN(2) == 0}
	if h.rnd.IntN(2) == 0 {
		m.do = func() {
			if depth < 2 {
				h.step(depth + 1)
			}
		}
	}
	harms := h.harms
	var err error
	b := h.book(m)
	if len(h.books) > 0 && h.rnd.IntN(2) == 0 {
		b = h.books[h.rnd.IntN(len(h.books))]
		b.store = m
		err = b.Beside(h.t.Context(), []string{[]string{"properties_revenue__string", "traits_a__double", "traits_b__string"}[h.rnd.IntN(3)]})
	} else {
		_, err = b.Open(h.t.Context(), wanted(h.t, h.list()))
	}
	if err != nil {
		h.torn = h.torn || m.died && m.begun && h.harm != ""
		if depth == 0 && !h.torn || !errors.Is(err, promote.ErrContradiction) { // in the middle of another's write it may be met
			require.ErrorIs(h.t, err, errDied, "seed %d", h.seed)
		}
		h.books = slices.DeleteFunc(h.books, func(o *Book) bool { return o == b })
		return
	}
	if !slices.Contains(h.books, b) {
		h.books = append(h.books, b)
		if h.harms == harms {
			h.harm = "" // a start mends
		}
	}
	h.used = append(h.used, b.Known())
}

func (h *history) step(depth int) {
	if h.rnd.IntN(4) == 0 {
		h.operator()
	} else {
		h.sink(depth)
	}
}

// Whatever happens, nothing that files may have been written with ever means something else.
func TestAnyHistory(t *testing.T) {
	histories := uint64(200)
	if testing.Short() {
		histories = 60
	}
	for seed := range histories {
		synctest.Test(t, func(t *testing.T) {
			h := &history{world: newWorld(t), rnd: rand.New(rand.NewPCG(seed, 5)), seed: seed}
			for i := 0; i < 40 && !h.torn; i++ {
				h.step(0)
				newest := promote.Registry{}
				for _, r := range h.used {
					settled, err := promote.Found{Current: &r}.Settle(newest)
					require.NoError(t, err, "seed %d", seed)
					newest = settled.Registry
				}
			}
		})
	}
}
