package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/glue"
	"weir/pkg/lake"
	"weir/pkg/promote"
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
