package redrive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/kafka"
)

// Bounds of one transaction. The sink reads nothing of a partition beyond a transaction
// that is open, so each is begun when all its records are there, and is short; one that
// a killed redrive leaves behind holds the sink up for transactionMax, or until the next
// redrive begins.
const (
	batchRecords   = 500
	batchBytes     = 1 << 20
	headroom       = 16 << 10         // what a batch needs beside its records' bytes
	deliverWithin  = 10 * time.Second // one record
	endWithin      = 15 * time.Second // the records of a transaction, and its end
	transactionMax = 20 * time.Second // then the coordinator aborts it
	abortWithin    = 5 * time.Second
	fenceWithin    = 2 * time.Minute // the coordinator ends a predecessor's transaction first
)

// ErrFenced: another redrive with the same ledger began after this one, and goes on; or
// this process stood still in the middle of a transaction.
var ErrFenced = errors.New("another redrive with the same ledger has begun, or this one stood still for too long: what is back stands in the ledger")

// errEpoch: the client has begun a new epoch inside of a transaction, which ends it.
var errEpoch = errors.New("the transaction was ended by its coordinator")

// producer writes events and their ledger records in one transaction. It is the only
// one: whoever opens one later fences it, and nothing of it counts that was not
// committed by then.
type producer struct {
	client *kgo.Client
	ledger string
}

// openProducer ends the transaction of a redrive that was cut off, and fences one that
// still runs. Only what is read from the ledger after that is all of it.
func openProducer(ctx context.Context, c *Config) (*producer, error) {
	opts, err := c.options()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(opts,
		kgo.TransactionalID("weir-redrive-"+c.RedrivenTopic),
		kgo.TransactionTimeout(transactionMax),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.RecordDeliveryTimeout(deliverWithin),
		kgo.RecordPartitioner(kafka.Partitioner()),
		kgo.BrokerMaxWriteBytes(256<<20),
		kgo.ProducerBatchMaxBytes(255<<20), // the broker judges the compressed size; see door
		kgo.ProducerBatchCompression(codecs()...),
	)...)
	if err != nil {
		return nil, fmt.Errorf("make a Kafka producer: %w", err)
	}
	wait, cancel := context.WithTimeout(ctx, fenceWithin)
	defer cancel()
	id, _, err := client.ProducerID(wait)
	if err == nil && id < 0 {
		err = errors.New("the brokers know no transactions")
	}
	if err != nil {
		client.Close()
		return nil, fmt.Errorf("take over the redrives of %s: %w", c.RedrivenTopic, err)
	}
	return &producer{client: client, ledger: c.RedrivenTopic}, nil
}

func codecs() []kgo.CompressionCodec {
	return []kgo.CompressionCodec{kgo.ZstdCompression(), kgo.SnappyCompression(), kgo.NoCompression()}
}

func (p *producer) close() { p.client.Close() }

// send brings back all of them or none. After an error nothing may be sent any more:
// whether the last transaction was committed is known from the ledger only, once it is
// read under a fence. A signal does not cut a transaction off.
func (p *producer) send(ctx context.Context, batch []passage) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endWithin)
	defer cancel()
	err := p.transact(ctx, batch)
	if err == nil {
		return nil
	}
	if fenced(err) {
		return fmt.Errorf("%w: %w", ErrFenced, err)
	}
	p.abort()
	return fmt.Errorf("redrive %d records: %w", len(batch), err)
}

func (p *producer) transact(ctx context.Context, batch []passage) error {
	if err := p.client.BeginTransaction(); err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	id, epoch, err := p.client.ProducerID(ctx)
	if err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	records := make([]*kgo.Record, len(batch))
	for i := range batch {
		records[i] = kafka.ToKgo(batch[i].record)
	}
	if err := p.produce(ctx, records); err != nil {
		return fmt.Errorf("produce to %s: %w", batch[0].record.Topic, err)
	}
	entries := make([]*kgo.Record, len(batch))
	for i := range batch {
		if entries[i], err = batch[i].entry(records[i]).encode(p.ledger, batch[i].letter.Origin); err != nil {
			return err
		}
	}
	if err := p.produce(ctx, entries); err != nil {
		return fmt.Errorf("produce to the ledger %s: %w", p.ledger, err)
	}
	// The client may have begun a new epoch by itself, to go on after an error. The
	// coordinator has aborted the first half of the transaction then, and committing the
	// second would make the ledger say of events that they came back, which did not.
	if nowID, nowEpoch, err := p.client.ProducerID(ctx); err != nil || nowID != id || nowEpoch != epoch {
		return errors.Join(errEpoch, err)
	}
	if err := p.client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("commit the transaction: %w", err)
	}
	return nil
}

// produce waits for the acknowledgements as long as ctx allows. The client gives up no
// record whose fate it does not know, so one may be on its way after that: until abort,
// or the client's end.
func (p *producer) produce(ctx context.Context, records []*kgo.Record) error {
	done := make(chan error, 1)
	go func() { done <- p.client.ProduceSync(ctx, records...).FirstErr() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// entry is what the ledger remembers.
func (p *passage) entry(produced *kgo.Record) Entry {
	return Entry{
		Topic: produced.Topic, Partition: produced.Partition, Offset: produced.Offset,
		Attempt: p.letter.Attempts + 1, Reason: p.letter.Reason, Source: p.letter.Source, At: produced.Timestamp.UTC(),
	}
}

// abort frees the sink at once. Where it fails the coordinator does it within
// transactionMax.
func (p *producer) abort() {
	ctx, cancel := context.WithTimeout(context.Background(), abortWithin)
	defer cancel()
	if p.client.AbortBufferedRecords(ctx) == nil {
		_ = p.client.EndTransaction(ctx, kgo.TryAbort)
	}
}

// fenced: the coordinator has ended the transaction, and the epoch is not the newest of
// the transactional id.
func fenced(err error) bool {
	return slices.ContainsFunc([]error{kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.InvalidTxnState}, func(e error) bool { return errors.Is(err, e) })
}
