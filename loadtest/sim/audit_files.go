package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/parquet-go/parquet-go"

	"weir/loadtest/sim/bucket"
	"weir/pkg/glue"
	"weir/pkg/lake"
	files "weir/pkg/ledger"
	"weir/pkg/s3"
)

// fileRow is a row of the table of files, as far as it is compared.
type fileRow struct {
	Table    string `parquet:"table_name"`
	SourceID string `parquet:"sourceid"`
	Key      string `parquet:"key"`
	Rows     int64  `parquet:"rows"`
	Bytes    int64  `parquet:"bytes"`
	day      string
}

// fileRows reads the table of files, from all objects that engines see.
func (w *World) fileRows() (rows []fileRow, err error) {
	for o := range w.objectsIn(lake.FilesName + "/") {
		read, err := parquet.Read[fileRow](bytes.NewReader(o.Body), int64(len(o.Body)))
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", o.Key, err)
		}
		_, day, _ := strings.Cut(o.Key, "/dt=")
		for _, r := range read {
			r.day, _, _ = strings.Cut(day, "/")
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// objectsIn are the objects under a prefix, relative to the lake; their keys are too.
func (w *World) objectsIn(prefix string) iter.Seq[bucket.Object] {
	return func(yield func(bucket.Object) bool) {
		for _, o := range w.bucket.Objects() {
			if o.Key, _ = w.location().Rel(o.Key); strings.HasPrefix(o.Key, prefix) && !yield(o) {
				return
			}
		}
	}
}

// visible are the objects of the tables of events.
func (w *World) visible() map[string]bool {
	all := map[string]bool{}
	for _, t := range []lake.Table{lake.EventLogs(), lake.EventLogsRaw(w.shape.RawCodec)} {
		for o := range w.objectsIn(t.Dir + "/") {
			all[o.Key] = true
		}
	}
	return all
}

// unlisted counts the objects that the table of files, or the sums, do not have yet.
func (w *World) unlisted() (int, error) {
	rows, err := w.fileRows()
	if err != nil {
		return 0, err
	}
	left := w.visible()
	for _, r := range rows {
		delete(left, r.Key)
	}
	sums, err := w.sums()
	files := len(rows)
	for _, s := range sums {
		files -= int(s.Files)
	}
	return max(len(left), files), err
}

func (w *World) sums() ([]files.Sum, error) {
	return files.Open(listed{w}, database).Sums(context.Background(), "", files.Filter{})
}

// listed is the bucket as the reader of the ledger wants it.
type listed struct{ w *World }

func (l listed) Get(_ context.Context, key string) ([]byte, string, error) {
	o, ok := l.w.bucket.Object(l.w.location().Key(key))
	if !ok {
		return nil, "", s3.ErrNotFound
	}
	return o.Body, o.ETag, nil
}

func (l listed) List(_ context.Context, prefix, after string) iter.Seq2[s3.Object, error] {
	return func(yield func(s3.Object, error) bool) {
		for o := range l.w.objectsIn(prefix) {
			if o.Key > after && !yield(s3.Object{Key: o.Key, Bytes: int64(len(o.Body))}, nil) {
				return
			}
		}
	}
}

// files is check H: the table of files has a row for each object of the lake that engines see, of all eras, and only one;
// the sums say the same; and Glue leads to all of it.
func (a *auditor) files() error {
	rows, err := a.w.fileRows()
	if err != nil {
		return err
	}
	visible, held, seen, sums := a.w.visible(), map[string]int64{}, map[string]int{}, map[lake.Partition][3]int64{}
	for _, list := range a.rows {
		for _, r := range list {
			held[r.object]++
		}
	}
	for _, r := range rows {
		_, there := visible[r.Key]
		n, counted := held[r.Key]
		if seen[r.Key]++; seen[r.Key] == 2 {
			a.w.violation("%s stands in weir_files more than once", r.Key)
		}
		if !there || counted && n != r.Rows || !strings.Contains(r.Key, "/sourceid="+lake.EscapePathName(r.SourceID)+"/dt="+r.day+"/") {
			a.w.violation("weir_files says %+v, the object is there %v and has %d rows", r, there, n)
		}
		day, _ := lake.ParseDay(r.day)
		p := lake.Partition{Table: r.Table, SourceID: r.SourceID, Day: day}
		s := sums[p]
		sums[p] = [3]int64{s[0] + 1, s[1] + r.Rows, s[2] + r.Bytes}
	}
	for key := range visible {
		if seen[key] == 0 {
			a.w.violation("%s does not stand in weir_files", key)
		}
	}
	list, err := a.w.sums()
	for _, s := range list {
		if sums[s.Partition] != [3]int64{s.Files, s.Rows, s.Bytes} {
			a.w.violation("the sums say %+v, weir_files %v", s, sums[s.Partition])
		}
		delete(sums, s.Partition)
	}
	if len(sums) > 0 {
		a.w.violation("the sums lack %v", sums)
	}
	return errors.Join(err, a.filesInGlue(rows))
}

func (a *auditor) filesInGlue(rows []fileRow) error {
	c, err := glue.Open(context.Background(), a.w.glueConfig(a.w.newLink("auditor", "auditor", 2)), nil)
	if err != nil {
		return err
	}
	missing := map[string]bool{}
	for _, r := range rows {
		missing[r.day] = true
	}
	for p, err := range c.Partitions(context.Background(), database, lake.FilesName, glue.Filter{ExcludeColumns: true}) {
		if err != nil {
			return err
		}
		day, err := lake.ParseDay(p.Values[0])
		if err != nil || strings.TrimSuffix(p.Location, "/") != a.w.location().URL(lake.FilesDir(database, day, 0)) {
			a.w.violation("Glue leads %v of weir_files to %s", p.Values, p.Location)
		}
		delete(missing, p.Values[0])
	}
	if len(missing) > 0 {
		a.w.violation("Glue does not know the days %v of weir_files", missing)
	}
	return nil
}
