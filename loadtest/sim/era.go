package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/flush"
	"weir/services/sink"
)

// era is a time in which a record's place names one record. It ends when a topic is deleted and made anew, or when Kafka
// is restored from an older copy: then it is judged, and what it left stands.
type era struct {
	from   map[int32]flush.State      // where each partition goes on; where it is absent, at the first record
	floor  map[string]map[int32]int64 // where the era's records of the topics beside the events begin
	before map[string]bool            // objects of the eras before
}

// since leaves the records of the era.
func (e era) since(list []*kgo.Record) (of []*kgo.Record) {
	for _, r := range list {
		if r.Offset >= e.floor[r.Topic][r.Partition] {
			of = append(of, r)
		}
	}
	return of
}

// nextEra begins one where from says.
func (w *World) nextEra(from map[int32]flush.State) {
	next := era{from: from, floor: map[string]map[int32]int64{}, before: map[string]bool{}}
	for _, topic := range []string{topicLetters, topicFlushes} {
		next.floor[topic] = map[int32]int64{}
		for _, info := range w.kafka.PartitionInfos(topic) {
			next.floor[topic][info.Partition] = info.HighWatermark
		}
	}
	for _, o := range w.bucket.Objects() {
		next.before[o.Key] = true
	}
	w.era, w.ledger = next, newLedger()
	w.watch.forget()
}

// endEra waits until all that was produced is in the lake and in the catalog, and judges it. Sinks and catalogs run on.
func (w *World) endEra() {
	w.endProduction()
	w.settle()
	w.audit()
}

// goOn has events come for a while, through gateways too.
func (w *World) goOn(length time.Duration) {
	for slot := range gateways {
		w.start("gateway", slot)
	}
	ctx, stop := context.WithTimeout(context.Background(), length)
	defer stop()
	var producers sync.WaitGroup
	w.produce(ctx, &producers)
	producers.Wait()
}

const (
	madeAnew  = "the topic is deleted and made anew"
	olderCopy = "Kafka is restored from an older copy, and recovered"
	bomb      = "a batch is a decompression bomb, and passed over"
)

// eraFaults is what a partition does not go on from by itself, or not as the partition that it was.
func eraFaults() []Fault {
	return []Fault{
		{madeAnew, last, func(w *World, r *rand.Rand, _ time.Duration) {
			w.endEra()
			w.watch.pause(true)
			if err := w.kafka.DeleteTopic(topicEvents); err != nil {
				w.violation("%s: %v", madeAnew, err)
				return
			}
			time.Sleep(time.Duration(r.IntN(20_000)) * time.Millisecond)
			w.makeTopic()
			w.nextEra(nil)
			w.watch.pause(false)
			w.hit(madeAnew, 1)
			w.goOn(15 * time.Second)
		}},
		{olderCopy, last, func(w *World, r *rand.Rand, _ time.Duration) {
			if err := w.restoreOlder(time.Duration(5+r.IntN(15)) * time.Second); err != nil {
				w.violation("%s: %v", olderCopy, err)
			}
		}},
		{bomb, last, func(w *World, r *rand.Rand, _ time.Duration) {
			if err := w.explode(r.Int32N(w.shape.Partitions)); err != nil {
				w.violation("%s: %v", bomb, err)
			}
		}},
	}
}

