package group

import (
	"context"
	"fmt"
	"time"

	"weir/pkg/kafka"
)

// stuckAfter is how many times the longest of what a healthy partition waits for it may
// be without progress.
const stuckAfter = 5

// watch looks for partitions that have something to do and do nothing: whatever the
// reason, a person has to know. It heals nothing.
func (s *session) watch(ctx context.Context) {
	limit := stuckAfter * max(s.g.c.SessionTimeout, s.g.c.Limits.FileAge)
	tick := time.NewTicker(limit / 5)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		all := s.all()
		s.hear(ctx, all)
		for _, o := range all {
			if was, now := o.watched(time.Now(), limit); (was == nil) != (now == nil) {
				s.g.c.Observe(Stuck{Partition: o.partition, Err: now})
			}
		}
	}
}

// hear asks how far the partitions reach: one that is not fetched does not tell. Where
// that cannot be asked, what was heard last counts.
func (s *session) hear(ctx context.Context, all []*ownership) {
	var partitions []int32
	for _, o := range all {
		partitions = append(partitions, o.partition)
	}
	if len(partitions) == 0 {
		return
	}
	spans, err := kafka.Spans(ctx, s.control, s.topic.Name, partitions...)
	if err != nil {
		return
	}
	for _, o := range all {
		o.worker.Hear(spans[o.partition].End)
	}
}

// sight is how the watch saw a partition: what it had done last, and since when it is
// behind so.
type sight struct {
	behind            bool
	progressed, since time.Time
}

// watched tells whether the partition was stuck and whether it is now: behind, and seen so
// for longer than limit without anything done in between.
func (o *ownership) watched(now time.Time, limit time.Duration) (was, is error) {
	s := o.worker.Status()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stopped != nil || s.Blocked != nil { // somebody was told already, and why
		o.stuck = nil
		return nil, nil
	}
	was = o.stuck
	switch {
	case !s.Behind():
		o.seen, o.stuck = sight{}, nil
	case !o.seen.behind || s.Progressed != o.seen.progressed:
		o.seen, o.stuck = sight{behind: true, progressed: s.Progressed, since: now}, nil
	case now.Sub(o.seen.since) > limit && o.stuck == nil:
		doing := s.Doing
		if doing == "" {
			doing = "wait for records"
		}
		o.stuck = fmt.Errorf("no progress since %s, at offset %d of %d, in: %s; /debug/pprof/goroutine?debug=2 of the admin port shows where it stands",
			s.Progressed.UTC().Format(time.RFC3339), s.Position, s.HighWatermark, doing)
	}
	return was, o.stuck
}
