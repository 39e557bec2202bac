// Package produce makes the records of a request durable: it admits a request by
// its bytes, hands its records to Kafka, and answers once the last of them is
// acknowledged by every replica in sync, or once the answer is due. It keeps two
// invariants: what it holds is bounded by one byte budget however slow Kafka is,
// and a buffer goes back to its pool only after Kafka's client has let go of the
// last record in it. Where Kafka does not take a request, and there is a spill, it is durable
// there, and given back in the order of its source. What a record holds is decided by intake, what the client is
// told by the transports. Owned by the gateway.
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

	"weir/pkg/kafka"
	"weir/services/gateway/internal/spill"
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
	Took    time.Duration // from Enter to the last outcome
	Spilled bool          // into the spill, where they wait for Kafka
	Err     error         // nil = all of them are durable
}

// Return is what became of records of the spill.
type Return struct {
	Records int
	Late    bool // Kafka's client had them already, and its acknowledgement came late: they are not written again

	Source string // that waits, because Kafka refuses a record of it; "" = none
	Err    error  // why
}

// Options of a Producer.
type Options struct {
	Topics   []string       // of the events, then of the rejected events
	Deadline time.Duration  // from Enter until ErrLate
	Observe  func(Delivery) // called once a request, before Wait returns
	Spill    *spill.Log     // nil = off
	Replayer *kgo.Client    // made with ReplayOptions, for what the spill gives back
	Limits   *Limits        // of those options
	// Reader makes a client that reads: what a killed process had on its way is looked for in the topics. nil = it is written again.
	Reader   func(...kgo.Opt) (*kgo.Client, error)
	Looked   func(Look)   // called once that is done
	Returned func(Return) // called for records of the spill that Kafka has
}

// Producer delivers flights.
type Producer struct {
	client *kgo.Client
	opts   Options

	lastGood, lastBad atomic.Int64 // Unix nanoseconds of the newest outcome of either kind
	why               atomic.Pointer[error]
	away              atomic.Bool // nothing was acknowledged since a request was not: new ones go to the spill
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
//     writes to Kafka itself puts the same source on the same partition; those of a hot
//     source follow from its lane (kafka.Partitioner).
//   - A partition whose leader moved is looked up again well within the deadline.
//   - Buffered records are bounded a second time here, over the byte budget.
//   - With a spill there is no delivery timeout, and a topic that is away fails nothing: the client may give up a record
//     that a broker has, where the answer to its first request was lost, and what it fails is written again. A record
//     stays until it is acknowledged; its request is in the spill long before.
func ClientOptions(deadline time.Duration, budget int64, limits *Limits, spills bool) []kgo.Opt {
	patience := kgo.RecordDeliveryTimeout(deadline)
	if spills {
		patience = kgo.UnknownTopicRetries(-1)
	}
	return append(commonOptions(deadline, limits),
		patience,
		kgo.MaxBufferedBytes(int(min(budget, math.MaxInt))),
		kgo.MaxBufferedRecords(int(max(10_000, min(budget/recordOverhead, math.MaxInt)))),
	)
}

// ReplayOptions are those of a second client, for what the spill gives back. It has no delivery timeout: the client
// counts that from a record's timestamp, which is long ago, and would fail whatever shares a batch with such a record.
// What it holds is bounded by who gives it back.
func ReplayOptions(deadline time.Duration, limits *Limits) []kgo.Opt {
	return append(commonOptions(deadline, limits), kgo.UnknownTopicRetries(-1), kgo.MaxBufferedRecords(math.MaxInt32))
}

func commonOptions(deadline time.Duration, limits *Limits) []kgo.Opt {
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProduceRequestTimeout(deadline),
		kgo.MetadataMinAge(max(deadline/20, 10*time.Millisecond)),
		kgo.ProducerLinger(2 * time.Millisecond),
		kgo.ProducerBatchCompression(kgo.Lz4Compression(), kgo.SnappyCompression(), kgo.NoCompression()),
		kgo.RecordPartitioner(kafka.Partitioner()),
		kgo.ProducerBatchMaxBytesFn(limits.batch),
	}
}