// makeTopic makes the topic of events, unless a service was faster.
func (w *World) makeTopic() {
	if w.kafka.TopicInfo(topicEvents) == nil {
		if err := w.kafka.CreateTopic(topicEvents, w.shape.Partitions, nil); err != nil {
			w.violation("make %s: %v", topicEvents, err)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.topics)
}

// restoreOlder copies Kafka, has more events flushed, and puts the copy in its place. The partitions whose log ends now
// where the lake knows records stop, and a person has them read on from there.
func (w *World) restoreOlder(length time.Duration) error {
	w.endEra()
	copied := w.disk + ".copy"
	if err := w.swapKafka(func() error { return os.CopyFS(copied, os.DirFS(w.disk)) }); err != nil {
		return err
	}
	w.nextEra(w.allCommitted())
	w.startServices()
	w.goOn(length)
	w.endEra()
	lost := w.allCommitted()
	if err := w.swapKafka(func() error {
		return errors.Join(os.Rename(w.disk, filepath.Join(w.Dir, fmt.Sprintf("kafka-%d", w.serial))), os.Rename(copied, w.disk))
	}); err != nil {
		return err
	}
	w.hit(olderCopy, 1)
	w.watch.pause(true)
	w.startServices()
	time.Sleep(2 * w.shape.Session)
	w.stopServices()
	if err := w.readOn(lost); err != nil {
		return err
	}
	w.nextEra(w.allCommitted())
	w.watch.pause(false)
	w.startServices()
	w.goOn(length)
	return nil
}

// swapKafka does something to its directory while nothing runs.
func (w *World) swapKafka(do func() error) error {
	w.watch.pause(true)
	defer w.watch.pause(false)
	w.down.Store(true)
	defer w.down.Store(false)
	time.Sleep(time.Second) // everybody has seen it
	w.stopServices()
	w.kafka.Close()
	return errors.Join(do(), w.startKafka())
}

func (w *World) stopServices() {
	for _, kind := range []string{"sink", "catalog"} {
		for _, p := range w.living(kind) {
			w.terminate(p)
			w.await(p)
		}
	}
}

func (w *World) startServices() {
	for slot := range w.shape.Catalogs {
		w.start("catalog", slot)
	}
	w.startSinks()
}

// readOnFrom is the offset that a refusal of weir sink recover names. Nothing is lost that the lake does not hold, so that
// no loss need be accepted.
var readOnFrom = regexp.MustCompile(`--from (\d+)`)

// readOn does what weir sink recover says for each partition that it refuses. Those that had gone on must be among them.
func (w *World) readOn(lost map[int32]flush.State) error {
	var all []sink.Recovered
	err := patiently(func() (err error) {
		if all, err = w.recover(nil); errors.Is(err, sink.ErrUnrecovered) {
			err = nil
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, r := range all {
		now, err := w.committed(r.Partition)
		if r.Result != "refused" {
			if err != nil || now.Low < lost[r.Partition].Low {
				return fmt.Errorf("partition %d is %s at %d (%v), and the lake knows records up to %d", r.Partition, r.Result, now.Low, err, lost[r.Partition].Low)
			}
			continue
		}
		named := readOnFrom.FindStringSubmatch(r.Why)
		if named == nil {
			return fmt.Errorf("partition %d is refused, and nothing says how to go on: %s", r.Partition, r.Why)
		}
		from, _ := strconv.ParseInt(named[1], 10, 64)
		if err := w.pass(r.Partition, from, 0); err != nil {
			return err
		}
	}
	return nil
}

// pass has one partition go on at an offset. That so many records are lost is accepted only where some are.
func (w *World) pass(p int32, from, lost int64) error {
	return patiently(func() error {
		all, err := w.recover(func(c *sink.RecoverConfig) { c.Partition, c.From, c.AcceptLoss = []int32{p}, from, lost > 0 })
		if err == nil && all[0].Lost != lost {
			w.violation("partition %d went on at %d without %d records instead of %d", p, from, all[0].Lost, lost)
		}
		return err
	})
}

// explode produces a batch that unpacks to more than a sink may hold, among events. It alone is passed over.
func (w *World) explode(p int32) error {
	if err := w.produceEach(fmt.Sprintf("before-the-bomb-%d", time.Since(w.trace.began))); err != nil {
		return err
	}
	at, err := w.produceBomb(p)
	if err != nil {
		return err
	}
	if err := w.produceEach(fmt.Sprintf("after-the-bomb-%d", time.Since(w.trace.began))); err != nil {
		return err
	}
	// Who passes over it before the sink has flushed what stands before it gives that up too.
	if err := patiently(func() error { return w.reached(p, at) }); err != nil {
		return err
	}
	w.stopSinks(false)
	if s, err := w.committed(p); err != nil || s.Low > at {
		return fmt.Errorf("nobody noticed it: partition %d stands at %d (%v), it is at %d", p, s.Low, err, at)
	}
	w.hit(bomb, 1)
	if err := w.pass(p, at+1, 1); err != nil {
		return err
	}
	w.startSinks()
	return nil
}

// reached tells whether everything before an offset is flushed.
func (w *World) reached(p int32, offset int64) error {
	s, err := w.committed(p)
	if err == nil && (s.Low < offset || s.Phase != flush.Done) {
		err = fmt.Errorf("partition %d stands at %d: %s", p, s.Low, s.Metadata())
	}
	return err
}

func (w *World) produceBomb(p int32) (int64, error) {
	const size = int32(batchLimit + 1<<20)
	client, err := w.client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(topicEvents), kgo.ProducerBatchMaxBytes(size+1<<10),
		kgo.BrokerMaxWriteBytes(size+1<<20), kgo.ProducerBatchCompression(kgo.GzipCompression()))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	id := fmt.Sprintf("bomb-%d/%d", time.Since(w.trace.began), p)
	w.ledger.send(id, false)
	w.ledger.sent[id].passed = true
	rec := &kgo.Record{Partition: p, Key: []byte("alpha"), Value: bytes.Repeat([]byte(" "), int(size)), Headers: []kgo.RecordHeader{{Key: headerID, Value: []byte(id)}}}
	err = client.ProduceSync(context.Background(), rec).FirstErr()
	return rec.Offset, err
}
