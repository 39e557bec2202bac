package flush_test

import (
	"testing"

	"weir/pkg/puretest"
)

// The protocol is pure: it has no clock, no I/O, no goroutine, and knows no client.
func TestImports(t *testing.T) { puretest.Check(t, "weir/services") }
