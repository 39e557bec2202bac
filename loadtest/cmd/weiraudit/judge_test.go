package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/loadtest/audit"
	"weir/loadtest/chaos/record"
)

var (
	acked   = record.ID{Producer: "gw-0", Seq: 0}
	unknown = record.ID{Producer: "gw-0", Seq: 1} // indeterminate, and in Kafka
	lost    = record.ID{Producer: "gw-0", Seq: 2} // indeterminate, and not in Kafka
	refused = record.ID{Producer: "gw-0", Seq: 3}
	letter  = record.ID{Producer: "direct-0", Seq: 0}
)

const object = "eventlogs/sourceid=a/dt=2026-01-02/1.parquet"

// clean is a run in which every promise held.
func clean() evidence {
	e := evidence{
		run: record.Run{ID: "r1"},
		fates: map[record.ID]fate{
			acked: {outcome: record.Acked, at: 1000}, unknown: {outcome: record.Indeterminate}, lost: {outcome: record.Indeterminate},
			refused: {outcome: record.Rejected}, letter: {outcome: record.Acked, letter: true, at: 1000},
		},
		objects: []string{object},
		seen:    []record.Seen{{Key: object, At: 3500}},
		actions: []record.Action{{At: 2000, Do: "kill", Target: "sink-0", Crash: true}},
		glue:    map[string]bool{"eventlogs/sourceid=a/dt=2026-01-02": true},
	}
	e.state = audit.State{
		Log:         audit.Log{Records: map[audit.Place]audit.Record{}},
		Lake:        audit.Lake{Rows: map[audit.Place]audit.Row{}, Raw: map[audit.Digest]int{}},
		DeadLetters: map[audit.Place]int{{Partition: 1}: 1},
		Sent:        sent(e.run, e.fates),
	}
	for offset, id := range []record.ID{acked, unknown} {
		place := audit.Place{Offset: int64(offset)}
		digest := audit.Digest{byte(offset + 1)}
		e.state.Log.Records[place] = audit.Record{ID: id.Text("r1"), Source: "a", Day: "2026-01-02", Digest: digest, Want: audit.InTable}
		e.state.Lake.Rows[place] = audit.Row{Count: 1, ID: id.Text("r1"), SourceID: "a", Day: "2026-01-02"}
		e.state.Lake.Raw[digest] = 1
		e.table = append(e.table, row{id: id, ours: true, key: object, sum: "s", want: "s"})
	}
	e.state.Log.Records[audit.Place{Partition: 1}] = audit.Record{ID: letter.Text("r1"), Source: "a", Digest: audit.Digest{9}, Want: audit.DeadLetter}
	return e
}

func TestCleanRunIsNotAccused(t *testing.T) {
	e := clean()
	e.state.DeadLetters[audit.Place{Partition: 1}] = 2 // a letter that was produced again is known by its place
	v := judge(e)
	require.True(t, v.OK, "%+v", v.FaultList)
	require.Equal(t, record.Verdict{
		OK: true, Acked: 2, Indeterminate: 2, Rejected: 1, Letters: 1, InKafka: 3, InTable: 2, InRaw: 2, IndeterminateInTable: 1,
		DeadLetters: 1, DeadLettersRepeated: 1, Files: 1, GluePartitions: 1,
		Freshness:  record.Freshness{P50: 2.5, P99: 2.5, Max: 2.5},
		Recoveries: []record.Recovery{{Action: e.actions[0], Seconds: 1.5, Waiting: 1}},
	}, v)
}

