package athena

import (
	"encoding/json"
	"strconv"

	api "weir/pkg/athena"
	"weir/services/query/rows"
)

func head(columns []api.Column) []rows.Column {
	list := make([]rows.Column, len(columns))
	for i, c := range columns {
		list[i] = rows.Column{Name: c.Name, Type: c.Type}
	}
	return list
}

// values turns Athena's texts into values: numbers and booleans by their columns'
// types, NULL where there is none. Times stay as Athena writes them, and so do arrays,
// maps and rows, whose text cannot be read back.
func values(row []*string, columns []api.Column) []any {
	list := make([]any, len(columns))
	for i, c := range columns {
		if i < len(row) && row[i] != nil {
			list[i] = value(*row[i], c.Type)
		}
	}
	return list
}

func value(text, typ string) any {
	switch typ {
	case "boolean":
		if b, err := strconv.ParseBool(text); err == nil {
			return b
		}
	case "tinyint", "smallint", "integer", "int", "bigint":
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n
		}
	case "float", "real", "double", "decimal":
		if json.Valid([]byte(text)) {
			return json.Number(text) // every digit
		}
		if f, err := strconv.ParseFloat(text, 64); err == nil { // NaN, Infinity
			return f
		}
	}
	return text
}
