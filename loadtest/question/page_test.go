//go:build duckdb

package question

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/loadtest/fleet"
	"weir/pkg/lake"
	"weir/pkg/s3"
)

var block = regexp.MustCompile("(?s)```sql\n(.*?)```")

// page are the queries of the page for analysts, as they stand there.
func page(t *testing.T) (queries []string) {
	t.Helper()
	text, err := os.ReadFile("../../services/query/README.md")
	require.NoError(t, err)
	for _, m := range block.FindAllStringSubmatch(string(text), -1) {
		queries = append(queries, m[1])
	}
	require.GreaterOrEqual(t, len(queries), 12)
	return queries
}

// TestPageForAnalysts asks each query of the page, and what it says of costs, of a lake that a fleet has written.
func TestPageForAnalysts(t *testing.T) {
	w, lakeDir := fleet.Embedded(t)
	f, all := launchShop(t, w)
	requirePage(t, all, func(sql string) ([][]string, error) { return askCSV(t.Context(), f, sql) })
	require.NoError(t, f.Stop())
	t.Run("costs", func(t *testing.T) { requireCosts(t, f) })
	t.Run("both bases", func(t *testing.T) { requireBothBases(t, f, lakeDir) })
}

// launchShop runs a fleet until all that the shop sold, and its week, can be queried and stands in the ledger.
func launchShop(t *testing.T, w fleet.World) (*fleet.Fleet, []deed) {
	t.Helper()
	w.Sources = Sources
	w.Env = append(w.Env, "WEIR_LEDGER_EVERY=1s")
	f, all := fleet.Launch(t, w), shop()
	sell(t, w.Broker, all)
	require.NoError(t, f.Drained(t.Context(), 2*time.Minute))
	require.NoError(t, f.Await(t.Context(), time.Minute, func(ctx context.Context) error {
		rows, err := askCSV(ctx, f, "select (select count(*) from eventlogs), (select sum(rows) from weir_files where table_name = 'eventlogs')")
		if want := fmt.Sprint(len(all)); err == nil && (rows[0][0] != want || rows[0][1] != want) {
			err = fmt.Errorf("of %s rows %s can be queried, and %s stand in the ledger", want, rows[0][0], rows[0][1])
		}
		return err
	}))
	putWeek(t, w, f)
	return f, all
}

// putWeek writes the shop's first week as the job does which rolls messages up, and tells Glue of it as that job's user does.
// loadtest/emr runs the job itself.
func putWeek(t *testing.T, w fleet.World, f *fleet.Fleet) {
	t.Helper()
	store := storeOf(t, w)
	for _, source := range []string{"source1", "source2"} {
		file := filepath.Join(t.TempDir(), "week.parquet")
		_, err := f.Weir(t.Context(), "query", "--local", "--output", "parquet", "--to", file, "--lake", fleet.LakeURL,
			"select type, event, count(*) as messages from eventlogs where dt < '2026-11-23' and sourceid = '"+source+"' group by 1, 2")
		require.NoError(t, err)
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, store.Put(t.Context(), "messages_by_type_weekly/sourceid="+source+"/week_start_ds=2026-11-16/rollup-0123456789abcdef-1of1.parquet", body))
	}
	_, err := f.Weir(t.Context(), "catalog", "register", "--lake", fleet.LakeURL, "--table", "messages_by_type_weekly")
	require.NoError(t, err)
}

// storeOf is the world's lake.
func storeOf(t *testing.T, w fleet.World) *s3.Store {
	t.Helper()
	location, err := lake.ParseLocation(fleet.LakeURL)
	require.NoError(t, err)
	store, err := s3.Open(t.Context(), s3.Config{Lake: location, Endpoint: w.S3URL, Region: "us-east-1", AccessKey: w.Access, SecretKey: w.Secret}, nil)
	require.NoError(t, err)
	return store
}

// requirePage holds each answer of an engine to what was counted.
func requirePage(t *testing.T, all []deed, ask func(sql string) ([][]string, error)) {
	t.Helper()
	queries, want := page(t), counted(all)
	require.Len(t, queries, len(want), "each query of the page has an answer here, and none is left over")
	for i, sql := range queries {
		rows, err := ask(sql)
		require.NoError(t, err, sql)
		require.NotEmpty(t, want[i].rows, want[i].about)
		require.Equal(t, want[i].rows, rows, "%s: %s", want[i].about, sql)
	}
}

