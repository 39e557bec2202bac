//go:build !duckdb

package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWithoutDuckDBOneLineSaysWhatToDo(t *testing.T) {
	clean(t)
	for _, args := range [][]string{{"query", "--local", "select 1"}, {"dev", "--demo"}} {
		code, _, errs := invokeWeir(t, "", args...)
		require.Equal(t, exitUsage, code)
		require.Contains(t, errs, "built without DuckDB: build it with `make build`")
	}
}
