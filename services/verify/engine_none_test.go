//go:build !duckdb

package verify

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRowsWithoutDuckDB(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Rows = true
	_, err := Run(t.Context(), cfg)
	require.ErrorContains(t, err, "-tags duckdb")
	require.NotContains(t, err.Error(), "\n")
}
