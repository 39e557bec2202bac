// Package sums is what the catalog's ledger adds up of the files of one day: for each table and source how many files,
// rows and bytes there are, and bytes by column. Its invariant: a batch of the ledger is added once, whoever tries again,
// because a day remembers the number of the last. It knows the form in which a day is stored and no store; pkg/ledger
// reads days, the catalog writes them. Owned by the catalog service.
package sums

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"

	"weir/pkg/lake"
)

// Sum is the files of one lake partition.
type Sum struct {
	Partition  lake.Partition
	Files      int64
	Rows       int64
	Bytes      int64
	Columns    map[string]int64 // compressed bytes, by column
	Unsized    int64            // bytes of those files of which nobody told the columns; nothing of them is in Columns
	MinTime    time.Time        // receivedat, lowest and highest
	MaxTime    time.Time
	FirstFlush time.Time // when the first and the last of them were flushed
	LastFlush  time.Time
}

// Add counts another sum in, of whatever lake partition.
func (s *Sum) Add(o Sum) {
	s.Files, s.Rows, s.Bytes, s.Unsized = s.Files+o.Files, s.Rows+o.Rows, s.Bytes+o.Bytes, s.Unsized+o.Unsized
	if s.Columns == nil && len(o.Columns) > 0 {
		s.Columns = make(map[string]int64, len(o.Columns))
	}
	for name, bytes := range o.Columns {
		s.Columns[name] += bytes
	}
	s.MinTime, s.FirstFlush = earlier(s.MinTime, o.MinTime), earlier(s.FirstFlush, o.FirstFlush)
	s.MaxTime, s.LastFlush = later(s.MaxTime, o.MaxTime), later(s.LastFlush, o.LastFlush)
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Day is the sums of one day. The zero value has none.
type Day struct {
	Applied int64 // number of the last batch that is in it
	Sums    map[lake.Partition]*Sum
}

// Apply adds the batch of that number, if it is not in it yet. Batches come in their order.
func (d *Day) Apply(number int64, batch []Sum) {
	if number <= d.Applied {
		return
	}
	d.Applied = number
	if d.Sums == nil {
		d.Sums = make(map[lake.Partition]*Sum)
	}
	for _, s := range batch {
		sum := d.Sums[s.Partition]
		if sum == nil {
			sum = &Sum{Partition: s.Partition}
			d.Sums[s.Partition] = sum
		}
		sum.Add(s)
	}
}

// List is the sums by table and source.
func (d *Day) List() []Sum {
	list := make([]Sum, 0, len(d.Sums))
	for _, s := range d.Sums {
		list = append(list, *s)
	}
	slices.SortFunc(list, func(a, b Sum) int {
		return cmp.Or(cmp.Compare(a.Partition.Table, b.Partition.Table), cmp.Compare(a.Partition.SourceID, b.Partition.SourceID))
	})
	return list
}

// format of a day that this code writes. It reads this one only.
const format = 1

type dayForm struct {
	Format  int       `json:"format"`
	Applied int64     `json:"applied,string"`
	Columns []string  `json:"columns"` // that Bytes of the sums count, in its order
	Sums    []sumForm `json:"sums"`
}

type sumForm struct {
	Table    string  `json:"table"`
	SourceID string  `json:"sourceid"`
	Files    int64   `json:"files"`
	Rows     int64   `json:"rows"`
	Bytes    int64   `json:"bytes"`
	Unsized  int64   `json:"unsized,omitempty"`
	Columns  []int64 `json:"columns,omitempty"`
	Times    []int64 `json:"times"` // µs: lowest and highest receivedat, first and last flush; 0 = none
}

// most bounds what a day may unpack to: some hundred thousand sources.
const most = 1 << 30

var errLarge = errors.New("it is too large")

// Encode writes the day. The same day is the same bytes.
func (d *Day) Encode() ([]byte, error) {
	form := dayForm{Format: format, Applied: d.Applied}
	names := make(map[string]bool)
	for _, s := range d.Sums {
		for name := range s.Columns {
			names[name] = true
		}
	}
	form.Columns = slices.Sorted(maps.Keys(names))
	for _, s := range d.List() {
		one := sumForm{Table: s.Partition.Table, SourceID: s.Partition.SourceID, Files: s.Files, Rows: s.Rows, Bytes: s.Bytes, Unsized: s.Unsized}
		for _, at := range []time.Time{s.MinTime, s.MaxTime, s.FirstFlush, s.LastFlush} {
			one.Times = append(one.Times, micros(at))
		}
		if len(s.Columns) > 0 {
			one.Columns = make([]int64, len(form.Columns))
			for i, name := range form.Columns {
				one.Columns[i] = s.Columns[name]
			}
		}
		form.Sums = append(form.Sums, one)
	}
	text, err := json.Marshal(form)
	if err != nil {
		return nil, fmt.Errorf("encode the sums of a day: %w", err)
	}
	packer, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return nil, fmt.Errorf("encode the sums of a day: %w", err)
	}
	return packer.EncodeAll(text, nil), nil
}

// Decode reads what Encode wrote of that day.
func Decode(day lake.Day, body []byte) (*Day, error) {
	form, err := unpack(body)
	if err != nil {
		return nil, fmt.Errorf("decode the sums of %s: %w", day, err)
	}
	d := &Day{Applied: form.Applied, Sums: make(map[lake.Partition]*Sum, len(form.Sums))}
	for _, one := range form.Sums {
		if len(one.Times) != 4 || len(one.Columns) > len(form.Columns) {
			return nil, fmt.Errorf("decode the sums of %s: table %s, source %s: %d times, %d of %d columns", day, one.Table, one.SourceID, len(one.Times), len(one.Columns), len(form.Columns))
		}
		s := &Sum{
			Partition: lake.Partition{Table: one.Table, SourceID: one.SourceID, Day: day},
			Files:     one.Files, Rows: one.Rows, Bytes: one.Bytes, Unsized: one.Unsized,
			MinTime: moment(one.Times[0]), MaxTime: moment(one.Times[1]), FirstFlush: moment(one.Times[2]), LastFlush: moment(one.Times[3]),
		}
		for i, bytes := range one.Columns {
			if s.Columns == nil {
				s.Columns = make(map[string]int64, len(one.Columns))
			}
			if bytes > 0 {
				s.Columns[form.Columns[i]] = bytes
			}
		}
		d.Sums[s.Partition] = s
	}
	return d, nil
}

func unpack(body []byte) (form dayForm, err error) {
	unpacker, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(most))
	if err != nil {
		return form, err
	}
	defer unpacker.Close()
	text, err := unpacker.DecodeAll(body, nil)
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		err = errLarge
	}
	if err != nil {
		return form, err
	}
	if err := json.Unmarshal(text, &form); err != nil {
		return form, err
	}
	if form.Format != format {
		return form, fmt.Errorf("format %d, this version of weir reads %d: run the version that wrote it, or a newer one", form.Format, format)
	}
	return form, nil
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func moment(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}
