package views

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"weir/pkg/lake"
	"weir/pkg/prestoview"
	"weir/pkg/promote"
	"weir/pkg/puretest"
	"weir/pkg/shape"
)

func TestImports(t *testing.T) { puretest.Check(t, "weir/services/catalog/internal/ledger") }

var wide = Limits{Views: 100, Columns: 100}

func track(name string, properties map[string]shape.Counts) *shape.Summary {
	return of(shape.Event{Type: "track", Name: name}, properties)
}

func of(e shape.Event, properties map[string]shape.Counts) *shape.Summary {
	seen := &shape.Seen{Events: 1, Properties: map[string]*shape.Counts{}}
	for key, n := range properties {
		seen.Properties[key] = &n
	}
	return &shape.Summary{Events: map[shape.Event]*shape.Seen{e: seen}}
}

func (s *State) apply(number int64, batch *shape.Summary, l Limits) {
	s.Apply(number, batch)
	s.Grow(l)
}

func view(t *testing.T, s *State, name string) *View {
	t.Helper()
	for i := range s.Views {
		if s.Views[i].Name == name {
			return &s.Views[i]
		}
	}
	require.Fail(t, "no view", name)
	return nil
}

func TestTypes(t *testing.T) {
	var s State
	s.apply(1, track("Order Completed", map[string]shape.Counts{
		"n": {shape.Integer: 3}, "mean": {shape.Integer: 3, shape.Number: 1}, "gift": {shape.Boolean: 1}, "due": {shape.Instant: 1},
		"mixed": {shape.Integer: 99, shape.Text: 1}, "items": {shape.Nested: 1}, "revenue": {shape.Integer: 1}, "coupon": {shape.Integer: 1},
		"due or not": {shape.Instant: 1, shape.Text: 1},
	}), wide)
	types := map[string]string{}
	for _, c := range view(t, &s, "order_completed").Columns {
		types[c.Name] = c.Type.Glue()
	}
	require.Equal(t, map[string]string{
		"n": "bigint", "mean": "double", "gift": "boolean", "due": "timestamp", "mixed": "string", "items": "string",
		"revenue": "double", "coupon": "string", "due_or_not": "string",
	}, types)
}

func TestSQL(t *testing.T) {
	var s State
	s.apply(1, track("It's", map[string]shape.Counts{"a": {shape.Integer: 9}, "b'": {shape.Text: 8}, "f": {shape.Number: 7}, "x": {shape.Boolean: 6}, "y": {shape.Instant: 5}}), wide)
	v := view(t, &s, "it_s")
	require.Equal(t, `SELECT
  messageid,
  timestamp,
  userid,
  anonymousid,
  try_cast(regexp_extract(element_at(properties, 'a'), '^-?[0-9]+$') AS bigint) AS "a",
  element_at(properties, 'b''') AS "b",
  try_cast(regexp_extract(element_at(properties, 'f'), '^-?[0-9]+([.][0-9]+)?([eE][-+]?[0-9]+)?$') AS double) AS "f",
  try_cast(regexp_extract(element_at(properties, 'x'), '^(true|false)$') AS boolean) AS "x",
  try(cast(from_iso8601_timestamp(regexp_extract(element_at(properties, 'y'), '^[0-9]{4}-[0-9]{2}-[0-9]{2}T.+$')) AT TIME ZONE 'UTC' AS timestamp)) AS "y",
  receivedat,
  context,
  properties,
  sourceid,
  dt
FROM eventlogs
WHERE type = 'track' AND event = 'It''s'`, v.SQL())
	p := v.Presto("weir")
	require.Equal(t, "track calls named It's", p.Comment)
	require.Equal(t, prestoview.Column{Name: "b", Type: "varchar", Comment: "properties.b'"}, p.Columns[5])
	for _, c := range p.Columns {
		require.NotEmpty(t, c.Type, c.Name)
	}
	tracks := view(t, &s, "tracks")
	require.Contains(t, tracks.SQL(), "  event,\n")
	require.NotContains(t, tracks.SQL(), "element_at")
}

