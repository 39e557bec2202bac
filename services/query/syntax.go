package query

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// errSyntax: the text is no SQL; the engine's own message says where.
var errSyntax = errors.New("syntax error")

// references reads DuckDB's syntax tree of one statement and gives the names of
// the tables that it mentions. A tree of anything but one SELECT (SHOW, DESCRIBE
// and SUMMARIZE are SELECTs to DuckDB) is an error: a query must not write, and
// a COPY could overwrite an object of the lake.
func references(tree string) (map[string]bool, error) {
	var parsed struct {
		Error      bool   `json:"error"`
		Type       string `json:"error_type"`
		Message    string `json:"error_message"`
		Statements []any  `json:"statements"`
	}
	if err := json.Unmarshal([]byte(tree), &parsed); err != nil {
		return nil, fmt.Errorf("read the syntax tree: %w", err)
	}
	switch {
	case parsed.Error && parsed.Type == "parser":
		return nil, errSyntax
	case parsed.Error:
		return nil, fmt.Errorf("only a query is answered (SELECT, SHOW, DESCRIBE, SUMMARIZE, EXPLAIN of one): %s", parsed.Message)
	case len(parsed.Statements) != 1:
		return nil, fmt.Errorf("one query at a time is answered, this is %d", len(parsed.Statements))
	}
	names := make(map[string]bool)
	collectTables(parsed.Statements[0], names)
	return names, nil
}

func collectTables(node any, names map[string]bool) {
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			collectTables(child, names)
		}
	case map[string]any:
		if name, ok := node["table_name"].(string); ok {
			names[strings.ToLower(strings.Trim(name, `"`))] = true
		}
		for _, child := range node {
			collectTables(child, names)
		}
	}
}
