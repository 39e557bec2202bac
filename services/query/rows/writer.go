package rows

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"io"
)

// Writer prints a table as it comes. CSV and JSON are written row by row; the aligned
// form holds all of it until Close, because the widest cell decides.
type Writer interface {
	Sink
	// Close writes what is left. Without it the output is not whole: a JSON array has
	// no end.
	Close() error
}

// NewWriter prints to w; the writer does not close it.
func NewWriter(w io.Writer, f Format) (Writer, error) {
	switch f {
	case Table:
		return &tableWriter{w: w}, nil
	case CSV:
		return &csvWriter{out: csv.NewWriter(w)}, nil
	case JSON:
		return &jsonWriter{out: bufio.NewWriter(w)}, nil
	}
	return nil, fmt.Errorf("%q is no output: want table, csv or json", f)
}

type tableWriter struct {
	Rows
	w io.Writer
}

func (t *tableWriter) Close() error { return t.writeTable(t.w) }

type csvWriter struct {
	out  *csv.Writer
	line []string
}

func (c *csvWriter) Head(columns []Column) error {
	c.line = make([]string, len(columns))
	for i, col := range columns {
		c.line[i] = col.Name
	}
	return c.out.Write(c.line)
}

func (c *csvWriter) Row(values []any) error {
	for i, v := range values {
		c.line[i] = csvText(v)
	}
	return c.out.Write(c.line)
}

func (c *csvWriter) Close() error {
	c.out.Flush()
	return c.out.Error()
}

type jsonWriter struct {
	out     *bufio.Writer
	columns []Column
	rows    int
}

func (j *jsonWriter) Head(columns []Column) error {
	j.columns = columns
	return j.out.WriteByte('[')
}

func (j *jsonWriter) Row(values []any) error {
	object := make(Map, len(values))
	for i, v := range values {
		object[i] = Entry{Key: j.columns[i].Name, Value: v}
	}
	text, err := object.MarshalJSON()
	if err != nil {
		return fmt.Errorf("row %d: %w", j.rows+1, err)
	}
	between := ",\n  "
	if j.rows == 0 {
		between = "\n  "
	}
	j.rows++
	if _, err := j.out.WriteString(between); err != nil {
		return err
	}
	_, err = j.out.Write(text)
	return err
}

func (j *jsonWriter) Close() error {
	end := "]\n"
	if j.rows > 0 {
		end = "\n]\n"
	}
	if _, err := j.out.WriteString(end); err != nil {
		return err
	}
	return j.out.Flush()
}
