package columnar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"weir/loadtest/corpus"
	"weir/pkg/event"
	"weir/pkg/lake"
)

var samples = []string{
	`{"type":"track","messageId":"m1","anonymousId":"a","userId":"u","event":"Order Completed","timestamp":"2026-11-23T10:00:00.123Z","sentAt":"2026-11-23T10:00:01Z","context":{"ip":"1.2.3.4","page":{"url":"https://é.example/"}},"properties":{"total":12.50,"note":null,"":""},"integrations":{},"extra":{"a":[1,2]}}`,
	`{"type":"page","name":"Home","category":"Shop","version":2}`,
	`{"type":"group","groupId":"g","traits":{"plan":"team"}}`,
	`{"type":"alias","previousId":"p","userId":"","context":null}`,
	`{"type":"identify","userId":{"not":"text"},"traits":"no map","timestamp":"never"}`,
	`{"event":"` + strings.Repeat("long ", 2000) + `"}`,
	`{"type":"track","properties":{"k":"` + strings.Repeat("z", 100_000) + `"}}`,
}

func TestRowsComeBack(t *testing.T) {
	for _, codec := range []string{"", "zstd", "snappy", "none"} {
		var records []*event.Record
		for i, s := range samples {
			records = append(records, record(i, s))
		}
		b, want := write(t, Options{Codec: codec}, records...)
		require.Equal(t, want, read(t, b), codec)
	}
}

// What is told of the columns is what the footer says of their chunks, of all row groups.
func TestColumnBytesAreTheFooters(t *testing.T) {
	var records []*event.Record
	for i, value := range corpus.Generate(3, 600) {
		records = append(records, record(i, string(value)))
	}
	var out bytes.Buffer
	layout, err := NewLayout(lake.EventLogs().Schema, Options{RowGroupRows: 250})
	require.NoError(t, err)
	f := layout.NewFile(&out)
	for _, r := range records {
		var v event.View
		require.Equal(t, event.Reason(""), v.Decode(r))
		require.NoError(t, f.Append(r, &v))
	}
	require.NoError(t, f.Close())
	want := make(map[string]int64)
	for _, g := range open(t, out.Bytes()).Metadata().RowGroups {
		for _, c := range g.Columns {
			want[c.MetaData.PathInSchema[0]] += c.MetaData.TotalCompressedSize
		}
	}
	got := make(map[string]int64)
	for _, c := range f.ColumnBytes() {
		got[c.Name] = c.Bytes
	}
	require.Len(t, got, len(lake.EventLogs().Schema))
	require.Equal(t, want, got)
}

func TestGeneratedEventsComeBack(t *testing.T) {
	const n = 600
	var records []*event.Record
	for i, value := range corpus.Generate(3, n) {
		records = append(records, record(i, string(value)))
	}
	b, want := write(t, Options{RowGroupRows: 250}, records...)
	require.Equal(t, want, read(t, b))
	var rows []int64
	for _, g := range open(t, b).RowGroups() {
		rows = append(rows, g.NumRows())
	}
	require.Equal(t, []int64{250, 250, 100}, rows)
}

func TestAnyRowsComeBack(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "a", "b"}))
	value := rapid.Custom(func(t *rapid.T) any {
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0:
			return nil
		case 1:
			return rapid.Int().Draw(t, "number")
		case 2:
			return []any{text.Draw(t, "element"), nil}
		case 3:
			return rapid.MapOfN(text, text, 0, 5).Draw(t, "object")
		default:
			return text.Draw(t, "text")
		}
	})
	key := rapid.OneOf(text, rapid.SampledFrom([]string{"userId", "event", "context", "traits", "properties", "integrations", "timestamp", "sentAt", "version", "name"}))
	rapid.Check(t, func(rt *rapid.T) {
		var records []*event.Record
		for i := range rapid.IntRange(1, 12).Draw(rt, "rows") {
			fields := rapid.MapOfN(key, value, 0, 8).Draw(rt, "fields")
			fields["type"] = "track"
			b, err := json.Marshal(fields)
			require.NoError(rt, err)
			records = append(records, record(i, string(b)))
		}
		b, want := write(t, Options{RowGroupRows: rapid.IntRange(1, 14).Draw(rt, "row group")}, records...)
		require.Equal(rt, want, read(t, b))
	})
}

