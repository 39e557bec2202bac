package catalog

import (
	"fmt"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/glue"
	"weir/pkg/lake"
	"weir/pkg/promote"
	"weir/pkg/s3"
	"weir/services/catalog/internal/reconcile"
)

func (r *rig) register(list string, beside ...string) int64 {
	var l promote.List
	require.NoError(r.t, l.UnmarshalText([]byte(list)))
	all, _, err := r.columns.Extend(l.Paths)
	require.NoError(r.t, err)
	r.columns = all.Beside(beside)
	require.NoError(r.t, r.store.Put(r.t.Context(), lake.ColumnsKey(lake.EventLogsName), r.columns.Encode()))
	return r.columns.Version
}

// promoted are the columns of the table behind its own.
func (r *rig) promoted() []glue.Column {
	held, err := r.glue.GetTable(r.t.Context(), r.cfg.Database, lake.EventLogsName)
	require.NoError(r.t, err)
	return held.Columns[len(lake.EventLogs().Schema):]
}

func promotedColumn(name, typ, path string) glue.Column {
	return glue.Column{Name: name, Type: typ, Parameters: map[string]string{"weir.path": path}}
}

// What sinks register is in Glue before the rows that have it can be queried; what nobody wrote is not there.
func TestPromotedColumnsAreListed(t *testing.T) {
	r := newRig(t)
	r.register("properties.revenue: double")
	r.start()
	r.await("created in Glue", "table", "eventlogs_raw")
	revenue := promotedColumn("properties_revenue", "double", "properties.revenue")
	require.Equal(t, []glue.Column{revenue}, r.promoted(), "before the first event")

	first := note(0, 1, "a")
	first.Columns = r.register("traits.age: bigint", "properties_revenue__string")
	r.publish(first)
	r.await("offset committed", "next", 1)
	all := []glue.Column{
		revenue, promotedColumn("properties_revenue__string", "string", "properties.revenue"), promotedColumn("traits_age", "bigint", "traits.age"),
	}
	require.ElementsMatch(t, all, r.promoted())
	raw, err := r.glue.GetTable(t.Context(), r.cfg.Database, lake.EventLogsRawName)
	require.NoError(t, err)
	for _, c := range raw.Columns {
		require.NotContains(t, c.Parameters, "weir.path", "the raw copy has no such columns")
	}

	// One that cannot be read holds no rows up.
	require.NoError(t, r.store.Put(t.Context(), lake.ColumnsKey(lake.EventLogsName), []byte(`{"format":9}`)))
	second := note(0, 2, "b")
	second.Columns = r.columns.Version + 1
	r.publish(second)
	r.await("new columns are not added to the table; its rows become visible all the same")
	r.await("offset committed", "next", 2)
	require.ElementsMatch(t, []string{"a", "b"}, r.partitions("eventlogs"))
	require.ElementsMatch(t, all, r.promoted())

	// Reconcile knows them too, and repair puts back what somebody took away.
	r.register("none")
	r.stop()
	held, err := r.glue.GetTable(t.Context(), r.cfg.Database, lake.EventLogsName)
	require.NoError(t, err)
	held.Columns = held.Columns[:len(held.Columns)-1]
	require.NoError(t, r.glue.UpdateTable(t.Context(), held))
	report, err := Reconcile(t.Context(), ReconcileConfig{Lake: r.cfg.Lake, Database: r.cfg.Database})
	require.NoError(t, err)
	require.Equal(t, 1, report.Counts["column missing"])
	_, err = Repair(t.Context(), RepairConfig{ReconcileConfig: ReconcileConfig{Lake: r.cfg.Lake, Database: r.cfg.Database}, Kafka: r.cfg.Kafka})
	require.NoError(t, err)
	require.ElementsMatch(t, all, r.promoted())
}

