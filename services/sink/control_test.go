package sink

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"
)

// transact writes one transaction to a partition; its marker takes an offset too. The
// result are the rows that it must not become: all that are aborted, and the marker.
func (w *world) transact(p int32, n int, end kgo.TransactionEndTry) (none []row) {
	w.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.cfg.Kafka.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.TransactionalID("t"), kgo.DefaultProduceTopic(w.cfg.Topic))
	require.NoError(w.t, err)
	defer cl.Close()
	require.NoError(w.t, cl.BeginTransaction())
	for i := range n {
		r := eventOf("a", i)
		r.Partition = p
		require.NoError(w.t, cl.ProduceSync(w.t.Context(), r).FirstErr())
		if end == kgo.TryAbort {
			none = append(none, row{p, w.sent[p]})
		}
		w.sent[p]++
	}
	require.NoError(w.t, cl.EndTransaction(w.t.Context(), end))
	none = append(none, row{p, w.sent[p]})
	w.sent[p]++
	return none
}

// A partition that ends with markers and aborted transactions and is quiet longer than
// its records are kept has lost nothing: the committed offset is behind them.
func TestTransactionsAndRetention(t *testing.T) {
	w := newWorld(t, 2)
	p := w.start()
	none := w.transact(0, 10, kgo.TryCommit)
	none = append(none, w.transact(0, 5, kgo.TryAbort)...)
	w.produceEvents(1, []string{"a"}, 5)
	w.awaitFlushed()
	none = append(none, w.transact(0, 3, kgo.TryAbort)...)
	w.awaitFlushed()
	require.NoError(t, p.end())
	w.requireOnce(none...)
	require.Empty(t, w.read(w.cfg.DeadLetterTopic))
	seq, _ := w.state(0)

	w.deleteRecords(0, w.sent[0])
	p = w.start()
	w.awaitLog(p, "partition started", 2)
	require.NotContains(t, p.log.String(), "partition stopped")
	w.produceEvents(0, []string{"b"}, 4)
	w.awaitFlushed()
	require.NoError(t, p.end())
	after, _ := w.state(0)
	require.Equal(t, seq.Seq+1, after.Seq, "what stood still was not flushed again")
	require.Len(t, w.rows(), 10+5+4)
}

// awaitLog waits until the log has said something so many times.
func (w *world) awaitLog(p *sinkProcess, text string, times int) {
	w.t.Helper()
	w.await(text, func() bool { return strings.Count(p.log.String(), text) >= times })
}
