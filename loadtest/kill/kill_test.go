//go:build duckdb

package kill

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/loadtest/audit"
	"weir/loadtest/fleet"
)

// Every member is killed ten times at random moments under load; afterwards DuckDB and a plain consumer find
// every record of Kafka once in the table and once in the raw copy, and every acknowledged event in Kafka.
func TestKillEmbedded(t *testing.T) {
	w, lakeDir := fleet.Embedded(t)
	scenario(t, w, lakeDir)
}

const killsEach = 10

func scenario(t *testing.T, w fleet.World, lakeDir string) {
	w.Sources = sources
	f := fleet.Launch(t, w)
	load := new(Load)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	require.NoError(t, load.Start(ctx, f.Gateway, w.Broker))
	const seed = 20261123
	killed, err := f.KillEach(t.Context(), killsEach, seed)
	stop()
	load.Wait()
	require.NoError(t, err)
	require.NoError(t, f.Drained(t.Context(), 2*time.Minute))

	log, err := audit.ReadLog(t.Context(), []string{w.Broker}, fleet.Topic)
	require.NoError(t, err)
	dead, err := audit.ReadDeadLetters(t.Context(), []string{w.Broker}, "weir.deadletters", log)
	require.NoError(t, err)
	lake, err := audit.ReadLake(t.Context(), lakeDir, fleet.Topic)
	require.NoError(t, err)
	verdict := audit.Judge(audit.State{Log: log, Lake: lake, DeadLetters: dead, Sent: audit.Sent{Acknowledged: load.Acknowledged()}})
	t.Logf("killed %v; records per partition %s; %s", killed, log.Counts(), verdict)
	require.True(t, verdict.OK(), verdict.String())
	require.NotEmpty(t, load.Acknowledged())
	require.NotEmpty(t, dead)

	out, err := f.Weir(t.Context(), "verify", "--rows", "--kafka-brokers", w.Broker, "--lake", fleet.LakeURL, "--group", fleet.Group)
	require.NoError(t, err, out)
	t.Log(out)
}
