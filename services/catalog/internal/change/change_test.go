package change

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"weir/pkg/flush"
	"weir/pkg/lake"
	"weir/pkg/promote"
)

func cols(text string) []Column {
	var list []Column
	for _, f := range strings.Fields(text) {
		name, typ, _ := strings.Cut(f, ":")
		list = append(list, Column{Name: name, Type: typ})
	}
	return list
}

func TestMergeColumns(t *testing.T) {
	for _, c := range []struct {
		name, held, want string
		merged           string
		changes          string
	}{
		{"same", "a:string b:int", "a:string b:int", "a:string b:int", ""},
		{"new ones at the end, in their order", "b:int", "a:string b:int c:double", "b:int a:string c:double", "add a ->string, add c ->double"},
		{"unknown ones stay where they are", "x:date a:string y:binary", "a:string z:int", "x:date a:string y:binary z:int", "add z ->int"},
		{"int widens", "a:int b:string", "a:bigint b:string", "a:bigint b:string", "widen a int->bigint"},
		{"float widens", "a:float", "a:double", "a:double", "widen a float->double"},
		{"the wider type reads the narrower file", "a:bigint b:double", "a:int b:float", "a:bigint b:double", ""},
		{"another type is a conflict and stays", "a:string b:int", "a:bigint b:int c:int", "a:string b:int c:int", "conflict a string->bigint, add c ->int"},
		{"int is no double", "a:int", "a:double", "a:int", "conflict a int->double"},
		{"case and spaces mean nothing", "A:String m:MAP<STRING,STRING> n:integer", "a:string m:map<string,string> n:int", "A:String m:MAP<STRING,STRING> n:integer", ""},
		{"an empty table", "", "a:int", "a:int", "add a ->int"},
	} {
		t.Run(c.name, func(t *testing.T) {
			held := cols(c.held)
			merged, changes := MergeColumns(held, cols(c.want))
			require.Equal(t, cols(c.merged), merged)
			var said []string
			for _, ch := range changes {
				said = append(said, fmt.Sprintf("%s %s %s->%s", ch.Kind, ch.Column, ch.From, ch.To))
			}
			require.Equal(t, c.changes, strings.Join(said, ", "))
			require.Equal(t, cols(c.held), held, "the held columns were changed in place")
		})
	}
}

func TestMergeKeepsAndEnds(t *testing.T) {
	column := rapid.Custom(func(t *rapid.T) Column {
		return Column{
			Name: rapid.StringMatching(`[a-e]`).Draw(t, "name"),
			Type: rapid.SampledFrom([]string{"int", "bigint", "float", "double", "string"}).Draw(t, "type"),
		}
	})
	list := rapid.SliceOfNDistinct(column, 0, 5, func(c Column) string { return c.Name })
	rapid.Check(t, func(t *rapid.T) {
		held, want := list.Draw(t, "held"), list.Draw(t, "want")
		merged, _ := MergeColumns(held, want)
		for i, c := range held {
			if merged[i].Name != c.Name {
				t.Fatalf("column %d was %s and is %s", i, c.Name, merged[i].Name)
			}
		}
		names := make(map[string]bool)
		for _, c := range merged {
			if names[c.Name] {
				t.Fatalf("%s stands twice", c.Name)
			}
			names[c.Name] = true
		}
		again, changes := MergeColumns(merged, want)
		for _, c := range changes {
			if c.Kind != Conflict {
				t.Fatalf("merging again: %+v", c)
			}
		}
		require.Equal(t, merged, again)
	})
}

func testLake() Lake {
	return NewLake(lake.Location{Bucket: "b", Prefix: "lake"}, lake.EventLogs(), lake.EventLogsRaw("zstd"))
}

