//go:build e2e

package sdk

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/loadtest/fleet"
	"weir/loadtest/parts"
	"weir/pkg/kafka/kafkatest"
)

// judge ends the libraries and the gateway, and holds what they say against Kafka, each library in a test of its own.
func (w *world) judge(libraries []library, p promise) {
	w.t.Helper()
	told := map[string]map[int][]string{}
	for _, s := range w.senders {
		told[s.name] = s.end(w.t)
	}
	w.gateway.Stop() // what its Kafka client still holds is written
	events, rejected := w.topic(fleet.Topic), w.topic("weir.rejected")
	for _, l := range libraries {
		w.t.Run(l.name, func(t *testing.T) {
			parts.Need(t, l.part, l.err)
			s := w.senderOf(l)
			y := tally{sent: s.sent, told: told[l.name], events: events[l.name], rejected: rejected[l.name]}
			t.Logf("%s: %d events sent, %d in Kafka, %d rejected, %d records doubled; answers %v",
				l.version, len(s.sent), len(y.events), len(y.rejected), y.doubled(), w.answers(l))
			require.Empty(t, y.faults(p), "%s", s.said.String())
		})
	}
	if w.t.Failed() {
		w.t.Log(w.gateway.Tail())
	}
}

func (w *world) senderOf(l library) *sender {
	for _, s := range w.senders {
		if s.name == l.name {
			return s
		}
	}
	return nil
}

// topic gives the messageIds under which each event stands in a topic, by source and number.
func (w *world) topic(name string) map[string]map[int][]string {
	w.t.Helper()
	found := map[string]map[int][]string{}
	for _, r := range kafkatest.ReadAll(w.t, name, kgo.SeedBrokers(w.at.Addr)) {
		var e struct {
			MessageID, PreviousID string
			Properties, Traits    struct{ N *int }
		}
		require.NoError(w.t, json.Unmarshal(r.Value, &e), "%s", r.Value)
		n := 0
		switch {
		case e.Properties.N != nil:
			n = *e.Properties.N
		case e.Traits.N != nil:
			n = *e.Traits.N
		default:
			_, err := fmt.Sscan(e.PreviousID, &n)
			require.NoError(w.t, err, "%s", r.Value)
		}
		source := string(r.Key)
		if found[source] == nil {
			found[source] = map[int][]string{}
		}
		found[source][n] = append(found[source][n], e.MessageID)
	}
	return found
}
