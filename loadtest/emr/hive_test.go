//go:build duckdb && e2e

package emr

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/loadtest/parts"
)

// Hive's job makes the same rows as the sink and as Spark's job, and keeps to the same rules.
func TestHiveJob(t *testing.T) {
	_, err := parts.FetchHive(t.Context())
	parts.Need(t, "hive", err)
	_, err = exec.LookPath("python3")
	parts.Need(t, "hive", err)
	all := history()
	r := newRig(t, all, "WEIR_RAW_CODEC=gzip") // Hadoop's library for zstd is native, and not here
	hive := parts.HiveOptions{Dir: t.TempDir(), S3URL: r.world.S3URL, AccessKey: r.world.Access, SecretKey: r.world.Secret}
	r.convert = func(code int, args ...string) done {
		return r.done(code, "json_to_parquet_hive.py", func(ctx context.Context) (string, int, error) {
			return parts.RunHive(ctx, hive, "python3", append([]string{filepath.Join(r.jobs, "json_to_parquet_hive.py")}, args...)...)
		})
	}
	r.weirs("s3a://weir/lake/raw")
	r.segment(all)
	r.refused()
	r.registered()
	t.Run("spark finds them its own", func(t *testing.T) {
		_, _, err := parts.FetchSpark(t.Context())
		parts.Need(t, "spark", err)
		before := r.objects("history/")
		d := r.run(0, "json_to_parquet.py", "--raw", "s3a://weir/lake/raw", "--lake", "s3a://weir/history", "--codec", "snappy")
		require.Equal(t, done{Partitions: 4, Unchanged: 4, Refused: []string{}}, d)
		require.Equal(t, before, r.objects("history/"))
	})
	t.Run("trino", func(t *testing.T) { r.sameInTrino(t) })
}