func TestMerge(t *testing.T) {
	want := testLake().SpecOf(lake.EventLogs())
	held := Table{Columns: want.Columns, PartitionKeys: want.PartitionKeys, Parameters: want.Parameters}

	update, conflicts, err := Merge(held, want)
	require.NoError(t, err)
	require.Nil(t, update)
	require.Empty(t, conflicts)

	held.Columns = append([]Column{{Name: "mine", Type: "date"}, {Name: "messageid", Type: "bigint"}}, want.Columns[2:]...)
	update, conflicts, err = Merge(held, want)
	require.NoError(t, err)
	require.Equal(t, []ColumnChange{{Conflict, "messageid", "bigint", "string"}}, conflicts)
	require.Equal(t, []ColumnChange{{Add, "anonymousid", "", "string"}}, update.Changes)
	require.Equal(t, "2", update.Parameters[ParamSchemaVersion])
	require.Equal(t, SchemaHash(update.Columns), update.Parameters[ParamSchemaHash])
	require.Equal(t, Column{Name: "anonymousid", Type: "string"}, update.Columns[len(update.Columns)-1])

	held.Columns = append([]Column(nil), want.Columns...)
	held.Columns[0].Type = "bigint"
	update, conflicts, err = Merge(held, want)
	require.NoError(t, err)
	require.Nil(t, update, "a conflict alone is nothing to write")
	require.Len(t, conflicts, 1)

	held.PartitionKeys = cols("dt:string")
	_, _, err = Merge(held, want)
	require.EqualError(t, err, "table eventlogs is partitioned by (dt), its files by (sourceid, dt)")
}

// The table says of which version of the registry it has all columns: none that it holds otherwise.
func TestMergeNamesTheRegistry(t *testing.T) {
	l := testLake()
	registry, _, err := promote.Registry{}.Extend(promote.DefaultList().Paths)
	require.NoError(t, err)
	l.Promoted = registry
	want := l.SpecOf(lake.EventLogs())
	require.Equal(t, "1", want.Parameters[ParamColumns])
	require.NotContains(t, l.SpecOf(lake.EventLogsRaw("zstd")).Parameters, ParamColumns)

	held := Table{Columns: want.Columns, PartitionKeys: want.PartitionKeys, Parameters: map[string]string{ParamSchemaVersion: "3"}}
	update, _, err := Merge(held, want) // of a weir that did not say
	require.NoError(t, err)
	require.Equal(t, &Update{Columns: want.Columns, Changes: update.Changes, Parameters: map[string]string{ParamColumns: "1"}}, update)
	require.Empty(t, update.Changes)

	for _, version := range []string{"1", "7"} {
		held.Parameters[ParamColumns] = version
		update, _, err = Merge(held, want)
		require.NoError(t, err)
		require.Nil(t, update)
	}
	delete(held.Parameters, ParamColumns)
	held.Columns = slices.Clone(held.Columns)
	held.Columns[len(held.Columns)-1].Type = "binary"
	update, conflicts, err := Merge(held, want)
	require.NoError(t, err)
	require.Len(t, conflicts, 1)
	require.Nil(t, update)
}

func TestNextVersion(t *testing.T) {
	for held, next := range map[string]string{"": "1", "1": "2", "41": "42", "x": "1", "-3": "1"} {
		require.Equal(t, next, nextVersion(held), held)
	}
}

func TestSpecs(t *testing.T) {
	specs := testLake().Specs()
	require.Len(t, specs, 2)
	parquet, raw := specs[0], specs[1]
	require.Equal(t, "eventlogs", parquet.Name)
	require.Equal(t, "s3://b/lake/eventlogs/", parquet.Location)
	require.Contains(t, parquet.SerDe, "ParquetHiveSerDe")
	require.Equal(t, "parquet", parquet.Parameters["classification"])
	require.Equal(t, "TRUE", parquet.Parameters["EXTERNAL"])
	require.Equal(t, "true", parquet.Parameters["partition_filtering.enabled"])
	require.Equal(t, cols("sourceid:string dt:string"), parquet.PartitionKeys)
	require.Equal(t, Column{Name: "context", Type: "map<string,string>"}, parquet.Columns[9])

	require.Equal(t, "eventlogs_raw", raw.Name)
	require.Equal(t, "s3://b/lake/raw/", raw.Location)
	require.Equal(t, "org.openx.data.jsonserde.JsonSerDe", raw.SerDe)
	require.Equal(t, "org.apache.hadoop.mapred.TextInputFormat", raw.InputFormat)
	require.Equal(t, parquet.PartitionKeys, raw.PartitionKeys)
	for _, s := range specs {
		for name := range s.Parameters {
			require.NotContains(t, name, "lake.")
		}
		require.Equal(t, "1", s.Parameters[ParamSchemaVersion])
		require.NotEmpty(t, s.Parameters[ParamSchemaHash])
	}
}

func note(seq uint64, files ...flush.NotifiedFile) flush.Notification {
	return flush.Notification{Seq: seq, Files: files}
}

func file(table, source string, day lake.Day) flush.NotifiedFile {
	return flush.NotifiedFile{Table: table, Partition: lake.Partition{Table: table, SourceID: source, Day: day}}
}

