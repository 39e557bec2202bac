package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/embedded"
	"weir/pkg/glue"
	"weir/pkg/lake"
	"weir/pkg/s3"
)

// What a job wrote is a row once it is registered; one that Glue holds elsewhere is a row and an exit code.
func TestCatalogRegister(t *testing.T) {
	clean(t)
	store, err := embedded.StartS3(embedded.S3Options{Dir: t.TempDir(), Addr: "127.0.0.1:0", AccessKey: "dev", SecretKey: "dev-secret", Buckets: []string{"weir"}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	held, err := embedded.StartGlue(embedded.GlueOptions{Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = held.Close() })
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL_S3": "http://" + store.Addr(), "AWS_ENDPOINT_URL_GLUE": "http://" + held.Addr(), "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_REGION": embedded.Region, "AWS_ACCESS_KEY_ID": "dev", "AWS_SECRET_ACCESS_KEY": "dev-secret",
	} {
		t.Setenv(name, value)
	}
	bucket, err := s3.Open(t.Context(), s3.Config{Lake: lake.Location{Bucket: "weir", Prefix: "lake"}}, nil)
	require.NoError(t, err)
	require.NoError(t, bucket.Put(t.Context(), "messages_by_type_weekly/sourceid=a/week_start_ds=2026-11-23/rollup-0123456789abcdef-1of1.parquet", []byte("x")))

	register := []string{"catalog", "register", "--table", "messages_by_type_weekly", "--output", "csv"}
	const header, place = "sourceid,day,result,location,why\n", "s3://weir/lake/messages_by_type_weekly/sourceid=a/week_start_ds=2026-11-23/"
	code, out, errs := invokeWeir(t, "", append(register, "--dry-run")...)
	require.Equal(t, exitDone, code, errs)
	require.Equal(t, header+"a,2026-11-23,would be registered,"+place+",\n", out)
	code, out, errs = invokeWeir(t, "", register...)
	require.Equal(t, exitDone, code, errs)
	require.Equal(t, header+"a,2026-11-23,registered,"+place+",\n", out)
	code, out, errs = invokeWeir(t, "", register...)
	require.Equal(t, exitDone, code, errs)
	require.Equal(t, header, out)
	require.Contains(t, errs, "1 partitions stood there already")

	g, err := glue.Open(t.Context(), glue.Config{}, nil)
	require.NoError(t, err)
	items, err := g.BatchUpdatePartition(t.Context(), "weir", "messages_by_type_weekly", []glue.Partition{{Values: []string{"a", "2026-11-23"}, Location: "s3://elsewhere/"}})
	require.NoError(t, err)
	require.Empty(t, items)
	code, out, errs = invokeWeir(t, "", register...)
	require.Equal(t, exitFound, code, errs)
	require.Contains(t, out, "a,2026-11-23,refused,"+place+",Glue leads to s3://elsewhere/")
	require.Contains(t, errs, "1 of 1 could not be registered: they are as they were")

	code, out, errs = invokeWeir(t, "", "catalog", "register", "--table", "eventlogs_raw", "--from", "yesterday")
	require.Equal(t, exitUsage, code)
	require.Empty(t, out)
	require.Contains(t, errs, "table: ")
	require.Contains(t, errs, "from: ")
}
