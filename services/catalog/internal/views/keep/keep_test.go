package keep

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/glue"
	"weir/pkg/lake"
	"weir/pkg/prestoview"
	"weir/pkg/s3"
	"weir/pkg/shape"
	"weir/services/catalog/internal/follow"
	"weir/services/catalog/internal/views"
)

// world is what outlives a keeper: the state's object, and Glue. Every effect goes through act, where a test may let it
// fail, land without an answer, or let somebody else come between.
type world struct {
	t       *testing.T
	body    []byte
	etag    int
	tables  map[string]glue.Table
	version int
	effects int
	act     func(n int) (land bool, answer error)
}

func newWorld(t *testing.T) *world { return &world{t: t, tables: make(map[string]glue.Table)} }

func (w *world) effect(land func() error) error {
	w.effects++
	ok, answer := true, error(nil)
	if w.act != nil {
		ok, answer = w.act(w.effects)
	}
	if !ok {
		return answer
	}
	if err := land(); err != nil {
		return err
	}
	return answer
}

func (w *world) Get(_ context.Context, key string) ([]byte, string, error) {
	require.Equal(w.t, lake.ViewsKey("db"), key)
	if w.body == nil {
		return nil, "", s3.ErrNotFound
	}
	return w.body, strconv.Itoa(w.etag), nil
}

func (w *world) PutIfMatch(_ context.Context, _ string, body []byte, etag string) (made string, err error) {
	err = w.effect(func() error {
		if w.body == nil && etag != "" || w.body != nil && etag != strconv.Itoa(w.etag) {
			return s3.ErrChanged
		}
		w.body, w.etag = body, w.etag+1
		made = strconv.Itoa(w.etag)
		return nil
	})
	return made, err
}

func (w *world) Tables(context.Context, string) iter.Seq2[glue.Table, error] {
	return func(yield func(glue.Table, error) bool) {
		for _, name := range slices.Sorted(maps.Keys(w.tables)) {
			if !yield(w.tables[name], nil) {
				return
			}
		}
	}
}

func (w *world) CreateTable(_ context.Context, t glue.Table, _ ...glue.PartitionIndex) error {
	return w.effect(func() error {
		if _, there := w.tables[t.Name]; there {
			return glue.ErrExists
		}
		w.put(t)
		return nil
	})
}

func (w *world) UpdateTable(_ context.Context, t glue.Table) error {
	return w.effect(func() error {
		if t.VersionID != w.tables[t.Name].VersionID {
			return glue.ErrChanged
		}
		w.put(t)
		return nil
	})
}

func (w *world) put(t glue.Table) {
	w.version++
	t.VersionID = strconv.Itoa(w.version)
	w.tables[t.Name] = t
}

var wide = views.Limits{Views: 100, Columns: 100}

// learn counts a batch as the ledger does, whoever is at work.
func (w *world) learn(batch *shape.Summary) {
	w.t.Helper()
	act, effects := w.act, w.effects
	w.act = nil
	defer func() { w.act, w.effects = act, effects }()
	s, etag, err := Read(w.t.Context(), w, "db")
	require.NoError(w.t, err)
	s.Apply(s.Applied+1, batch)
	_, err = Write(w.t.Context(), w, "db", s, etag)
	require.NoError(w.t, err)
}

func (w *world) keeper(l views.Limits) (*Keeper, *[]Fact) {
	facts := new([]Fact)
	return NewKeeper(Settings{Database: "db", Limits: l}, w, w, func(f Fact) { *facts = append(*facts, f) }, func(follow.Fact) {}), facts
}

// rounds plays rounds until Glue shows everything; whoever fails tries again.
func (w *world) rounds(k *Keeper) {
	w.t.Helper()
	for range 50 {
		if err := k.round(w.t.Context()); err != nil {
			continue
		}
		select {
		case <-k.fresh:
			continue
		default:
			return
		}
	}
	require.Fail(w.t, "it never ends")
}

