package worker

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/event"
	"weir/pkg/flush"
	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/services/sink/internal/cut"
)

// chunk is how many records are read between two looks at the clock and at the limits.
const chunk = 256

func (w *Worker) consumeBatch(ctx context.Context) flush.Effect {
	batch := w.feed.take(w.spare)
	w.spare = batch
	for records := range slices.Chunk(batch, chunk) {
		now := time.Now()
		for _, r := range records {
			if err := w.add(r, now); err != nil {
				return w.broken(ctx, err)
			}
		}
		w.notePassed(now)
		w.does("")
		if eff := w.cutDue(ctx); eff.Op.Terminal() {
			return eff
		}
		if ctx.Err() != nil {
			return flush.Effect{Op: flush.End, Err: ctx.Err()}
		}
		select {
		case need := <-w.relieve:
			if eff := w.cutLargest(ctx, need); eff.Op.Terminal() {
				return eff
			}
		default:
		}
	}
	return flush.Effect{}
}

// add gives one record its rows, or makes it a dead letter. Only below flushedTo, which is
// where the flushes of earlier ownerships end, may it be flushed in some tables already.
// The marker that ends a transaction is neither: it takes an offset, and low has to move
// over it, or retention would seem to have taken a record.
func (w *Worker) add(r *kgo.Record, now time.Time) error {
	if r.Offset < w.position {
		return nil
	}
	w.position = r.Offset + 1
	w.epoch = max(w.epoch, r.LeaderEpoch)
	if r.Attrs.IsControl() {
		return nil
	}
	again := r.Offset < w.flushedTo
	if again && w.machine.Settled(r.Offset) {
		w.status.skipped++
		return nil
	}
	kafka.FromKgo(&w.record, r, w.c.Owner.TopicID)
	if reason := w.view.Decode(&w.record); reason != "" {
		w.dead.add(&w.record, reason, now)
		return nil
	}
	slot := w.slots.of(w.view.SourceID, w.view.Day)
	for i, t := range w.c.Tables {
		if again && w.machine.Flushed(t.Name, r.Offset) {
			continue
		}
		f := slot.files[i]
		if f == nil {
			var err error
			if f, err = w.openFile(t, now); err != nil {
				return err
			}
			slot.files[i] = f
		}
		if err := f.append(&w.record, &w.view); err != nil {
			return err
		}
		if t.Shapes {
			w.learner.Note(&w.view, &f.shapes)
		}
	}
	w.slots.touch(slot)
	return nil
}

func (w *Worker) openFile(t *Table, now time.Time) (*file, error) {
	p := lake.Partition{Table: t.Name, SourceID: string(w.view.SourceID), Day: w.view.Day}
	f, err := openFile(t, p, w.newUpload(t, p), now)
	if err != nil {
		return nil, err
	}
	f.produced = w.record.Timestamp
	w.open = append(w.open, f)
	return f, nil
}

func (w *Worker) newUpload(t *Table, p lake.Partition) *upload {
	return &upload{
		ctx: w.uploads, store: w.c.Store, slots: w.c.Uploaders, contentType: t.ContentType,
		name: func() string {
			key := lake.ObjectKey(t.Table, p, w.flushID, w.objects)
			w.objects++
			return key
		},
	}
}

// cutDue makes a cut if a file that was just written, the oldest file, their number or
// the dead letters ask for it; the others have not changed since they were last asked.
func (w *Worker) cutDue(ctx context.Context) flush.Effect {
	now := time.Now()
	files := w.cutFiles(w.slots.touchedFiles())
	files = append(files, w.oldest()...)
	t, due := cut.Due(now, files, w.dead.cut(), w.c.Limits)
	if !due && len(w.open) >= w.c.Limits.OpenFiles {
		t, due = cut.Files, true
	}
	if !due {
		return flush.Effect{}
	}
	return w.cutSome(ctx, t, cut.Take(now, w.cutFiles(w.open), w.position, w.c.Limits))
}