func askCSV(ctx context.Context, f *fleet.Fleet, sql string) ([][]string, error) {
	out, err := f.Weir(ctx, "query", "--local", "--output", "csv", "--lake", fleet.LakeURL, sql)
	if err != nil {
		return nil, err
	}
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err == nil && len(rows) == 0 {
		err = errors.New("the answer has no head")
	}
	if err != nil {
		return nil, fmt.Errorf("read the answer to %s: %w", sql, err)
	}
	return rows[1:], nil
}

// estimated is what weir query --estimate says in its last line.
type estimated struct {
	Table, Basis   string
	Bytes, Objects int64
}

func estimate(t *testing.T, f *fleet.Fleet, sql string) estimated {
	t.Helper()
	out, err := f.Weir(t.Context(), "query", "--local", "--estimate", "--output", "json", "--lake", fleet.LakeURL, sql)
	require.NoError(t, err, sql)
	return total(t, out)
}

func total(t *testing.T, out string) estimated {
	t.Helper()
	var lines []estimated
	require.NoError(t, json.Unmarshal([]byte(out), &lines), out)
	last := lines[len(lines)-1]
	require.Equal(t, "total", last.Table)
	return last
}

// requireCosts shows what the page says of costs, by the figures that weir query itself goes by.
func requireCosts(t *testing.T, f *fleet.Fleet) {
	of := func(sql string) int64 { return estimate(t, f, sql).Bytes }
	all := of("select * from eventlogs")
	require.Less(t, of("select * from eventlogs where dt = '2026-11-22'"), all/3, "dt leaves out files")
	require.Less(t, of("select * from eventlogs where sourceid = 'source1'"), all*2/3, "and sourceid")
	require.Equal(t, all, of("select * from eventlogs where timestamp >= timestamp '2026-11-22 00:00:00'"), "timestamp leaves out none")
	require.Less(t, of("select count(*) from eventlogs"), all/10, "no column")
	require.Greater(t, of("select count(messageid) from eventlogs"), of("select count(type) from eventlogs"), "a large one")
	require.Less(t, of("select sum(properties_revenue) from eventlogs")*2, of("select max(element_at(properties, 'revenue')) from eventlogs"), "a map is one column")
	require.Equal(t, all, of("select * from eventlogs limit 10"), "LIMIT is no bound")
	require.Equal(t, of("select * from eventlogs_raw"), of("select messageid from eventlogs_raw"), "lines are read whole")
}

// ofIndexes bounds what the page indexes of a small file take: the ledger cannot tell them from its footer, and footers
// alone do not count them. Where a busy machine cuts small files, that is more than a tenth of a narrow column.
const ofIndexes = 1_500

// requireBothBases holds the ledger's estimate to that of the footers: within a tenth, but for the page indexes.
func requireBothBases(t *testing.T, f *fleet.Fleet, lakeDir string) {
	byLedger := make([]estimated, len(tenQueries))
	for i, q := range tenQueries {
		byLedger[i] = estimate(t, f, q.sql)
		require.Equal(t, "the catalog's ledger", byLedger[i].Basis)
	}
	require.NoError(t, os.RemoveAll(filepath.Join(lakeDir, "_weir", "catalog", "weir", "sums")))
	for i, q := range tenQueries {
		ledger, footers := byLedger[i], estimate(t, f, q.sql)
		require.Equal(t, "footers of all objects", footers.Basis)
		require.Equal(t, footers.Objects, ledger.Objects)
		t.Logf("ledger %8d, footers %8d, %+5.1f%% in %d objects: %s", ledger.Bytes, footers.Bytes, percent(footers.Bytes, ledger.Bytes), footers.Objects, q.sql)
		require.InDelta(t, footers.Bytes, ledger.Bytes, max(float64(footers.Bytes)/10, float64(ofIndexes*footers.Objects)), q.sql)
	}
}

func percent(want, got int64) float64 { return 100 * (float64(got)/float64(max(want, 1)) - 1) }
