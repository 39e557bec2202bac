package sink

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/flush/codec"
	"weir/pkg/lake"
	"weir/pkg/promote"
)

// anyValue is JSON of any type, now and then none.
func anyValue(rnd *rand.Rand) string {
	return []string{
		"", "null", "true", "false", strconv.Itoa(rnd.IntN(1000)), "-9223372036854775808", "18446744073709551615", "12.50", "5.0", "1e999",
		`"text"`, `""`, `"2026-11-24"`, `"2026-11-24T10:00:00.5Z"`, `[1,2]`, `{"k":"v"}`, fmt.Sprint(rnd.Float64()), `"5"`,
	}[rnd.IntN(18)]
}

// anyEvent has values at some of the paths.
func anyEvent(rnd *rand.Rand) string {
	object := func(pairs ...string) string {
		var members []string
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i+1] != "" {
				members = append(members, strconv.Quote(pairs[i])+":"+pairs[i+1])
			}
		}
		return "{" + strings.Join(members, ",") + "}"
	}
	v := func() string { return anyValue(rnd) }
	n, f := object("x", v(), "y", v()), object("g", v())
	if rnd.IntN(5) == 0 {
		n, f = v(), v()
	}
	return object("type", `"track"`, "context", object("a", v(), "n", n), "traits", object("b", v(), "d", v()), "properties", object("e", v(), "f", f))
}

// Values of any type at every promoted path, lists that change between runs of the sink, other types for the same path:
// each value stands in exactly one of the path's columns, and in the map.
func TestTypeConflicts(t *testing.T) {
	w := newWorld(t, 1)
	rnd := rand.New(rand.NewPCG(7, 7))
	lists := []string{
		"context.a: double, context.n.x: string, properties.e: bigint, traits.b: boolean",
		"context.a: string, context.n: string, properties.f.g: double, traits.d: timestamp, traits.b: date",
		"none",
		"traits.d: date, properties.e: double, context.n.y: boolean, context.n.x: bigint, traits.b: boolean, context.a: bigint",
	}
	var sent []string
	var asked [][]string // of each event, the paths that were promoted when it came
	for round, text := range append(lists, lists[0]) {
		var list promote.List
		require.NoError(t, list.UnmarshalText([]byte(text)))
		p := w.start(func(c *Config) { c.Promote = list })
		var records []*kgo.Record
		for range 150 {
			value := anyEvent(rnd)
			sent = append(sent, value)
			asked = append(asked, pathsOf(list))
			records = append(records, &kgo.Record{Key: []byte([]string{"a", "b"}[rnd.IntN(2)]), Value: []byte(value)})
		}
		w.produce(0, records...)
		w.awaitFlushed()
		if round == 1 {
			require.Contains(t, p.log.String(), "a promoted column keeps its type")
		}
		require.NoError(t, p.end())
	}

	registry := w.registry()
	for name, typ := range map[string]string{
		"context_a": "double", "context_n_x": "string", "context_n": "string", "traits_b": "boolean", "traits_d": "timestamp", "properties_e": "bigint",
	} {
		at := slices.IndexFunc(registry.Columns, func(c promote.Column) bool { return c.Name == name })
		require.GreaterOrEqual(t, at, 0, name)
		require.Equal(t, typ, registry.Columns[at].Type, "the first that was asked for")
	}
	listed := map[string]bool{}
	for _, c := range registry.Listed() {
		listed[c.Name] = true
	}
	table := w.table()
	require.Len(t, table, len(sent))
	for i, value := range sent {
		for _, c := range registry.Columns {
			var there []string
			for s := range lake.Sides {
				column, ok := registry.All()[slices.IndexFunc(registry.All(), func(p lake.Promoted) bool { return p.Name == c.Name })].Column(s)
				if v, has := table[int64(i)][column.Name]; ok && has {
					require.True(t, listed[column.Name], "the registry does not know %s, which a file has", column.Name)
					there = append(there, v)
				}
			}
			want, ok := textAt(value, c.Path)
			if !slices.Contains(asked[i], strings.Join(c.Path, ".")) {
				ok = false
			}
			if !ok {
				require.Empty(t, there, "%d %s %s", i, c.Name, value)
				continue
			}
			require.Equal(t, []string{want}, there, "%d %s %s", i, c.Name, value)
		}
	}
}

func pathsOf(l promote.List) []string {
	var paths []string
	for _, w := range l.Paths {
		paths = append(paths, strings.Join(w.Path, "."))
	}
	return paths
}

// textAt is the value at a path as the table's text shows it, by encoding/json; false where there is none.
func textAt(value string, path []string) (string, bool) {
	raw := json.RawMessage(value)
	for _, key := range path {
		var object map[string]json.RawMessage
		if json.Unmarshal(raw, &object) != nil || object[key] == nil {
			return "", false
		}
		raw = object[key]
	}
	if string(raw) == "null" {
		return "", false
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return canonical(text), true
	}
	return canonical(string(raw)), true
}

