//go:build duckdb && cgo

package query

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/duckdb/duckdb-go/v2"

	"weir/services/query/dialect"
	"weir/services/query/rows"
)

// engine is one DuckDB in memory, with one connection.
type engine struct {
	db   *sql.DB
	conn *sql.Conn
}

// available says whether this binary can answer.
func available() error { return nil }

func openEngine(ctx context.Context, statements ...string) (*engine, error) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return nil, fmt.Errorf("open DuckDB: %w", err)
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open DuckDB: %w", err), db.Close())
	}
	e := &engine{db: db, conn: conn}
	if err := duckdb.RegisterScalarUDF(conn, "date_parse", dateParse{}); err != nil {
		return nil, errors.Join(fmt.Errorf("define date_parse: %w", err), e.close())
	}
	if err := e.exec(ctx, statements...); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

func (e *engine) exec(ctx context.Context, statements ...string) error {
	for _, s := range statements {
		if _, err := e.conn.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%.80s: %w", s, err)
		}
	}
	return nil
}

// text asks for one text; ok is false where the answer has another shape.
func (e *engine) text(ctx context.Context, question string) (text string, ok bool, err error) {
	answer, err := e.conn.QueryContext(ctx, question)
	if err != nil {
		return "", false, err
	}
	defer func() { _ = answer.Close() }()
	columns, err := answer.Columns()
	if err != nil {
		return "", false, err
	}
	cells := make([]any, len(columns))
	for i := range cells {
		cells[i] = new(any)
	}
	if answer.Next() {
		if err := answer.Scan(cells...); err != nil {
			return "", false, err
		}
		text, ok = (*cells[len(cells)-1].(*any)).(string)
	}
	return text, ok, answer.Err()
}

// numbers asks for a column of whole numbers.
func (e *engine) numbers(ctx context.Context, question string) (list []int64, err error) {
	answer, err := e.conn.QueryContext(ctx, question)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Close() }()
	for answer.Next() {
		var n int64
		if err := answer.Scan(&n); err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, answer.Err()
}

// explain gives the optimized plan; ok is false for a statement that has none.
// The error of a query is the query's own, without what was put before it.
func (e *engine) explain(ctx context.Context, query string) (plan string, ok bool, err error) {
	plan, ok, err = e.text(ctx, "EXPLAIN (FORMAT json) "+query)
	if err != nil {
		if _, _, own := e.text(ctx, query); own != nil {
			err = own
		}
	}
	var fault *duckdb.Error
	if errors.As(err, &fault) && fault.Type == duckdb.ErrorTypeCatalog && strings.Contains(fault.Msg, "Table with name") {
		err = fmt.Errorf("%w (SHOW TABLES lists them): %w", ErrNoTable, err)
	}
	return plan, ok, err
}

// serialize gives DuckDB's own syntax tree of a query as JSON.
func (e *engine) serialize(ctx context.Context, query string) (string, error) {
	tree, _, err := e.text(ctx, "SELECT CAST(json_serialize_sql("+literal(query)+") AS VARCHAR)") // it takes no parameter
	return tree, err
}

// run answers one query with at most limit rows and says how many there are.
func (e *engine) run(ctx context.Context, query string, limit int, sink rows.Sink) (n int, err error) {
	answer, err := e.conn.QueryContext(ctx, query)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Close() }()
	types, err := answer.ColumnTypes()
	if err != nil {
		return 0, err
	}
	head := make([]rows.Column, len(types))
	for i, t := range types {
		head[i] = rows.Column{Name: t.Name(), Type: t.DatabaseTypeName()}
	}
	if err := sink.Head(head); err != nil {
		return 0, err
	}
	for ; answer.Next(); n++ {
		if n == limit {
			return n, fmt.Errorf("the answer has more than %d rows: narrow the query or raise max-rows", limit)
		}
		row, err := scan(answer, types)
		if err != nil {
			return n, err
		}
		if err := sink.Row(row); err != nil {
			return n, err
		}
	}
	return n, answer.Err()
}

// copyTo writes a query's answer as one Parquet file and says how many rows it has.
func (e *engine) copyTo(ctx context.Context, query, file string) (int, error) {
	done, err := e.conn.ExecContext(ctx, "COPY ("+strings.TrimRight(strings.TrimSpace(query), ";")+"\n) TO "+literal(file)+
		" (FORMAT parquet, COMPRESSION zstd, USE_TMP_FILE false)")
	if err != nil {
		return 0, fmt.Errorf("write %s: %w", file, err)
	}
	n, err := done.RowsAffected()
	return int(n), err
}

// dateParse is Athena's date_parse.
type dateParse struct{}