// Deliver makes the flight's records durable: Send and Wait in one.
func (p *Producer) Deliver(f *Flight) error {
	p.Send(f)
	return p.Wait(f)
}

// Send hands the flight's records to Kafka's client, or to the spill where Kafka does not take them, and waits for
// neither. Of flights that one goroutine sends, the records of one partition stand in Kafka in that order; where there
// is a spill, those of one Order and one source do. It never takes the request's context: a client that hangs up must
// not take other clients' records with it. The flight stays the caller's until Release.
func (p *Producer) Send(f *Flight) {
	if f.sent.IsZero() {
		f.sent = time.Now()
	}
	switch {
	case len(f.records) == 0:
	case p.opts.Spill == nil:
		p.hand(f)
	default:
		p.sendOrSpill(f)
	}
}

// hand gives the records to Kafka's client.
func (p *Producer) hand(f *Flight) {
	f.handed = time.Now()
	f.takeOff()
	for i := range f.records {
		if f.failure.Load() != nil { // the rest would only be sent twice
			for j := range f.records[i:] {
				f.records[i+j].Offset = undelivered
			}
			f.finish(len(f.records) - i)
			break
		}
		p.client.TryProduce(context.Background(), &f.records[i], f.promise)
	}
}

// Wait waits for the outcome of what was sent; one goroutine does, for the flights of an Order in that order. Nil means
// that every record is durable.
func (p *Producer) Wait(f *Flight) error {
	spilled, err := p.wait(f)
	if !spilled && len(f.records) > 0 {
		p.note(err)
	}
	p.opts.Observe(Delivery{Topic: p.opts.Topics[0], Records: len(f.records), Took: f.took(), Spilled: spilled, Err: err})
	return err
}

func (p *Producer) wait(f *Flight) (spilled bool, err error) {
	switch {
	case len(f.records) == 0:
		return false, nil
	case p.opts.Spill == nil:
		return false, f.outcome(f.sent.Add(p.opts.Deadline))
	}
	return p.waitOrSpill(f)
}

// inDoubt says whether a record that Kafka's client failed may be in Kafka: where no broker refused it, and the client
// had no reason of its own not to send it.
func inDoubt(err error) bool {
	var refusal *kerr.Error
	return !errors.As(err, &refusal) && !errors.Is(err, kgo.ErrMaxBuffered)
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
		if p.away.Load() {
			p.away.Store(false)
		}
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
	case time.Since(bad) < recent, p.away.Load() && p.why.Load() != nil: // who gives the spill back finds out
		err := *p.why.Load()
		if p.opts.Spill == nil && (errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.UnknownTopicOrPartition)) {
			for _, topic := range p.opts.Topics { // nothing is written again
				p.Forget(topic)
			}
		}
		return true, err
	}
	return false, nil
}

// Forget makes the client look a topic up anew that was deleted and created again: until it is told, it keeps to the
// topic's id and the largest batch that it knew. What it has of the topic fails, and is in doubt.
func (p *Producer) Forget(topic string) {
	for _, client := range p.clients() {
		client.PurgeTopicsFromProducing(topic)
	}
}

func (p *Producer) clients() []*kgo.Client {
	if p.opts.Replayer == nil {
		return []*kgo.Client{p.client}
	}
	return []*kgo.Client{p.client, p.opts.Replayer}
}

// Buffered says how many bytes of records the client holds.
func (p *Producer) Buffered() int64 { return p.client.BufferedProduceBytes() }

// Close sends what is buffered, for as long as ctx allows, and closes the clients.
func (p *Producer) Close(ctx context.Context) error {
	var err error
	for _, client := range p.clients() {
		err = errors.Join(err, client.Flush(ctx))
	}
	for _, client := range p.clients() {
		client.Close()
	}
	if err != nil {
		return fmt.Errorf("flush what Kafka has not acknowledged: %w", err)
	}
	return nil
}