// A column whose values do not repeat gives up its dictionary; the rows before and after it stay what they were.
func TestDictionaryOverflow(t *testing.T) {
	const n = 40_000
	var out bytes.Buffer
	f := newFile(t, &out, Options{})
	var v event.View
	for i := range n {
		r := record(i, overflowing(i, pageRows, 104))
		require.Equal(t, event.Reason(""), v.Decode(r))
		require.NoError(t, f.Append(r, &v))
	}
	require.NoError(t, f.Close())
	type named struct {
		Event string `parquet:"event,optional"`
	}
	rows, err := parquet.Read[named](bytes.NewReader(out.Bytes()), int64(out.Len()))
	require.NoError(t, err)
	require.Len(t, rows, n)
	for i := range rows {
		if !strings.Contains(overflowing(i, pageRows, 104), strconv.Quote(rows[i].Event)) {
			t.Fatalf("row %d is %v", i, rows[i])
		}
	}
	requireOverflow(t, out.Bytes())
}

// overflowing is an event whose name, of so many bytes, repeats in the first page and nowhere else.
func overflowing(i, pageRows, bytes int) string {
	if i < pageRows {
		i /= 8
	}
	return fmt.Sprintf(`{"type":"track","event":"%0*d","properties":{"k":1}}`, bytes, i*7919)
}

func requireOverflow(t *testing.T, b []byte) {
	pages := dataPages(t, b, "event")
	require.Positive(t, pages[format.RLEDictionary], "while it pays")
	require.Positive(t, pages[format.Plain])
}

// dataPages counts those of a leaf in the first row group, by encoding.
func dataPages(t *testing.T, b []byte, path ...string) map[format.Encoding]int32 {
	leaf, ok := open(t, b).Schema().Lookup(path...)
	require.True(t, ok, path)
	pages := map[format.Encoding]int32{}
	for _, s := range open(t, b).Metadata().RowGroups[0].Columns[leaf.ColumnIndex].MetaData.EncodingStats {
		if s.PageType == format.DataPage {
			pages[s.Encoding] = s.Count
		}
	}
	return pages
}

// A page without a value refers to the dictionary as those beside it do: Spark's vectorized reader loses count of a map's
// keys where a page that refers to a dictionary follows one that does not. A leaf without any value has one page, and no
// dictionary, unless it has many rows.
func TestPagesWithoutValues(t *testing.T) {
	var records []*event.Record
	for i := range 300 {
		with := ""
		if i/100 == 1 {
			with = fmt.Sprintf(`,"userId":"u%d","traits":{"a":1,"b":2},"properties":{"long":"v%[1]d"}`, i%3)
		}
		records = append(records, record(i, `{"type":"track"`+with+`}`))
	}
	for pageRows, want := range map[int]map[format.Encoding]int32{100: {format.RLEDictionary: 3}, 300: {format.RLEDictionary: 1}} {
		b, rows := write(t, Options{PageRows: pageRows}, records...)
		require.Equal(t, rows, read(t, b))
		for _, path := range [][]string{{"userid"}, {"traits", "key_value", "key"}} {
			require.Equal(t, want, dataPages(t, b, path...), "%v, %d rows a page", path, pageRows)
		}
		require.Zero(t, dataPages(t, b, "properties_long")[format.Plain], "%d rows a page", pageRows)
	}
	b, _ := write(t, Options{}, records[:100]...)
	require.Equal(t, map[format.Encoding]int32{format.Plain: 1}, dataPages(t, b, "userid"))
	b, _ = write(t, Options{PageRows: 50}, records[:100]...)
	require.Equal(t, map[format.Encoding]int32{format.RLEDictionary: 2}, dataPages(t, b, "userid"), "nobody knew that no value would come")
}

