//go:build !duckdb

package verify

import "errors"

// openEngine says what to do: container images are built without cgo.
func openEngine() (engine, error) {
	return nil, errors.New("verify --rows reads files with DuckDB, and this weir was built without it: build with `go build -tags duckdb ./services/weir`")
}
