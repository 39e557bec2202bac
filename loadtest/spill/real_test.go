//go:build e2e

package spill

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/loadtest/parts"
)

// The same with Apache Kafka, which is killed too.
func TestReal(t *testing.T) {
	_, err := parts.FetchKafka(t.Context())
	parts.Need(t, "kafka", err)
	kafka, err := parts.StartKafka(t.Context(), filepath.Join(t.TempDir(), "kafka"))
	require.NoError(t, err)
	defer func() { kafka.Kill() }()
	scenario(t, broker{
		addr:  kafka.Addr,
		stop:  func(*testing.T) { kafka.Kill() },
		start: func(t *testing.T) { require.NoError(t, kafka.Start(t.Context())) },
	})
}
