package redrive

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func contextWithStop(t *testing.T) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(t.Context())
	t.Cleanup(func() { cancel(nil) })
	return ctx, cancel
}

// random is text that compresses to about three quarters.
func random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.IntN(256))
	}
	return b
}

// crashingRun redrives on a machine that crashes at the request of that number, before
// the broker has heard it or after. Number 0 never comes: the result counts them.
func (w *world) crashingRun(at int64, heard bool) (requests int64, err error) {
	w.t.Helper()
	m := &machine{net: w.net}
	ctx, stop := contextWithStop(w.t)
	var n atomic.Int64
	w.cluster.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
		if n.Add(1) != at {
			return nil, nil, false
		}
		m.crash()
		stop(errCrashed)
		return nil, errCrashed, !heard
	})
	cfg := w.config()
	cfg.Rate = 30 // transactions of three
	cfg.Kafka.Extra = w.options(m.dial)
	_, err = Run(ctx, cfg)
	return n.Swap(1 << 30), err // nobody crashes any more
}

var errCrashed = errors.New("crashed")

// A redrive may crash before and after every request that it sends; the next one makes
// it whole: nothing is lost, nothing comes twice.
func TestCrashAtEveryRequest(t *testing.T) {
	const letters = 7
	total := int64(0)
	inWorld(t, func(t *testing.T, w *world) {
		w.letters(letters)
		var err error
		total, err = w.crashingRun(0, false)
		require.NoError(t, err)
		w.requireOnce(plains(letters)...)
	})
	require.Greater(t, total, int64(20))
	partly := 0
	for at := int64(1); at <= total; at++ {
		for _, heard := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d,%v", at, heard), func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					w.letters(letters)
					_, err := w.crashingRun(at, heard)
					if err == nil {
						require.GreaterOrEqual(t, at, total-3, "only what comes after the last commit may be lost unnoticed")
					}
					report := w.run()
					if back := report.Count(Back); back > 0 && back < letters {
						partly++
					}
					require.EqualValues(t, letters, report.Count(Back)+report.Count(Before))
					w.requireOnce(plains(letters)...)
				})
			})
		}
	}
	require.Greater(t, partly, 4, "some crashes fall between the transactions")
}

// A redrive that stands still in the middle of a transaction while another one begins
// and ends has not happened when it goes on.
func TestASecondRedriveFencesTheFirst(t *testing.T) {
	for _, source := range []string{"", "nobody"} { // also one that brings nothing back
		inWorld(t, func(t *testing.T, w *world) {
			w.letters(9)
			second := w.whileTheFirstEnds(func(c *Config) {
				if source != "" {
					c.Source = []string{source}
				}
			})
			first, err := w.try()
			require.ErrorIs(t, err, ErrFenced)
			require.EqualValues(t, 0, first.Count(Back))
			require.EqualValues(t, 9, w.run().Count(Back)+(<-second).Count(Back))
			w.requireOnce(plains(9)...)
		})
	}
}

// whileTheFirstEnds runs a second redrive when the first one ends a transaction, and
// holds that up until the second has ended.
func (w *world) whileTheFirstEnds(change func(*Config)) <-chan *Report {
	result, done := make(chan *Report, 1), make(chan struct{})
	var held *kmsg.EndTxnRequest // the first one's, answered with "again"
	w.cluster.ControlKey(int16(kmsg.EndTxn), func(req kmsg.Request) (kmsg.Response, error, bool) {
		w.cluster.KeepControl()
		end := req.(*kmsg.EndTxnRequest)
		if held == nil {
			held = end
			go func() {
				defer close(done)
				result <- w.run(change)
			}()
		}
		select {
		case <-done:
			return nil, nil, false
		default:
		}
		if end.ProducerEpoch != held.ProducerEpoch {
			return nil, nil, false
		}
		resp := end.ResponseKind().(*kmsg.EndTxnResponse)
		resp.ErrorCode = kerr.CoordinatorLoadInProgress.Code
		return resp, nil, true
	})
	return result
}

// A redrive that ends just before another one takes over is in the ledger that the
// other one reads.
func TestTheLedgerIsReadAfterTheFence(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.letters(9)
		done := make(chan struct{})
		began := 0
		w.cluster.ControlKey(int16(kmsg.InitProducerID), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			if began++; began == 1 {
				go func() {
					defer close(done)
					w.run()
				}()
			}
			select {
			case <-done:
				return nil, nil, false
			default:
			}
			if began == 2 { // the other one's
				return nil, nil, false
			}
			resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
			resp.ErrorCode = kerr.CoordinatorLoadInProgress.Code
			return resp, nil, true
		})
		require.EqualValues(t, 9, w.run().Count(Before))
		w.requireOnce(plains(9)...)
	})
}

// It is fenced between two transactions too.
func TestASecondRedriveFencesTheFirstWhileItWaits(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.letters(9)
		var second *Report
		first, err := w.try(func(c *Config) {
			c.Rate = 30
			c.Progress = func(text string) {
				if text == "3 records are back" {
					second = w.run()
				}
			}
		})
		require.ErrorIs(t, err, ErrFenced)
		require.EqualValues(t, 3, first.Count(Back))
		require.EqualValues(t, 6, second.Count(Back))
		require.EqualValues(t, 3, second.Count(Before))
		w.requireOnce(plains(9)...)
	})
}

// Where a broker has forgotten the producer and its partition's log was cut, the client
// begins a new epoch by itself and sends the second half of the transaction again; the
// coordinator has aborted the first. Committing that would lose events.
func TestANewEpochInTheMiddleIsNotCommitted(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.letters(3)
		w.run()
		w.letters(9)
		ledger := w.cluster.TopicInfo(ledgerTopic).TopicID
		var commits, after atomic.Int32 // after: requests with ledger records since a broker forgot the producer
		forgot := false
		w.cluster.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			commits.Add(1)
			return nil, nil, false
		})
		w.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
			w.cluster.KeepControl()
			r := req.(*kmsg.ProduceRequest)
			if !slices.ContainsFunc(r.Topics, func(t kmsg.ProduceRequestTopic) bool { return t.Topic == ledgerTopic || t.TopicID == ledger }) {
				return nil, nil, false
			}
			if commits.Load() < 1 { // a transaction may take several requests
				return nil, nil, false
			}
			if forgot {
				after.Add(1)
				return nil, nil, false
			}
			forgot = true
			resp := r.ResponseKind().(*kmsg.ProduceResponse)
			for _, t := range r.Topics { // the client may send more than the ledger's record at once
				topic := kmsg.NewProduceResponseTopic()
				topic.Topic, topic.TopicID = t.Topic, t.TopicID
				for _, asked := range t.Partitions {
					p := kmsg.NewProduceResponseTopicPartition()
					p.Partition, p.ErrorCode, p.LogStartOffset = asked.Partition, kerr.UnknownProducerID.Code, 1000
					topic.Partitions = append(topic.Partitions, p)
				}
				resp.Topics = append(resp.Topics, topic)
			}
			return resp, nil, true
		})
		report, err := w.try(func(c *Config) { c.Rate = 30 })
		require.ErrorIs(t, err, errEpoch)
		require.EqualValues(t, 3, report.Count(Back))
		require.Positive(t, after.Load(), "the client went on by itself")
		w.run()
		w.requireOnce(append(plains(3), plains(9)...)...)
	})
}
