//go:build !duckdb

// Weiraudit reads the lake with DuckDB, which this build does not hold.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "weiraudit: this build holds no DuckDB: build it with -tags duckdb")
	os.Exit(1)
}
