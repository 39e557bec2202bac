package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"weir/pkg/event"
	"weir/pkg/flush"
	"weir/pkg/s3"
)

var errRows = errors.New("reading the records again gives other rows")

// repair writes the rows of a lost upload again, under the same key, from the records
// whose offsets the manifest holds. It goes through an upload like any file, so that
// its memory is bounded and what somebody else has put meanwhile stands.
func (w *Worker) repair(ctx context.Context, e flush.Effect) flush.Input {
	f := &e.Manifest.Files[e.File]
	in := w.rewrite(ctx, f)
	w.c.Observe(Repaired{Partition: w.c.Owner.Partition, Key: f.Key, Kind: in.Kind, Err: in.Err})
	return in
}

func (w *Worker) rewrite(ctx context.Context, f *flush.File) flush.Input {
	table := w.tableOf(f)
	if table == nil {
		return flush.Input{Kind: flush.RowsGone, Err: fmt.Errorf("rewrite %s: %w", f.Key, errNoTable)}
	}
	for n := 0; ; n++ {
		in, again := w.rewriteOnce(ctx, table, f)
		if !again {
			return in
		}
		w.c.Observe(Retried{Dependency: DependencyS3, What: "write " + f.Key + " again", Attempt: n + 1, Err: s3.ErrNoSuchUpload})
		if err := pause(ctx, n); err != nil {
			return over(err)
		}
	}
}

// rewriteOnce tells to try again where the new upload got lost too and left nothing.
func (w *Worker) rewriteOnce(ctx context.Context, table *Table, f *flush.File) (in flush.Input, again bool) {
	copied, err := w.reread(ctx, table, f)
	switch {
	case ctx.Err() != nil:
		return over(context.Cause(ctx)), false // an append that was cut short says nothing of the rows
	case errors.Is(err, ErrGone):
		return flush.Input{Kind: flush.RowsGone, Err: err}, false
	case errors.Is(err, errEncode):
		return flush.Input{Kind: flush.RowsDiffer, Err: err}, false
	case err != nil:
		return over(err), false
	}
	sealed, _, err := copied.seal()
	if err != nil {
		return over(err), false
	}
	err = w.publishing(ctx, w.machine.State(), &reading{at: w.confirmed}, func(ctx context.Context) error {
		if body := copied.upload.small(); body != nil {
			return w.c.Store.PutFileIfAbsent(ctx, f.Key, table.ContentType, body)
		}
		return w.completeWhole(ctx, &sealed)
	})
	switch {
	case err == nil:
		return flush.Input{Kind: flush.Visible, Bytes: sealed.Bytes}, false
	case !is(err, s3.ErrExists, s3.ErrNoSuchUpload, s3.ErrNotFound, s3.ErrConflict):
		return over(err), false
	}
	o, err := w.c.Store.Head(ctx, f.Key)
	switch {
	case err == nil:
		return flush.Input{Kind: flush.Visible, Bytes: o.Bytes}, false
	case errors.Is(err, s3.ErrNotFound):
		return flush.Input{}, true
	}
	return over(err), false
}

// reread fills a new file with the rows of f.
func (w *Worker) reread(ctx context.Context, table *Table, f *flush.File) (*file, error) {
	var into *file
	view := event.View{Promotion: table.Promotion}
	begin := func() (err error) {
		if into != nil {
			into.encoder.Abandon()
			_ = into.upload.abort(ctx) // named by no manifest: only its key is
		}
		u := &upload{ctx: ctx, store: w.c.Store, slots: w.c.Uploaders, contentType: table.ContentType, key: f.Key}
		into, err = openFile(table, f.Partition, u, time.Now())
		return err
	}
	err := w.c.Kafka.Reread(ctx, f.Offsets, begin, func(r *event.Record) error {
		if reason := view.Decode(r); reason != "" {
			return fmt.Errorf("%w: offset %d: %w: it is no event (%s)", errEncode, r.Offset, errRows, reason)
		}
		if err := into.append(r, &view); err != nil {
			return fmt.Errorf("%w: %w", errEncode, err)
		}
		return nil
	})
	if err == nil && into.encoder.Rows() != f.Rows {
		err = fmt.Errorf("%w: %s: %w: %d instead of %d", errEncode, f.Key, errRows, into.encoder.Rows(), f.Rows)
	}
	if err != nil && into != nil {
		into.encoder.Abandon()
	}
	return into, err
}

// tableOf finds how the file was written: its table's name and the extension of its
// key, which tells an older codec. What is readable comes first: it has the columns that
// were promoted by other settings too.
func (w *Worker) tableOf(f *flush.File) *Table {
	for _, t := range slices.Concat(w.c.Readable, w.c.Tables) {
		if t.Name == f.Table && strings.HasSuffix(f.Key, t.Ext) {
			return t
		}
	}
	return nil
}
