package worker

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// recordOverhead is what a fetched record holds beside its key and value.
const recordOverhead = 200

// feed is the queue from the poll loop to the worker. Put never blocks, because the
// poll loop serves every partition; it says instead when the queue is full, and the
// poll loop stops fetching the partition until resume is called.
type feed struct {
	limit  int64  // bytes; the queue holds at most one fetch more
	resume func() // asks for more; called from the worker

	mu     sync.Mutex
	queue  []*kgo.Record
	bytes  int64
	high   int64 // high watermark as last heard
	paused bool  // the queue was full and resume is owed
	ready  chan struct{}
}

func newFeed(limit int64, resume func()) *feed {
	return &feed{limit: limit, resume: resume, high: -1, ready: make(chan struct{}, 1)}
}

// put queues what was fetched and tells whether fetching must pause.
func (f *feed) put(records []*kgo.Record, high int64) (pause bool) {
	var bytes int64
	for _, r := range records {
		bytes += recordBytes(r)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.high = max(f.high, high)
	f.queue = append(f.queue, records...)
	f.bytes += bytes
	if f.bytes >= f.limit {
		f.paused = true
	}
	select {
	case f.ready <- struct{}{}:
	default:
	}
	return f.paused
}

// hear notes a high watermark that was asked for.
func (f *feed) hear(high int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.high = max(f.high, high)
}

// take empties the queue. With dst, its slice is used again.
func (f *feed) take(dst []*kgo.Record) []*kgo.Record {
	f.mu.Lock()
	clear(dst)
	taken := f.queue
	f.queue, f.bytes = dst[:0], 0
	resume := f.paused
	f.paused = false
	f.mu.Unlock()
	if resume {
		f.resume()
	}
	return taken
}

// full tells whether a resume is owed.
func (f *feed) full() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.paused
}

// held is what the queue holds, and the high watermark as last heard, -1 before.
func (f *feed) held() (bytes, high int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bytes, f.high
}

func recordBytes(r *kgo.Record) int64 {
	return int64(len(r.Key)+len(r.Value)) + recordOverhead
}
