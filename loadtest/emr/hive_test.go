//go:build duckdb && e2e

package emr

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/loadtest/parts"
)

// hiveRig is a rig whose history Hive converts.
type hiveRig struct {
	*rig
	options parts.HiveOptions
}

// Hive's job makes the same rows as the sink and as Spark's job, and keeps to the same rules.
func TestHiveJob(t *testing.T) {
	_, err := parts.FetchHive(t.Context())
	parts.Need(t, "hive", err)
	_, err = exec.LookPath("python3")
	parts.Need(t, "hive", err)
	all := history()
	r := hiveRig{rig: newRig(t, all, "WEIR_RAW_CODEC=gzip")} // Hadoop's library for zstd is native, and not here
	r.options = parts.HiveOptions{Dir: t.TempDir(), S3URL: r.world.S3URL, AccessKey: r.world.Access, SecretKey: r.world.Secret}
	r.convert = func(code int, args ...string) done {
		return r.done(code, "json_to_parquet_hive.py", func(ctx context.Context) (string, int, error) { return r.hive(ctx, args...) })
	}
	r.weirs("s3a://weir/lake/raw")
	r.segment(all)
	r.refused()
	r.registered()
	r.faults()
	t.Run("spark finds them its own", r.isSparks)
	t.Run("serdes", r.serdes)
	t.Run("trino", func(t *testing.T) { r.sameInTrino(t) })
}

func (r hiveRig) hive(ctx context.Context, args ...string) (printed string, code int, err error) {
	return parts.RunHive(ctx, r.options, "python3", append([]string{filepath.Join(r.jobs, "json_to_parquet_hive.py")}, args...)...)
}

// faults: what ends the job changes nothing but staging.
func (r hiveRig) faults() {
	t, ctx := r.t, r.t.Context()
	r.put("broken/sourceid=source1/dt=2026-11-21/a.gz", []byte("\x1f\x8b\x08 that is all"))
	r.put("folders/sourceid=source1/dt=2026-11-21/inside/a.json", []byte(`{"type":"page"}`))
	before := r.objects("history/")
	for _, c := range []struct{ raw, zone, says string }{
		{raw: "broken", zone: "UTC", says: "unknown gzip format"},
		{raw: "folders", zone: "UTC", says: "s3a://weir/folders/sourceid=source1/dt=2026-11-21/inside is a folder inside of a day's"},
		{raw: "broken", zone: "America/New_York", says: "the cluster's time zone must be UTC"},
	} {
		t.Setenv("TZ", c.zone)
		out, code, err := r.hive(ctx, "--raw", "s3a://weir/"+c.raw, "--lake", "s3a://weir/history")
		require.NoError(t, err)
		require.Equal(t, 1, code, out)
		require.Contains(t, out, c.says)
	}
	require.Equal(t, before, r.objects("history/"))
}

// isSparks: the days that Hive made are to Spark's job days of its own that are up to date.
func (r hiveRig) isSparks(t *testing.T) {
	_, _, err := parts.FetchSpark(t.Context())
	parts.Need(t, "spark", err)
	before := r.objects("history/")
	d := r.run(0, "json_to_parquet.py", "--raw", "s3a://weir/lake/raw", "--lake", "s3a://weir/history", "--codec", "snappy")
	require.Equal(t, done{Partitions: 4, Unchanged: 4, Refused: []string{}}, d)
	require.Equal(t, before, r.objects("history/"))
}

// serdes: what the page says of the two SerDes for JSON that Hive can be given.
func (r hiveRig) serdes(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.json"), []byte(
		`{"type":"track","context":{"library":{"name":"x","version":"1"},"locale":"de"},"properties":{"price":12.50}}`+"\n"), 0o644))
	var script string
	for table, serde := range map[string]string{"openx": "org.openx.data.jsonserde.JsonSerDe", "hcatalog": "org.apache.hive.hcatalog.data.JsonSerDe"} {
		script += fmt.Sprintf("create external table %s (type string, context map<string,string>, properties map<string,string>) row format serde '%s' location '%s';\n", table, serde, dir)
	}
	for _, table := range []string{"openx", "hcatalog"} {
		script += fmt.Sprintf("select type, context['library'], context['locale'], properties['price'] from %s;\n", table)
	}
	out, code, err := parts.RunHive(t.Context(), r.options, "hive", "-S", "-e", script)
	require.NoError(t, err)
	require.Zero(t, code, out)
	require.Equal(t, "track\t{\"name\":\"x\",\"version\":\"1\"}\tde\t12.5\ntrack\t{\tNULL\tNULL\n", out)
}
