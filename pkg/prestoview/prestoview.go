// Package prestoview writes and reads views as Athena and Trino keep them in Glue: the text of the table is base64 of JSON,
// in a comment. Its invariant: what it writes it reads back equal. It does not look at the SQL, and does no I/O. Floor 0,
// PURE; the catalog writes views, weir query reads them.
package prestoview

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// What a view is in Glue, beside its text.
const (
	TableType = "VIRTUAL_VIEW"
	Expanded  = "/* Presto View */" // the expanded text of each
	Parameter = "presto_view"       // that says "true"
)

// Athena's words for the parameter comment, and for its catalog.
const (
	Comment = "Presto View"
	Catalog = "awsdatacatalog"
)

// Longest is how long the text may be that Glue takes, in bytes.
const Longest = 409_600

const before, after = "/* Presto View: ", " */"

// View is the definition.
type View struct {
	SQL     string   `json:"originalSql"`
	Catalog string   `json:"catalog"` // in which names of the SQL are looked up
	Schema  string   `json:"schema"`  // the same: the database
	Columns []Column `json:"columns"`
	Comment string   `json:"comment,omitempty"`
}

// Column is a column of a view.
type Column struct {
	Name    string `json:"name"`
	Type    string `json:"type"` // Trino's: varchar, timestamp(3), map(varchar,varchar)
	Comment string `json:"comment,omitempty"`
}

// Encode is the text in Glue. The same view is the same text.
func (v View) Encode() string {
	var body strings.Builder
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // texts only
	}
	return before + base64.StdEncoding.EncodeToString([]byte(strings.TrimSpace(body.String()))) + after
}

// Decode reads what Encode, Athena or Trino wrote.
func Decode(text string) (View, error) {
	text, ok := strings.CutPrefix(strings.TrimSpace(text), strings.TrimSpace(before))
	text, closed := strings.CutSuffix(text, strings.TrimSpace(after))
	if !ok || !closed {
		return View{}, fmt.Errorf("it is no view of Athena's or Trino's")
	}
	body, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return View{}, fmt.Errorf("read the view: %w", err)
	}
	var v View
	if err := json.Unmarshal(body, &v); err != nil {
		return View{}, fmt.Errorf("read the view: %w", err)
	}
	if v.SQL == "" {
		return View{}, fmt.Errorf("the view has no SQL")
	}
	return v, nil
}

// Type is Trino's name of a type that Glue calls so; "" = it is none that weir makes.
func Type(glue string) string {
	return map[string]string{
		"string": "varchar", "bigint": "bigint", "int": "integer", "double": "double", "boolean": "boolean",
		"timestamp": "timestamp(3)", "date": "date", "map<string,string>": "map(varchar,varchar)",
	}[glue]
}