// Large events end a row group early: what a file holds back is bounded in bytes too.
func TestRowGroupsAreBoundedInBytes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var out countWriter
	f := newFile(t, &out, Options{Codec: "none"})
	var v event.View
	noise := make([]byte, 3<<20)
	for j := range noise {
		noise[j] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[rng.IntN(64)]
	}
	most := int64(0)
	for i := range 200 {
		r := record(i, `{"type":"track","properties":{"blob":"`+string(noise[i<<13:][:1<<20])+`"}}`)
		require.Equal(t, event.Reason(""), v.Decode(r))
		require.NoError(t, f.Append(r, &v))
		most = max(most, f.Buffered())
	}
	require.Greater(t, out.n, int64(rowGroupBytes/2), "row groups went out before Close")
	require.Less(t, most, int64(rowGroupBytes+32<<20))
	require.NoError(t, f.Close())
}

func TestFooter(t *testing.T) {
	b, _ := write(t, Options{Metadata: map[string]string{"weir.flush": "id", "weir.manifest": "key"}}, record(0, samples[0]), record(1, samples[1]))
	f := open(t, b)
	value, ok := f.Lookup("weir.flush")
	require.True(t, ok)
	require.Equal(t, "id", value)

	type element struct {
		name, kind, logical, repetition string
		id                              int32
	}
	var got []element
	for _, e := range f.Metadata().Schema[1:] {
		kind := "group"
		if e.Type.Valid {
			kind = e.Type.V.String()
		}
		logical := ""
		if e.LogicalType.Value != nil {
			logical = fmt.Sprint(e.LogicalType.Value)
		}
		got = append(got, element{e.Name, kind, logical, e.RepetitionType.V.String(), e.FieldID})
	}
	var want []element
	for _, c := range lake.EventLogs().Schema {
		switch c.Type {
		case lake.String:
			want = append(want, element{c.Name, "BYTE_ARRAY", "STRING", "OPTIONAL", c.FieldID})
		case lake.Timestamp:
			want = append(want, element{c.Name, "INT64", "TIMESTAMP(isAdjustedToUTC=true,unit=MICROS)", "OPTIONAL", c.FieldID})
		case lake.Int:
			want = append(want, element{c.Name, "INT32", "INT(32,true)", "OPTIONAL", c.FieldID})
		case lake.BigInt:
			want = append(want, element{c.Name, "INT64", "INT(64,true)", "OPTIONAL", c.FieldID})
		case lake.MapStringString:
			want = append(want,
				element{c.Name, "group", "MAP", "OPTIONAL", c.FieldID},
				element{"key_value", "group", "", "REPEATED", 0},
				element{"key", "BYTE_ARRAY", "STRING", "REQUIRED", c.KeyID},
				element{"value", "BYTE_ARRAY", "STRING", "OPTIONAL", c.ValueID})
		}
	}
	// Of the promoted columns the file has those of which it has values; these two events have a text for an IP address
	// that should be a number.
	ids := map[string]int32{}
	for _, p := range promoted {
		ids[p.Name] = p.FieldID
	}
	want = append(want,
		element{"context_page_url", "BYTE_ARRAY", "STRING", "OPTIONAL", ids["context_page_url"]},
		element{"properties_total", "DOUBLE", "", "OPTIONAL", ids["properties_total"]},
		element{"context_ip__string", "BYTE_ARRAY", "STRING", "OPTIONAL", ids["context_ip"] + int32(lake.SideString)})
	require.Equal(t, want, got)
}

