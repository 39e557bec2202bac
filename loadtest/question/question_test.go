//go:build duckdb

package question

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/loadtest/fleet"
)

// The whole pipeline on embedded parts, asked through `weir query`.
func TestAskEmbedded(t *testing.T) {
	w, _ := fleet.Embedded(t)
	w.Sources = Sources
	f := fleet.Launch(t, w)
	day, err := Send(t.Context(), f, w.Broker)
	require.NoError(t, err)
	require.NoError(t, f.Drained(t.Context(), time.Minute))
	require.NoError(t, f.Await(t.Context(), 30*time.Second, func(ctx context.Context) error { return registered(ctx, f, day) }))
	require.Equal(t, day.Answer(time.Now()), ask(t, f))
}

// registered waits for the catalog: the rows are in S3 since the drain, Glue follows within seconds.
func registered(ctx context.Context, f *fleet.Fleet, day Day) error {
	var rows []map[string]any
	out, err := weirQuery(ctx, f, "select count(*) as n from eventlogs")
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if err := json.Unmarshal([]byte(out), &rows); err != nil || len(rows) != 1 {
		return fmt.Errorf("read %q: %w", out, err)
	}
	if n, _ := rows[0]["n"].(float64); int(n) != day.Total() {
		return errors.New("not every row is registered yet")
	}
	return nil
}

func ask(t *testing.T, f *fleet.Fleet) []Count {
	out, err := weirQuery(t.Context(), f, SQL)
	require.NoError(t, err, out)
	var rows []map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &rows), out)
	var answer []Count
	for _, row := range rows {
		n, _ := row["count(messageid)"].(float64)
		answer = append(answer, Count{Type: fmt.Sprint(row["type"]), N: int(n)})
	}
	return answer
}

func weirQuery(ctx context.Context, f *fleet.Fleet, sql string) (string, error) {
	return f.Weir(ctx, "query", "--local", "--output", "json", "--lake", fleet.LakeURL, sql)
}
