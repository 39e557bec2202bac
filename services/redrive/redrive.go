// Package redrive brings records back that were put aside: the sink's dead letters and
// the gateway's rejected events, each once.
//
//	dead letters │ rejected ── reader ── judge ── door ── pace ── producer ─┬─ events
//	                                       ▲                (transaction)   └─ ledger
//	                                       └────────── read once, fenced ───────┘
//
// Its invariant: an event comes back if and only if the ledger says so, because both
// stand in one Kafka transaction; and nobody decides by a ledger that another redrive
// may still write, because it is read after that one was fenced. A crash at any point
// leaves a transaction that the next redrive ends. It does not repair events, and it
// does not decide what an event is: pkg/event does, and for rejected events the
// gateway's rules, which the caller hands in. Floor 4; owned by whoever is called when
// records were put aside.
package redrive

import (
	"context"
	"errors"
	"fmt"

	"weir/pkg/kafka"
	"weir/pkg/settings"
)

// ErrLeft: at least one record that was asked for does not come back. The report says
// which and why.
var ErrLeft = errors.New("not everything that was asked for comes back")

// ErrInterrupted: the redrive was told to stop. What came back stands in the ledger.
var ErrInterrupted = errors.New("interrupted: start it again to go on where it stopped")

// Run redrives what is asked for, and reports what came back, also beside an error.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := settings.Join(cfg.Validate()); err != nil {
		return nil, err
	}
	from, err := openReader(&cfg.Look)
	if err != nil {
		return nil, err
	}
	defer from.close()
	r := &redriver{cfg: &cfg, pace: pace{rate: cfg.Rate}, report: &Report{}}
	err = r.run(ctx, from)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", ErrInterrupted, err)
	}
	return r.report, err
}

// redriver is one run. Its memory is bounded by one batch and the ledger's set.
type redriver struct {
	cfg   *Config
	judge *judge
	door  *door
	pace  pace
	out   *producer // nil in a dry run

	batch  []passage // on their way in the next transaction
	bytes  int
	taken  int // of what is waiting
	report *Report
}

func (r *redriver) run(ctx context.Context, from *reader) error {
	events, _, err := kafka.Describe(ctx, from.client, r.cfg.Topic)
	if err != nil {
		return err
	}
	if r.door, err = newDoor(r.cfg, events.MaxMessageBytes); err != nil {
		return err
	}
	if !r.cfg.DryRun {
		if err := from.ensureLedger(ctx, r.cfg); err != nil {
			return err
		}
		if r.out, err = openProducer(ctx, r.cfg); err != nil {
			return err
		}
		defer r.out.close()
	}
	if r.judge, err = from.judge(ctx, &r.cfg.Look); err != nil { // after the fence
		return err
	}
	err = from.letters(ctx, &r.cfg.Look, func(l *Letter) error { return r.take(ctx, from, l) })
	if err == nil {
		err = r.send(ctx, from)
	}
	if err != nil {
		return err
	}
	return r.verdict()
}

// take puts one letter into the batch, or notes why not.
func (r *redriver) take(ctx context.Context, from *reader, l *Letter) error {
	state := r.judge.meet(l)
	if state != Waiting {
		r.note(resultOf(state), &passage{letter: l})
		return nil
	}
	p := r.door.open(l)
	if p.refusal != "" {
		p.becomes = p.refusal
		r.note(Refused, &p)
		return nil
	}
	if r.full(&p) {
		if err := r.send(ctx, from); err != nil {
			return err
		}
	}
	r.batch = append(r.batch, p)
	r.bytes += p.bytes
	if r.taken++; r.taken == r.cfg.Max {
		return errEnough
	}
	return nil
}

// full reports whether p needs a transaction after this one.
func (r *redriver) full(p *passage) bool {
	limit := min(batchBytes, r.door.max-headroom)
	return len(r.batch) > 0 && (len(r.batch) == r.pace.batch() || r.bytes+p.bytes > limit)
}

// send brings the batch back.
func (r *redriver) send(ctx context.Context, from *reader) error {
	if len(r.batch) == 0 {
		return nil
	}
	result := WouldBack
	if r.out != nil {
		if err := r.pace.wait(ctx, len(r.batch)); err != nil {
			return err
		}
		if err := r.out.send(ctx, r.batch); err != nil {
			return err
		}
		result = Back
	}
	for i := range r.batch {
		r.note(result, &r.batch[i])
	}
	clear(r.batch)
	r.batch, r.bytes = r.batch[:0], 0
	if r.out != nil {
		from.progress("%d records are back", r.report.Count(Back))
	}
	return nil
}

func (r *redriver) note(result Result, p *passage) {
	g := Group{Result: result, Reason: p.letter.Reason, Source: p.letter.Source, Becomes: p.becomes}
	if result == Back || result == WouldBack {
		g.Target = r.cfg.Topic
	}
	r.report.add(g, p.letter)
}

func resultOf(s State) Result {
	if s == Redriven {
		return Before
	}
	return Result(s)
}

// verdict is an error where something that was asked for stays aside. What is
// quarantined, as the setting has it, counts only where it was asked for by name.
func (r *redriver) verdict() error {
	left := r.report.Count(Refused)
	if len(r.cfg.Offset) > 0 {
		if len(r.report.Groups) == 0 {
			return r.cfg.noLetter()
		}
		left += r.report.Count(Result(Quarantined)) + r.report.Count(Result(Unreadable))
	}
	if left > 0 {
		return ErrLeft
	}
	return nil
}
