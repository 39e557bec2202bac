//go:build e2e

package sdk

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/loadtest/fleet"
)

// scenario is one kind of answer, given to every library at once.
type scenario struct {
	name  string
	setup setup
	play  func(w *world)
	p     promise
}

// Every library × every answer of the gateway: what a library says was delivered stands in Kafka, once, and what it sends
// again by itself arrives.
func TestScenarios(t *testing.T) {
	bin, err := fleet.Build(t.Context(), t.TempDir())
	require.NoError(t, err)
	libraries := libraries(t)
	for _, s := range []scenario{
		{
			// A request that was answered 503 may be in Kafka all the same: what came of it was not known in time.
			name: "Kafka is away", setup: setup{flags: []string{"--ack-deadline", "1s"}},
			play: kafkaIsAway, p: promise{doubles: true},
		},
		// A library that does not hear that its request was taken sends it again: a second record, with the same messageIds.
		{name: "an answer is lost", setup: setup{cut: true}, play: someEvents, p: promise{doubles: true, resent: true}},
		{name: "the gateway restarts", play: restart, p: promise{doubles: true}},
		{name: "a source over its limit", setup: setup{fields: ", limits: {events_per_second: 2, burst: 1s}"}, play: overTheLimit},
		{name: "an unknown write key", setup: setup{key: "nobody's"}, play: refused(401), p: promise{nothing: true}},
		{name: "a disabled source", setup: setup{fields: ", enabled: false"}, play: refused(403), p: promise{nothing: true}},
		{name: "batches that are too large", setup: setup{flags: []string{"--max-body", "1KiB", "--max-event", "1KiB"}}, play: refused(400), p: promise{some: true}},
		{name: "all is good", play: allIsGood},
		{name: "all is good over TLS", setup: setup{tls: true}, play: allIsGood},
		{
			name: "Kafka is away, with a spill", setup: setup{flags: []string{"--ack-deadline", "2s", "--spill", filepath.Join(t.TempDir(), "spill")}},
			play: spilled,
		},
		{name: "bad events among good ones", setup: setup{flags: []string{"--max-event", "4KiB"}}, play: badEvents, p: promise{refused: map[int]bool{3: true, 7: true, 12: true}}},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := open(t, bin, libraries, s.setup)
			s.play(w)
			w.judge(libraries, s.p)
		})
	}
}

var calls = []string{"track", "identify", "page", "screen", "group", "alias"}

// tracks are track events from..to-1.
func tracks(from, to int) (list []command) {
	for n := from; n < to; n++ {
		list = append(list, command{N: n, Call: "track"})
	}
	return list
}

func allIsGood(w *world) {
	list := tracks(0, 48)
	for n := range list {
		list[n].Call = calls[n%len(calls)]
	}
	w.send(list[:24]...)
	w.await(w.settled)
	w.send(list[24:]...)
	w.await(w.settled)
}

func someEvents(w *world) {
	w.send(tracks(0, 10)...)
	w.await(w.settled)
}

// An outage that each library meets, and outlives.
func kafkaIsAway(w *world) {
	w.send(tracks(0, 10)...)
	w.await(w.settled)
	w.stopKafka()
	w.send(tracks(10, 20)...)
	w.await(w.answered(library.gone))
	w.startKafka()
	w.send(tracks(20, 30)...)
	w.await(w.settled)
}

// The same with a disk: the libraries do not notice.
func spilled(w *world) {
	w.send(tracks(0, 10)...)
	w.await(w.settled)
	w.stopKafka()
	w.send(tracks(10, 20)...)
	w.await(w.settled) // while Kafka is away
	for _, s := range w.senders {
		require.False(w.t, has(w.answers(s.library), s.gone()), "%s was asked to send again: %v", s.name, w.answers(s.library))
	}
	require.ErrorContains(w.t, w.unspilled(w.t.Context()), "still holds")
	w.startKafka()
	w.send(tracks(20, 30)...)
	w.await(w.settled)
	w.await(w.unspilled)
}

// The gateway is asked to end while requests come; those that come when it is gone break off.
func restart(w *world) {
	w.send(tracks(0, 10)...)
	w.await(w.settled)
	w.send(tracks(10, 20)...)
	w.gateway.Stop()
	w.send(tracks(20, 30)...)
	w.breakOff()
	w.startGateway()
	w.send(tracks(30, 40)...)
	w.await(w.settled)
}

// Each library sends again as soon as its first events are taken, which was more than the source may send at once.
func overTheLimit(w *world) {
	w.each(func(s *sender) error {
		s.send(tracks(0, 10)...)
		if err := w.until(s.settled); err != nil {
			return err
		}
		s.send(tracks(10, 20)...)
		return w.until(s.settled)
	})
	w.await(w.answered(func(library) int { return 429 }))
}

// refused gives an answer that is final. The browser's library has none of them: it sends nothing where it does not get
// its settings, and nothing in batches.
func refused(status int) func(*world) {
	return func(w *world) {
		someEvents(w)
		w.await(w.answered(func(l library) int {
			if l.name == "browser" {
				return none
			}
			return status
		}))
	}
}

// Two events that are too large and one whose messageId is too long, among others in their batches.
func badEvents(w *world) {
	list := tracks(0, 20)
	list[3].Pad, list[12].Pad = 6000, 5000
	list[7].ID = "too-long-" + strings.Repeat("x", 120)
	w.send(list...)
	w.await(w.settled)
}
