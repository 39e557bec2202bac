// Package worker owns one Kafka partition at a time: it turns its records into open
// files, has them cut, and performs the effects of the flush protocol. The invariant:
// a record is in an open file of every table it belongs to, in a dead letter, or
// flushed, before the position passes it, and nothing becomes visible but by an effect
// that the machine asked for. It does not decide what a flush means (pkg/flush), when
// one is due (cut), or which partitions it gets (group). One goroutine owns all state;
// others send it values. Owned by whoever owns the sink.
package worker

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/event"
	"weir/pkg/flush"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/pkg/shape"
	"weir/services/sink/internal/cut"
)

// Store is the lake, as far as a worker needs it.
type Store interface {
	PutIfAbsent(ctx context.Context, key string, body []byte) error
	PutFileIfAbsent(ctx context.Context, key, contentType string, body []byte) error
	Get(ctx context.Context, key string) (body []byte, etag string, err error)
	GetRange(ctx context.Context, key string, from, n int64) ([]byte, error)
	Head(ctx context.Context, key string) (s3.Object, error)
	Uploads
}

// Uploads are S3's multipart uploads.
type Uploads interface {
	CreateUpload(ctx context.Context, key, contentType string) (uploadID string, err error)
	UploadPart(ctx context.Context, key, uploadID string, n int32, body []byte) (flush.Part, error)
	CompleteUpload(ctx context.Context, key, uploadID string, parts []flush.Part) error
	AbortUpload(ctx context.Context, key, uploadID string) error
}

// ErrGone is what reading records again gives where Kafka no longer holds them all.
var ErrGone = errors.New("the records are no longer in Kafka")

// ErrTooLarge is what producing gives where the topic does not take the record, and what
// Config.Fit foretells. It stays until somebody raises the topic's limit.
var ErrTooLarge = errors.New("larger than its topic takes")

// errEncode marks an error of a Reread callback: it is about the rows, not about Kafka.
var errEncode = errors.New("write the rows again")

// Kafka is one partition's Kafka, as far as a worker needs it.
type Kafka interface {
	// Commit sends one offset commit, once.
	Commit(ctx context.Context, s flush.State, id Identity) flush.Input
	// ProduceDeadLetters returns once all are acknowledged, or with how many of the first
	// are. It may fail with ErrTooLarge.
	ProduceDeadLetters(ctx context.Context, letters []event.Record) (acked int, err error)
	// Notify returns once the notification is acknowledged. It may fail with ErrTooLarge.
	Notify(ctx context.Context, n flush.Notification) error
	// Reread gives every record of offsets to each, in order, or fails with ErrGone. It
	// calls begin before the first, and again whenever it has to start anew.
	Reread(ctx context.Context, offsets *flush.Offsets, begin func() error, each func(*event.Record) error) error
}

// Config is what a worker works with. Store and Kafka fail only with errors that the
// flush protocol understands: see RetryStore and RetryKafka.
type Config struct {
	Owner     lake.Owner
	Tables    []*Table // a record gets a row in each
	Readable  []*Table // how files of older manifests are written again, where not as Tables say
	Limits    cut.Limits
	Store     Store
	Kafka     Kafka
	Uploaders *Uploaders
	Pin       *Pin

	Gather  func(ctx context.Context) (flush.Known, error)                   // what Start has to know; asked again, it looks again
	Start   func(flush.Known) (*flush.Machine, flush.Effect)                 // nil = flush.Start
	Confirm func(ctx context.Context, want flush.State) (ok bool, err error) // whether want is still committed
	Fit     func(ctx context.Context, letters []event.Record) error          // ErrTooLarge: the dead-letter topic would refuse one of them
	Memory  func(cut.Holder)                                                 // hears what the worker holds, after each batch
	Resume  func()                                                           // asks for more records after Feed said to pause
	Observe Observer

	FeedLimit int64 // bytes of queued records; a fetch may exceed it

	PinWait time.Duration // how long a refused pin may take to be renewed; a rebalance is over by then
}

// Outcome is how an ownership ended.
type Outcome struct {
	Op  flush.Op // End, Stop or Rejoin
	Err error    // why; nil for an End that was asked for
}

