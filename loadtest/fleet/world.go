package fleet

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/loadtest/parts"
	"weir/pkg/embedded"
)

const (
	access = "dev"
	secret = "dev-secret"
	bucket = "weir"
)

// Embedded starts the embedded Kafka, S3 and Glue for one test and returns the world and the folder where the
// lake's objects stand as plain files.
func Embedded(t testing.TB) (w World, lakeDir string) {
	t.Helper()
	dir := t.TempDir()
	kafka, err := embedded.StartKafka(embedded.KafkaOptions{Dir: filepath.Join(dir, "kafka"), Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = kafka.Close() })
	s3, err := embedded.StartS3(embedded.S3Options{
		Dir: filepath.Join(dir, "s3"), Addr: "127.0.0.1:0", AccessKey: access, SecretKey: secret, Buckets: []string{bucket},
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s3.Close() })
	glue, err := embedded.StartGlue(embedded.GlueOptions{Dir: filepath.Join(dir, "glue"), Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = glue.Close() })
	return World{
		Bin: build(t), Dir: filepath.Join(dir, "fleet"), Broker: kafka.Addr(),
		S3URL: "http://" + s3.Addr(), GlueURL: "http://" + glue.Addr(), Access: access, Secret: secret,
	}, filepath.Join(s3.Root(), bucket, "lake")
}

// Real starts Apache Kafka, a versitygw process and moto for one test; a part that cannot be had skips the test
// by name, or fails it where E2E_REQUIRE names the part.
func Real(t testing.TB) (w World, lakeDir string) {
	t.Helper()
	_, err := parts.FetchKafka(t.Context())
	parts.Need(t, "kafka", err)
	_, err = parts.FetchMoto(t.Context())
	parts.Need(t, "moto", err)
	_, err = parts.FetchVersitygw(t.Context())
	parts.Need(t, "versitygw", err)

	dir := t.TempDir()
	kafka, err := parts.StartKafka(t.Context(), filepath.Join(dir, "kafka"))
	require.NoError(t, err)
	t.Cleanup(func() { kafka.Stop() })
	s3, err := parts.StartVersitygw(t.Context(), filepath.Join(dir, "s3"), access, secret, bucket)
	require.NoError(t, err)
	t.Cleanup(s3.Stop)
	moto, err := parts.StartMoto(t.Context(), filepath.Join(dir, "moto"))
	require.NoError(t, err)
	t.Cleanup(moto.Stop)
	return World{
		Bin: build(t), Dir: filepath.Join(dir, "fleet"), Broker: kafka.Addr,
		S3URL: s3.URL, GlueURL: moto.URL, Access: access, Secret: secret, Dynamic: true,
	}, filepath.Join(dir, "s3", "data", bucket, "lake")
}

func build(t testing.TB) string {
	t.Helper()
	bin, err := Build(context.WithoutCancel(t.Context()), t.TempDir())
	require.NoError(t, err)
	return bin
}

// Launch starts a fleet in w and waits until its gateway answers; it is stopped, and its logs are shown where
// the test failed, at the end of the test.
func Launch(t testing.TB, w World) *Fleet {
	t.Helper()
	f, err := New(w)
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := f.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(f.Logs())
		}
	})
	require.NoError(t, f.Ready(t.Context()))
	return f
}
