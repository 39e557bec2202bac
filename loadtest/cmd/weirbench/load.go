package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// load is how a row's requests are made.
type load struct {
	batch   int // events of a request
	senders int // connections or streams, each with one sender
	request func(events [][]byte) []byte
	// send makes requests as the pace hands them out, until there are no more; every answer must be success.
	send func(ctx context.Context, addr string, requests [][]byte, p *pace) error
}

// Senders of the loads that are not named for their number: enough that a batch's linger does not leave the core idle.
const (
	batchSenders  = 16
	streamSenders = 4
)

// distinct is how many events the prepared requests have together. They come in turn; making each anew would cost the
// load as much as the gateway.
const distinct = 20_000

func (l load) prepare(corpus [][]byte) [][]byte {
	requests := make([][]byte, 0, distinct/l.batch)
	for from := 0; from < distinct; from += l.batch {
		requests = append(requests, l.request(corpus[from:from+l.batch]))
	}
	return requests
}

// drive lets every sender work until the pace has nothing more.
func (l load) drive(ctx context.Context, addr string, requests [][]byte, p *pace) error {
	group, ctx := errgroup.WithContext(ctx)
	for range l.senders {
		group.Go(func() error { return l.send(ctx, addr, requests, p) })
	}
	return group.Wait()
}

// pace hands out requests to senders by their numbers. With an interval each has the moment at which it is due, whether
// or not those before were answered: who waits for a free sender waits too long, and that counts.
type pace struct {
	requests int64
	interval time.Duration // 0 = as soon as somebody asks
	warm     int64         // requests before those whose time counts

	start time.Time
	next  atomic.Int64
	mu    sync.Mutex
	took  []time.Duration // from when a request was due to its answer; only with an interval
}

// take waits until the next request is due. There is none at the end, or when ctx ends.
func (p *pace) take(ctx context.Context) (number int64, ok bool) {
	number = p.next.Add(1) - 1
	if number >= p.requests || ctx.Err() != nil {
		return 0, false
	}
	if p.interval > 0 {
		time.Sleep(time.Until(p.due(number)))
	}
	return number, true
}

func (p *pace) due(number int64) time.Time {
	return p.start.Add(time.Duration(number) * p.interval)
}

// done notes that a request was answered.
func (p *pace) done(number int64) {
	if p.interval == 0 || number < p.warm {
		return
	}
	took := time.Since(p.due(number))
	p.mu.Lock()
	p.took = append(p.took, took)
	p.mu.Unlock()
}

// flatOut is a row's closed loop: each sender sends as soon as it was answered. It says how many events there were a
// second, and calls after at the end of each part.
func (w *world) flatOut(ctx context.Context, r row, addr string, after func()) (perSecond float64, err error) {
	requests, parts := r.load.prepare(w.corpus), max(1, r.parts)
	var took time.Duration
	for range parts {
		p := &pace{requests: int64(r.events / r.load.batch / parts), start: time.Now()}
		if err := r.load.drive(ctx, addr, requests, p); err != nil {
			return 0, err
		}
		took += time.Since(p.start)
		after()
	}
	return float64(r.events) / took.Seconds(), nil
}

// halfLoad is a row's open loop: requests at half the rate that its closed loop reached, by a schedule.
func (w *world) halfLoad(ctx context.Context, r row, addr string, perSecond float64, span time.Duration) (*HalfLoad, error) {
	rate := perSecond / 2 / float64(r.load.batch) // requests a second
	p := &pace{
		interval: time.Duration(float64(time.Second) / rate),
		warm:     int64(rate * warmUp.Seconds()),
		requests: int64(rate * (warmUp + span).Seconds()),
	}
	requests := r.load.prepare(w.corpus)
	p.start = time.Now()
	if err := r.load.drive(ctx, addr, requests, p); err != nil {
		return nil, err
	}
	if len(p.took) == 0 {
		return nil, errors.New("no request fits the time of -half-load")
	}
	return summary(perSecond/2, p.took), nil
}

// memory keeps the process on half load, and returns its RSS in MiB after each tenth of the span.
func (w *world) memory(ctx context.Context, r row, addr string, pid int, perSecond float64, span time.Duration) ([]float64, error) {
	const looks = 10
	var rss []float64
	for range looks {
		if _, err := w.halfLoad(ctx, r, addr, perSecond, span/looks); err != nil {
			return nil, err
		}
		rss = append(rss, statusMiB(strconv.Itoa(pid), "VmRSS:"))
	}
	return rss, nil
}

// warmUp is for connections to open and buffers to grow.
const warmUp = time.Second

// unexpected is an answer that ends the measurement.
func unexpected(answer any) error { return fmt.Errorf("the gateway answered %v", answer) }
