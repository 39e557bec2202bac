package sim

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/flush"
)

// How many of each run. Direct producers write with and without transactions.
const (
	gateways = 2
	direct   = 3
	clients  = 2
)

// settleWithin is how long after the last fault everything may take to be visible. It covers a session timeout, a
// commit that is waited for, and the longest backoff, several times.
const settleWithin = 10 * time.Minute

// Run plays one seed. It must be called in a bubble of virtual time, and everything that it started has ended when it
// returns, once the bubble is idle.
func Run(o Options) (Report, error) {
	if err := os.WriteFile(filepath.Join(o.Dir, "sources.yaml"), []byte(sourcesYAML), 0o600); err != nil {
		return Report{}, err
	}
	time.Sleep(24*time.Hour - o.Load/2) // midnight passes in the middle
	steps := newSchedule(o)
	w, err := newWorld(o, steps)
	if err != nil {
		return Report{}, err
	}
	defer func() { w.kafka.Close() }()
	w.trace.add("sim", "seed %d, %+v", o.Seed, w.shape)
	for i, s := range steps {
		if s.fault.when == early {
			w.playStep(i, s)
		}
	}
	w.startAll()
	watching, enough := context.WithCancel(context.Background())
	var watcher sync.WaitGroup
	watcher.Go(func() { w.watch.look(watching) })
	watcher.Go(func() { w.reaper.run(watching) })
	w.play(steps)
	for i, s := range steps {
		if s.fault.when == last {
			w.playStep(i, s)
		}
	}
	w.trace.add("sim", "the faults are over")
	w.endProduction()
	w.settle()
	w.stopAll()
	if o.harm != nil {
		o.harm(w)
	}
	enough()
	watcher.Wait()
	w.audit()
	r := w.report(described(steps))
	r.Trace = w.trace.String()
	return r, nil
}

func (w *World) startAll() {
	for slot := range w.shape.Catalogs {
		w.start("catalog", slot)
	}
	for slot := range gateways {
		w.start("gateway", slot)
	}
	for slot := range w.shape.Sinks {
		w.start("sink", slot)
	}
}

// play runs the load and the schedule, and ends when both are over and nothing is broken any more.
func (w *World) play(steps []step) {
	loading, stop := context.WithCancel(context.Background())
	var producers, faults sync.WaitGroup
	w.produce(loading, &producers)
	began := time.Now()
	for i, s := range steps {
		if s.fault.when != during {
			continue
		}
		time.Sleep(time.Until(began.Add(s.at)))
		faults.Go(func() { w.playStep(i, s) })
	}
	time.Sleep(time.Until(began.Add(w.Load)))
	stop()
	faults.Wait()
	producers.Wait()
	w.heal()
}

// produce has events come until ctx ends.
func (w *World) produce(ctx context.Context, producers *sync.WaitGroup) {
	for n := range direct {
		producers.Go(func() {
			if sleep(ctx, 3*time.Second) == nil { // the topics are made by then
				w.produceDirect(ctx, n, n == direct-1)
			}
		})
	}
	for n := range clients {
		producers.Go(func() { w.post(ctx, n) })
	}
}

// after has something done when the faults are over.
func (w *World) after(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cleanups = append(w.cleanups, f)
}

func (w *World) playStep(i int, s step) {
	w.trace.add("sim", "step %d: %s", i, s.fault.Name)
	s.fault.play(w, rand.New(rand.NewPCG(w.seed, uint64(5000+i))), s.length)
}

// heal ends every trouble: what is left of it is the services' to mend.
func (w *World) heal() {
	w.disarm()
	w.mu.Lock()
	cleanups := w.cleanups
	w.mu.Unlock()
	for _, f := range slices.Backward(cleanups) {
		f()
	}
	w.watch.excuse()
	for _, kind := range []string{"catalog", "gateway", "sink"} {
		for _, p := range w.living(kind) {
			p.link.freeze(false)
		}
	}
	for slot, kind := range []string{"sink", "catalog"} {
		if len(w.living(kind)) == 0 {
			w.start(kind, 10+slot)
		}
	}
}

// endProduction ends the gateways, which may still send what they answered 503 for, and waits for what was held back on
// its way: after that the logs grow no more.
func (w *World) endProduction() {
	time.Sleep(2 * restartDelay) // what crashed last is back
	for _, p := range w.living("gateway") {
		w.terminate(p)
		w.await(p)
	}
	w.held.Wait()
}

// settle waits until everything that was produced is flushed and in the catalog.
func (w *World) settle() {
	if err := w.produceEach("last"); err != nil {
		w.violation("produce the last records: %v", err)
		return
	}
	limit := time.Now().Add(settleWithin)
	for {
		left := w.unsettled()
		if left == "" {
			return
		}
		if time.Now().After(limit) {
			w.violation("after %s without faults: %s", settleWithin, left)
			return
		}
		time.Sleep(time.Second)
	}
}

// produceEach writes one event to each partition. At the end of the load too: what a transaction leaves behind its last
// record is no record, so that the end of a log need not be reached.
func (w *World) produceEach(name string) error {
	client, err := w.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(topicEvents))
	if err != nil {
		return err
	}
	defer client.Close()
	r := rand.New(rand.NewPCG(w.seed, 2))
	for p := range w.shape.Partitions {
		id := fmt.Sprintf("%s/%d", name, p)
		w.ledger.send(id, false)
		rec := &kgo.Record{Partition: p, Key: []byte("alpha"), Value: eventOf(r, id), Headers: []kgo.RecordHeader{{Key: headerID, Value: []byte(id)}}}
		if err := client.ProduceSync(context.Background(), rec).FirstErr(); err != nil {
			return err
		}
		w.ledger.told(acknowledged, id)
	}
	return nil
}

// client is one that has no part in the run.
func (w *World) client(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(append(opts, kgo.SeedBrokers(w.brokers()...), kgo.DisableClientMetrics()), w.unhindered()...)...)
}

// unhindered are the options of a client whose requests no fault meets.
func (w *World) unhindered() []kgo.Opt {
	return []kgo.Opt{kgo.Dialer(w.net.DialContext), kgo.WithDecompressor(newDecompressor(math.MaxInt))}
}

// unsettled says what is still to come; "" for nothing.
func (w *World) unsettled() string {
	for p := range w.shape.Partitions {
		s, err := w.committed(p)
		info := w.kafka.PartitionInfo(topicEvents, p)
		if err != nil || info == nil {
			return fmt.Sprintf("partition %d is not committed: %v", p, err)
		}
		if s.Phase != flush.Done || s.Low < info.HighWatermark {
			return fmt.Sprintf("partition %d stands at %d of %d, %s", p, s.Low, info.HighWatermark, s.Metadata())
		}
	}
	flushes := w.kafka.PartitionInfo(topicFlushes, 0)
	info := w.kafka.GroupInfo("weir-catalog-" + database)
	if flushes == nil || info == nil {
		return "the catalog has not begun"
	}
	if at := info.Commits[topicFlushes][0].Offset; at < flushes.HighWatermark {
		return fmt.Sprintf("the catalog stands at %d of %d", at, flushes.HighWatermark)
	}
	if n, err := w.unlisted(); n > 0 || err != nil {
		return fmt.Sprintf("weir_files lacks %d files: %v", n, err)
	}
	return ""
}