func TestBases(t *testing.T) {
	var s State
	for i, typ := range []string{"track", "identify", "page", "screen", "group", "alias", "unheard"} {
		s.apply(int64(i+1), of(shape.Event{Type: typ}, map[string]shape.Counts{"plan": {shape.Text: 1}}), wide)
	}
	var names []string
	for _, v := range s.Views {
		names = append(names, v.Name+" "+strings.Join(columns(v), ","))
	}
	require.ElementsMatch(t, []string{"tracks ", "identifies plan", "pages plan", "screens plan", "groups plan", "aliases "}, names)
	require.Contains(t, view(t, &s, "identifies").SQL(), "element_at(traits, 'plan') AS \"plan\"")
	require.Contains(t, view(t, &s, "aliases").SQL(), "previousid")
}

func columns(v View) (names []string) {
	for _, c := range v.Columns {
		names = append(names, c.Name)
	}
	return names
}

// Names that weir has itself, that others have, and that engines have, are nobody's.
func TestNames(t *testing.T) {
	var s State
	for i, name := range []string{"eventlogs", "Tracks", "weir_files", "select", "Order Completed", "order_completed", "orderCompleted"} {
		s.apply(int64(i+1), track(name, map[string]shape.Counts{"userid": {shape.Text: 3}, "userId": {shape.Text: 2}, "user_id": {shape.Text: 1}, "dt": {shape.Text: 1}}), wide)
	}
	names := map[string]string{}
	for _, v := range s.Views {
		require.Empty(t, names[v.Name])
		names[v.Name] = v.Event.Name
		seen := map[string]bool{}
		for _, c := range v.Shown() {
			require.False(t, seen[c.Name], c.Name)
			seen[c.Name] = true
		}
	}
	require.Equal(t, "Order Completed", names["order_completed"])
	require.Equal(t, "select", names["select_"])
	require.Len(t, names, 8)
	for _, own := range tables {
		require.NotContains(t, names, own)
	}
	require.Equal(t, "", names["tracks"])
	require.Equal(t, []string{"userid", "user_id"}, []string{promote.Identifier("userid"), columns(*view(t, &s, "order_completed"))[1]})
}

var (
	texts = []string{"a", "A", "b c", "b-c", "revenue", "timestamp", "価格", strings.Repeat("long ", 40), "line\nbreak", "o'k"}
	name  = regexp.MustCompile(`^[a-z][a-z0-9_]{0,136}$`)
)

func random(chance *rand.Rand) *shape.Summary {
	s := new(shape.Summary)
	for range 1 + chance.IntN(3) {
		properties := map[string]shape.Counts{}
		for range chance.IntN(5) {
			var n shape.Counts
			n[chance.IntN(int(shape.Kinds))] = 1 + chance.Int64N(5)
			properties[texts[chance.IntN(len(texts))]] = n
		}
		s.Merge(track(texts[chance.IntN(len(texts))], properties), counted)
	}
	return s
}

