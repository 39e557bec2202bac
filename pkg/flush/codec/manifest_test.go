package codec_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/lake"
	"weir/pkg/shape"
)

var update = flag.Bool("update", false, "write testdata anew")

// golden compares with a file that stands for what is stored somewhere already: a change to it breaks lakes.
func golden(t *testing.T, name string, got []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
	return want
}

func at(seconds int) time.Time { return time.Date(2026, 11, 23, 10, 0, seconds, 250_000_000, time.UTC) }

func example() *flush.Manifest {
	offsets := flush.NewOffsets(7, 9, 1<<40)
	offsets.AddRange(100, 4100)
	m := &flush.Manifest{
		Format: flush.Format, ClusterID: "5L6g3nShT-eMCtK--X86sw", Group: "weir-sink", Topic: "weir.events",
		TopicID: lake.TopicID{0x0f, 1, 2, 3}, Partition: 3, Seq: 18_000_000_000_000_000_001,
		FlushID: "0193577a-6c2e-7c3e-9f6b-1f2d3c4b5a69", MemberID: "weir-sink-0-abc", Generation: 41, Bucket: "weir",
		Low: 7, NextLow: 100, LeaderEpoch: -1, Trigger: "age", CreatedAt: at(3),
		Files: []flush.File{
			{
				Table: "eventlogs", Partition: lake.Partition{Table: "eventlogs", SourceID: "source1", Day: 20780},
				Key: "eventlogs/sourceid=source1/dt=2026-11-23/0193577a-6c2e-7c3e-9f6b-1f2d3c4b5a69-0.parquet", UploadID: "dXBsb2Fk/+=",
				Parts: []flush.Part{{Number: 1, ETag: `"9b2cf535f27731c9"`, CRC32: "ShexVg==", Bytes: 5 << 20}, {Number: 2, ETag: `"f9"`, Bytes: 17}},
				Rows:  offsets.Len(), Bytes: 5<<20 + 17, Offsets: offsets, MinTime: at(1), MaxTime: at(2),
			},
		},
		DeadLetters: []flush.DeadLetter{{Offset: 8, Reason: "malformed"}},
		Ahead:       map[string]*flush.Offsets{"eventlogs_raw": flush.NewOffsets(1 << 40), "eventlogs": offsets.From(100)},
	}
	m.Predecessor = m.Owner().ManifestKey(m.Seq-1, "0193577a-0000-7000-8000-000000000000")
	m.Key = m.Owner().ManifestKey(m.Seq, m.FlushID)
	return m
}

func requireSame(t require.TestingT, want, got *flush.Manifest) {
	require.Equal(t, len(want.Files), len(got.Files))
	for i := range want.Files {
		require.True(t, want.Files[i].Offsets.Equal(got.Files[i].Offsets))
	}
	require.Equal(t, len(want.Ahead), len(got.Ahead))
	for table, set := range want.Ahead {
		require.True(t, set.Equal(got.Ahead[table]), table)
	}
	require.True(t, want.Lost.Equal(got.Lost))
	require.True(t, want.Again.Equal(got.Again))
	require.Equal(t, without(want), without(got))
}

// without leaves out the sets, whose inside may differ where they are equal.
func without(m *flush.Manifest) flush.Manifest {
	c := *m
	c.Lost, c.Again, c.Ahead, c.Files = nil, nil, nil, append([]flush.File(nil), m.Files...)
	for i := range c.Files {
		c.Files[i].Offsets = nil
	}
	return c
}

func TestManifest(t *testing.T) {
	m := example()
	body, err := codec.EncodeManifest(m)
	require.NoError(t, err)
	stored := golden(t, "manifest.json", body)
	got, err := codec.DecodeManifest(m.Key, stored)
	require.NoError(t, err)
	requireSame(t, m, got)
}

// The names of columns stand there once, and a file adds what their sizes take: of 22 columns under 120 bytes.
func TestManifestWithColumns(t *testing.T) {
	m := example()
	bare, err := codec.EncodeManifest(m)
	require.NoError(t, err)
	for i, c := range lake.EventLogs().Schema {
		m.Files[0].Columns = append(m.Files[0].Columns, lake.ColumnBytes{Name: c.Name, Bytes: 1 << (i + 3)})
	}
	slices.SortFunc(m.Files[0].Columns, func(a, b lake.ColumnBytes) int { return strings.Compare(a.Name, b.Name) })
	second := m.Files[0]
	second.Key += "2"
	second.Columns = []lake.ColumnBytes{{Name: "context_page_url", Bytes: 10}, {Name: "event", Bytes: 1 << 33}}
	m.Files = append(m.Files, second)
	body, err := codec.EncodeManifest(m)
	require.NoError(t, err)
	got, err := codec.DecodeManifest(m.Key, golden(t, "manifest-columns.json", body))
	require.NoError(t, err)
	requireSame(t, m, got)

	m.Files = m.Files[:1]
	one, err := codec.EncodeManifest(m)
	require.NoError(t, err)
	names := len(`,"columnNames":[]`)
	for _, c := range lake.EventLogs().Schema {
		names += len(c.Name) + 3
	}
	require.Less(t, len(one)-len(bare)-names, 120)

	for _, wrong := range []string{`"columnBytes":"gA=="`, `"columnBytes":"////////////////fw=="`} {
		broken := strings.Replace(string(bare), `"rows"`, wrong+`,"rows"`, 1)
		_, err = codec.DecodeManifest(m.Key, []byte(broken))
		require.ErrorContains(t, err, "column bytes of ")
	}
}

