// Package produce makes the records of a request durable: it admits a request by
// its bytes, hands its records to Kafka, and answers once the last of them is
// acknowledged by every replica in sync, or once the answer is due. It keeps two
// invariants: what it holds is bounded by one byte budget however slow Kafka is,
// and a buffer goes back to its pool only after Kafka's client has let go of the
// last record in it. What a record holds is decided by intake, what the client is
// told by httpapi. Owned by the gateway.
package produce

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	// ErrFull means that the byte budget is used up. Nothing of the request is in Kafka, or,
	// where its last records did not fit, a part of it may be.
	ErrFull = errors.New("the gateway holds as many bytes as it may")
	// ErrLate means that the answer is due and Kafka has not acknowledged every record. Any
	// of them may still become durable.
	ErrLate = errors.New("no acknowledgement of Kafka in time")
	// ErrTooLarge means that a body is longer than it may be.
	ErrTooLarge = errors.New("body too large")
)

// Delivery is what became of one request's records.
type Delivery struct {
	Topic   string        // of the events
	Records int           // events and rejected events
	Took    time.Duration // from Send to the last outcome
	Err     error         // nil = all of them are durable
}

// Options of a Producer.
type Options struct {
	Topics   []string       // of the events, then of the rejected events
	Deadline time.Duration  // from Send until ErrLate
	Observe  func(Delivery) // called once a request, before Wait returns
}

// Producer delivers flights.
type Producer struct {
	client *kgo.Client
	opts   Options

	lastGood, lastBad atomic.Int64 // Unix nanoseconds of the newest outcome of either kind
	why               atomic.Pointer[error]
}

// New makes a producer of a client that was made with ClientOptions.
func New(client *kgo.Client, o Options) *Producer {
	return &Producer{client: client, opts: o}
}

// Limits are the largest batches that the topics take, in bytes. They are known
// only once Kafka has described the topics, and must be set before the first record
// is produced: the client keeps what it is told first.
type Limits struct {
	byTopic atomic.Pointer[map[string]int32]
}

// defaultBatch is what the client itself would use.
const defaultBatch = 1_000_012

// Set notes max.message.bytes by topic.
func (l *Limits) Set(maxMessageBytes map[string]int) {
	m := make(map[string]int32, len(maxMessageBytes))
	for topic, n := range maxMessageBytes {
		m[topic] = int32(min(max(n, 512), math.MaxInt32, 1<<30))
	}
	l.byTopic.Store(&m)
}

func (l *Limits) batch(topic string) int32 {
	if m := l.byTopic.Load(); m != nil {
		if n, ok := (*m)[topic]; ok {
			return n
		}
	}
	return defaultBatch
}

// ClientOptions are the options that make the client's promises fit ours.
//
//   - The delivery timeout equals the answer's deadline: a record must not sit here
//     long after its client was told to send it again.
//   - Nothing cancels a record: the client would fail every record of the partition.
//   - Keys are hashed as every Kafka client hashes them, so that a producer that
//     writes to Kafka itself puts the same source on the same partition.
//   - A partition whose leader moved is looked up again well within the deadline.
//   - Buffered records are bounded a second time here, over the byte budget.
func ClientOptions(deadline time.Duration, budget int64, limits *Limits) []kgo.Opt {
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordDeliveryTimeout(deadline),
		kgo.ProduceRequestTimeout(deadline),
		kgo.MetadataMinAge(max(deadline/20, 10*time.Millisecond)),
		kgo.ProducerLinger(2 * time.Millisecond),
		kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.SnappyCompression(), kgo.NoCompression()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.ProducerBatchMaxBytesFn(limits.batch),
		kgo.MaxBufferedBytes(int(min(budget, math.MaxInt))),
		kgo.MaxBufferedRecords(int(max(10_000, min(budget/recordOverhead, math.MaxInt)))),
	}
}

// Deliver hands the flight's records to Kafka and waits: Send and Wait in one.
func (p *Producer) Deliver(f *Flight) error {
	p.Send(f)
	return p.Wait(f)
}

// Send hands the flight's records to Kafka's client and does not wait. Of flights that one goroutine sends, the records
// of one partition stand in Kafka in that order. It never takes the request's context: a client that hangs up must not
// take other clients' records with it. The flight stays the caller's until Release.
func (p *Producer) Send(f *Flight) {
	f.sent = time.Now()
	if len(f.records) == 0 {
		return
	}
	f.takeOff()
	f.timer.Reset(p.opts.Deadline)
	for i := range f.records {
		if f.failure.Load() != nil {
			f.finish(len(f.records) - i) // the rest would only be sent twice
			break
		}
		p.client.TryProduce(context.Background(), &f.records[i], f.promise)
	}
}

// Wait waits for the outcome of what was sent. Nil means that every record is durable.
func (p *Producer) Wait(f *Flight) error {
	took, err := f.await()
	p.note(err)
	p.opts.Observe(Delivery{Topic: p.opts.Topics[0], Records: len(f.records), Took: took, Err: err})
	return err
}

func domainError(err error) error {
	switch {
	case errors.Is(err, kgo.ErrMaxBuffered):
		return ErrFull
	case errors.Is(err, kgo.ErrRecordTimeout), errors.Is(err, kerr.RequestTimedOut):
		return fmt.Errorf("%w: %w", ErrLate, err)
	}
	return err
}

func (p *Producer) note(err error) {
	now := time.Now().UnixNano()
	switch {
	case err == nil:
		p.lastGood.Store(now)
	case !errors.Is(err, ErrFull):
		p.why.Store(&err)
		p.lastBad.Store(now)
	}
}

// recent is how long the newest outcome speaks for Kafka's state.
const recent = 5 * time.Second

// Recent says how Kafka took the newest request, if there was one of late; told is false where nobody knows.
func (p *Producer) Recent() (told bool, err error) {
	good, bad := time.Unix(0, p.lastGood.Load()), time.Unix(0, p.lastBad.Load())
	switch {
	case time.Since(good) < recent && good.After(bad):
		return true, nil
	case time.Since(bad) < recent:
		err := *p.why.Load()
		if errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.UnknownTopicOrPartition) {
			p.Forget()
		}
		return true, err
	}
	return false, nil
}

// Forget makes the client look its topics up anew, where one was deleted and perhaps created again: until it is told,
// it keeps to the topic id and the largest batch that it knew.
func (p *Producer) Forget() { p.client.PurgeTopicsFromProducing(p.opts.Topics...) }

// Buffered says how many bytes of records the client holds.
func (p *Producer) Buffered() int64 { return p.client.BufferedProduceBytes() }

// Close sends what is buffered, for as long as ctx allows, and closes the client.
func (p *Producer) Close(ctx context.Context) error {
	err := p.client.Flush(ctx)
	p.client.Close()
	if err != nil {
		return fmt.Errorf("flush what Kafka has not acknowledged: %w", err)
	}
	return nil
}
