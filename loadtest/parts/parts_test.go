//go:build e2e

package parts

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Each real server starts, answers, and ends; a broker comes back on the same folder after kill -9.
func TestKafka(t *testing.T) {
	_, err := FetchKafka(t.Context())
	Need(t, "kafka", err)
	k, err := StartKafka(t.Context(), t.TempDir())
	require.NoError(t, err)
	k.Kill()
	require.NoError(t, k.Start(t.Context()))
	k.Stop()
}

func TestMotoAndVersitygw(t *testing.T) {
	_, err := FetchMoto(t.Context())
	Need(t, "moto", err)
	m, err := StartMoto(t.Context(), t.TempDir())
	require.NoError(t, err)
	m.Stop()
	v, err := StartVersitygw(t.Context(), t.TempDir(), "dev", "dev-secret", "weir")
	require.NoError(t, err)
	v.Stop()
}

func TestMinistack(t *testing.T) {
	_, err := FetchMinistack(t.Context())
	Need(t, "ministack", err)
	m, err := StartMinistack(t.Context(), t.TempDir())
	require.NoError(t, err)
	m.Stop()
}

func TestTrino(t *testing.T) {
	_, err := FetchTrino(t.Context())
	Need(t, "trino", err)
	tr, err := StartTrino(t.Context(), TrinoOptions{
		Dir: t.TempDir(), GlueURL: "http://127.0.0.1:1", S3URL: "http://127.0.0.1:1", AccessKey: "dev", SecretKey: "dev-secret",
	})
	require.NoError(t, err)
	defer tr.Stop()
	rows, err := tr.Query(t.Context(), "default", "select 1 + 1")
	require.NoError(t, err)
	require.Equal(t, [][]any{{2.0}}, rows)
}

// A session writes to S3 and reads it again, and a refusal is an error that says why, after which it goes on.
func TestSpark(t *testing.T) {
	_, _, err := FetchSpark(t.Context())
	Need(t, "spark", err)
	v, err := StartVersitygw(t.Context(), t.TempDir(), "dev", "dev-secret", "weir")
	require.NoError(t, err)
	defer v.Stop()
	s, err := StartSpark(t.Context(), SparkOptions{Dir: t.TempDir(), S3URL: v.URL, AccessKey: "dev", SecretKey: "dev-secret"})
	require.NoError(t, err)
	defer s.Stop()
	_, _, err = s.Query(t.Context(), "select nothing")
	require.ErrorContains(t, err, "UNRESOLVED_COLUMN")
	_, _, err = s.Query(t.Context(), "insert overwrite directory 's3a://weir/out' using parquet select id, timestamp '2026-11-23 10:00:00Z' as at from range(0, 3, 1, 1)")
	require.NoError(t, err)
	rows, scanned, err := s.Query(t.Context(), "select count(*), max(at), version() from parquet.`s3a://weir/out` where id > 0")
	require.NoError(t, err)
	require.Equal(t, 3, scanned, "before the filter")
	require.Equal(t, []any{2.0, "2026-11-23 10:00:00"}, rows[0][:2])
	require.Contains(t, rows[0][2], SparkVersion)
}