// A flush that gives something up goes back to offset 5 and is in a format that older code refuses.
func TestRecoveryManifest(t *testing.T) {
	m := example()
	m.Files, m.DeadLetters, m.Ahead = nil, nil, map[string]*flush.Offsets{}
	m.NextLow, m.Trigger = 5, flush.TriggerRecovery
	m.Lost, m.Again, m.Format = flush.NewOffsets(2, 3), flush.NewOffsets(5, 6, 9), flush.RecoveryFormat
	m.Dropped = []string{"eventlogs/sourceid=source1/dt=2026-11-23/x.parquet"}
	body, err := codec.EncodeManifest(m)
	require.NoError(t, err)
	stored := golden(t, "manifest-recovery.json", body)
	got, err := codec.DecodeManifest(m.Key, stored)
	require.NoError(t, err)
	requireSame(t, m, got)
}

// The first flush of a partition, with nothing in it: what is empty is left out, and read back as empty.
func TestEmptyManifest(t *testing.T) {
	m := &flush.Manifest{Format: flush.Format, Group: "g", Topic: "t", Seq: 1, FlushID: "f", Ahead: map[string]*flush.Offsets{}}
	m.Key = m.Owner().ManifestKey(1, "f")
	body, err := codec.EncodeManifest(m)
	require.NoError(t, err)
	got, err := codec.DecodeManifest(m.Key, body)
	require.NoError(t, err)
	requireSame(t, m, got)
}

func TestRefusedManifests(t *testing.T) {
	m := example()
	body, err := codec.EncodeManifest(m)
	require.NoError(t, err)
	with := func(change func(map[string]any)) []byte {
		var v map[string]any
		require.NoError(t, json.Unmarshal(body, &v))
		change(v)
		b, err := json.Marshal(v)
		require.NoError(t, err)
		return b
	}
	file := func(v map[string]any) map[string]any { return v["files"].([]any)[0].(map[string]any) }
	for name, c := range map[string]struct {
		key  string
		body []byte
		want string
	}{
		"a newer format":       {m.Key, with(func(v map[string]any) { v["format"] = 3; v["topicId"] = map[string]any{} }), "format 3"},
		"no format":            {m.Key, with(func(v map[string]any) { delete(v, "format") }), "format 0"},
		"another key":          {strings.Replace(m.Key, "/3/", "/4/", 1), body, "belongs under"},
		"half of it":           {m.Key, body[:len(body)/2], "unexpected end"},
		"nothing":              {m.Key, nil, "unexpected end"},
		"an error page":        {m.Key, []byte("<Error/>"), "invalid character"},
		"no topic id":          {m.Key, with(func(v map[string]any) { v["topicId"] = "weir" }), "topic id"},
		"seq 0":                {m.Key, with(func(v map[string]any) { v["seq"] = "0" }), "cannot be"},
		"low that goes back":   {m.Key, with(func(v map[string]any) { v["nextLow"] = "6" }), "cannot be"},
		"format 1 that loses":  {m.Key, with(func(v map[string]any) { v["lost"] = file(v)["offsets"] }), "cannot be in format 1"},
		"lost that is no set":  {m.Key, with(func(v map[string]any) { v["lost"] = "AAAA" }), "lost offsets: read offsets"},
		"again that is no set": {m.Key, with(func(v map[string]any) { v["again"] = "AAAA" }), "read again: read offsets"},
		"no day":               {m.Key, with(func(v map[string]any) { file(v)["dt"] = "today" }), "day"},
		"another row count":    {m.Key, with(func(v map[string]any) { file(v)["rows"] = "4" }), "4 rows"},
		"sets that are no set": {m.Key, with(func(v map[string]any) { file(v)["offsets"] = "AAAA" }), "read offsets"},
		"a table twice": {m.Key, with(func(v map[string]any) {
			a := v["ahead"].([]any)
			v["ahead"] = append(a, a[0])
		}), "twice"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := codec.DecodeManifest(c.key, c.body)
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, c.key)
		})
	}
	got, err := codec.DecodeManifest(m.Key, with(func(v map[string]any) { v["colour"] = []int{1}; file(v)["bundle"] = "x" }))
	require.NoError(t, err, "fields of a newer writer of the same format")
	requireSame(t, m, got)
}

