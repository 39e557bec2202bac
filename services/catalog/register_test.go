package catalog

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/glue"
	"weir/pkg/lake"
)

func (r *rig) wrote(keys ...string) {
	for _, key := range keys {
		require.NoError(r.t, r.store.Put(r.t.Context(), key, []byte("x")))
	}
}

func (r *rig) registerJobs(change func(*RegisterConfig)) (lines []string, stood int) {
	r.t.Helper()
	cfg := RegisterConfig{ReconcileConfig: ReconcileConfig{Lake: r.cfg.Lake, Database: r.cfg.Database}}
	change(&cfg)
	done, stood, err := Register(r.t.Context(), cfg)
	require.NoError(r.t, err)
	for _, d := range done {
		lines = append(lines, fmt.Sprint(d.SourceID, " ", d.Day, " ", d.Result))
	}
	return lines, stood
}

// What a job wrote is registered, by source and day where that is asked for, and once; what a sink wrote or half a job's
// name has is nobody's here.
func TestRegister(t *testing.T) {
	r := newRig(t)
	const name = "/history-0123456789abcdef-1of1.parquet"
	r.wrote(
		"eventlogs/sourceid=a/dt=2026-11-22"+name, "eventlogs/sourceid=a/dt=2026-11-23"+name, "eventlogs/sourceid=b/dt=2026-11-23"+name,
		"eventlogs/sourceid=c/dt=2026-11-23/0199f5a2-7c1e-7b7a-9d3e-0123456789ab-0.parquet", "eventlogs/sourceid=d/dt=2026-11-23/history.parquet",
		"_staging/json_to_parquet/rows/eventlogs/sourceid=e/dt=2026-11-23/part-0.parquet",
	)
	events := func(c *RegisterConfig) { c.Table = "eventlogs" }
	lines, stood := r.registerJobs(func(c *RegisterConfig) { events(c); c.DryRun = true })
	require.Equal(t, []string{"a 2026-11-22 would be registered", "a 2026-11-23 would be registered", "b 2026-11-23 would be registered"}, lines)
	require.Zero(t, stood)
	_, err := r.glue.GetTable(t.Context(), r.cfg.Database, "eventlogs")
	require.ErrorIs(t, err, glue.ErrNotFound)

	lines, _ = r.registerJobs(func(c *RegisterConfig) {
		events(c)
		c.Source = []string{"a"}
		c.From, c.To = "2026-11-23", "2026-11-23"
	})
	require.Equal(t, []string{"a 2026-11-23 registered"}, lines)
	lines, stood = r.registerJobs(events)
	require.Equal(t, []string{"a 2026-11-22 registered", "b 2026-11-23 registered"}, lines)
	require.Equal(t, 1, stood)
	lines, stood = r.registerJobs(events)
	require.Empty(t, lines)
	require.Equal(t, 3, stood)
	held, err := Partitions(t.Context(), r.cfg, "eventlogs")
	require.NoError(t, err)
	require.Equal(t, PartitionInfo{SourceID: "a", Day: "2026-11-22", Location: r.cfg.Lake + "/eventlogs/sourceid=a/dt=2026-11-22/"}, held[0])
	table, err := r.glue.GetTable(t.Context(), r.cfg.Database, "eventlogs")
	require.NoError(t, err)
	require.Len(t, table.Columns, len(lake.EventLogs().Schema))
}

// Rollups have tables of their own, the weekly one with the Monday as its key.
func TestRegisterRollups(t *testing.T) {
	r := newRig(t)
	const name = "/rollup-0123456789abcdef-1of1.parquet"
	r.wrote("messages_by_type_daily/sourceid=a/dt=2026-11-24"+name, "messages_by_type_weekly/sourceid=a/week_start_ds=2026-11-23"+name)
	for table, want := range map[string][]string{
		"messages_by_type_daily": {"dt", "2026-11-24"}, "messages_by_type_weekly": {"week_start_ds", "2026-11-23"},
	} {
		lines, _ := r.registerJobs(func(c *RegisterConfig) { c.Table = table })
		require.Equal(t, []string{"a " + want[1] + " registered"}, lines)
		held, err := r.glue.GetTable(t.Context(), r.cfg.Database, table)
		require.NoError(t, err)
		require.Equal(t, []glue.Column{{Name: "type", Type: "string"}, {Name: "event", Type: "string"}, {Name: "messages", Type: "bigint"}}, held.Columns)
		require.Equal(t, []glue.Column{{Name: "sourceid", Type: "string"}, {Name: want[0], Type: "string"}}, held.PartitionKeys)
		partitions, err := Partitions(t.Context(), r.cfg, table)
		require.NoError(t, err)
		require.Equal(t, []PartitionInfo{{SourceID: "a", Day: want[1], Location: fmt.Sprintf("%s/%s/sourceid=a/%s=%s/", r.cfg.Lake, table, want[0], want[1])}}, partitions)
	}
}

// A partition that Glue holds elsewhere stays there: somebody may have meant it.
func TestRegisterLeavesOtherPlaces(t *testing.T) {
	r := newRig(t)
	r.wrote("eventlogs/sourceid=a/dt=2026-11-23/history-0123456789abcdef-1of1.parquet")
	events := func(c *RegisterConfig) { c.Table = "eventlogs" }
	r.registerJobs(events)
	items, err := r.glue.BatchUpdatePartition(t.Context(), r.cfg.Database, "eventlogs", []glue.Partition{{
		Values: []string{"a", "2026-11-23"}, Location: "s3://elsewhere/",
	}})
	require.NoError(t, err)
	require.Empty(t, items)
	lines, stood := r.registerJobs(events)
	require.Equal(t, []string{"a 2026-11-23 refused"}, lines)
	require.Zero(t, stood)
	held, err := Partitions(t.Context(), r.cfg, "eventlogs")
	require.NoError(t, err)
	require.Equal(t, "s3://elsewhere/", held[0].Location)
}

// Reconcile takes a job's objects for what they are, and misses their partition where Glue does not know it.
func TestReconcileKnowsJobs(t *testing.T) {
	s := newSunk(t)
	s.repair()
	require.True(t, s.reconcile().OK())
	s.wrote("eventlogs/sourceid=a/dt=2020-11-23/history-0123456789abcdef-1of1.parquet", "eventlogs/sourceid=a_$folder$")
	report := s.reconcile()
	require.Len(t, report.Differences, 1)
	require.Equal(t, "partition missing", string(report.Differences[0].Kind))
	s.registerJobs(func(c *RegisterConfig) { c.Table = "eventlogs" })
	require.True(t, s.reconcile().OK(), "%v", s.reconcile().Differences)
}

func TestRegisterListsEveryFault(t *testing.T) {
	faults := RegisterConfig{
		ReconcileConfig: ReconcileConfig{Lake: "nowhere", Database: "A-B"}, Table: "eventlogs_raw", Source: []string{"a/b"}, From: "2026-11-31", To: "yesterday",
	}.Validate()
	require.Len(t, faults, 6)
	faults = RegisterConfig{ReconcileConfig: ReconcileConfig{Lake: "s3://b/l", Database: "d"}, Table: "eventlogs", From: "2026-11-24", To: "2026-11-23"}.Validate()
	require.Len(t, faults, 1)
	require.ErrorContains(t, faults[0], "to: 2026-11-23 is before 2026-11-24")
}
