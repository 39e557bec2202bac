package columnar

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"weir/loadtest/corpus"
	"weir/pkg/event"
	"weir/pkg/lake"
	"weir/pkg/promote"
)

// row is what stands in a row, by column: nil, string, int32, int64, or entries.
type row map[string]any

// entries of a map column; a nil value is NULL.
type entries map[string]*string

// promoted are the default columns and some whose values the tests' events change the types of.
var promoted = func() []lake.Promoted {
	var list promote.List
	if err := list.UnmarshalText([]byte("default, properties.k: bigint, properties.long: string, properties.d: double, properties.b: boolean, " +
		"properties.at: timestamp, properties.day: date, context.ip: bigint, traits.a: boolean")); err != nil {
		panic(err)
	}
	r, _, err := promote.Registry{}.Extend(list.Paths)
	if err != nil {
		panic(err)
	}
	return r.Promoted(list.Paths)
}()

// promotedTypes of all their columns, those beside them included.
var promotedTypes = func() map[string]lake.Type {
	types := map[string]lake.Type{}
	for _, p := range promoted {
		for s := range lake.Sides {
			if c, ok := p.Column(s); ok {
				types[c.Name] = c.Type
			}
		}
	}
	return types
}()

// drop leaves out what a row has not of promoted columns: a file has them or not.
func (r row) drop() row {
	for name := range promotedTypes {
		if r[name] == nil {
			delete(r, name)
		}
	}
	return r
}

// asJSON is a row as the JSON functions of engines show it: a map as an object, a time as microseconds.
func asJSON(r row) map[string]any {
	b, _ := json.Marshal(r)
	var out map[string]any
	_ = json.Unmarshal(b, &out)
	return out
}

func cellValue(typ lake.Type, c event.Cell) any {
	switch typ {
	case lake.Double:
		return math.Float64frombits(uint64(c.Number))
	case lake.Boolean:
		return c.Number == 1
	case lake.Date:
		return int32(c.Number)
	case lake.String:
		return string(c.Text)
	}
	return c.Number
}

// rowOf is the row that an event should become.
func rowOf(r *event.Record, v *event.View) row {
	out := row{"kafkatopic": r.Topic, "kafkapartition": r.Partition, "kafkaoffset": r.Offset}
	for name, text := range map[string]event.Text{
		"anonymousid": v.AnonymousID, "messageid": v.MessageID, "type": v.Type, "userid": v.UserID, "event": v.Event, "name": v.Name,
		"category": v.Category, "groupid": v.GroupID, "previousid": v.PreviousID, "version": v.Version,
	} {
		out[name] = nil
		if text.Valid {
			out[name] = string(text.B)
		}
	}
	for name, t := range map[string]event.Instant{"timestamp": v.Timestamp, "originaltimestamp": v.OriginalTimestamp, "sentat": v.SentAt, "receivedat": v.ReceivedAt} {
		out[name] = nil
		if t.Valid {
			out[name] = t.Micros
		}
	}
	for name, m := range map[string]event.Map{"context": v.Context, "traits": v.Traits, "properties": v.Properties, "integrations": v.Integrations, "rescued": v.Rescued} {
		out[name] = nil
		if !m.Valid {
			continue
		}
		e := entries{}
		for _, entry := range m.Entries {
			e[string(entry.Key)] = nil
			if entry.Value != nil {
				value := string(entry.Value)
				e[string(entry.Key)] = &value
			}
		}
		out[name] = e
	}
	for _, cell := range v.Cells {
		c, _ := promoted[cell.Path].Column(cell.Side)
		out[c.Name] = cellValue(c.Type, cell)
	}
	return out
}

func open(t testing.TB, b []byte) *parquet.File {
	f, err := parquet.OpenFile(bytes.NewReader(b), int64(len(b)))
	require.NoError(t, err)
	return f
}

// read reads every row by parquet-go's row reader and puts it together by the standard's rules of levels.
func read(t testing.TB, b []byte) []row {
	f := open(t, b)
	var leaves []string
	for _, path := range f.Schema().Columns() {
		leaves = append(leaves, path[0])
	}
	var out []row
	for _, group := range f.RowGroups() {
		rows := group.Rows()
		buffer := make([]parquet.Row, 7)
		for {
			n, err := rows.ReadRows(buffer)
			for _, values := range buffer[:n] {
				out = append(out, rowFrom(t, leaves, values))
			}
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
		}
		require.NoError(t, rows.Close())
	}
	return out
}

