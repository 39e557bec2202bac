package lake

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

const flushID = "0199f5a2-7c1e-7b7a-9d3e-0123456789ab"

// The columns as outside.md lists them: names, types and order are a contract with other people's SQL, and the ids with
// files that are already written.
func TestColumnsOfEventLogs(t *testing.T) {
	var got []string
	for _, c := range EventLogs().Schema {
		got = append(got, c.Name+" "+c.Type.Glue())
	}
	require.Equal(t, []string{
		"anonymousid string", "messageid string", "type string", "userid string", "event string",
		"timestamp timestamp", "originaltimestamp timestamp", "sentat timestamp", "receivedat timestamp",
		"context map<string,string>", "traits map<string,string>", "properties map<string,string>", "integrations map<string,string>",
		"name string", "category string", "groupid string", "previousid string", "version string",
		"rescued map<string,string>",
		"kafkatopic string", "kafkapartition int", "kafkaoffset bigint",
	}, got)
}

func TestFieldIDsAreUniqueAndStay(t *testing.T) {
	ids := map[int32]string{23: "sourceid", 24: "dt"}
	take := func(id int32, name string) {
		require.Positive(t, id, name)
		require.Empty(t, ids[id], "%s and %s share the id %d", ids[id], name, id)
		ids[id] = name
	}
	for _, c := range EventLogs().Schema {
		take(c.FieldID, c.Name)
		if c.Type == MapStringString {
			take(c.KeyID, c.Name+".key")
			take(c.ValueID, c.Name+".value")
		} else {
			require.Zero(t, c.KeyID+c.ValueID, c.Name)
		}
	}
	for id, name := range map[int32]string{1: "anonymousid", 6: "timestamp", 10: "context", 22: "kafkaoffset", 25: "context.key", 34: "rescued.value"} {
		require.Equal(t, name, ids[id])
	}
	require.Len(t, ids, 34)
}

func TestRawTable(t *testing.T) {
	zstd, gzip := EventLogsRaw("zstd"), EventLogsRaw("gzip")
	require.Equal(t, ".jsonl.zst", zstd.Ext)
	require.Equal(t, ".jsonl.gz", gzip.Ext)
	require.Equal(t, "eventlogs_raw", zstd.Name)
	require.Equal(t, "raw", zstd.Dir)
	require.Equal(t, JSONLines, zstd.Format)
	for _, c := range zstd.Schema {
		require.NotContains(t, c.Name, "kafka")
		require.NotEqual(t, "rescued", c.Name)
		require.NotEqual(t, Timestamp, c.Type, c.Name)
	}
	require.Len(t, zstd.Schema, len(EventLogs().Schema)-4)
	require.Equal(t, []string{"sourceid", "dt"}, PartitionKeys())
}

// The layout of outside.md, literally.
func TestKeys(t *testing.T) {
	id := TopicID{0x0b, 0x0e, 0xff, 15: 0x01}
	day, err := ParseDay("2026-11-23")
	require.NoError(t, err)
	o := Owner{Group: "weir-sink", Topic: "weir.events", TopicID: id, Partition: 7}
	p := Partition{Table: "eventlogs", SourceID: "a:b", Day: day}
	for want, got := range map[string]string{
		"eventlogs/sourceid=a%3Ab/dt=2026-11-23":                                                                       p.Dir(EventLogs()),
		"eventlogs/sourceid=a%3Ab/dt=2026-11-23/" + flushID + "-0.parquet":                                             ObjectKey(EventLogs(), p, flushID, 0),
		"raw/sourceid=a%3Ab/dt=2026-11-23/" + flushID + "-12.jsonl.zst":                                                ObjectKey(EventLogsRaw("zstd"), p, flushID, 12),
		"_weir/weir-sink/weir.events-0b0eff00-0000-0000-0000-000000000001/7/":                                          o.ManifestDir(),
		"_weir/weir-sink/weir.events-0b0eff00-0000-0000-0000-000000000001/7/00000000000000000042-" + flushID + ".json": o.ManifestKey(42, flushID),
		"_weir-bundles/weir-sink/weir.events-0b0eff00-0000-0000-0000-000000000001/7/00000000000000000042-" + flushID:   o.BundleKey(42, flushID),
		"_weir/weir-sink/weir.events-0b0eff00-0000-0000-0000-000000000001/7/started":                                   o.StartedKey(),
		"_weir/owners/0b0eff00-0000-0000-0000-000000000001":                                                            OwnersKey(id),
		"_weir/catalog/weir/gate/0b0eff00-0000-0000-0000-000000000001.json":                                            GateKey("weir", id),
	} {
		require.Equal(t, want, got)
	}
}