// Worker is one ownership of one partition.
type Worker struct {
	c       Config
	feed    *feed
	ready   chan struct{}
	finish  chan cut.Trigger
	relieve chan int64
	fail    chan error
	stop    context.CancelFunc // of gathering
	uploads context.Context    // of the files; ends when they are abandoned
	drop    context.CancelFunc // of uploads
	done    chan struct{}
	outcome Outcome
	began   int64 // written before ready is closed

	// What follows belongs to the goroutine of Run.

	machine   *flush.Machine
	confirmed time.Time // when the committed state was last known for sure
	sentAs    Identity  // of the last commit
	tries     int       // sendings of the commit under way
	pending   *completions

	position  int64     // next offset to read
	flushedTo int64     // end of what earlier ownerships have flushed
	passed    time.Time // since when nothing but offsets without rows is above low; zero while there is more, or nothing
	epoch     int32     // of the newest record read
	record    event.Record
	view      event.View
	learner   shape.Learner
	spare     []*kgo.Record
	slots     slots
	open      []*file // in the order of opening
	dead      deadLetters
	flushID   string
	objects   int // keys given under flushID
	flushing  *flushing
	ending    bool // what is cut now is the last: waiting for a person is no use

	status status
}

// New makes a worker. Run starts it.
func New(c Config) *Worker {
	w := &Worker{
		c:       c,
		feed:    newFeed(c.FeedLimit, c.Resume),
		ready:   make(chan struct{}),
		finish:  make(chan cut.Trigger, 1),
		relieve: make(chan int64, 1),
		fail:    make(chan error, 1),
		done:    make(chan struct{}),
		epoch:   -1,
	}
	w.slots.tables = len(c.Tables)
	for _, t := range c.Tables {
		w.view.Promotion = cmp.Or(w.view.Promotion, t.Promotion) // one table at most has one
	}
	w.stop = func() {}
	return w
}

// Go runs the worker until its ownership ends. Cancelling ctx ends it at once:
// nothing is flushed, an intent that is written is left to the next owner.
func (w *Worker) Go(ctx context.Context) {
	gather, stop := context.WithCancel(ctx)
	w.stop = stop
	w.uploads, w.drop = context.WithCancel(ctx)
	go func() {
		defer stop()
		w.outcome = w.run(ctx, gather)
		w.abandon(ctx)
		close(w.done)
	}()
}

// Done is closed when the ownership has ended and nothing of it runs any more.
func (w *Worker) Done() <-chan struct{} { return w.done }

// Outcome is how it ended, once Done is closed.
func (w *Worker) Outcome() Outcome { return w.outcome }

// Ready is closed when the worker consumes from Low.
func (w *Worker) Ready() <-chan struct{} { return w.ready }

// Feed queues fetched records, in order, and tells whether to stop fetching until
// Config.Resume is called. Records below the position are ignored: fetching may begin
// before the worker knows where.
func (w *Worker) Feed(records []*kgo.Record, highWatermark int64) (pause bool) {
	return w.feed.put(records, highWatermark)
}

// Hear notes a high watermark that was asked for: what is not fetched tells none.
func (w *Worker) Hear(highWatermark int64) { w.feed.hear(highWatermark) }

// Full tells whether Config.Resume is still to be called for the last pause.
func (w *Worker) Full() bool { return w.feed.full() }

// Began is where consuming began. Ready is closed.
func (w *Worker) Began() int64 { return w.began }

// Finish ends the ownership in good order: a flush under way is finished, what is open
// is flushed if that is worth it, and then it ends. It does not wait.
func (w *Worker) Finish(t cut.Trigger) {
	w.stop()
	select {
	case w.finish <- t:
	default: // it was asked before
	}
}

// Relieve asks for memory: the largest open files that hold need bytes are cut.
func (w *Worker) Relieve(need int64) {
	select {
	case w.relieve <- need:
	default: // it was asked and has not answered yet
	}
}

// Fail stops the partition: fetching cannot go on.
func (w *Worker) Fail(err error) {
	select {
	case w.fail <- err:
	default:
	}
}

