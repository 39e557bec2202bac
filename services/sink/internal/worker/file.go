package worker

import (
	"context"
	"fmt"
	"io"
	"time"

	"weir/pkg/event"
	"weir/pkg/flush"
	"weir/pkg/lake"
	"weir/pkg/shape"
	"weir/services/sink/internal/cut"
)

// guess is what share of its records' bytes a file is assumed to have before its first
// bytes are written.
const guess = 0.2

// Encoder turns records into a file's bytes. It copies what it keeps.
type Encoder interface {
	Append(r *event.Record, v *event.View) error
	Buffered() int64 // bytes of memory
	Rows() int64
	Close() error // writes what is left; the writer beneath stays open
	Abandon()     // of a file that nobody closes; after Close it does nothing
}

// Table is a table of the lake and how its files are written.
type Table struct {
	lake.Table
	ContentType string
	Promotion   *event.Promotion // what its files need of an event beside the table's own columns; nil = nothing
	New         func(out io.Writer) (Encoder, error)
	// Register makes sure that the catalog can learn of every column that a closed file has, and gives the version of what
	// it learns them from. nil = all files have the same columns.
	Register func(ctx context.Context, e Encoder) (version int64, err error)
	// Shapes: what the events of its files have is noted in manifests. Of one table: they are the same in all.
	Shapes bool
	// Sizes tells how many bytes the columns of a closed file take. nil = its files have no columns.
	Sizes func(e Encoder) []lake.ColumnBytes
}

// file is the open file of one lake partition.
type file struct {
	table     *Table
	partition lake.Partition
	encoder   Encoder
	upload    *upload
	opened    time.Time
	produced  time.Time // Kafka's timestamp of its first record
	offsets   runs
	low, high int64 // receivedAt of its rows, lowest and highest, in microseconds

	shapes  shape.Tally // of its rows, where its table notes them
	columns int64       // version that its table's Register gave; 0 before it is sealed

	raw     int64 // bytes of its records
	rawThen int64 // of these, when written last changed
	written int64
}

func openFile(t *Table, p lake.Partition, u *upload, now time.Time) (*file, error) {
	e, err := t.New(u)
	if err != nil {
		return nil, fmt.Errorf("open a file of %s: %w", p.Dir(t.Table), err)
	}
	return &file{table: t, partition: p, encoder: e, upload: u, opened: now}, nil
}

func (f *file) append(r *event.Record, v *event.View) error {
	if err := f.encoder.Append(r, v); err != nil {
		return fmt.Errorf("append offset %d to %s: %w", r.Offset, f.partition.Dir(f.table.Table), err)
	}
	at := v.ReceivedAt.Micros
	if f.offsets.empty() {
		f.low, f.high = at, at
	}
	f.low, f.high = min(f.low, at), max(f.high, at)
	f.offsets.add(r.Offset)
	f.raw += int64(len(r.Value))
	if f.written != f.upload.size {
		f.written, f.rawThen = f.upload.size, f.raw
	}
	return nil
}

// size estimates the finished object: what is written, and the rest at the rate of
// what is written.
func (f *file) size() int64 {
	rate := guess
	if f.rawThen > 0 {
		rate = float64(f.written) / float64(f.rawThen)
	}
	return f.written + int64(float64(f.raw-f.rawThen)*rate)
}

func (f *file) held() int64 { return f.encoder.Buffered() + f.upload.held() + f.shapes.Held() }

func (f *file) cutFile() cut.File {
	return cut.File{Size: f.size(), Held: f.held(), First: f.offsets.min(), Opened: f.opened}
}

// seal writes the rest of the file and describes it for the manifest. It also tells
// how long encoding took.
func (f *file) seal() (flush.File, time.Duration, error) {
	began := time.Now()
	if err := f.encoder.Close(); err != nil {
		return flush.File{}, 0, fmt.Errorf("close a file of %s: %w", f.partition.Dir(f.table.Table), err)
	}
	encoding := time.Since(began)
	if f.table.Register != nil {
		var err error
		if f.columns, err = f.table.Register(f.upload.ctx, f.encoder); err != nil {
			return flush.File{}, encoding, fmt.Errorf("register the columns of a file of %s: %w", f.partition.Dir(f.table.Table), err)
		}
	}
	if err := f.upload.seal(); err != nil {
		return flush.File{}, encoding, err
	}
	var columns []lake.ColumnBytes
	if f.table.Sizes != nil {
		columns = f.table.Sizes(f.encoder)
	}
	return flush.File{
		Table:     f.table.Name,
		Partition: f.partition,
		Key:       f.upload.key,
		UploadID:  f.upload.id,
		Parts:     f.upload.parts,
		Rows:      f.encoder.Rows(),
		Bytes:     f.upload.size,
		Offsets:   f.offsets.set(),
		MinTime:   time.UnixMicro(f.low).UTC(),
		MaxTime:   time.UnixMicro(f.high).UTC(),
		Columns:   columns,
	}, encoding, nil
}

// runs collects offsets that arrive in rising order: neighbours are kept as one run,
// so that a file that holds every record of its partition costs next to nothing.
type runs struct {
	closed   *flush.Offsets
	from, to int64 // the run under way, half open
}

func (r *runs) empty() bool { return r.from == r.to && r.closed == nil }

func (r *runs) add(offset int64) {
	if offset == r.to && r.to > r.from {
		r.to++
		return
	}
	r.close()
	r.from, r.to = offset, offset+1
}

func (r *runs) close() {
	if r.from == r.to {
		return
	}
	if r.closed == nil {
		r.closed = new(flush.Offsets)
	}
	if r.to == r.from+1 {
		r.closed.Add(r.from) // appends, where AddRange copies
	} else {
		r.closed.AddRange(r.from, r.to)
	}
	r.from, r.to = 0, 0
}

// min is the lowest offset. The set is not empty.
func (r *runs) min() int64 {
	if r.closed != nil {
		return r.closed.Min()
	}
	return r.from
}

func (r *runs) set() *flush.Offsets {
	r.close()
	return r.closed
}
