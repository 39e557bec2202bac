package columnar

import (
	"sync"

	"github.com/parquet-go/parquet-go"
)

// Definition levels: how much of a value is there. Of a plain column 1 is a value; of a map's keys mapNull is a key,
// for keys are never NULL.
const (
	mapEmpty = 1 // the map, without an entry
	mapNull  = 2 // an entry whose value is NULL
	mapValue = 3 // an entry with a value
)

// batchRows is how many rows are handed to a column at once.
const batchRows = 64

// scratch is one batch of rows as Parquet's values, by leaf: what Parquet calls a column, of which a map has two. It is
// lent for the time of an encode.
type scratch struct{ leaves [][]parquet.Value }

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// encode hands all rows of the tail to the leaves' writers.
func (t *tail) encode(columns []column, writers []*parquet.ColumnWriter) error {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	for len(s.leaves) < len(writers) {
		s.leaves = append(s.leaves, nil)
	}
	r := reader{t.b}
	for left := t.rows; left > 0; left -= batchRows {
		for range min(left, batchRows) {
			s.row(columns, &r)
		}
		if err := s.write(writers); err != nil {
			return err
		}
	}
	return nil
}

// write passes the batch on and empties the scratch, also after an error: it must not pin the tail.
func (s *scratch) write(writers []*parquet.ColumnWriter) (err error) {
	for i, w := range writers {
		if err == nil {
			_, err = w.WriteRowValues(s.leaves[i])
		}
		clear(s.leaves[i])
		s.leaves[i] = s.leaves[i][:0]
	}
	return err
}

// row reads one row.
func (s *scratch) row(columns []column, r *reader) {
	at := 0
	for i := range columns {
		c := &columns[i]
		leaf := &s.leaves[at]
		at++
		switch {
		case c.entries != nil:
			readMap(leaf, &s.leaves[at], r)
			at++
		case c.instant != nil:
			if micros, ok := r.instant(); ok {
				add(leaf, parquet.Int64Value(micros), 1)
			} else {
				add(leaf, parquet.Value{}, 0)
			}
		case c.narrow:
			add(leaf, parquet.Int32Value(int32(r.number())), 1)
		case c.number != nil:
			add(leaf, parquet.Int64Value(r.number()), 1)
		default:
			if b, ok := r.bytes(); ok {
				add(leaf, parquet.ByteArrayValue(b), 1)
			} else {
				add(leaf, parquet.Value{}, 0)
			}
		}
	}
}

func readMap(keys, values *[]parquet.Value, r *reader) {
	n := r.count()
	if n <= 0 {
		level := 0
		if n == 0 {
			level = mapEmpty
		}
		add(keys, parquet.Value{}, level)
		add(values, parquet.Value{}, level)
		return
	}
	for i := range n {
		key, _ := r.bytes()
		add(keys, parquet.ByteArrayValue(key), mapNull)
		if value, ok := r.bytes(); ok {
			add(values, parquet.ByteArrayValue(value), mapValue)
		} else {
			add(values, parquet.Value{}, mapNull)
		}
		if i > 0 {
			repeat(keys)
			repeat(values)
		}
	}
}

func add(leaf *[]parquet.Value, v parquet.Value, level int) {
	*leaf = append(*leaf, v)
	(*leaf)[len(*leaf)-1].SetDefinitionLevel(level)
}

// repeat marks the value that was added last as one more of the same row.
func repeat(leaf *[]parquet.Value) { (*leaf)[len(*leaf)-1].SetRepetitionLevel(1) }
