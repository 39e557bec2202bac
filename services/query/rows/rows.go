// Package rows is a table of values as a command prints it: aligned text for
// people, CSV for spreadsheets, JSON for programs. A NULL is told from an empty
// string in the first and the last, and a number keeps every digit. It knows
// nothing of SQL: who answers (DuckDB, Glue, the settings) makes the values.
// Owned by whoever owns the commands' output.
package rows

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Format names a way to print a table.
type Format string

// The formats.
const (
	Table Format = "table"
	CSV   Format = "csv"
	JSON  Format = "json" // one object a row, as an array
)

// Column is one column's name and its type in the words of whoever answers.
type Column struct{ Name, Type string }

// Rows holds a table in memory. A value is nil, a bool, an int64, a float64, a
// json.Number, a string, a List or a Map.
type Rows struct {
	Columns []Column
	Values  [][]any
}

// List is a nested value without names.
type List []any

// Map is a nested value with names, in its own order.
type Map []Entry

// Entry is one key of a Map.
type Entry struct {
	Key   string
	Value any
}

// New makes an empty table of text columns.
func New(columns ...string) *Rows {
	r := &Rows{}
	for _, c := range columns {
		r.Columns = append(r.Columns, Column{Name: c, Type: "VARCHAR"})
	}
	return r
}

// Add appends a row.
func (r *Rows) Add(values ...any) { r.Values = append(r.Values, values) }

// Sink takes a table as it comes: its columns once, then its rows. A row is the
// caller's again once Row returns.
type Sink interface {
	Head(columns []Column) error
	Row(values []any) error
}

// Head and Row make Rows a Sink that keeps everything.
func (r *Rows) Head(columns []Column) error {
	r.Columns = columns
	return nil
}

// Row keeps a row.
func (r *Rows) Row(values []any) error {
	r.Add(slices.Clone(values)...)
	return nil
}

// Write prints the table.
func (r *Rows) Write(w io.Writer, f Format) error {
	out, err := NewWriter(w, f)
	if err != nil {
		return err
	}
	if err := out.Head(r.Columns); err != nil {
		return err
	}
	for _, row := range r.Values {
		if err := out.Row(row); err != nil {
			return err
		}
	}
	return out.Close()
}

// csvText leaves a NULL empty and writes nested values as JSON.
func csvText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case List, Map:
		text, err := marshalPlain(v)
		if err != nil {
			return fmt.Sprint(v)
		}
		return string(text)
	}
	return plainText(v)
}

// plainText is a scalar as every format writes it.
func plainText(v any) string {
	n, _ := v.(float64)
	switch {
	case math.IsInf(n, 1):
		return "Infinity"
	case math.IsInf(n, -1):
		return "-Infinity"
	}
	return fmt.Sprint(v)
}

// MarshalJSON writes an object whose keys stand in the map's order.
func (m Map) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, e := range m {
		if i > 0 {
			b.WriteByte(',')
		}
		for _, part := range []any{e.Key, e.Value} {
			text, err := marshalPlain(part)
			if err != nil {
				return nil, err
			}
			b.Write(text)
			b.WriteByte(':')
		}
		b.Truncate(b.Len() - 1)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// MarshalJSON writes an array.
func (l List) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('[')
	for i, e := range l {
		if i > 0 {
			b.WriteByte(',')
		}
		text, err := marshalPlain(e)
		if err != nil {
			return nil, err
		}
		b.Write(text)
	}
	b.WriteByte(']')
	return b.Bytes(), nil
}

// marshalPlain is json.Marshal without the escaping that web pages need. JSON has no
// number for NaN and the infinities: they are texts, as in Athena's JSON.
func marshalPlain(v any) ([]byte, error) {
	if n, ok := v.(float64); ok && (math.IsNaN(n) || math.IsInf(n, 0)) {
		v = plainText(n)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// cellRunes bounds a cell of the aligned form; a longer one ends in … .
const cellRunes = 200

func (r *Rows) writeTable(w io.Writer) error {
	cells := make([][]string, 0, len(r.Values)+1)
	head := make([]string, len(r.Columns))
	for i, c := range r.Columns {
		head[i] = clip(c.Name)
	}
	cells = append(cells, head)
	for _, row := range r.Values {
		line := make([]string, len(row))
		for i, v := range row {
			line[i] = clip(cellText(v))
		}
		cells = append(cells, line)
	}
	_, err := io.WriteString(w, align(cells, r.numeric()))
	return err
}

// numeric says which columns hold numbers only: they stand to the right.
func (r *Rows) numeric() []bool {
	right := make([]bool, len(r.Columns))
	for i := range right {
		numbers, others := 0, 0
		for _, row := range r.Values {
			switch row[i].(type) {
			case nil:
			case int, int64, float64, json.Number:
				numbers++
			default:
				others++
			}
		}
		right[i] = numbers > 0 && others == 0
	}
	return right
}

func cellText(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case List:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = cellText(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case Map:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = e.Key + "=" + cellText(e.Value)
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return plainText(v)
}

// clip keeps a cell on its line and a terminal in its state: what is not
// printable is written as its escape.
func clip(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n++; n > cellRunes {
			return b.String() + "…"
		}
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(fmt.Sprintf("%+q", r), "'"))
	}
	return b.String()
}

func align(cells [][]string, right []bool) string {
	widths := make([]int, len(right))
	for _, line := range cells {
		for i, c := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	var b strings.Builder
	for n, line := range cells {
		writeLine(&b, line, widths, right)
		if n == 0 {
			rule := make([]string, len(widths))
			for i, w := range widths {
				rule[i] = strings.Repeat("-", w)
			}
			writeLine(&b, rule, widths, right)
		}
	}
	return b.String()
}

func writeLine(b *strings.Builder, line []string, widths []int, right []bool) {
	for i, c := range line {
		pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c))
		switch last := i == len(line)-1; {
		case right[i]:
			b.WriteString(pad + c)
		case last:
			b.WriteString(c)
		default:
			b.WriteString(c + pad)
		}
		if i < len(line)-1 {
			b.WriteString("  ")
		}
	}
	b.WriteByte('\n')
}
