//go:build duckdb && e2e

package chaos

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/loadtest/parts"
)

// Short forms of the scenarios that are run by hand. A part of the world that cannot be had skips the test by name.
func TestEveryday(t *testing.T)    { mustPass(t, "everyday", WorldKafka, 30*time.Second) }
func TestZombie(t *testing.T)      { mustPass(t, "zombie", WorldKafka, 45*time.Second) }
func TestCrashPoints(t *testing.T) { mustPass(t, "crash-points", WorldEmbedded, time.Minute) }

func mustPass(t *testing.T, name, kind string, duration time.Duration) {
	if kind != WorldEmbedded {
		_, err := parts.FetchKafka(t.Context())
		parts.Need(t, "kafka", err)
		_, err = parts.FetchMoto(t.Context())
		parts.Need(t, "moto", err)
		_, err = parts.FetchVersitygw(t.Context())
		parts.Need(t, "versitygw", err)
	}
	s, err := ReadScenario("../scenarios/" + name + ".yaml")
	require.NoError(t, err)
	require.NoError(t, s.Override(kind, 0, duration))
	result := play(t, s, nil)
	for _, check := range result.Checks {
		require.True(t, check.OK, "%s: limit %s, found %s", check.Name, check.Limit, check.Found)
	}
}