func TestChunks(t *testing.T) {
	var records []*event.Record
	for i := range 300 {
		records = append(records, record(i, fmt.Sprintf(`{"type":"track","messageId":"m-%d","event":"e","context":{"k":"%s"},"timestamp":"2026-11-23T10:00:%02dZ"}`, i, strings.Repeat("x", 2000), i%60)))
	}
	b, _ := write(t, Options{}, records...)
	f := open(t, b)
	group := f.Metadata().RowGroups[0]
	chunks := map[string]format.ColumnMetaData{}
	for _, c := range group.Columns {
		chunks[strings.Join(c.MetaData.PathInSchema, ".")] = c.MetaData
		require.Equal(t, format.Zstd, c.MetaData.Codec)
	}
	for column, encoding := range map[string]format.Encoding{
		"messageid": format.Plain, "type": format.RLEDictionary, "event": format.RLEDictionary, "kafkatopic": format.RLEDictionary,
		"kafkapartition": format.DeltaBinaryPacked, "context.key_value.key": format.RLEDictionary, "context.key_value.value": format.Plain,
		"timestamp": format.DeltaBinaryPacked, "kafkaoffset": format.DeltaBinaryPacked,
	} {
		require.Contains(t, chunks[column].Encoding, encoding, column)
		require.NotContains(t, chunks[column].Encoding, format.DeltaLengthByteArray, column)
	}

	require.Equal(t, "m-0", string(chunks["messageid"].Statistics.MinValue))
	require.Equal(t, "m-99", string(chunks["messageid"].Statistics.MaxValue))
	require.NotEmpty(t, chunks["timestamp"].Statistics.MinValue)
	require.Equal(t, int64(300), chunks["userid"].Statistics.NullCount)
	require.Empty(t, chunks["context.key_value.value"].Statistics.MaxValue, "a value as large as Kafka lets through does not belong in a footer")

	ids := chunkOf(t, f, "messageid")
	require.Equal(t, BloomBytes(ids.NumValues()), ids.BloomFilter().Size())
	found, err := ids.BloomFilter().Check(parquet.ByteArrayValue([]byte("m-217")))
	require.NoError(t, err)
	require.True(t, found)
	wrong := 0
	for i := range 1000 {
		if hit, _ := ids.BloomFilter().Check(parquet.ByteArrayValue([]byte(fmt.Sprintf("other-%d", i)))); hit {
			wrong++
		}
	}
	require.Less(t, wrong, 50)
	require.Nil(t, chunkOf(t, f, "userid").BloomFilter())
}

func chunkOf(t testing.TB, f *parquet.File, path ...string) parquet.ColumnChunk {
	leaf, ok := f.Schema().Lookup(path...)
	require.True(t, ok, path)
	return f.RowGroups()[0].ColumnChunks()[leaf.ColumnIndex]
}

// The bounds in the page index hold for every value: a reader may skip pages by them.
func TestColumnIndexHolds(t *testing.T) {
	var records []*event.Record
	for i := range 30000 {
		records = append(records, record(i, fmt.Sprintf(`{"type":"track","messageId":"m-%d","userId":"u%d","properties":{"k%d":"%s"}}`, i, i%7, i%5, strings.Repeat(string(rune('a'+i%26)), 15))))
	}
	b, _ := write(t, Options{}, records...)
	f := open(t, b)
	pages := 0
	for i, chunk := range f.RowGroups()[0].ColumnChunks() {
		path := f.Schema().Columns()[i]
		index, err := chunk.ColumnIndex()
		if len(path) > 1 {
			require.ErrorIs(t, err, parquet.ErrMissingColumnIndex, path)
			continue
		}
		require.NoError(t, err, path)
		reader := chunk.Pages()
		for p := 0; ; p++ {
			page, err := reader.ReadPage()
			if errors.Is(err, io.EOF) {
				require.Equal(t, index.NumPages(), p, path)
				break
			}
			require.NoError(t, err)
			pages++
			values := make([]parquet.Value, page.NumValues())
			n, err := page.Values().ReadValues(values)
			require.True(t, err == nil || errors.Is(err, io.EOF))
			nulls := int64(0)
			for _, v := range values[:n] {
				if v.IsNull() {
					nulls++
				} else if v.Kind() == parquet.ByteArray {
					require.LessOrEqual(t, bytes.Compare(index.MinValue(p).ByteArray(), v.ByteArray()), 0, path)
					require.GreaterOrEqual(t, bytes.Compare(index.MaxValue(p).ByteArray(), v.ByteArray()), 0, path)
				} else {
					require.LessOrEqual(t, index.MinValue(p).Int64(), v.Int64(), path)
					require.GreaterOrEqual(t, index.MaxValue(p).Int64(), v.Int64(), path)
				}
			}
			require.Equal(t, nulls, index.NullCount(p), path)
			require.Equal(t, nulls == int64(n), index.NullPage(p), path)
			parquet.Release(page)
		}
		require.NoError(t, reader.Close())
	}
	require.Greater(t, pages, 20, "the columns have several pages")
}

