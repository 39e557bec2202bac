//go:build duckdb && e2e

package emr

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/loadtest/parts"
	"weir/pkg/lake"
)

// sameInTrino has Trino read in Glue what the job wrote, as the sink's rows.
func (r *rig) sameInTrino(t *testing.T) *parts.Trino {
	_, err := parts.FetchTrino(t.Context())
	parts.Need(t, "trino", err)
	trino, err := parts.StartTrino(t.Context(), parts.TrinoOptions{
		Dir: t.TempDir(), GlueURL: r.world.GlueURL, S3URL: r.world.S3URL, AccessKey: r.world.Access, SecretKey: r.world.Secret,
	})
	require.NoError(t, err)
	t.Cleanup(trino.Stop)
	require.NoError(t, trino.Await(t.Context(), time.Minute, func(ctx context.Context) error { // its node takes queries later than it answers
		_, err := trino.Query(ctx, "weir", "select count(*) from eventlogs where dt > '2026'")
		return err
	}))
	var names []string
	for _, c := range lake.EventLogs().Schema {
		switch {
		case strings.HasPrefix(c.Name, "kafka"):
		case c.Type == lake.MapStringString: // maps have no order, which except all asks for; as JSON their keys have one
			names = append(names, fmt.Sprintf("json_format(cast(%s as json))", c.Name))
		default:
			names = append(names, c.Name)
		}
	}
	list := strings.Join(append(names, "sourceid", "dt"), ", ")
	for _, pair := range [][2]string{{"history", "weir"}, {"weir", "history"}} {
		rows, err := trino.Query(t.Context(), "weir", fmt.Sprintf(
			"select count(*) from (select %[1]s from %[2]s.eventlogs where dt > '2026' except all select %[1]s from %[3]s.eventlogs where dt > '2026')", list, pair[0], pair[1]))
		require.NoError(t, err)
		require.Equal(t, [][]any{{0.0}}, rows, pair)
	}
	rows, err := trino.Query(t.Context(), "history", "select count(*), count(distinct messageid) < count(*) from eventlogs")
	require.NoError(t, err)
	require.Equal(t, [][]any{{float64(events), true}}, rows)
	return trino
}

// rollupsInTrino: what the rollups wrote sums to the count.
func (r *rig) rollupsInTrino(trino *parts.Trino) {
	t := r.t
	for table, keys := range map[string]string{"messages_by_type_daily": "dt", "messages_by_type_weekly": "week_start_ds"} {
		rows, err := trino.Query(t.Context(), "history", fmt.Sprintf("select sum(messages), count(distinct %s), count(event) > 0 from %s", keys, table))
		require.NoError(t, err)
		require.Equal(t, [][]any{{float64(events), 2.0, true}}, rows, table)
	}
}
