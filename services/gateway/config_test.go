package gateway

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pkg/settings"
	"weir/pkg/telemetry"
)

// What the settings take, Kafka's client takes too: it has a least of its own.
func TestTheLeastAckDeadline(t *testing.T) {
	c := DefaultConfig()
	c.Sources = filepath.Join(t.TempDir(), "sources.yaml")
	require.NoError(t, os.WriteFile(c.Sources, []byte("sources: [{id: a, write_keys: [k]}]"), 0o600))
	for deadline, fits := range map[time.Duration]bool{time.Second: true, time.Second - time.Millisecond: false} {
		c.AckDeadline = deadline
		g := &gateway{cfg: c, tel: telemetry.Discard()}
		err := g.openClients(nil)
		if fits {
			require.NoError(t, err)
			g.client.Close()
			require.NoError(t, settings.Join(c.Validate()))
			continue
		}
		require.Error(t, err)
		require.ErrorContains(t, settings.Join(c.Validate()), "ack-deadline")
	}
}