// Whatever comes, in whatever batches, restarts and limits: what a state has it keeps, names are names and one of a kind,
// and the limits hold.
func TestAStateOnlyGrows(t *testing.T) {
	for seed := range uint64(60) {
		chance := rand.New(rand.NewPCG(seed, 4))
		s, number, events := new(State), int64(0), int64(0)
		for range 12 {
			before := s.Views
			had := make([]View, len(before))
			for i, v := range before {
				had[i] = v
				had[i].Columns = append([]Column(nil), v.Columns...)
			}
			l := Limits{Views: chance.IntN(8), Columns: chance.IntN(6)}
			batch := random(chance)
			number++
			s.Apply(number, batch)
			s.Apply(number, batch) // again
			s.Apply(number-1, batch)
			events += batch.Unnoted.Events
			for _, seen := range batch.Events {
				events += seen.Events
			}
			s.Grow(l)
			body, err := s.Encode()
			require.NoError(t, err)
			again, err := Decode(body)
			require.NoError(t, err)
			second, err := again.Encode()
			require.NoError(t, err)
			require.Equal(t, body, second)
			s = again

			require.GreaterOrEqual(t, len(s.Views), len(had))
			require.LessOrEqual(t, len(s.Views), max(l.Views, len(had)))
			names := map[string]bool{}
			for i, v := range s.Views {
				require.Regexp(t, name, v.Name)
				require.False(t, names[v.Name])
				names[v.Name] = true
				require.Less(t, len(v.Presto("weir").Encode()), prestoview.Longest)
				most := l.Columns
				if i < len(had) {
					require.Equal(t, had[i].Name, v.Name)
					require.Equal(t, had[i].Event, v.Event)
					require.Equal(t, had[i].Columns, append([]Column(nil), v.Columns[:len(had[i].Columns)]...))
					most = max(most, len(had[i].Columns))
				}
				require.LessOrEqual(t, len(v.Columns), most)
				for _, c := range v.Columns {
					require.Regexp(t, name, c.Name)
				}
			}
		}
		require.False(t, s.Grow(Limits{}))
		for _, seen := range s.Seen.Events {
			events -= seen.Events
		}
		require.Equal(t, s.Seen.Unnoted.Events, events, "each batch is counted once")
	}
}

// The widest view that clients can make still fits into Glue.
func TestTheWidestViewFits(t *testing.T) {
	var s State
	properties := map[string]shape.Counts{}
	for i := range MaxColumns {
		properties[fmt.Sprintf("%03d", i)+strings.Repeat("'", 197)] = shape.Counts{shape.Instant: 1}
	}
	s.apply(1, track(strings.Repeat("'", 256), properties), Limits{Views: 2, Columns: MaxColumns})
	v := s.Views[1]
	require.Len(t, v.Columns, MaxColumns)
	require.Less(t, len(v.Presto("weir").Encode()), prestoview.Longest)
}

func TestDecodeRefuses(t *testing.T) {
	_, err := Decode([]byte("x"))
	require.ErrorContains(t, err, "decode the views")
	s := State{Views: []View{{Name: "x", Event: shape.Event{Type: "track"}, Columns: []Column{{"a", "a", lake.Date}}}}}
	body, err := s.Encode()
	require.NoError(t, err)
	_, err = Decode(body)
	require.ErrorContains(t, err, `unknown type "date"`)
}

// What stands in lakes already.
const storedState = `{"format":1,"applied":"7","events":[{"type":"track","name":"Order Completed","events":3,"properties":{"revenue":[1,0,0,2,0,0]}}],` +
	`"unnoted":[4,5],"views":[{"name":"tracks","type":"track"},{"name":"order_completed","type":"track","event":"Order Completed",` +
	`"columns":[{"name":"revenue","property":"revenue","type":"double"}]}]}`

func TestStoredForm(t *testing.T) {
	packer, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	s, err := Decode(packer.EncodeAll([]byte(storedState), nil))
	require.NoError(t, err)
	order := shape.Event{Type: "track", Name: "Order Completed"}
	require.Equal(t, &State{
		Applied: 7,
		Seen: shape.Summary{
			Events:  map[shape.Event]*shape.Seen{order: {Events: 3, Properties: map[string]*shape.Counts{"revenue": {shape.Text: 1, shape.Number: 2}}}},
			Unnoted: shape.Unnoted{Events: 4, Values: 5},
		},
		Views: []View{{Name: "tracks", Event: shape.Event{Type: "track"}}, {Name: "order_completed", Event: order, Columns: []Column{{"revenue", "revenue", lake.Double}}}},
	}, s)
	body, err := s.Encode()
	require.NoError(t, err)
	unpacker, err := zstd.NewReader(nil)
	require.NoError(t, err)
	defer unpacker.Close()
	text, err := unpacker.DecodeAll(body, nil)
	require.NoError(t, err)
	require.Equal(t, storedState, string(text))
}
