//go:build duckdb

package views

import (
	"context"
	"encoding/csv"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/loadtest/fleet"
)

// asker answers SQL with texts.
type asker func(ctx context.Context, sql string) ([][]string, error)

// The whole pipeline on embedded parts, asked through `weir query`.
func TestViewsEmbedded(t *testing.T) {
	w, _ := fleet.Embedded(t)
	f := launch(t, &w)
	play(t, f, w, askWeir(f))
	requireCommands(t, f)
	requireSound(t, f, w)
}

// requireCommands asks the catalog's commands about what the rounds have left.
func requireCommands(t *testing.T, f *fleet.Fleet) {
	t.Helper()
	weir := func(args ...string) string {
		t.Helper()
		out, err := f.Weir(t.Context(), args...)
		require.NoError(t, err)
		return out
	}
	require.Contains(t, weir("catalog", "tables", "--output", "csv"), "order_completed,revenue,double,false,,view\n")
	schema := weir("catalog", "schema", "order_completed", "--output", "csv")
	for _, line := range []string{
		"column,type,partition_key,from,comment,values,kinds\n",
		"items,bigint,false,properties.items,properties.items,4,",
		"revenue,double,false,properties.revenue,properties.revenue,3,",
		"gift,boolean,false,properties.gift,properties.gift,2,",
		"f_" + kakaku + ",string,false,properties.価格,properties.価格,1,text 1\n",
		"properties,\"map<string,string>\",false,,,,\n",
	} {
		require.Contains(t, schema, line)
	}
	require.Contains(t, weir("catalog", "schema", "eventlogs", "--output", "csv"), "properties_revenue,double,false,properties.revenue,,,\n")

	ddl := weir("catalog", "ddl")
	for _, part := range []string{
		"CREATE EXTERNAL TABLE IF NOT EXISTS `weir`.`eventlogs` (", "  `properties_revenue` double COMMENT 'properties.revenue'",
		"ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'", "MSCK REPAIR TABLE `weir`.`eventlogs_raw`;",
		"CREATE OR REPLACE VIEW \"weir\".\"order_completed\" AS\nSELECT\n", "WHERE type = 'track' AND event = 'Order Completed';",
	} {
		require.Contains(t, ddl, part)
	}
	one := weir("catalog", "ddl", "identifies")
	require.NotContains(t, one, "eventlogs_raw")
	require.Contains(t, one, "element_at(traits, 'plan') AS \"plan\"")
	for _, c := range [][]string{{"ddl", "nothing"}, {"schema", "nothing"}, {"partitions", "order_completed"}} {
		_, err := f.Weir(t.Context(), append([]string{"catalog"}, c...)...)
		require.Error(t, err)
	}
}

// requireSound demands that nobody stumbles over what views leave in the lake and in Glue.
func requireSound(t *testing.T, f *fleet.Fleet, w fleet.World) {
	t.Helper()
	_, err := f.Weir(t.Context(), append([]string{"verify", "--lake", fleet.LakeURL, "--rows"}, w.KafkaFlags()...)...)
	require.NoError(t, err)
	_, err = f.Weir(t.Context(), "catalog", "reconcile", "--lake", fleet.LakeURL)
	require.NoError(t, err)
}

func launch(t *testing.T, w *fleet.World) *fleet.Fleet {
	t.Helper()
	w.Sources = "sources:\n- {id: source1, enabled: true, write_keys: [key-one]}\n"
	w.Env = append(w.Env, "WEIR_LEDGER_EVERY=1s")
	return fleet.Launch(t, *w)
}

// play sends the rounds, and waits after each until every answer is right: of all of them, for views change only by what
// they gain.
func play(t *testing.T, f *fleet.Fleet, w fleet.World, askers ...asker) {
	t.Helper()
	for i, round := range Rounds() {
		require.NoError(t, round.Send(t.Context(), w.Broker))
		require.NoError(t, f.Drained(t.Context(), time.Minute))
		for _, ask := range askers {
			for _, check := range round.Checks {
				require.NoError(t, f.Await(t.Context(), time.Minute, func(ctx context.Context) error {
					got, err := ask(ctx, check.SQL)
					if err == nil && !reflect.DeepEqual(check.Want, got) {
						err = fmt.Errorf("%s: want %q, got %q", check.SQL, check.Want, got)
					}
					return err
				}), "round %d", i+1)
			}
		}
	}
}

func askWeir(f *fleet.Fleet) asker {
	return func(ctx context.Context, sql string) ([][]string, error) {
		out, err := f.Weir(ctx, "query", "--local", "--output", "csv", "--lake", fleet.LakeURL, sql)
		if err != nil {
			return nil, err
		}
		rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		if err != nil || len(rows) < 2 {
			return nil, err
		}
		return rows[1:], nil
	}
}
