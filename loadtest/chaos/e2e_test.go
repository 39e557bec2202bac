//go:build duckdb && e2e

package chaos

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/loadtest/parts"
)

// Short forms of the scenarios that are run by hand. A part of the world that cannot be had skips the test by name.
func TestEveryday(t *testing.T) { mustPass(t, "everyday", WorldKafka, 30*time.Second) }
func TestZombie(t *testing.T)   { mustPass(t, "zombie", WorldKafka, 45*time.Second) }
func TestConsumerZombie(t *testing.T) {
	mustPass(t, "zombie", WorldKafka, 45*time.Second, func(s *Scenario) { s.Cluster.Protocol = "consumer" })
}
func TestCrashPoints(t *testing.T) { mustPass(t, "crash-points", WorldEmbedded, time.Minute) }

// Every kind of member, on a broker: the group grows, one sink is killed, it shrinks. A static classic member's partitions
// wait for nobody but the one that comes back; of the others, those of the killed one wait until its session is over.
func TestMembership(t *testing.T) {
	for _, protocol := range []string{"classic", "consumer"} {
		for _, dynamic := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s dynamic=%t", protocol, dynamic), func(t *testing.T) {
				mustPass(t, "membership", WorldKafka, 0, func(s *Scenario) {
					s.Cluster.Protocol, s.Cluster.Dynamic = protocol, dynamic
					if protocol == "consumer" || dynamic {
						s.Must.Gap, s.Must.Freshness = s.Must.Gap+s.Cluster.SessionTimeout, s.Must.Freshness+s.Cluster.SessionTimeout
					}
				})
			})
		}
	}
}

func mustPass(t *testing.T, name, kind string, duration time.Duration, change ...func(*Scenario)) {
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
	for _, c := range change {
		c(&s)
	}
	result := play(t, s, nil)
	for _, check := range result.Checks {
		require.True(t, check.OK, "%s: limit %s, found %s", check.Name, check.Limit, check.Found)
	}
}