func (dateParse) Config() duckdb.ScalarFuncConfig {
	text, err := duckdb.NewTypeInfo(duckdb.TYPE_VARCHAR)
	at, err2 := duckdb.NewTypeInfo(duckdb.TYPE_TIMESTAMP)
	if err != nil || err2 != nil {
		return duckdb.ScalarFuncConfig{} // refused when it is registered
	}
	return duckdb.ScalarFuncConfig{InputTypeInfos: []duckdb.TypeInfo{text, text}, ResultTypeInfo: at}
}

func (dateParse) Executor() duckdb.ScalarFuncExecutor {
	return duckdb.ScalarFuncExecutor{RowExecutor: func(values []driver.Value) (any, error) {
		text, _ := values[0].(string)
		format, _ := values[1].(string)
		return dialect.DateParse(text, format)
	}}
}

func scan(answer *sql.Rows, types []*sql.ColumnType) ([]any, error) {
	row := make([]any, len(types))
	cells := make([]any, len(types))
	for i := range cells {
		cells[i] = &row[i]
	}
	if err := answer.Scan(cells...); err != nil {
		return nil, err
	}
	for i, t := range types {
		row[i] = plain(row[i], t.DatabaseTypeName())
	}
	return row, nil
}

func (e *engine) close() error { return errors.Join(e.conn.Close(), e.db.Close()) }

// plain turns the driver's values into those of rows. Times are UTC and written
// as SQL writes them.
func plain(v any, typ string) any {
	switch v := v.(type) {
	case nil, bool, int64, float64, string:
		return v
	case time.Time:
		return v.UTC().Format(layout(typ))
	case []byte:
		if typ == "UUID" && len(v) == 16 {
			return fmt.Sprintf("%x-%x-%x-%x-%x", v[:4], v[4:6], v[6:8], v[8:10], v[10:])
		}
		return `\x` + hex.EncodeToString(v)
	case []any:
		list := make(rows.List, len(v))
		for i, e := range v {
			list[i] = plain(e, strings.TrimSuffix(typ, "[]"))
		}
		return list
	case duckdb.OrderedMap:
		return plainMap(v.Keys(), v.Values())
	case duckdb.Interval:
		return fmt.Sprintf("%d months %d days %s", v.Months, v.Days, time.Duration(v.Micros)*time.Microsecond)
	case map[string]any:
		return plainObject(v)
	}
	return plainNumber(v)
}

func layout(typ string) string {
	switch {
	case typ == "DATE":
		return time.DateOnly
	case strings.HasPrefix(typ, "TIME") && !strings.HasPrefix(typ, "TIMESTAMP"):
		return "15:04:05.999999"
	}
	return "2006-01-02 15:04:05.999999"
}

func plainMap(keys, values []any) rows.Map {
	m := make(rows.Map, len(keys))
	for i := range keys {
		m[i] = rows.Entry{Key: fmt.Sprint(plain(keys[i], "")), Value: plain(values[i], "")}
	}
	return m
}

func plainObject(object map[string]any) rows.Map {
	m := make(rows.Map, 0, len(object))
	for k, v := range object {
		m = append(m, rows.Entry{Key: k, Value: plain(v, "")})
	}
	slices.SortFunc(m, func(a, b rows.Entry) int { return strings.Compare(a.Key, b.Key) })
	return m
}

// plainNumber keeps the digits of whatever kind of number it is.
func plainNumber(v any) any {
	switch v := v.(type) {
	case float32:
		if text := fmt.Sprint(v); json.Valid([]byte(text)) {
			return json.Number(text)
		}
		return float64(v) // NaN, infinite
	case int8, int16, int32, uint8, uint16, uint32, uint64, int, uint:
		return json.Number(fmt.Sprint(v))
	case duckdb.Decimal:
		return json.Number(decimal(v))
	case fmt.Stringer: // *big.Int
		text := v.String()
		if json.Valid([]byte(text)) {
			return json.Number(text)
		}
		return text
	case driver.Valuer:
		if value, err := v.Value(); err == nil {
			return fmt.Sprint(value)
		}
	}
	return fmt.Sprint(v)
}

// decimal keeps the zeros at its end, as Athena does: an amount has its cents.
func decimal(d duckdb.Decimal) string {
	scale := int(d.Scale)
	digits := new(big.Int).Abs(d.Value).String()
	digits = strings.Repeat("0", max(scale+1-len(digits), 0)) + digits
	if at := len(digits) - scale; scale > 0 {
		digits = digits[:at] + "." + digits[at:]
	}
	if d.Value.Sign() < 0 {
		digits = "-" + digits
	}
	return digits
}