func rowFrom(t testing.TB, leaves []string, values parquet.Row) row {
	out := row{}
	columns := map[int][]parquet.Value{}
	values.Range(func(i int, vs []parquet.Value) bool {
		columns[i] = vs
		return true
	})
	for i := 0; i < len(leaves); i++ {
		vs := columns[i]
		if i+1 == len(leaves) || leaves[i] != leaves[i+1] {
			require.Len(t, vs, 1)
			out[leaves[i]] = scalarFrom(vs[0])
			continue
		}
		i++
		out[leaves[i]] = mapFrom(t, vs, columns[i])
	}
	return out.drop()
}

func scalarFrom(v parquet.Value) any {
	switch {
	case v.IsNull():
		return nil
	case v.Kind() == parquet.Int64:
		return v.Int64()
	case v.Kind() == parquet.Int32:
		return v.Int32()
	case v.Kind() == parquet.Double:
		return v.Double()
	case v.Kind() == parquet.Boolean:
		return v.Boolean()
	}
	return string(v.ByteArray())
}

func mapFrom(t testing.TB, keys, values []parquet.Value) any {
	require.Equal(t, len(keys), len(values))
	switch {
	case keys[0].DefinitionLevel() == 0:
		require.Len(t, keys, 1)
		return nil
	case keys[0].DefinitionLevel() == 1:
		require.Len(t, keys, 1)
		require.Equal(t, 1, values[0].DefinitionLevel())
		return entries{}
	}
	e := entries{}
	for i := range keys {
		require.Equal(t, 2, keys[i].DefinitionLevel())
		require.Equal(t, i > 0, keys[i].RepetitionLevel() == 1)
		require.Equal(t, i > 0, values[i].RepetitionLevel() == 1)
		key := string(keys[i].ByteArray())
		require.NotContains(t, e, key)
		e[key] = nil
		if !values[i].IsNull() {
			value := string(values[i].ByteArray())
			e[key] = &value
		}
	}
	return e
}

// record is a record with a place of its own.
func record(i int, value string) *event.Record {
	return &event.Record{
		Topic: "weir.events", TopicID: lake.TopicID{1}, Partition: int32(i % 3), Offset: int64(i),
		Timestamp: time.UnixMilli(1_795_428_000_000 + int64(i)), Key: []byte("source1"), Value: []byte(value),
	}
}

// mixed are the samples and events as real traffic has them.
func mixed() (records []*event.Record) {
	for _, s := range samples {
		records = append(records, record(len(records), s))
	}
	for _, value := range corpus.Generate(9, 3000) {
		records = append(records, record(len(records), string(value)))
	}
	return records
}

// newFile is a file with a layout of its own.
func newFile(t testing.TB, out io.Writer, o Options) *File {
	o.Promoted = promoted
	l, err := NewLayout(lake.EventLogs().Schema, o)
	require.NoError(t, err)
	return l.NewFile(out)
}

// write makes a file of records and returns it with the rows that should stand in it.
func write(t testing.TB, o Options, records ...*event.Record) ([]byte, []row) {
	o.Promoted = promoted
	return writeBy(t, lake.EventLogs().Schema, o, event.NewPromotion(promoted), records...)
}

// writeBy is write for any schema, whose rows have its columns and the promoted ones alone.
func writeBy(t testing.TB, s lake.Schema, o Options, by *event.Promotion, records ...*event.Record) ([]byte, []row) {
	l, err := NewLayout(s, o)
	require.NoError(t, err)
	var out bytes.Buffer
	f := l.NewFile(&out)
	var want []row
	v := event.View{Promotion: by}
	for _, r := range records {
		require.Equal(t, event.Reason(""), v.Decode(r), "%.100q", r.Value)
		want = append(want, rowOf(r, &v))
		require.NoError(t, f.Append(r, &v))
	}
	require.Equal(t, int64(len(records)), f.Rows())
	require.NoError(t, f.Close())
	return out.Bytes(), want
}