// Each way to break a promise is noticed under its name.
func TestFaultsAreFound(t *testing.T) {
	first, second := audit.Place{}, audit.Place{Offset: 1}
	cases := map[string]func(e *evidence){
		"missing in the table":    func(e *evidence) { delete(e.state.Lake.Rows, first) },
		"missing in the raw copy": func(e *evidence) { delete(e.state.Lake.Raw, audit.Digest{1}) },
		"doubled in the table": func(e *evidence) {
			e.state.Lake.Rows[first] = audit.Row{Count: 2, ID: acked.Text("r1"), SourceID: "a", Day: "2026-01-02"}
		},
		"doubled in the raw copy":       func(e *evidence) { e.state.Lake.Raw[audit.Digest{2}] = 2 },
		"in the table and not in Kafka": func(e *evidence) { delete(e.state.Log.Records, second) },
		"wrong in the table": func(e *evidence) {
			e.state.Lake.Rows[first] = audit.Row{Count: 1, ID: "other", SourceID: "a", Day: "2026-01-02"}
		},
		"wrong dead letters":               func(e *evidence) { e.state.DeadLetters[first] = 1 },
		"acknowledged and not in Kafka":    func(e *evidence) { delete(e.state.Log.Records, first) },
		"sent once and in Kafka twice":     func(e *evidence) { e.state.Log.Records[audit.Place{Offset: 7}] = e.state.Log.Records[second] },
		"rejected and in Kafka":            func(e *evidence) { e.state.Log.Records[audit.Place{Offset: 7}] = audit.Record{ID: refused.Text("r1")} },
		"in the raw copy and not in Kafka": func(e *evidence) { e.state.Lake.Raw[audit.Digest{77}] = 1 },
		"in the table and no longer in Kafka": func(e *evidence) {
			e.state.Log.Starts = map[int32]int64{0: 2}
			delete(e.state.Log.Records, first)
		},
		"in Kafka and in no ledger": func(e *evidence) { delete(e.fates, unknown) },
		"a letter that is an event, or an event that is none": func(e *evidence) {
			e.fates[unknown] = fate{outcome: record.Indeterminate, letter: true}
		},
		"a row that does not add up":                              func(e *evidence) { e.table[0].want = "other" },
		"an object that was visible and is gone":                  func(e *evidence) { e.seen = append(e.seen, record.Seen{Key: "x", Gone: true}) },
		"a lake partition with rows that Glue does not show":      func(e *evidence) { clear(e.glue) },
		"a lake partition that Glue shows and that holds nothing": func(e *evidence) { e.glue["eventlogs/sourceid=b/dt=d"] = true },
	}
	for kind, change := range cases {
		t.Run(kind, func(t *testing.T) {
			e := clean()
			change(&e)
			v := judge(e)
			require.False(t, v.OK)
			var kinds []string
			for _, f := range v.FaultList {
				kinds = append(kinds, f.Kind)
			}
			require.Contains(t, kinds, kind)
		})
	}
}

// What was sent and never answered is indeterminate; the last word counts; an answer to nothing is a broken ledger.
func TestLedgersAreFolded(t *testing.T) {
	dir := t.TempDir()
	w, err := record.NewLedger(dir, "gw-0")
	require.NoError(t, err)
	w.Add(record.Entry{Seq: 0, N: 4, Outcome: record.Sent, At: 1})
	w.Add(record.Entry{Seq: 0, N: 1, Outcome: record.Acked, At: 2})
	w.Add(record.Entry{Seq: 1, N: 1, Outcome: record.Rejected, At: 2})
	w.Add(record.Entry{Seq: 4, N: 1, Outcome: record.Sent, Kind: record.Letter, At: 3})
	require.NoError(t, w.Close())
	fates, err := readFates(dir)
	require.NoError(t, err)
	require.Equal(t, map[record.ID]fate{
		{Producer: "gw-0", Seq: 0}: {outcome: record.Acked, at: 2},
		{Producer: "gw-0", Seq: 1}: {outcome: record.Rejected, at: 2},
		{Producer: "gw-0", Seq: 2}: {outcome: record.Indeterminate},
		{Producer: "gw-0", Seq: 3}: {outcome: record.Indeterminate},
		{Producer: "gw-0", Seq: 4}: {outcome: record.Indeterminate, letter: true},
	}, fates)

	w, err = record.NewLedger(dir, "gw-1")
	require.NoError(t, err)
	w.Add(record.Entry{Seq: 0, N: 1, Outcome: record.Acked, At: 1})
	require.NoError(t, w.Close())
	_, err = readFates(dir)
	require.ErrorContains(t, err, "out of order")
}

// The auditor shares no code with what it audits.
func TestSharesNoCodeWithWeir(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-tags", "duckdb", "-deps", ".").CombinedOutput()
	require.NoError(t, err, string(out))
	for _, dep := range strings.Fields(string(out)) {
		require.False(t, strings.HasPrefix(dep, "weir/pkg") || strings.HasPrefix(dep, "weir/services") || strings.HasPrefix(dep, "weir/proto"), dep)
	}
}