// check demands that Glue shows the state and nothing besides, in the form that engines read.
func (w *world) check() {
	w.t.Helper()
	s, _, err := Read(w.t.Context(), w, "db")
	require.NoError(w.t, err)
	names := make(map[string]bool)
	for _, v := range s.Views {
		names[v.Name] = true
		t, there := w.tables[v.Name]
		require.True(w.t, there, v.Name)
		require.Equal(w.t, v.Shown(), shownOf(t))
		require.Equal(w.t, prestoview.TableType, t.Type)
		require.Equal(w.t, "true", t.Parameters[prestoview.Parameter])
		require.Empty(w.t, t.Description, "Trino would not know it for a view")
		require.NotEmpty(w.t, t.Owner)
		read, err := prestoview.Decode(t.View.Original)
		require.NoError(w.t, err)
		require.Equal(w.t, v.Presto("db"), read)
		for i, c := range t.Columns {
			require.Equal(w.t, v.Shown()[i].Path, c.Comment)
		}
	}
	for name := range w.tables {
		require.True(w.t, names[name], name)
	}
}

func seen(name string, keys ...string) *shape.Summary {
	s := &shape.Summary{Events: map[shape.Event]*shape.Seen{{Type: "track", Name: name}: {Events: 1, Properties: map[string]*shape.Counts{}}}}
	for _, key := range keys {
		s.Events[shape.Event{Type: "track", Name: name}].Properties[key] = &shape.Counts{shape.Integer: 1}
	}
	return s
}

var errDied = errors.New("it died")

// Whatever a keeper was doing when it died, and whether that took place or not: the next one ends what it began.
func TestCrashAtEveryEffect(t *testing.T) {
	for _, lands := range []bool{false, true} {
		for at := 1; ; at++ {
			w := newWorld(t)
			w.learn(seen("A", "x"))
			w.act = func(n int) (bool, error) {
				if n == at {
					return lands, errDied
				}
				return true, nil
			}
			k, _ := w.keeper(wide)
			err := k.round(t.Context())
			if err == nil {
				w.learn(seen("B", "y"))
				w.learn(seen("A", "z"))
				err = k.round(t.Context())
			}
			w.act = nil
			w.learn(seen("A", "last"))
			next, _ := w.keeper(wide)
			w.rounds(next)
			w.check()
			if err == nil {
				require.Greater(t, at, 4)
				break
			}
			require.ErrorIs(t, err, errDied)
		}
	}
}

// Before any effect of one catalog another one may take over and go on; the first wakes up later and does what it was
// about to do.
func TestAZombie(t *testing.T) {
	for at := 1; ; at++ {
		w := newWorld(t)
		w.learn(seen("A", "x"))
		first, _ := w.keeper(wide)
		w.rounds(first)
		w.learn(seen("A", "y"))
		w.learn(seen("B", "y"))
		w.effects = 0
		met := false
		w.act = func(n int) (bool, error) {
			if n == at {
				met, w.act = true, nil
				w.learn(seen("A", "z"))
				second, _ := w.keeper(wide)
				w.rounds(second)
			}
			return true, nil
		}
		w.rounds(first)
		w.check()
		if !met {
			require.Greater(t, at, 2)
			break
		}
	}
}