// canonical makes one text of what is one value in columns of several types.
func canonical(text string) string {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC().Format(time.RFC3339Nano)
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && f < 1<<53 && f > -(1<<53) {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return text
}

func (w *world) registry() promote.Registry {
	body, _, err := w.store.Get(w.t.Context(), lake.ColumnsKey(lake.EventLogsName))
	require.NoError(w.t, err)
	r, err := promote.Decode(body)
	require.NoError(w.t, err)
	return r
}

// table is every row's promoted columns that are not NULL, by offset. It reads by the files' own schemas.
func (w *world) table() map[int64]map[string]string {
	all := map[int64]map[string]string{}
	for o, err := range w.store.List(w.t.Context(), "eventlogs/", "") {
		require.NoError(w.t, err)
		body, _, err := w.store.Get(w.t.Context(), o.Key)
		require.NoError(w.t, err)
		f, err := parquet.OpenFile(bytes.NewReader(body), int64(len(body)))
		require.NoError(w.t, err)
		for _, group := range f.RowGroups() {
			rows := group.Rows()
			buffer := make([]parquet.Row, group.NumRows())
			n, _ := rows.ReadRows(buffer)
			require.EqualValues(w.t, group.NumRows(), n)
			for _, values := range buffer {
				offset, cells := int64(-1), map[string]string{}
				for _, v := range values {
					name := f.Schema().Columns()[v.Column()][0]
					switch {
					case name == "kafkaoffset":
						offset = v.Int64()
					case v.IsNull() || !strings.Contains(name, "_"):
					default:
						cells[name] = shown(f.Schema(), name, v)
					}
				}
				require.NotContains(w.t, all, offset)
				all[offset] = cells
			}
			require.NoError(w.t, rows.Close())
		}
	}
	return all
}

func shown(schema *parquet.Schema, name string, v parquet.Value) string {
	leaf, _ := schema.Lookup(name)
	switch typ := leaf.Node.Type().String(); {
	case strings.HasPrefix(typ, "TIMESTAMP"):
		return time.UnixMicro(v.Int64()).UTC().Format(time.RFC3339Nano)
	case typ == "DATE":
		return time.Unix(int64(v.Int32())*86400, 0).UTC().Format(time.DateOnly)
	case v.Kind() == parquet.ByteArray:
		return canonical(string(v.ByteArray()))
	}
	return canonical(v.String())
}

// Two sinks with other lists share one registry, and a flush names a version that knows its files' columns.
func TestRegistryIsShared(t *testing.T) {
	w := newWorld(t, 2)
	lists := []string{"traits.x: double", "properties.y: bigint, traits.x: double"}
	for _, text := range lists {
		w.start(func(c *Config) { require.NoError(t, c.Promote.UnmarshalText([]byte(text))) })
	}
	for i := range 40 {
		for p := range int32(2) {
			w.produce(p, &kgo.Record{Key: []byte("a"), Value: fmt.Appendf(nil, `{"type":"track","traits":{"x":"text"},"properties":{"y":%d}}`, i)})
		}
	}
	w.awaitFlushed()
	r := w.registry()
	require.Len(t, r.Columns, 2)
	require.Len(t, r.Listed(), 3, "and the texts beside traits_x")
	newest := int64(0)
	for o, err := range w.store.List(t.Context(), "_weir/"+w.cfg.Group+"/", "") {
		require.NoError(t, err)
		if !strings.HasSuffix(o.Key, ".json") {
			continue
		}
		body, _, err := w.store.Get(t.Context(), o.Key)
		require.NoError(t, err)
		m, err := codec.DecodeManifest(o.Key, body)
		require.NoError(t, err)
		newest = max(newest, m.Columns)
	}
	require.Equal(t, r.Version, newest)
}

// A registry that this weir cannot read stops a sink before it has read a record.
func TestRefusesARegistryOfANewerWeir(t *testing.T) {
	w := newWorld(t, 1)
	require.NoError(t, w.store.Put(t.Context(), lake.ColumnsKey(lake.EventLogsName), []byte(`{"format":2}`)))
	p := w.start()
	<-p.done
	require.ErrorContains(t, p.err, "_weir/columns/eventlogs.json: the registry of columns has format 2: this weir reads 1, run a newer one")
}

// An operator deletes the registry: it comes back from its copy. With the copies gone too, a sink with another list does
// not start, and says what is missing and what puts it back.
func TestRegistryIsDeleted(t *testing.T) {
	w := newWorld(t, 1)
	promoting := func(text string) func(*Config) {
		return func(c *Config) { require.NoError(t, c.Promote.UnmarshalText([]byte(text))) }
	}
	flushed := func(list string) *sinkProcess {
		p := w.start(promoting(list))
		w.produce(0, &kgo.Record{Key: []byte("a"), Value: []byte(`{"type":"track","traits":{"x":1,"y":"text"}}`)})
		w.awaitFlushed()
		require.NoError(t, p.end())
		return p
	}
	key := lake.ColumnsKey(lake.EventLogsName)
	flushed("traits.x: double")
	was := w.registry()
	w.remove(key)
	p := flushed("traits.y: string")
	require.Contains(t, p.log.String(), "the registry of columns was missing or an older version, and is put back")
	now := w.registry()
	require.Equal(t, was.Columns, now.Columns[:1])

	w.remove(key)
	for version := range now.Version {
		w.remove(lake.ColumnsCopyKey(lake.EventLogsName, version+1))
	}
	p = w.start(promoting("traits.y: double"))
	<-p.done
	for _, says := range []string{key, fmt.Sprintf("written with version %d", now.Version), "/0/00000000000000000002-", "weir catalog repair"} {
		require.ErrorContains(t, p.err, says)
	}
	require.NoError(t, w.store.Put(t.Context(), key, now.Encode()))
	flushed("traits.y: double")
	require.Equal(t, now.Columns, w.registry().Columns)
}

func (w *world) remove(key string) { require.NoError(w.t, os.Remove(w.path(key))) }
