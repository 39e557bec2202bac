package journal

import (
	"slices"
	"time"

	"weir/pkg/flush"
	"weir/pkg/lake"
	"weir/pkg/shape"
)

// What a batch holds at most, but for one flush more than its files: it bounds the ledger's memory and the journal.
const (
	MaxFlushes = 1000
	MaxFiles   = 20_000
)

// shapes bounds what a batch says of events.
var shapes = shape.Limits{Events: 2000, Properties: 500, Total: 30_000}

// Row is one published file.
type Row struct {
	Partition   lake.Partition // its table, source and day
	Key         string         // relative to the lake
	Rows, Bytes int64
	Columns     []lake.ColumnBytes // nil = not known, or it has none
	Owner       lake.Owner
	Seq         uint64
	First, Last int64 // offsets of its rows
	MinTime     time.Time
	MaxTime     time.Time
	FlushedAt   time.Time
	VisibleAt   time.Time // zero = nobody saw it
}

// Batch is flushes with the rows that they make.
type Batch struct {
	Flushes []Flush
	Rows    map[lake.Day][]Row
	Shapes  shape.Summary // of the flushes' events

	positions map[lake.Owner]flush.Link
	files     int
}

// Full: no flush more.
func (b *Batch) Full() bool { return len(b.Flushes) >= MaxFlushes || b.files >= MaxFiles }

// Moved tells whether there is something to be remembered: flushes, or holes that were passed over.
func (b *Batch) Moved() bool { return len(b.positions) > 0 }

// Add appends a flush. The flushes of a partition come in their order.
func (b *Batch) Add(m *flush.Manifest, f Flush) {
	b.Flushes = append(b.Flushes, f)
	b.pass(m.Owner(), flush.Link{Seq: m.Seq, Manifest: m.Key})
	for i := range m.Files {
		file := &m.Files[i]
		if slices.Contains(f.Dropped, file.Key) {
			continue
		}
		if b.Rows == nil {
			b.Rows = make(map[lake.Day][]Row)
		}
		b.Rows[file.Partition.Day] = append(b.Rows[file.Partition.Day], Row{
			Partition: file.Partition, Key: file.Key, Rows: file.Rows, Bytes: file.Bytes, Columns: file.Columns,
			Owner: m.Owner(), Seq: m.Seq, First: file.Offsets.Min(), Last: file.Offsets.Max(),
			MinTime: file.MinTime, MaxTime: file.MaxTime, FlushedAt: m.CreatedAt, VisibleAt: f.VisibleAt,
		})
		b.files++
	}
}

// Learn counts in what the events of a flush have; nil is nothing.
func (b *Batch) Learn(seen *shape.Summary) { b.Shapes.Merge(seen, shapes) }

// pass notes how far a partition has come.
func (b *Batch) pass(owner lake.Owner, l flush.Link) {
	if b.positions == nil {
		b.positions = make(map[lake.Owner]flush.Link)
	}
	b.positions[owner] = l
}

// Skip passes over flushes that nobody can read any more.
func (b *Batch) Skip(owner lake.Owner, to flush.Link) { b.pass(owner, to) }