func anyOffsets() *rapid.Generator[*flush.Offsets] {
	return rapid.Custom(func(t *rapid.T) *flush.Offsets {
		set := flush.NewOffsets(rapid.SliceOfN(rapid.Int64Range(0, 1<<42), 0, 5).Draw(t, "offsets")...)
		from := rapid.Int64Range(0, 1<<33).Draw(t, "from")
		set.AddRange(from, from+rapid.Int64Range(0, 9000).Draw(t, "run"))
		return set
	})
}

func anyTime() *rapid.Generator[time.Time] {
	return rapid.Map(rapid.Int64Range(1, 1<<40), func(ms int64) time.Time { return time.UnixMilli(ms).UTC() })
}

func anyManifest() *rapid.Generator[*flush.Manifest] {
	text := rapid.StringMatching(`[a-zA-Z0-9 é:/%"_.-]{1,12}`)
	return rapid.Custom(func(t *rapid.T) *flush.Manifest {
		m := &flush.Manifest{
			Format: flush.Format, ClusterID: text.Draw(t, "cluster"), Group: text.Draw(t, "group"), Topic: text.Draw(t, "topic"),
			Partition: rapid.Int32Range(0, 1<<30).Draw(t, "partition"), Seq: rapid.Uint64Range(1, 1<<63).Draw(t, "seq"), FlushID: text.Draw(t, "flush"),
			MemberID: text.Draw(t, "member"), Generation: rapid.Int32().Draw(t, "generation"), Bucket: text.Draw(t, "bucket"),
			Predecessor: text.Draw(t, "predecessor"), Low: rapid.Int64Range(0, 1<<40).Draw(t, "low"), LeaderEpoch: rapid.Int32().Draw(t, "epoch"),
			Columns: rapid.Int64Min(0).Draw(t, "columns"), Trigger: text.Draw(t, "trigger"), CreatedAt: anyTime().Draw(t, "created"), Ahead: map[string]*flush.Offsets{},
		}
		copy(m.TopicID[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "topic id"))
		m.NextLow = m.Low + rapid.Int64Range(0, 1<<40).Draw(t, "further")
		for range rapid.IntRange(0, 3).Draw(t, "files") {
			set := anyOffsets().Draw(t, "set")
			f := flush.File{
				Table: text.Draw(t, "table"), Key: text.Draw(t, "key"), UploadID: text.Draw(t, "upload"), Offsets: set, Rows: set.Len(),
				Bytes: rapid.Int64().Draw(t, "bytes"), MinTime: anyTime().Draw(t, "min"), MaxTime: anyTime().Draw(t, "max"),
			}
			f.Partition = lake.Partition{Table: f.Table, SourceID: text.Draw(t, "source"), Day: lake.Day(rapid.Int32Range(0, 60000).Draw(t, "day"))}
			for _, name := range slices.Sorted(slices.Values(rapid.SliceOfNDistinct(text, 0, 3, rapid.ID).Draw(t, "columns"))) {
				f.Columns = append(f.Columns, lake.ColumnBytes{Name: name, Bytes: rapid.Int64Min(1).Draw(t, "column")})
			}
			for n := range rapid.Int32Range(0, 2).Draw(t, "parts") {
				f.Parts = append(f.Parts, flush.Part{Number: n + 1, ETag: text.Draw(t, "etag"), CRC32: text.Draw(t, "crc"), Bytes: rapid.Int64().Draw(t, "part")})
			}
			m.Files = append(m.Files, f)
		}
		for _, o := range rapid.SliceOfN(rapid.Int64Range(0, 1<<40), 0, 3).Draw(t, "letters") {
			m.DeadLetters = append(m.DeadLetters, flush.DeadLetter{Offset: o, Reason: text.Draw(t, "reason")})
		}
		for _, table := range rapid.SliceOfNDistinct(text, 0, 3, rapid.ID).Draw(t, "ahead") {
			m.Ahead[table] = anyOffsets().Draw(t, "ahead set")
		}
		if rapid.Bool().Draw(t, "gives up") {
			m.Lost, m.Again = anyOffsets().Draw(t, "lost"), anyOffsets().Draw(t, "again")
			m.Dropped = rapid.SliceOfN(text, 1, 2).Draw(t, "dropped")
			m.NextLow, m.Format = rapid.Int64Range(0, m.Low).Draw(t, "back"), flush.RecoveryFormat
		}
		m.Shapes = rapid.SliceOfN(rapid.Byte(), 1, 9).Draw(t, "shapes")
		m.Key = m.Owner().ManifestKey(m.Seq, m.FlushID)
		return m
	})
}

