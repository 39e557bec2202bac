package query

import (
	"fmt"
	"strings"
)

// engineType gives DuckDB's name of a Hive type as Glue spells it. A timestamp
// is Athena's: without a zone, in UTC.
func engineType(hive string) (string, error) {
	p := typeParser{text: strings.ToLower(strings.TrimSpace(hive))}
	t, err := p.parse()
	if err == nil && p.text != "" {
		err = fmt.Errorf("%q follows the type", p.text)
	}
	if err != nil {
		return "", fmt.Errorf("type %q: %w", hive, err)
	}
	return t, nil
}

// typeParser walks a type from its front; text is what is left.
type typeParser struct{ text string }

func (p *typeParser) parse() (string, error) {
	name := p.take("<(,>):")
	switch name {
	case "array":
		args, err := p.args(1)
		return strings.Join(args, "") + "[]", err
	case "map":
		args, err := p.args(2)
		return "MAP(" + strings.Join(args, ", ") + ")", err
	case "struct":
		return p.fields()
	case "decimal":
		return "DECIMAL" + p.size(), nil
	case "varchar", "char":
		p.size()
		return "VARCHAR", nil
	}
	if t, ok := scalarType(name); ok {
		return t, nil
	}
	return "", fmt.Errorf("%q is no known type", name)
}

func scalarType(name string) (string, bool) {
	t, ok := map[string]string{
		"string": "VARCHAR", "boolean": "BOOLEAN", "binary": "BLOB", "date": "DATE", "timestamp": "TIMESTAMP",
		"tinyint": "TINYINT", "smallint": "SMALLINT", "int": "INTEGER", "integer": "INTEGER", "bigint": "BIGINT",
		"float": "FLOAT", "double": "DOUBLE",
	}[name]
	return t, ok
}

// take removes and returns the text before the first of the stops.
func (p *typeParser) take(stops string) string {
	n := strings.IndexAny(p.text, stops)
	if n < 0 {
		n = len(p.text)
	}
	taken := strings.TrimSpace(p.text[:n])
	p.text = p.text[n:]
	return taken
}

func (p *typeParser) accept(c string) bool {
	rest, ok := strings.CutPrefix(strings.TrimSpace(p.text), c)
	if ok {
		p.text = strings.TrimSpace(rest)
	}
	return ok
}

// args reads "<type, …>" of n types.
func (p *typeParser) args(n int) ([]string, error) {
	if !p.accept("<") {
		return nil, fmt.Errorf("want < after array or map")
	}
	var types []string
	for i := range n {
		if i > 0 && !p.accept(",") {
			return nil, fmt.Errorf("want %d types, have %d", n, i)
		}
		t, err := p.parse()
		if err != nil {
			return nil, err
		}
		types = append(types, t)
	}
	if !p.accept(">") {
		return nil, fmt.Errorf("a > is missing")
	}
	return types, nil
}

// fields reads "<name:type,…>".
func (p *typeParser) fields() (string, error) {
	if !p.accept("<") {
		return "", fmt.Errorf("want < after struct")
	}
	var fields []string
	for len(fields) == 0 || p.accept(",") {
		name := p.take(":,>")
		if name == "" || !p.accept(":") {
			return "", fmt.Errorf("a struct field wants name:type")
		}
		t, err := p.parse()
		if err != nil {
			return "", err
		}
		fields = append(fields, ident(name)+" "+t)
	}
	if !p.accept(">") {
		return "", fmt.Errorf("a > is missing")
	}
	return "STRUCT(" + strings.Join(fields, ", ") + ")", nil
}

// size reads "(10,2)", if it is there.
func (p *typeParser) size() string {
	if !p.accept("(") {
		return ""
	}
	s := p.take(")")
	p.accept(")")
	return "(" + s + ")"
}

// ident and literal quote a name and a text for SQL.
func ident(name string) string   { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
func literal(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