func (w *Worker) run(ctx, gather context.Context) Outcome {
	w.does("find out where it stands")
	known, err := w.c.Gather(gather)
	if err != nil { // only its context's end
		return Outcome{Op: flush.End, Err: ctx.Err()}
	}
	w.confirmed = time.Now()
	start := flush.Start
	if w.c.Start != nil {
		start = w.c.Start
	}
	m, eff := start(known)
	w.machine = m
	pending := eff.Op != flush.None && !eff.Op.Terminal()
	if eff = w.drive(ctx, eff); eff.Op.Terminal() {
		return Outcome{Op: eff.Op, Err: eff.Err}
	}
	w.feed.hear(known.LogEnd)
	w.position, w.began, w.flushedTo = m.Low(), m.Low(), m.FlushedTo()
	w.epoch = m.State().LeaderEpoch // what is flushed ahead may be of a later epoch than the records read again
	w.newFlushID()
	w.c.Observe(Started{Partition: w.c.Owner.Partition, State: m.State(), RolledOver: pending && m.Seq() > 0})
	w.report()
	close(w.ready)
	return w.consume(ctx)
}

// drive performs effects until the machine consumes again or the ownership ends.
func (w *Worker) drive(ctx context.Context, eff flush.Effect) flush.Effect {
	for eff.Op != flush.None && !eff.Op.Terminal() {
		w.does(eff.Op.String())
		eff = w.machine.Step(w.perform(ctx, eff))
	}
	w.does("")
	w.pending.wait()
	w.pending = nil
	return eff
}

func (w *Worker) consume(ctx context.Context) Outcome {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(min(w.untilDue(), reportEvery))
		var eff flush.Effect
		select {
		case <-ctx.Done():
			return Outcome{Op: flush.End, Err: ctx.Err()}
		case err := <-w.fail:
			return w.judge(ctx, err)
		case t := <-w.finish:
			return w.finishUp(ctx, t)
		case need := <-w.relieve:
			eff = w.cutLargest(ctx, need)
		case <-timer.C:
			eff = w.cutDue(ctx)
		case <-w.feed.ready:
			eff = w.consumeBatch(ctx)
		}
		if eff.Op.Terminal() {
			return Outcome{Op: eff.Op, Err: eff.Err}
		}
		w.report()
	}
}

// reportEvery is how often a worker looks at what it holds while nothing arrives: parts
// that were under way are sent meanwhile.
const reportEvery = time.Second

// untilDue is the time until the oldest open file is due; far away when none is open.
func (w *Worker) untilDue() time.Duration {
	at, ok := cut.Deadline(w.oldest(), w.dead.cut(), w.c.Limits)
	if !ok {
		return time.Hour
	}
	return max(time.Until(at), 0)
}

func (w *Worker) finishUp(ctx context.Context, t cut.Trigger) Outcome {
	w.ending = true
	if !w.c.Pin.Spent() && cut.Worth(time.Now(), w.cutFiles(w.open), w.dead.cut(), w.c.Limits) {
		if eff := w.cutAll(ctx, t); eff.Op.Terminal() {
			return Outcome{Op: eff.Op, Err: eff.Err}
		}
	}
	return Outcome{Op: flush.End}
}

func (w *Worker) newFlushID() {
	w.flushID, w.objects = uuid.Must(uuid.NewV7()).String(), 0
}

// abandon drops what no flush has taken. Its uploads stand in no manifest, so that
// nobody can come to complete them; they are aborted if the store answers soon.
func (w *Worker) abandon(ctx context.Context) {
	var rows int64
	w.drop()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), abortTimeout)
	defer cancel()
	var aborts sync.WaitGroup
	for _, f := range w.open {
		rows += f.encoder.Rows()
		f.encoder.Abandon()
		aborts.Go(func() { _ = f.upload.abort(ctx) })
	}
	aborts.Wait()
	if rows > 0 || len(w.dead.list) > 0 {
		w.c.Observe(Abandoned{Partition: w.c.Owner.Partition, Rows: rows + int64(len(w.dead.list))})
	}
	w.open, w.dead = nil, deadLetters{}
	w.slots.clear()
	w.c.Memory(cut.Holder{})
}

// abortTimeout bounds how long an ownership's end waits for aborted uploads.
const abortTimeout = 3 * time.Second
