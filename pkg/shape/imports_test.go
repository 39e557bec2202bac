package shape

import (
	"testing"

	"weir/pkg/puretest"
)

func TestImports(t *testing.T) { puretest.Check(t, "weir/services") }