func TestEscapePathName(t *testing.T) {
	for plain, escaped := range map[string]string{
		"a:b": "a%3Ab", "50%": "50%25", "x/y": "x%2Fy", "k=v": "k%3Dv", "q?": "q%3F", `a\b`: "a%5Cb", "{[]}^": "%7B%5B%5D}%5E",
		"tab\t": "tab%09", "\x7f": "%7F", "": "__HIVE_DEFAULT_PARTITION__", ".": "%2E", "..": "%2E%2E", "a..b": "a..b",
		"white space": "white space", "é日": "é日", `'"#*`: "%27%22%23%2A", "source-1_A.b": "source-1_A.b", "\x00": "%00",
	} {
		require.Equal(t, escaped, EscapePathName(plain))
	}
	require.NotEqual(t, EscapePathName(""), EscapePathName("__HIVE_DEFAULT_PARTITION__"))
	for _, bad := range []string{"%", "%2", "%zz", "a%2"} {
		_, err := UnescapePathName(bad)
		require.Error(t, err, bad)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.OneOf(rapid.String(), rapid.StringMatching(`[.%/=:a-c]{0,6}`)).Draw(t, "s")
		escaped := EscapePathName(s)
		require.NotContains(t, escaped, "/")
		require.NotContains(t, []string{"", ".", ".."}, escaped)
		got, err := UnescapePathName(escaped)
		require.NoError(t, err)
		require.Equal(t, s, got)
	})
}

func TestObjectKeyRoundTrip(t *testing.T) {
	tables := []Table{EventLogs(), EventLogsRaw("zstd"), EventLogsRaw("gzip")}
	rapid.Check(t, func(t *rapid.T) {
		table := rapid.SampledFrom(tables).Draw(t, "table")
		p := Partition{
			Table:    table.Name,
			SourceID: rapid.String().Draw(t, "source"),
			Day:      Day(rapid.Int32Range(-719162, 2932896).Draw(t, "day")), // years 1 to 9999
		}
		id := rapid.StringMatching(`[0-9a-f-]{0,8}[0-9a-f]`).Draw(t, "flush id")
		n := rapid.IntRange(0, math.MaxInt32).Draw(t, "n")
		got, gotID, gotN, err := ParseObjectKey(table, ObjectKey(table, p, id, n))
		require.NoError(t, err)
		require.Equal(t, p, got)
		require.Equal(t, id, gotID)
		require.Equal(t, n, gotN)
	})
}

func TestParseObjectKeyTakesNothingElse(t *testing.T) {
	good := "eventlogs/sourceid=a/dt=2026-11-23/" + flushID + "-0.parquet"
	_, _, _, err := ParseObjectKey(EventLogs(), good)
	require.NoError(t, err)
	for _, bad := range []string{
		"", "eventlogs", "/" + good, good + "/", "lake/" + good, strings.Replace(good, "eventlogs", "raw", 1),
		strings.Replace(good, ".parquet", ".jsonl.zst", 1), strings.Replace(good, "-0.", "-00.", 1), strings.Replace(good, "-0.", "-+1.", 1),
		strings.Replace(good, "-0.", "--1.", 1) + "x", strings.Replace(good, "-0.", ".", 1), strings.Replace(good, "sourceid=a", "sourceid=a:b", 1),
		strings.Replace(good, "sourceid=a", "sourceid=", 1), strings.Replace(good, "sourceid=a", "source=a", 1), strings.Replace(good, "sourceid=a", "sourceid=%61", 1),
		strings.Replace(good, "sourceid=a", "sourceid=%", 1), strings.Replace(good, "11-23", "11-31", 1), strings.Replace(good, "2026-11-23", "2026-11-2", 1),
		"eventlogs/sourceid=a/dt=2026-11-23/-0.parquet", "eventlogs/sourceid=a/dt=2026-11-23/x-99999999999999999999.parquet",
	} {
		_, _, _, err := ParseObjectKey(EventLogs(), bad)
		require.ErrorContains(t, err, "not of table eventlogs", bad)
	}
}

func TestManifestKeyRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := Owner{
			Group:     rapid.String().Draw(t, "group"),
			Topic:     rapid.StringMatching(`[A-Za-z0-9._-]{1,20}`).Draw(t, "topic"),
			TopicID:   TopicID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")),
			Partition: rapid.Int32Min(0).Draw(t, "partition"),
		}
		seq := rapid.Uint64().Draw(t, "seq")
		id := rapid.StringMatching(`[0-9a-f-]{1,8}`).Draw(t, "flush id")
		got, gotSeq, gotID, err := ParseManifestKey(o.ManifestKey(seq, id))
		require.NoError(t, err)
		require.Equal(t, o, got)
		require.Equal(t, seq, gotSeq)
		require.Equal(t, id, gotID)
		_, _, _, err = ParseManifestKey(o.StartedKey())
		require.Error(t, err)
		other := rapid.Uint64().Draw(t, "other seq")
		require.Equal(t, seq < other, o.ManifestKey(seq, "a") < o.ManifestKey(other, "a"), "keys sort by seq")
	})
	good := Owner{Group: "g", Topic: "t"}.ManifestKey(1, flushID)
	for _, bad := range []string{
		"", "x" + good, good + "/", good + ".jso", strings.Replace(good, "_weir/", "_weir/x/", 1), strings.Replace(good, "/0/", "/-1/", 1), strings.Replace(good, "/0/", "/00/", 1),
		strings.Replace(good, "/0/", "/2147483648/", 1), strings.Replace(good, "0000001-", "000001-", 1), strings.Replace(good, flushID, "", 1),
		strings.Replace(good, "/t-", "/", 1), strings.Replace(good, "00000000-0000", "00000000_0000", 1), strings.Replace(good, "/g/", "/%/", 1),
		OwnersKey(TopicID{}), GateKey("weir", TopicID{}),
	} {
		_, _, _, err := ParseManifestKey(bad)
		require.ErrorContains(t, err, "not a manifest's", bad)
	}
}

