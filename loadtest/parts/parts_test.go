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