// The pages have a checksum and say nothing of their values in their headers.
func TestPageHeaders(t *testing.T) {
	long := strings.Repeat("Q", 5000)
	b, _ := write(t, Options{Codec: "none"}, record(0, `{"type":"track","userId":"`+long+`"}`))
	require.Equal(t, 1, bytes.Count(b, []byte(long)))
	header := open(t, b).Metadata().RowGroups[0].Columns[3].MetaData.DataPageOffset
	broken := bytes.Clone(b)
	at := bytes.Index(broken[header:], []byte(long)) + int(header)
	broken[at+10] = 'x'
	_, err := parquet.Read[struct {
		UserID string `parquet:"userid,optional"`
	}](bytes.NewReader(broken), int64(len(broken)))
	require.ErrorContains(t, err, "crc32")
}

func TestEmptyFile(t *testing.T) {
	b, _ := write(t, Options{})
	require.Empty(t, read(t, b))
	require.Len(t, open(t, b).Schema().Columns(), 27)
}

func TestNewLayoutRefuses(t *testing.T) {
	good := lake.EventLogs().Schema
	for want, c := range map[string]struct {
		schema lake.Schema
		codec  string
	}{
		"unknown codec":        {good, "lzo"},
		"string nonsense":      {lake.Schema{{Name: "nonsense", Type: lake.String, FieldID: 1}}, ""},
		"bigint messageid":     {lake.Schema{{Name: "messageid", Type: lake.BigInt, FieldID: 1}}, ""},
		"timestamp context":    {lake.Schema{{Name: "context", Type: lake.Timestamp, FieldID: 1}}, ""},
		"int kafkaoffset":      {lake.Schema{{Name: "kafkaoffset", Type: lake.Int, FieldID: 1}}, ""},
		"map<string,string> x": {lake.Schema{{Name: "x", Type: lake.MapStringString, FieldID: 1}}, ""},
		"twice":                {append(good[:len(good):len(good)], good[0]), ""},
	} {
		_, err := NewLayout(c.schema, Options{Codec: c.codec})
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "lay out Parquet files")
	}
}

// failing takes so many bytes and then no more.
type failing struct{ left int }

var errFull = errors.New("disk full")

func (w *failing) Write(b []byte) (int, error) {
	if len(b) > w.left {
		n := w.left
		w.left = 0
		return n, errFull
	}
	w.left -= len(b)
	return len(b), nil
}

