package worker

import (
	"sync"
	"time"

	"weir/services/sink/internal/cut"
)

// Status is where an ownership stands, for metrics and for the group.
type Status struct {
	Partition     int32
	Consuming     bool      // it is past its start
	Low           int64     // committed
	Position      int64     // next offset to read
	HighWatermark int64     // -1 = not heard yet
	FirstOpen     time.Time // Kafka's timestamp of the first record that no flush has taken; zero when there is none
	Opened        time.Time // when the oldest open file was opened; zero when none is
	Files         int       // open
	Queued        int64     // bytes of fetched records that wait
	Encoding      int64     // bytes in open files
	Blocked       error     // what somebody has to change before it goes on; nil while it does
	Doing         string    // what it has begun and not ended; "" while it waits for records
	Progressed    time.Time // when it last ended something, or read a record
}

// Behind tells whether the partition has something to do.
func (s Status) Behind() bool { return s.Doing != "" || s.HighWatermark > s.Position }

// status is the part of it that Run's goroutine publishes.
type status struct {
	skipped int64

	mu         sync.Mutex
	now        Status
	blocked    error
	doing      string
	progressed time.Time
}

// does notes that something begins, "" that it has ended; either is progress.
func (w *Worker) does(what string) {
	w.status.mu.Lock()
	defer w.status.mu.Unlock()
	w.status.doing, w.status.progressed = what, time.Now()
}

// Status may be asked from any goroutine.
func (w *Worker) Status() Status {
	w.status.mu.Lock()
	s := w.status.now
	s.Blocked, s.Doing, s.Progressed = w.status.blocked, w.status.doing, w.status.progressed
	w.status.mu.Unlock()
	s.Partition = w.c.Owner.Partition
	s.Queued, s.HighWatermark = w.feed.held()
	return s
}

// report publishes where the worker stands, and what it holds to the memory budget.
func (w *Worker) report() {
	var held, largest int64
	first := w.dead.produced
	for _, f := range w.open {
		h := f.held()
		held += h
		largest = max(largest, h)
		if first.IsZero() || f.produced.Before(first) {
			first = f.produced
		}
	}
	s := Status{
		Consuming: true,
		Low:       w.machine.Low(),
		Position:  w.position,
		FirstOpen: first,
		Files:     len(w.open),
		Encoding:  held + w.dead.bytes,
	}
	if len(w.open) > 0 {
		s.Opened = w.open[0].opened
	}
	w.status.mu.Lock()
	w.status.now = s
	w.status.mu.Unlock()
	if w.status.skipped > 0 {
		w.c.Observe(Skipped{Partition: w.c.Owner.Partition, Records: w.status.skipped})
		w.status.skipped = 0
	}
	queued, _ := w.feed.held()
	w.c.Memory(cut.Holder{Held: queued + s.Encoding, Files: s.Encoding, Largest: max(largest, w.dead.bytes)})
}
