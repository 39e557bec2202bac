//go:build duckdb && e2e

package question

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/loadtest/fleet"
	"weir/loadtest/parts"
)

// `weir query` against an Athena API that executes. Its dialect is DuckDB's and it knows neither parameters, nor tokens,
// nor UNLOAD: those are shown by the double in services/query.
func TestAskAthena(t *testing.T) {
	_, err := parts.FetchMinistack(t.Context())
	parts.Need(t, "ministack", err)
	server, err := parts.StartMinistack(t.Context(), filepath.Join(t.TempDir(), "ministack"))
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	bin, err := fleet.Build(t.Context(), t.TempDir())
	require.NoError(t, err)
	w := fleet.World{Bin: bin, S3URL: server.URL, GlueURL: server.URL, Access: "test", Secret: "test", Env: []string{"AWS_ENDPOINT_URL_ATHENA=" + server.URL}}
	putLake(t, w)
	ask := func(args ...string) (string, string, error) {
		return weir(t, w, nil, append([]string{"query", "--results", "s3://weir/answers/", "--lake", fleet.LakeURL}, args...)...)
	}

	sql := "select type, count(messageid) as n from eventlogs where sourceid = 'source1' and dt = '2026-11-21' group by 1 order by 2 desc"
	there, errs, err := ask("--output", "json", sql)
	require.NoError(t, err, errs)
	here, _, err := weir(t, w, nil, "query", "--local", "--lake", fleet.LakeURL, "--output", "json", sql)
	require.NoError(t, err)
	require.JSONEq(t, here, there, "both engines give the same")
	require.Regexp(t, `(?m)^3 rows in \d+\.\d\d s; 1 of 8 partitions read; scanned [0-9.]+ \w+, \$0\.000048, query [0-9a-f-]{36}$`, errs)

	out, errs, err := ask("--output", "csv", "select messageid, kafkaoffset from eventlogs where dt >= '2026-11-20' and sourceid = 'source2' and kafkaoffset < 25000")
	require.NoError(t, err, errs)
	require.Equal(t, 100_001, lines(out), "many pages, each row once")
	require.NotContains(t, errs, "note:")

	_, errs, err = ask("select count(*) from eventlogs where sourceid = 'source1'")
	require.NoError(t, err, errs)
	require.Contains(t, errs, "note: eventlogs is partitioned by dt, and nothing in the query bounds it: 4 days are read")

	_, errs, err = ask("select mesageid from eventlogs where dt = '2026-11-21'")
	require.Equal(t, 1, exitCode(err), errs)
	require.Regexp(t, `query [0-9a-f-]{36} failed on Athena: .*mesageid`, errs)
	require.Contains(t, errs, "mesageid: nearest messageid")

	out, errs, err = ask("--max-cost", "0.00001", "select * from eventlogs")
	require.Equal(t, 1, exitCode(err))
	require.Empty(t, out)
	require.Contains(t, errs, "max-cost is $0.000010: bound dt or sourceid, name fewer columns, or run it with --yes")
	_, errs, err = ask("--max-cost", "0.00001", "--yes", "select count(*) from eventlogs where dt = '2026-11-21'")
	require.NoError(t, err, errs)

	out, errs, err = ask("--estimate", "--output", "json", "select userid from eventlogs where dt = '2026-11-21'")
	require.NoError(t, err, errs)
	var total []struct{ Objects, Bytes int64 }
	require.NoError(t, json.Unmarshal([]byte(out), &total))
	require.Equal(t, int64(2), total[len(total)-1].Objects)
	require.Positive(t, total[len(total)-1].Bytes)
}

func lines(out string) (n int) {
	for _, c := range out {
		if c == '\n' {
			n++
		}
	}
	return n
}

func exitCode(err error) int {
	if exit, ok := err.(*exec.ExitError); ok {
		return exit.ExitCode()
	}
	return -1
}