func anyShapes(t *rapid.T) *shape.Summary {
	text := rapid.StringMatching(`[a-zA-Z0-9 é:/%"_.-]{1,12}`)
	names := rapid.SliceOfNDistinct(text, 0, 3, rapid.ID).Draw(t, "events")
	if len(names) == 0 {
		return nil
	}
	s := &shape.Summary{Events: make(map[shape.Event]*shape.Seen), Unnoted: shape.Unnoted{Events: rapid.Int64Min(0).Draw(t, "unnoted"), Values: rapid.Int64Min(0).Draw(t, "values")}}
	for _, name := range names {
		seen := &shape.Seen{Events: rapid.Int64Min(1).Draw(t, "count")}
		for _, key := range rapid.SliceOfNDistinct(text, 0, 3, rapid.ID).Draw(t, "keys") {
			if seen.Properties == nil {
				seen.Properties = make(map[string]*shape.Counts)
			}
			n := new(shape.Counts)
			for k := range n {
				n[k] = rapid.Int64Range(0, 1<<40).Draw(t, "values")
			}
			seen.Properties[key] = n
		}
		s.Events[shape.Event{Type: rapid.SampledFrom([]string{"track", "page"}).Draw(t, "type"), Name: name}] = seen
	}
	return s
}

func TestManifestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := anyManifest().Draw(t, "manifest")
		body, err := codec.EncodeManifest(m)
		require.NoError(t, err)
		got, err := codec.DecodeManifest(m.Key, body)
		require.NoError(t, err)
		requireSame(t, m, got)
		again, err := codec.EncodeManifest(got)
		require.NoError(t, err)
		require.Equal(t, string(body), string(again), "the same manifest is the same bytes")
	})
}

// Whatever stands in S3: it is refused, or it is a manifest that is written and read the same again.
func FuzzDecodeManifest(f *testing.F) {
	body, err := codec.EncodeManifest(example())
	require.NoError(f, err)
	f.Add(body)
	f.Add([]byte(`{"format":1,"topicId":"00000000-0000-0000-0000-000000000000","seq":"1","flushId":"f"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var head struct {
			Group, Topic, FlushID, TopicID string
			Partition                      int32
			Seq                            uint64 `json:"seq,string"`
		}
		_ = json.Unmarshal(body, &head) // only to guess the key that it belongs under
		id, _ := lake.ParseTopicID(head.TopicID)
		owner := lake.Owner{Group: head.Group, Topic: head.Topic, TopicID: id, Partition: head.Partition}
		m, err := codec.DecodeManifest(owner.ManifestKey(head.Seq, head.FlushID), body)
		if err != nil {
			return
		}
		again, err := codec.EncodeManifest(m)
		require.NoError(t, err)
		got, err := codec.DecodeManifest(m.Key, again)
		require.NoError(t, err)
		requireSame(t, m, got)
	})
}

func TestShapesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyShapes(t)
		packed, err := codec.PackShapes(want)
		require.NoError(t, err)
		require.Equal(t, want == nil, packed == nil)
		got, err := codec.UnpackShapes(packed)
		require.NoError(t, err)
		require.Equal(t, want, got)
		again, err := codec.PackShapes(got)
		require.NoError(t, err)
		require.Equal(t, packed, again, "the same shapes are the same bytes")
	})
}

// What a manifest has told of its events can be read as long as the lake lives, and a packed bomb cannot.
func TestShapesAsStored(t *testing.T) {
	packer, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	got, err := codec.UnpackShapes(packer.EncodeAll([]byte("\n\x19\n\x05track\x12\x05Order\x18\x03\"\x07\n\x01n\x10\x01\x20\x02\x10\x04\x18\x05"), nil))
	require.NoError(t, err)
	require.Equal(t, &shape.Summary{
		Events: map[shape.Event]*shape.Seen{
			{Type: "track", Name: "Order"}: {Events: 3, Properties: map[string]*shape.Counts{"n": {shape.Text: 1, shape.Integer: 2}}},
		},
		Unnoted: shape.Unnoted{Events: 4, Values: 5},
	}, got)
	for _, bad := range [][]byte{[]byte("x"), packer.EncodeAll([]byte("\xff"), nil), packer.EncodeAll(make([]byte, 64<<20), nil)} {
		_, err := codec.UnpackShapes(bad)
		require.ErrorContains(t, err, "unpack the shapes of events: ")
	}
	body, err := codec.EncodeManifest(example())
	require.NoError(t, err)
	require.NotContains(t, string(body), "shapes")
}