// A registry that was deleted, or put back to an older version, is read from its copy; with nothing left the table keeps
// its columns, rows become visible, and the log says what is missing and what puts it back.
func TestRegistryIsDeleted(t *testing.T) {
	r := newRig(t)
	r.register("properties.revenue: double")
	old, _, err := r.store.Get(t.Context(), lake.ColumnsKey(lake.EventLogsName))
	require.NoError(t, err)
	version := r.register("traits.age: bigint")
	require.NoError(t, r.store.PutIfAbsent(t.Context(), lake.ColumnsCopyKey(lake.EventLogsName, version), r.columns.Encode()))
	require.NoError(t, r.store.Put(t.Context(), lake.ColumnsKey(lake.EventLogsName), old))
	r.start()
	r.await("created in Glue", "table", "eventlogs_raw")
	both := []glue.Column{promotedColumn("properties_revenue", "double", "properties.revenue"), promotedColumn("traits_age", "bigint", "traits.age")}
	require.Equal(t, both, r.promoted())
	r.stop()

	r.remove(lake.ColumnsKey(lake.EventLogsName))
	r.remove(lake.ColumnsCopyKey(lake.EventLogsName, version))
	r.start()
	n := note(0, 1, "a")
	n.Columns = version
	r.publish(n)
	line := r.await("new columns are not added to the table; its rows become visible all the same")
	for _, says := range []string{lake.ColumnsKey(lake.EventLogsName), "with version 2", n.Manifest, "weir catalog repair"} {
		require.Contains(t, line["err"], says)
	}
	r.await("offset committed", "next", 1)
	require.Equal(t, []string{"a"}, r.partitions("eventlogs"))
	require.Equal(t, both, r.promoted())
}

// Repair makes a registry that is gone anew from the table, as far as that proves it.
func TestRepairOfTheRegistry(t *testing.T) {
	s := newSunk(t)
	s.register("properties.revenue: double")
	version := s.register("traits.age: bigint", "properties_revenue__string")
	was := s.columns
	m := s.manifest(0, 1, "a")
	m.Columns = version
	body, err := codec.EncodeManifest(m)
	require.NoError(t, err)
	require.NoError(t, s.store.Put(t.Context(), m.Key, body))
	s.commit(0, 1, flush.Done)
	s.start()
	s.await("created in Glue", "table", "eventlogs_raw")
	s.stop()

	key := lake.ColumnsKey(lake.EventLogsName)
	s.remove(key)
	cfg := ReconcileConfig{Lake: s.cfg.Lake, Database: s.cfg.Database}
	report, err := Reconcile(t.Context(), cfg)
	require.NoError(t, err)
	require.Equal(t, 1, report.Counts[reconcile.ColumnsLost])
	repaired := func(change ...func(*RepairConfig)) Repaired {
		for _, r := range s.repair(change...) {
			if r.What == "registry of columns "+key {
				require.Contains(t, r.Was, fmt.Sprintf("written with version %d", version))
				return r
			}
		}
		return Repaired{}
	}
	require.Equal(t, reconcile.Result("would be restored"), repaired(func(c *RepairConfig) { c.DryRun = true }).Result)

	held, err := s.glue.GetTable(t.Context(), s.cfg.Database, lake.EventLogsName)
	require.NoError(t, err)
	behind := held
	behind.Parameters = maps.Clone(held.Parameters)
	behind.Parameters["weir.columns_version"] = "1"
	require.NoError(t, s.glue.UpdateTable(t.Context(), behind))
	refused := repaired()
	require.Equal(t, Refused, refused.Result)
	require.Contains(t, refused.Why, "of version 1 only")
	_, _, err = s.store.Get(t.Context(), key)
	require.ErrorIs(t, err, s3.ErrNotFound)

	again, err := s.glue.GetTable(t.Context(), s.cfg.Database, lake.EventLogsName)
	require.NoError(t, err)
	again.Parameters = held.Parameters
	require.NoError(t, s.glue.UpdateTable(t.Context(), again))
	require.Equal(t, reconcile.Restored, repaired().Result)
	for _, key := range []string{key, lake.ColumnsCopyKey(lake.EventLogsName, version+1)} {
		body, _, err = s.store.Get(t.Context(), key)
		require.NoError(t, err)
		now, err := promote.Decode(body)
		require.NoError(t, err)
		require.Equal(t, was.Columns, now.Columns)
		require.Equal(t, version+1, now.Version)
	}
	require.Empty(t, repaired())
}