// What others have made or changed stays as it is, and is named.
func TestForeign(t *testing.T) {
	w := newWorld(t)
	table := glue.Table{Name: "a", Type: "EXTERNAL_TABLE", Columns: []glue.Column{{Name: "own", Type: "string"}}}
	w.put(table)
	w.learn(seen("A", "x"))
	w.learn(seen("B", "x"))
	w.learn(seen("C", "x"))
	w.learn(seen("D", "x"))
	k, facts := w.keeper(wide)
	w.rounds(k)
	require.Contains(t, *facts, Foreign{Name: "a", Event: shape.Event{Type: "track", Name: "A"}, Kind: "EXTERNAL_TABLE"})

	replaced := w.tables["b"] // by CREATE OR REPLACE VIEW
	replaced.Parameters = map[string]string{prestoview.Parameter: "true"}
	w.put(replaced)
	retyped := w.tables["c"]
	retyped.Columns = slices.Clone(retyped.Columns)
	retyped.Columns[4].Type = "string"
	w.put(retyped)
	described := w.tables["d"]
	described.Parameters = maps.Clone(described.Parameters)
	described.Parameters["theirs"] = "stays"
	described.Columns = slices.Clone(described.Columns)
	described.Columns[4].Comment = "how many"
	w.put(described)
	held := maps.Clone(w.tables)
	for _, name := range []string{"A", "B", "C", "D"} {
		w.learn(seen(name, "new"))
	}
	*facts = nil
	w.rounds(k)
	for _, name := range []string{"a", "b", "c"} {
		require.Equal(t, held[name], w.tables[name])
	}
	require.Contains(t, *facts, Foreign{Name: "b", Event: shape.Event{Type: "track", Name: "B"}, Kind: prestoview.TableType})
	require.Contains(t, *facts, Foreign{Name: "c", Event: shape.Event{Type: "track", Name: "C"}, Kind: prestoview.TableType, Column: "x"})
	require.Len(t, w.tables["d"].Columns, len(held["d"].Columns)+1)
	require.Equal(t, "stays", w.tables["d"].Parameters["theirs"])
	require.Equal(t, "how many", w.tables["d"].Columns[4].Comment)
}

// Never more than the limit, and none is dropped when it is lowered.
func TestLimit(t *testing.T) {
	w := newWorld(t)
	few := views.Limits{Views: 3, Columns: 2}
	for _, name := range []string{"A", "B", "C", "D"} {
		w.learn(seen(name, "x", "y", "z"))
	}
	k, facts := w.keeper(few)
	w.rounds(k)
	w.check()
	require.Len(t, w.tables, 3)
	require.Contains(t, *facts, Counted{Views: 3, Waiting: 2})

	lower, _ := w.keeper(views.Limits{Views: 1, Columns: 1})
	w.learn(seen("A", "x"))
	w.rounds(lower)
	require.Len(t, w.tables, 3)

	higher, _ := w.keeper(wide) // what was counted meanwhile comes at once
	w.rounds(higher)
	w.check()
	require.Len(t, w.tables, 5)
	require.Len(t, w.tables["d"].Columns, 4+3+5)
}

// A state that was lost comes back from Glue: names and types stay, whatever the counts would say now.
func TestALostState(t *testing.T) {
	w := newWorld(t)
	w.learn(seen("Order ID", "a b", "a_b"))
	w.learn(seen("order_id", "x"))
	k, _ := w.keeper(wide)
	w.rounds(k)
	held := maps.Clone(w.tables)

	w.body = nil
	again := seen("order_id", "x", "new")
	again.Events[shape.Event{Type: "track", Name: "order_id"}].Properties["x"] = &shape.Counts{shape.Text: 1}
	w.learn(again)
	next, facts := w.keeper(wide)
	w.rounds(next)
	w.check()
	for name, t2 := range held {
		for _, c := range t2.Columns {
			require.Contains(t, w.tables[name].Columns, c, name)
		}
	}
	require.Len(t, w.tables, 3)
	for _, f := range *facts {
		_, foreign := f.(Foreign)
		require.False(t, foreign, "%+v", f)
	}
}

// A state that cannot be read stops the views, and what counts, until somebody deletes it: the error says that this is safe.
func TestADamagedState(t *testing.T) {
	w := newWorld(t)
	w.body = []byte("nonsense")
	_, _, err := Read(t.Context(), w, "db")
	for _, says := range []string{lake.ViewsKey("db"), "decode the views", "delete it"} {
		require.ErrorContains(t, err, says)
	}
}

func TestOff(t *testing.T) {
	w := newWorld(t)
	w.learn(seen("A"))
	k, _ := w.keeper(views.Limits{})
	k.Run(t.Context())
	require.Empty(t, w.tables)
}
