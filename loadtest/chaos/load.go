package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"weir/loadtest/chaos/record"
	"weir/loadtest/corpus"
)

// load sends events at the moments that the scenario sets, whatever the answers are and however late they come
// (open loop), and never sends one again: a ledger says what became of each as far as its producer knows.
type load struct {
	shape  Load
	events *events
	dir    string // of the record

	group sync.WaitGroup
	mu    sync.Mutex
	tally Tally
	err   error
	delay []time.Duration // how late batches left
	acks  []time.Duration // from the scheduled moment to the acknowledgement, per batch
}

// Tally is what the generator did.
type Tally struct {
	Offered       int64 `json:"offered"` // events that were due
	Skipped       int64 `json:"skipped"` // of these never sent, because too many were unanswered
	Acked         int64 `json:"acked"`
	Indeterminate int64 `json:"indeterminate"`
	Rejected      int64 `json:"rejected"`

	DelayP999 Seconds `json:"generator_delay_p999"` // how late the generator itself was
	AckP50    Seconds `json:"ack_p50"`
	AckP99    Seconds `json:"ack_p99"`
	AckMax    Seconds `json:"ack_max"`
}

// maxUnanswered bounds what one producer has under way: beyond it batches are skipped, and said to be.
const maxUnanswered = 256

// producer is one sender with a ledger of its own.
type producer struct {
	load   *load
	name   string
	shape  Producers
	slots  chan struct{} // one for each batch under way
	ledger *record.Writer[record.Entry]
	sender sender
	seq    int64
}

// sender sends one batch and calls answered for each of its runs of seqs.
type sender interface {
	send(ctx context.Context, b batch, answered func(record.Entry))
	close()
}

// batch is n events from seq on, due at one moment.
type batch struct {
	number int // of the producer's batches
	from   record.ID
	n      int
	sched  time.Time
	source string
	kinds  []string // of each event: "", record.Letter, refused
	badKey bool
}

const refused = "refused"

func (l *load) start(ctx context.Context, gateways, brokers []string) error {
	for i := range l.shape.Gateway.Count {
		if err := l.startProducer(ctx, fmt.Sprintf("gw-%d", i), l.shape.Gateway, newHTTPSender(l.events, gateways)); err != nil {
			return err
		}
	}
	for i := range l.shape.Direct.Count {
		sender, err := newKafkaSender(l.events, brokers)
		if err != nil {
			return err
		}
		if err := l.startProducer(ctx, fmt.Sprintf("direct-%d", i), l.shape.Direct, sender); err != nil {
			return err
		}
	}
	return nil
}

func (l *load) startProducer(ctx context.Context, name string, shape Producers, s sender) error {
	ledger, err := record.NewLedger(l.dir, name)
	if err != nil {
		s.close()
		return err
	}
	shape.Rate /= float64(shape.Count)
	p := &producer{load: l, name: name, shape: shape, slots: make(chan struct{}, maxUnanswered), ledger: ledger, sender: s}
	l.group.Go(func() { p.run(ctx) })
	return nil
}

// wait returns once every producer has ended and every answer is in.
func (l *load) wait() (Tally, error) {
	l.group.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.delay)
	slices.Sort(l.acks)
	l.tally.DelayP999 = quantile(l.delay, 0.999)
	l.tally.AckP50, l.tally.AckP99, l.tally.AckMax = quantile(l.acks, 0.5), quantile(l.acks, 0.99), quantile(l.acks, 1)
	return l.tally, l.err
}

func (p *producer) run(ctx context.Context) {
	interval := time.Duration(float64(p.shape.Batch) / p.shape.Rate * float64(time.Second))
	begin := time.Now()
	for n := 0; ; n++ {
		sched := begin.Add(time.Duration(n) * interval)
		timer := time.NewTimer(time.Until(sched))
		select {
		case <-ctx.Done():
			timer.Stop()
			p.end()
			return
		case <-timer.C:
		}
		p.fire(ctx, p.batch(n, sched, sched.Sub(begin)))
	}
}

// end waits for every answer: each sender bounds how long that may take.
func (p *producer) end() {
	for range maxUnanswered {
		p.slots <- struct{}{}
	}
	p.sender.close()
	err := p.ledger.Close()
	p.load.mu.Lock()
	defer p.load.mu.Unlock()
	p.load.err = errors.Join(p.load.err, err)
}

// batch draws up the next one, due so long after the load began; what is to go wrong with it is decided by its number.
func (p *producer) batch(n int, sched time.Time, elapsed time.Duration) batch {
	b := batch{number: n, from: record.ID{Producer: p.name, Seq: p.seq}, n: p.shape.Batch, sched: sched, kinds: make([]string, p.shape.Batch)}
	b.source = corpus.SourceOf(n, p.load.shape.Sources)
	_, direct := p.sender.(*kafkaSender)
	if fresh := p.load.shape.FreshEvery; direct && fresh > 0 && n%2 == 1 {
		b.source = fmt.Sprintf("fresh-%d", elapsed/fresh)
	}
	switch every, letters := p.load.shape.RefuseEvery, p.load.shape.LetterEvery; {
	case direct && letters > 0 && n%letters == letters-1:
		b.kinds[n%len(b.kinds)] = record.Letter
	case !direct && every > 0 && n%(2*every) == every-1:
		b.badKey = true
	case !direct && every > 0 && n%(2*every) == 2*every-1:
		b.kinds[n%len(b.kinds)] = refused
	}
	return b
}

// fire sends a batch without waiting for it. Its events get their seqs when it is certain that they leave.
func (p *producer) fire(ctx context.Context, b batch) {
	now := time.Now()
	p.load.mu.Lock()
	p.load.tally.Offered += int64(b.n)
	p.load.delay = append(p.load.delay, now.Sub(b.sched))
	p.load.mu.Unlock()
	select {
	case p.slots <- struct{}{}:
	default:
		p.load.mu.Lock()
		p.load.tally.Skipped += int64(b.n)
		p.load.mu.Unlock()
		return
	}
	p.seq += int64(b.n)
	for i := 0; i < b.n; { // one line for each run of the same kind
		n := 1
		for i+n < b.n && b.kinds[i+n] == b.kinds[i] {
			n++
		}
		p.ledger.Add(record.Entry{
			Seq: b.from.Seq + int64(i), N: int64(n), Kind: ledgerKind(b.kinds[i]), Outcome: record.Sent,
			Sched: b.sched.UnixMilli(), At: now.UnixMilli(),
		})
		i += n
	}
	p.load.group.Go(func() {
		defer func() { <-p.slots }()
		p.sender.send(context.WithoutCancel(ctx), b, func(e record.Entry) { p.answered(b, e) })
	})
}

func ledgerKind(kind string) string {
	if kind == record.Letter {
		return kind
	}
	return "" // what is to be refused is an event like any other where it is not
}

func (p *producer) answered(b batch, e record.Entry) {
	now := time.Now()
	e.At = now.UnixMilli()
	p.ledger.Add(e)
	p.load.mu.Lock()
	defer p.load.mu.Unlock()
	switch t := &p.load.tally; e.Outcome {
	case record.Acked:
		t.Acked += e.N
		p.load.acks = append(p.load.acks, now.Sub(b.sched))
	case record.Rejected:
		t.Rejected += e.N
	default:
		t.Indeterminate += e.N
	}
}

// quantile of sorted durations.
func quantile(sorted []time.Duration, q float64) Seconds {
	if len(sorted) == 0 {
		return 0
	}
	return SecondsOf(sorted[min(len(sorted)-1, int(q*float64(len(sorted))))])
}
