package ledger

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"weir/services/catalog/internal/ledger/journal"
)

// row is a row as it stands in an object: the columns of lake.Files.
type row struct {
	Table       string           `parquet:"table_name,dict"`
	SourceID    string           `parquet:"sourceid,dict"`
	Key         string           `parquet:"key"`
	Rows        int64            `parquet:"rows"`
	Bytes       int64            `parquet:"bytes"`
	ColumnBytes map[string]int64 `parquet:"column_bytes,optional"`
	Topic       string           `parquet:"topic,dict"`
	TopicID     string           `parquet:"topicid,dict"`
	Partition   int32            `parquet:"partition"`
	Seq         int64            `parquet:"seq"`
	FirstOffset int64            `parquet:"first_offset"`
	LastOffset  int64            `parquet:"last_offset"`
	MinTime     *int64           `parquet:"min_time,optional,timestamp(microsecond)"`
	MaxTime     *int64           `parquet:"max_time,optional,timestamp(microsecond)"`
	FlushedAt   *int64           `parquet:"flushed_at,optional,timestamp(microsecond)"`
	VisibleAt   *int64           `parquet:"visible_at,optional,timestamp(microsecond)"`
}

func rowOf(r journal.Row) row {
	one := row{
		Table: r.Partition.Table, SourceID: r.Partition.SourceID, Key: r.Key, Rows: r.Rows, Bytes: r.Bytes,
		Topic: r.Owner.Topic, TopicID: r.Owner.TopicID.String(), Partition: r.Owner.Partition, Seq: int64(r.Seq),
		FirstOffset: r.First, LastOffset: r.Last,
		MinTime: micros(r.MinTime), MaxTime: micros(r.MaxTime), FlushedAt: micros(r.FlushedAt), VisibleAt: micros(r.VisibleAt),
	}
	if r.Columns != nil {
		one.ColumnBytes = make(map[string]int64, len(r.Columns))
	}
	for _, c := range r.Columns {
		one.ColumnBytes[c.Name] = c.Bytes
	}
	return one
}

// compression is fast: an object is some hundred kilobytes.
var compression = zstd.Codec{Level: zstd.SpeedFastest}

// encode makes the object of a day of a batch. Rows are sorted, so that an engine skips pages by table and source.
func encode(list []journal.Row) ([]byte, error) {
	rows := make([]row, len(list))
	for i, r := range list {
		rows[i] = rowOf(r)
	}
	var o object
	o.write(rows)
	return o.close()
}

// object is one under construction. Its rows are sorted within each row group.
type object struct {
	out  bytes.Buffer
	w    *parquet.GenericWriter[row]
	rows int
	err  error // the first
}

// write makes a row group of the rows.
func (o *object) write(rows []row) {
	if o.w == nil {
		o.w = parquet.NewGenericWriter[row](&o.out, parquet.Compression(&compression))
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.SourceID, b.SourceID), cmp.Compare(a.Key, b.Key))
	})
	o.rows += len(rows)
	if _, err := o.w.Write(rows); err != nil {
		o.err = cmp.Or(o.err, err)
		return
	}
	o.err = cmp.Or(o.err, o.w.Flush())
}

func (o *object) close() ([]byte, error) {
	if err := cmp.Or(o.err, o.w.Close()); err != nil {
		return nil, fmt.Errorf("encode %d rows of the ledger: %w", o.rows, err)
	}
	return o.out.Bytes(), nil
}