// Wherever out fails there is an error, the same one from then on, and no panic.
func TestOutFails(t *testing.T) {
	values := corpus.Generate(1, 150)
	var whole countWriter
	attempt := func(out io.Writer) error {
		f := newFile(t, out, Options{RowGroupRows: 60})
		var v event.View
		for i, value := range values {
			r := record(i, string(value))
			v.Decode(r)
			if err := f.Append(r, &v); err != nil {
				rows := f.Rows()
				require.Equal(t, err, f.Append(r, &v), "an error stays")
				require.Equal(t, rows, f.Rows(), "and nothing more goes in")
				require.Equal(t, err, f.Close())
				return err
			}
		}
		err := f.Close()
		require.Equal(t, err, f.Close())
		return err
	}
	require.NoError(t, attempt(&whole))
	require.Greater(t, whole.n, int64(10_000))
	for left := 0; left < int(whole.n); left += 1 + int(whole.n)/41 {
		require.ErrorIs(t, attempt(&failing{left: left}), errFull, "after %d of %d bytes", left, whole.n)
	}
	require.ErrorIs(t, attempt(&failing{left: int(whole.n) - 1}), errFull)
	require.NoError(t, attempt(&failing{left: int(whole.n)}))
}

// After Close nothing goes in or out any more.
func TestClosed(t *testing.T) {
	var out bytes.Buffer
	f := newFile(t, &out, Options{})
	require.NoError(t, f.Close())
	size := out.Len()
	require.ErrorIs(t, f.Append(record(0, "{}"), &event.View{}), errClosed)
	require.NoError(t, f.Close())
	require.Equal(t, size, out.Len())
	require.Zero(t, f.Buffered())
}

// Append copies what it needs: the record and the view may be used again at once.
func TestAppendBorrowsNothing(t *testing.T) {
	var out bytes.Buffer
	f := newFile(t, &out, Options{})
	var want []row
	var v event.View
	r := record(0, "")
	for i := range 2000 {
		r.Offset = int64(i)
		r.Value = fmt.Appendf(r.Value[:0], `{"type":"track","messageId":"m%d","properties":{"\u0061":"\u00e9%d"},"x":"%d"}`, i, i, i)
		require.Equal(t, event.Reason(""), v.Decode(r))
		want = append(want, rowOf(r, &v))
		require.NoError(t, f.Append(r, &v))
		for j := range r.Value {
			r.Value[j] = '#'
		}
	}
	require.NoError(t, f.Close())
	require.Equal(t, want, read(t, out.Bytes()))
}

// What Buffered says is what the heap holds, within a third and half a megabyte.
func TestBufferedIsHonest(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		runtime.GC() // the second empties the pools
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	rs := records(2000)
	v := event.View{Promotion: event.NewPromotion(promoted)}
	l, err := NewLayout(lake.EventLogs().Schema, Options{Promoted: promoted})
	require.NoError(t, err)
	for _, c := range []struct{ files, rows int }{{50, 0}, {50, 1}, {20, 300}, {8, 1000}, {2, 5000}, {1, 15_000}} {
		before := heap()
		files := make([]*File, c.files)
		said := int64(0)
		for i := range files {
			f := l.NewFile(io.Discard)
			for j := range c.rows {
				r := &rs[j%len(rs)]
				v.Decode(r)
				require.NoError(t, f.Append(r, &v))
			}
			said += f.Buffered()
			files[i] = f
		}
		held := heap() - before
		t.Logf("%6d rows: %6d KiB a file, Buffered says %d", c.rows, held/int64(c.files)>>10, said/int64(c.files)>>10)
		slack := float64(held/3 + int64(c.files)*8<<10 + 512<<10)
		require.InDelta(t, held, said, slack, "%d rows", c.rows)
		runtime.KeepAlive(files)
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	rs := records(500)
	f := newFile(t, io.Discard, Options{})
	v := event.View{Promotion: event.NewPromotion(promoted)}
	i := 0
	next := func() {
		r := &rs[i%len(rs)]
		i++
		if v.Decode(r) != "" || f.Append(r, &v) != nil {
			t.Fatal("an event was refused")
		}
	}
	for range 3_000 {
		next()
	}
	require.Less(t, testing.AllocsPerRun(3000, next), 1.0, "but for pages, less than one an event")
}
