package gluedb

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// doc is an input as it came, so that nothing that this package does not know
// is lost.
type doc map[string]json.RawMessage

func (d doc) text(field string) string {
	var s string
	_ = json.Unmarshal(d[field], &s)
	return s
}

func (d doc) set(field string, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, numbers and lists of them only
	}
	d[field] = b
}

// stored is the doc without the fields that say nothing.
func (d doc) stored() json.RawMessage {
	if d == nil {
		return json.RawMessage("{}")
	}
	for field, v := range d {
		if string(v) == "null" {
			delete(d, field)
		}
	}
	b, err := json.Marshal(d)
	if err != nil {
		panic(err) // it was parsed from JSON
	}
	return b
}

// with gives a stored object more fields.
func with(stored json.RawMessage, more doc) (json.RawMessage, error) {
	d := doc{}
	if err := json.Unmarshal(stored, &d); err != nil {
		return nil, err
	}
	for field, v := range more {
		d[field] = v
	}
	return json.Marshal(d)
}

// withoutColumns is a partition's object without its descriptor's columns.
func withoutColumns(stored json.RawMessage) (json.RawMessage, error) {
	if !bytes.Contains(stored, []byte(`"Columns"`)) {
		return stored, nil
	}
	d, sd := doc{}, doc{}
	if err := json.Unmarshal(stored, &d); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(d["StorageDescriptor"], &sd); err != nil {
		return stored, nil // there is none
	}
	delete(sd, "Columns")
	d["StorageDescriptor"] = sd.stored()
	return json.Marshal(d)
}

// Glue's bounds, in bytes.
const (
	maxName      = 255
	maxType      = 131072
	maxComment   = 255
	maxParameter = 512000
	maxLocation  = 2056
	maxValue     = 1024
	maxIndexes   = 3
)

// name checks an identifier and folds it as Glue stores it.
func name(what, s string) (string, error) {
	if s == "" || len(s) > maxName || !printable(s) || strings.ContainsRune(s, '/') {
		return "", fail(invalidInput, "%s name %q is not valid", what, s)
	}
	return strings.ToLower(s), nil
}

func printable(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool { return r < ' ' && r != '\t' }) < 0
}

type column struct{ Name, Type, Comment string }

type descriptor struct {
	Columns  []column
	Location string
}

// checkTable reads what matters of a TableInput.
func checkTable(in doc) (tableName string, keys []key, err error) {
	tableName, err = name("table", in.text("Name"))
	if err != nil {
		return "", nil, err
	}
	var t struct {
		PartitionKeys     []column
		Parameters        map[string]string
		StorageDescriptor *descriptor
	}
	if err := json.Unmarshal(in.stored(), &t); err != nil {
		return "", nil, fail(invalidInput, "table %s: %v", tableName, err)
	}
	for _, k := range t.PartitionKeys {
		keys = append(keys, key{k.Name, k.Type})
	}
	columns := t.PartitionKeys
	if t.StorageDescriptor != nil {
		columns = append(columns, t.StorageDescriptor.Columns...)
		if err := checkLocation(t.StorageDescriptor.Location); err != nil {
			return "", nil, err
		}
	}
	if err := checkColumns(columns); err != nil {
		return "", nil, err
	}
	return tableName, keys, checkParameters(t.Parameters)
}

func checkColumns(columns []column) error {
	seen := map[string]bool{}
	for _, c := range columns {
		folded, err := name("column", c.Name)
		switch {
		case err != nil:
			return err
		case seen[folded]:
			return fail(invalidInput, "column %s stands twice", folded)
		case len(c.Type) > maxType:
			return fail(invalidInput, "the type of column %s is too long", c.Name)
		case len(c.Comment) > maxComment:
			return fail(invalidInput, "the comment of column %s is too long", c.Name)
		}
		seen[folded] = true
	}
	return nil
}

func checkParameters(parameters map[string]string) error {
	for k, v := range parameters {
		if k == "" || len(k) > maxName || len(v) > maxParameter {
			return fail(invalidInput, "parameter %.40q is empty or too long", k)
		}
	}
	return nil
}

func checkLocation(location string) error {
	if len(location) > maxLocation {
		return fail(invalidInput, "the location is longer than %d bytes", maxLocation)
	}
	return nil
}

// checkPartition checks a PartitionInput against the table's keys.
func checkPartition(in doc, keys []key) ([]string, error) {
	var p struct {
		Values            []string
		Parameters        map[string]string
		StorageDescriptor *descriptor
	}
	if err := json.Unmarshal(in.stored(), &p); err != nil {
		return nil, fail(invalidInput, "partition: %v", err)
	}
	if err := checkValues(p.Values, keys); err != nil {
		return nil, err
	}
	if p.StorageDescriptor != nil {
		if err := checkLocation(p.StorageDescriptor.Location); err != nil {
			return nil, err
		}
		if err := checkColumns(p.StorageDescriptor.Columns); err != nil {
			return nil, err
		}
	}
	return p.Values, checkParameters(p.Parameters)
}

func checkValues(values []string, keys []key) error {
	if len(values) != len(keys) {
		return fail(invalidInput, "The number of partition keys (%d) does not match the number of partition values (%d)", len(keys), len(values))
	}
	for _, v := range values {
		if len(v) > maxValue || !utf8.ValidString(v) || strings.ContainsAny(v, "\x00\x01\x02") {
			return fail(invalidInput, "partition value %.40q is not valid", v)
		}
	}
	return nil
}