func (w *Worker) cutFiles(files []*file) []cut.File {
	out := make([]cut.File, len(files), len(files)+1)
	for i, f := range files {
		out[i] = f.cutFile()
	}
	return out
}

// oldest is the oldest open file; where only offsets wait for low to move over them, they
// wait like a file.
func (w *Worker) oldest() []cut.File {
	switch {
	case len(w.open) > 0:
		return []cut.File{{Opened: w.open[0].opened}}
	case w.passedOnly():
		return []cut.File{{Opened: w.passed}}
	}
	return nil
}

// passedOnly tells whether low stands behind offsets that need no row and no dead letter:
// transaction markers, aborted records. A flush of nothing moves it over them.
func (w *Worker) passedOnly() bool {
	return len(w.open) == 0 && len(w.dead.list) == 0 && w.position > w.machine.Low()
}

func (w *Worker) notePassed(now time.Time) {
	switch {
	case !w.passedOnly():
		w.passed = time.Time{}
	case w.passed.IsZero():
		w.passed = now
	}
}

// deadLetters are the records that are no events and that no flush has taken yet.
type deadLetters struct {
	list   []deadLetter
	bytes  int64
	opened time.Time

	produced time.Time // Kafka's timestamp of the first
}

type deadLetter struct {
	offset int64
	reason event.Reason
	record event.Record
}

func (d *deadLetters) add(r *event.Record, reason event.Reason, now time.Time) {
	if len(d.list) == 0 {
		d.opened, d.produced = now, r.Timestamp
	}
	d.list = append(d.list, deadLetter{offset: r.Offset, reason: reason, record: keep(event.DeadLetter(r, reason))})
	d.bytes += int64(len(r.Key)+len(r.Value)) + recordOverhead
}

// keep copies a record that borrows from a fetched batch, which would stay in memory
// as a whole.
func keep(r event.Record) event.Record {
	r.Key, r.Value = bytes.Clone(r.Key), bytes.Clone(r.Value)
	for i := range r.Headers {
		r.Headers[i].Value = bytes.Clone(r.Headers[i].Value)
	}
	return r
}

func (d *deadLetters) cut() cut.DeadLetters {
	return cut.DeadLetters{Count: len(d.list), Bytes: d.bytes, Opened: d.opened}
}

// slots find the open files of a record's lake partition, one per table.
type slots struct {
	tables  int
	byKey   map[slotKey]*slot
	last    *slot
	touched []*slot // since the last look
	files   []*file // scratch
}

type slotKey struct {
	source string
	day    lake.Day
}

type slot struct {
	key     slotKey
	files   []*file // per table; nil = none is open
	touched bool
}

func (s *slots) of(source []byte, day lake.Day) *slot {
	if s.last != nil && s.last.key.day == day && s.last.key.source == string(source) {
		return s.last
	}
	found := s.byKey[slotKey{string(source), day}]
	if found == nil {
		if s.byKey == nil {
			s.byKey = make(map[slotKey]*slot)
		}
		found = &slot{key: slotKey{string(source), day}, files: make([]*file, s.tables)}
		s.byKey[found.key] = found
	}
	s.last = found
	return found
}

func (s *slots) touch(t *slot) {
	if !t.touched {
		t.touched = true
		s.touched = append(s.touched, t)
	}
}

func (s *slots) touchedFiles() []*file {
	s.files = s.files[:0]
	for _, t := range s.touched {
		t.touched = false
		for _, f := range t.files {
			if f != nil {
				s.files = append(s.files, f)
			}
		}
	}
	s.touched = s.touched[:0]
	return s.files
}

// drop forgets files that a cut has taken.
func (s *slots) drop(taken map[*file]bool) {
	for key, t := range s.byKey {
		left := false
		for i, f := range t.files {
			if taken[f] {
				t.files[i] = nil
			}
			left = left || t.files[i] != nil
		}
		if !left {
			delete(s.byKey, key)
		}
	}
	s.last = nil
}

func (s *slots) clear() { *s = slots{tables: s.tables} }

var errNoTable = fmt.Errorf("%w: the table is not written any more", errEncode)