func nothing() Known {
	return Known{Table: func(string) bool { return false }, Partition: func(lake.Partition) bool { return false }}
}

func TestPlan(t *testing.T) {
	day, err := lake.ParseDay("2026-11-23")
	require.NoError(t, err)
	notes := []flush.Notification{
		note(2, file("eventlogs", "b", day), file("eventlogs_raw", "a", day)),
		note(1, file("eventlogs", "a", day), file("eventlogs", "a", day-1), file("eventlogs", "b", day), file("other", "a", day)),
	}
	plan := testLake().PlanOf(nothing(), notes)
	require.Len(t, plan.Tables, 2)
	require.Equal(t, []string{"other"}, plan.Unknown)
	require.Len(t, plan.Chunks, 2)
	var said []string
	for _, c := range plan.Chunks {
		for _, p := range c.Partitions {
			said = append(said, c.Spec.Name+" "+strings.Join(p.Values, "/")+" "+p.Location)
		}
	}
	require.Equal(t, []string{
		"eventlogs a/2026-11-22 s3://b/lake/eventlogs/sourceid=a/dt=2026-11-22/",
		"eventlogs a/2026-11-23 s3://b/lake/eventlogs/sourceid=a/dt=2026-11-23/",
		"eventlogs b/2026-11-23 s3://b/lake/eventlogs/sourceid=b/dt=2026-11-23/",
		"eventlogs_raw a/2026-11-23 s3://b/lake/raw/sourceid=a/dt=2026-11-23/",
	}, said)

	notes[0], notes[1] = notes[1], notes[0]
	require.Equal(t, plan, testLake().PlanOf(nothing(), notes), "the order of notifications must not matter")

	known := Known{
		Table:     func(name string) bool { return name == "eventlogs" },
		Partition: func(p lake.Partition) bool { return p.SourceID == "a" },
	}
	plan = testLake().PlanOf(known, notes)
	require.Len(t, plan.Tables, 1)
	require.Equal(t, "eventlogs_raw", plan.Tables[0].Name)
	require.Len(t, plan.Chunks, 1)
	require.Equal(t, []string{"b", "2026-11-23"}, plan.Chunks[0].Partitions[0].Values)

	require.Equal(t, Plan{}, testLake().PlanOf(nothing(), []flush.Notification{note(3)}), "a flush of dead letters only")
}

func TestPlanChunks(t *testing.T) {
	var n flush.Notification
	for i := range 250 {
		n.Files = append(n.Files, file("eventlogs", fmt.Sprintf("s%03d", 249-i), 20000))
	}
	plan := testLake().PlanOf(nothing(), []flush.Notification{n})
	require.Len(t, plan.Chunks, 3)
	next := 0
	for i, size := range []int{100, 100, 50} {
		require.Len(t, plan.Chunks[i].Partitions, size)
		for _, p := range plan.Chunks[i].Partitions {
			require.Equal(t, fmt.Sprintf("s%03d", next), p.Lake.SourceID)
			next++
		}
	}
}

func TestPace(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	var p Pace
	require.Equal(t, PaceStart, p.Rate())
	require.Zero(t, p.Take(now), "the first call waits for nothing")
	require.Equal(t, 100*time.Millisecond, p.Take(now))
	require.Equal(t, 200*time.Millisecond, p.Take(now))

	now = now.Add(time.Second)
	require.Zero(t, p.Take(now), "unused time is not saved up")
	p.Throttled(now)
	require.Equal(t, 5.0, p.Rate())
	require.Equal(t, 200*time.Millisecond, p.Take(now))

	now = now.Add(9 * time.Second)
	p.Take(now)
	require.Equal(t, 5.0, p.Rate())
	now = now.Add(time.Second)
	p.Take(now)
	require.Equal(t, 6.0, p.Rate(), "one more after ten seconds")
	now = now.Add(25 * time.Second)
	p.Take(now)
	require.Equal(t, 8.0, p.Rate())
	now = now.Add(5 * time.Second)
	p.Take(now)
	require.Equal(t, 9.0, p.Rate(), "the half step of before is kept")

	for range 20 {
		p.Throttled(now)
	}
	require.Equal(t, PaceMin, p.Rate())
	require.Equal(t, 10*time.Second, p.Take(now))
	now = now.Add(24 * time.Hour)
	p.Take(now)
	require.Equal(t, PaceMax, p.Rate())
}
