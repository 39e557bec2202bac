//go:build duckdb && e2e

package kill

import (
	"testing"

	"weir/loadtest/fleet"
)

// The same kills on Apache Kafka, a versitygw process and moto's Glue.
func TestKillReal(t *testing.T) {
	w, lakeDir := fleet.Real(t)
	scenario(t, w, lakeDir)
}
