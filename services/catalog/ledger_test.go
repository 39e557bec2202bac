package catalog

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/glue"
	"weir/pkg/lake"
	"weir/pkg/shape"
)

// flushedOn writes a flush of one source whose rows are of a day.
func (s *sunk) flushedOn(day lake.Day, seq uint64) flush.Notification {
	m := s.manifest(0, seq, "s1")
	for i := range m.Files {
		f := &m.Files[i]
		f.Partition.Day = day
		f.Key = lake.ObjectKey(tables()[i%2], f.Partition, "f", int(seq)*10+i)
		f.MinTime, f.MaxTime = day.Time(), day.Time().Add(time.Hour)
	}
	body, err := codec.EncodeManifest(m)
	require.NoError(s.t, err)
	require.NoError(s.t, s.store.Put(s.t.Context(), m.Key, body))
	return m.Notification(time.Now())
}

// written waits until so many flushes more are in the ledger, in one batch or several.
func (s *sunk) written(flushes int) {
	for flushes > 0 {
		flushes -= int(s.await("ledger written")["flushes"].(float64))
	}
}

func (s *sunk) places() map[string]string {
	places := make(map[string]string)
	list, err := Partitions(s.t.Context(), s.cfg, lake.FilesName)
	require.NoError(s.t, err)
	for _, p := range list {
		require.Empty(s.t, p.SourceID)
		places[p.Day] = p.Location
	}
	return places
}

// The ledger on real servers: what was published is summed up, a day that is over is merged and Glue leads there, a day that
// Glue has lost comes back, and it all is counted.
func TestLedger(t *testing.T) {
	s := newSunk(t)
	s.cfg.LedgerEvery = time.Second
	today := lake.DayOf(time.Now())
	long := today - 40
	s.start()
	s.publish(s.flushedOn(long, 1), s.flushedOn(today, 2))
	s.written(2)
	s.stop()
	s.start() // it looks for days that are over at a start, and each hour
	s.await("a day of the ledger was merged", "dt", long.String())
	s.publish(s.flushedOn(today, 3), s.flushedOn(long, 4))
	s.written(2)
	url := s.cfg.Lake + "/weir_files"
	places := s.places()
	require.Len(t, places, 2)
	require.Equal(t, url+"/"+s.cfg.Database+"/dt="+today.String()+"/", places[today.String()])
	require.Contains(t, places[long.String()], url+"_merged/"+s.cfg.Database+"/dt="+long.String()+"/000000000000000000")
	answer := httptest.NewRecorder()
	s.tel.MetricsHandler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{"weir_catalog_ledger_rows_total 4", "weir_catalog_ledger_behind ", "weir_catalog_ledger_objects_total "} {
		require.Contains(t, answer.Body.String(), want)
	}
	require.Equal(t, "up", dependency(s.rig, "ledger").State)
	s.stop()

	history := HistoryConfig{Lake: s.cfg.Lake, Database: s.cfg.Database, Days: 7, By: "day"}
	require.Empty(t, history.Validate())
	sums, err := History(t.Context(), history, "eventlogs")
	require.NoError(t, err)
	require.Len(t, sums, 1)
	require.Equal(t, []int64{2, 2, 6}, []int64{sums[0].Files, sums[0].Rows, sums[0].Bytes})
	history.Days, history.By = 0, "source"
	sums, err = History(t.Context(), history, "")
	require.NoError(t, err)
	require.Len(t, sums, 4, "two days of two tables")
	require.Equal(t, lake.Partition{Table: "eventlogs", SourceID: "s1", Day: today}, sums[0].Partition, "the newest first")
	require.Equal(t, long, sums[3].Partition.Day)

	_, err = s.rig.glue.BatchDeletePartition(t.Context(), s.cfg.Database, lake.FilesName, [][]string{{today.String()}, {long.String()}})
	require.NoError(t, err)
	s.start()
	s.await("partitions registered", "table", lake.FilesName, "created", 2)
	require.Equal(t, places, s.places())
}

// Views on real servers: they come with the counts, within the limit, and are logged, counted and found; of a name that is
// somebody else's nothing comes but a warning.
func TestViews(t *testing.T) {
	s := newSunk(t)
	s.cfg.LedgerEvery, s.cfg.MaxViews = time.Second, 3
	require.NoError(t, s.glue.CreateDatabase(t.Context(), glue.Database{Name: s.cfg.Database}))
	require.NoError(t, s.glue.CreateTable(t.Context(), glue.Table{Database: s.cfg.Database, Name: "theirs", Type: "EXTERNAL_TABLE"}))
	s.start()
	m := s.manifest(0, 1, "s1")
	packed, err := codec.PackShapes(&shape.Summary{Events: map[shape.Event]*shape.Seen{
		{Type: "track", Name: "Theirs"}:    {Events: 3},
		{Type: "track", Name: "Bought It"}: {Events: 2, Properties: map[string]*shape.Counts{"n": {shape.Integer: 2}}},
		{Type: "track", Name: "rare"}:      {Events: 1},
	}})
	require.NoError(t, err)
	m.Shapes = packed
	body, err := codec.EncodeManifest(m)
	require.NoError(t, err)
	require.NoError(t, s.store.Put(t.Context(), m.Key, body))
	s.publish(m.Notification(time.Now()))
	s.await("something of somebody else stands where a view belongs; it is left alone and there is no view", "name", "theirs")
	s.await("a view was made", "view", "bought_it")

	var views []string
	list, err := Tables(t.Context(), s.cfg)
	require.NoError(t, err)
	for _, info := range list {
		if info.View {
			views = append(views, info.Name)
		}
	}
	require.Equal(t, []string{"bought_it", "tracks"}, views)
	look := LookConfig{Lake: s.cfg.Lake, Database: s.cfg.Database}
	require.Empty(t, look.Validate())
	columns, err := Schema(t.Context(), look, "bought_it")
	require.NoError(t, err)
	require.Equal(t, SchemaColumn{ColumnInfo{Name: "n", Type: "bigint", Comment: "properties.n", From: "properties.n"}, 2, "integer 2"}, columns[4])
	_, err = Partitions(t.Context(), s.cfg, "bought_it")
	require.ErrorContains(t, err, "is a view: it has the partitions of eventlogs")
	require.Equal(t, "up", dependency(s.rig, "views").State)
	answer := httptest.NewRecorder()
	s.tel.MetricsHandler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	require.Regexp(t, `weir_catalog_views\{kind="there"[^}]*\} 3`, answer.Body.String())
	require.Regexp(t, `weir_catalog_views\{kind="waiting"[^}]*\} 1`, answer.Body.String())
	s.stop()
}
