//go:build !duckdb

package formats

import "errors"

// OpenDuckDB needs an engine that is not in this binary.
func OpenDuckDB(*Lake) (Engine, error) {
	return nil, errors.New("this binary was built without DuckDB: build it with -tags duckdb")
}
