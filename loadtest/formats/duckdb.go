//go:build duckdb

package formats

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	_ "github.com/duckdb/duckdb-go/v2" // the driver

	"weir/services/query/dialect"
)

// duckDB is a new engine for each question, in this process. Its files may stand in the kernel's cache: what is measured is
// the work on them.
type duckDB struct{ setUp []string }

// OpenDuckDB is DuckDB over the files of a lake.
func OpenDuckDB(l *Lake) (Engine, error) {
	d := duckDB{setUp: slices.Concat([]string{"SET enable_external_file_cache=false", "SET TimeZone='UTC'"}, dialect.Settings(), dialect.Macros())}
	for i, f := range forms {
		files := "'" + filepath.Join(l.Dir, f.dir, "*", "*", "*"+f.ext) + "', hive_partitioning=true, hive_types={sourceid: VARCHAR, dt: VARCHAR}"
		from := "read_json(" + files + ", format='newline_delimited', columns={messageId: 'VARCHAR', type: 'VARCHAR', userId: 'VARCHAR', " +
			"event: 'VARCHAR', properties: 'MAP(VARCHAR, VARCHAR)'})"
		if Form(i) == Parquet {
			from = "read_parquet(" + files + ", union_by_name=true)"
		}
		d.setUp = append(d.setUp, "CREATE VIEW "+f.table+" AS SELECT * FROM "+from)
	}
	return d, nil
}

func (duckDB) Name() string { return "DuckDB" }

func (d duckDB) Ask(ctx context.Context, query string) (r Reading, err error) {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return r, fmt.Errorf("open DuckDB: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return r, fmt.Errorf("open DuckDB: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	for _, s := range d.setUp {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return r, fmt.Errorf("%s: %w", s, err)
		}
	}
	before, err := usage()
	if err != nil {
		return r, err
	}
	if r.Rows, err = rowsOf(ctx, conn, query); err != nil {
		return r, fmt.Errorf("%s: %w", query, err)
	}
	after, err := usage()
	r.Wall, r.CPU, r.Bytes = after.at.Sub(before.at), after.cpu-before.cpu, after.read-before.read
	return r, err
}

func rowsOf(ctx context.Context, conn *sql.Conn, query string) ([][]string, error) {
	answer, err := conn.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer answer.Close()
	names, err := answer.Columns()
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for answer.Next() {
		values, places := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			places[i] = &values[i]
		}
		if err := answer.Scan(places...); err != nil {
			return nil, err
		}
		row := make([]string, len(values))
		for i, v := range values {
			row[i] = shown(v)
		}
		rows = append(rows, row)
	}
	return rows, answer.Err()
}

// used is what this process has taken up to a moment.
type used struct {
	at   time.Time
	cpu  time.Duration
	read int64 // bytes, of whatever, by the kernel's count: DuckDB's own leaves out what it reads ahead of time
}

func usage() (used, error) {
	u := used{at: time.Now()}
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return u, fmt.Errorf("ask for the CPU time of this process: %w", err)
	}
	u.cpu = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return u, fmt.Errorf("count the bytes that are read, for which Linux is needed: %w", err)
	}
	if _, err := fmt.Sscanf(string(text), "rchar: %d", &u.read); err != nil {
		return u, fmt.Errorf("read /proc/self/io: %w", err)
	}
	return u, nil
}
