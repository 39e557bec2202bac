package formats

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"weir/loadtest/corpus"
	"weir/pkg/columnar"
	"weir/pkg/event"
	"weir/pkg/lake"
	"weir/pkg/promote"
	"weir/pkg/rawcopy"
)

// Shape of the lake: some sources of unequal traffic, some whole days.
const (
	sources = 3
	days    = 4
	seed    = 1
)

// firstDay has no events before its beginning; the last ends an hour before midnight, give or take one.
var firstDay = time.Date(2026, time.March, 2, 0, 0, 0, 0, time.UTC)

// Lake is the same events in each form.
type Lake struct {
	Dir     string // below it <form>/sourceid=…/dt=…/
	Events  int
	Bytes   map[Form]int64   // of each form's files
	Columns []lake.Column    // of the Parquet table
	Places  []lake.Partition // the lake partitions, one file of each form in each; Table says nothing
	Want    [][][]string     // the answers, in the order of Questions
	ByTime  Cut              // the same as Parquet, as the sink's clock would cut it, if that was asked for
}

// Cut is files that are counted and not kept.
type Cut struct {
	Files          int
	Bytes, Footers int64
}

// Lay makes the events and writes them into dir, in each form one file a lake partition, with the settings that the sink has
// by default but for the clock: what the sink would have cut each minute stands in one file here. With byTime those smaller
// files are made too, to be counted.
func Lay(dir string, events int, byTime bool) (*Lake, error) {
	w, err := newWriter(dir)
	if err != nil {
		return nil, err
	}
	w.byTime = byTime
	counted := newTruth()
	err = cmp.Or(w.write(events, counted), w.close(), w.weigh())
	if err != nil {
		return nil, fmt.Errorf("lay out %d events below %s: %w", events, dir, err)
	}
	w.lake.Events, w.lake.Want = events, counted.answers()
	return &w.lake, nil
}

// writer has all lake partitions open at once: there are few.
type writer struct {
	lake   Lake
	byTime bool
	layout *columnar.Layout
	view   event.View // of the event that is being written
	open   map[string]*place
}

// place is one lake partition under construction: one file of each form.
type place struct {
	files   []*os.File
	plain   *bufio.Writer
	gzip    *rawcopy.File
	parquet *columnar.File
	small   *columnar.File // of this minute; nil before the first, and without byTime
	body    *bytes.Buffer  // of small
	minute  time.Time      // of the newest event
}

// newWriter has the layout that the sink has: the maps, and beside them the columns that are promoted by default.
func newWriter(dir string) (*writer, error) {
	wanted := promote.DefaultList().Paths
	registry, _, err := promote.Registry{}.Extend(wanted)
	if err != nil {
		return nil, err
	}
	promoted := registry.Promoted(wanted)
	w := &writer{lake: Lake{Dir: dir, Bytes: map[Form]int64{}, Columns: lake.EventLogs().Schema}, open: map[string]*place{}}
	w.view.Promotion = event.NewPromotion(promoted)
	if w.layout, err = columnar.NewLayout(lake.EventLogs().Schema, columnar.Options{Promoted: promoted}); err != nil {
		return nil, err
	}
	for _, p := range promoted {
		if c, there := p.Column(lake.Main); there {
			w.lake.Columns = append(w.lake.Columns, c)
		}
	}
	return w, nil
}

func (w *writer) write(events int, counted *truth) error {
	r := event.Record{Topic: "weir.events"}
	for i, e := range corpus.Over(seed, events, firstDay, days*24*time.Hour-time.Hour) {
		received := e.At.Add(time.Second).UTC()
		r.Key, r.Timestamp, r.Offset = []byte(corpus.SourceOf(i, sources)), received, int64(i)
		r.Value = fmt.Appendf(r.Value[:0], `%s,"receivedAt":%q}`, e.JSON[:len(e.JSON)-1], received.Format("2006-01-02T15:04:05.000Z"))
		if reason := w.view.Decode(&r); reason != "" {
			return fmt.Errorf("event %d of the corpus is none: %s", i, reason)
		}
		p, err := w.place(lake.Partition{SourceID: string(r.Key), Day: lake.DayOf(received)})
		if err != nil {
			return err
		}
		if err := errors.Join(w.appendByTime(p, received, &r), p.append(&r, &w.view), counted.add(string(r.Key), received.Format(time.DateOnly), r.Value)); err != nil {
			return err
		}
	}
	return nil
}

// appendByTime adds the event to the file of its minute.
func (w *writer) appendByTime(p *place, received time.Time, r *event.Record) error {
	if !w.byTime {
		return nil
	}
	if minute := received.Truncate(time.Minute); !minute.Equal(p.minute) {
		if err := w.cut(p); err != nil {
			return err
		}
		p.minute, p.small = minute, w.layout.NewFile(p.body)
	}
	return p.small.Append(r, &w.view)
}

// cut ends the file of a minute, and counts it.
func (w *writer) cut(p *place) error {
	if p.small == nil {
		return nil
	}
	if err := p.small.Close(); err != nil {
		return err
	}
	size := int64(p.body.Len())
	footer, err := footerOf(bytes.NewReader(p.body.Bytes()), size)
	w.lake.ByTime.Files++
	w.lake.ByTime.Bytes += size
	w.lake.ByTime.Footers += footer
	p.body.Reset()
	return err
}

func (w *writer) place(at lake.Partition) (*place, error) {
	dir := at.Dir(lake.Table{})
	if p := w.open[dir]; p != nil {
		return p, nil
	}
	p := &place{body: new(bytes.Buffer)}
	for _, f := range forms {
		folder := filepath.Join(w.lake.Dir, f.dir, dir)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
		file, err := os.Create(filepath.Join(folder, "0"+f.ext))
		if err != nil {
			return nil, err
		}
		p.files = append(p.files, file)
	}
	var err error
	p.plain = bufio.NewWriterSize(p.files[JSON], 1<<16)
	if p.gzip, err = rawcopy.NewFile("gzip", p.files[Gzip]); err != nil {
		return nil, err
	}
	p.parquet = w.layout.NewFile(p.files[Parquet])
	w.open[dir] = p
	w.lake.Places = append(w.lake.Places, at)
	return p, nil
}

func (w *writer) close() (err error) {
	for _, p := range w.open {
		err = errors.Join(err, w.cut(p), p.close())
	}
	return err
}

// weigh adds up the files of each form.
func (w *writer) weigh() error {
	for _, at := range w.lake.Places {
		for i, f := range forms {
			info, err := os.Stat(filepath.Join(w.lake.Dir, f.dir, at.Dir(lake.Table{}), "0"+f.ext))
			if err != nil {
				return err
			}
			w.lake.Bytes[Form(i)] += info.Size()
		}
	}
	return nil
}

// footerOf reads how long a Parquet file's footer is: the file ends with that and a mark.
func footerOf(file io.ReaderAt, size int64) (int64, error) {
	var tail [8]byte
	if _, err := file.ReadAt(tail[:], size-int64(len(tail))); err != nil {
		return 0, fmt.Errorf("read the end of a Parquet file: %w", err)
	}
	return int64(binary.LittleEndian.Uint32(tail[:4])) + int64(len(tail)), nil
}

func (p *place) append(r *event.Record, v *event.View) error {
	_, err := p.plain.Write(append(r.Value, '\n'))
	return errors.Join(err, p.gzip.Append(r, v), p.parquet.Append(r, v))
}

func (p *place) close() error {
	err := errors.Join(p.plain.Flush(), p.gzip.Close(), p.parquet.Close())
	for _, f := range p.files {
		err = errors.Join(err, f.Close())
	}
	return err
}