func TestTopicID(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := TopicID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		got, err := ParseTopicID(id.String())
		require.NoError(t, err)
		require.Equal(t, id, got)
		require.Equal(t, id.String(), string(id.Append(nil)))
	})
	for _, bad := range []string{"", "0b0eff00-0000-0000-0000-00000000000", "0B0eff00-0000-0000-0000-000000000001", "0b0eff0000000000000000000000000001", "0b0eff00-0000-0000-000-0000000000001", "zb0eff00-0000-0000-0000-000000000001"} {
		_, err := ParseTopicID(bad)
		require.Error(t, err, bad)
	}
}

func TestDays(t *testing.T) {
	require.Equal(t, Day(0), DayOf(time.Unix(0, 0)))
	require.Equal(t, Day(-1), DayOf(time.Unix(0, -1)))
	require.Equal(t, Day(-1), DayOf(time.Unix(-86400, 0)))
	require.Equal(t, Day(-2), DayOf(time.Unix(-86400, -1)))
	zone := time.FixedZone("", 14*3600)
	require.Equal(t, "2026-11-22", DayOf(time.Date(2026, 11, 23, 13, 59, 59, 0, zone)).String(), "the day is UTC's")
	rapid.Check(t, func(t *rapid.T) {
		d := Day(rapid.Int32Range(-719162, 2932896).Draw(t, "day"))
		got, err := ParseDay(d.String())
		require.NoError(t, err)
		require.Equal(t, d, got)
		require.Equal(t, d, DayOf(d.Time()))
		require.Equal(t, d, DayOf(d.Time().Add(24*time.Hour-1)))
		require.Len(t, d.String(), 10)
	})
	for _, bad := range []string{"", "2026-1-02", "2026-02-30", "2026-11-23T00:00:00Z", "20261123"} {
		_, err := ParseDay(bad)
		require.Error(t, err, bad)
	}
}

func TestValidSourceID(t *testing.T) {
	for _, good := range []string{"a", "source1", "A.b_c-9", "...", strings.Repeat("x", 128)} {
		require.True(t, ValidSourceID([]byte(good)), good)
	}
	for _, bad := range []string{"", ".", "..", "a b", "a/b", "a:b", "é", "a\x00", "a\n", strings.Repeat("x", 129)} {
		require.False(t, ValidSourceID([]byte(bad)), bad)
	}
}

func TestLocation(t *testing.T) {
	for text, want := range map[string]Location{
		"s3://weir":        {Bucket: "weir"},
		"s3://weir/":       {Bucket: "weir"},
		"s3://weir/lake":   {Bucket: "weir", Prefix: "lake"},
		"s3://weir/a/b.c/": {Bucket: "weir", Prefix: "a/b.c"},
	} {
		l, err := ParseLocation(text)
		require.NoError(t, err)
		require.Equal(t, want, l)
		require.Equal(t, strings.TrimSuffix(text, "/"), l.String())
		require.Equal(t, l.String()+"/eventlogs/x", l.URL("eventlogs/x"))
		rel, in := l.Rel(l.Key("eventlogs/x"))
		require.True(t, in)
		require.Equal(t, "eventlogs/x", rel)
	}
	_, in := Location{Bucket: "weir", Prefix: "lake"}.Rel("lakes/x")
	require.False(t, in)
	for _, bad := range []string{"", "weir", "s3:/weir", "s3://", "s3:///lake", "s3://we ir", "s3://weir//x", "s3://weir/a//b", "s3://weir/../x", "s3://weir/.", "file:///x", "s3://weir/a\nb", "s3://.."} {
		_, err := ParseLocation(bad)
		require.Error(t, err, bad)
	}
}

func TestKeysOfTheLedger(t *testing.T) {
	require.Equal(t, "weir_files/db%3D/dt=2024-10-04/00000000000000000042-0.parquet", FilesKey("db=", 20_000, 0, 42, 0))
	require.Equal(t, "weir_files_merged/db/dt=2024-10-04/00000000000000000040/00000000000000000042-3.parquet", FilesKey("db", 20_000, 40, 42, 3))
	require.Equal(t, "_weir/catalog/db/ledger.json", LedgerKey("db"))
	require.Equal(t, "_weir/catalog/db/sums/2024-10-04.json.zst", SumsKey("db", 20_000))
	day, err := ParseSumsKey("db", SumsKey("db", 20_000))
	require.NoError(t, err)
	require.Equal(t, Day(20_000), day)
	for _, key := range []string{"", LedgerKey("db"), SumsKey("other", 20_000), SumsDir("db") + "2024-10-4.json.zst", SumsKey("db", 20_000) + "2"} {
		_, err := ParseSumsKey("db", key)
		require.Error(t, err, key)
	}
}
