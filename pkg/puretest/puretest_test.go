package puretest

import (
	"go/parser"
	"go/token"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFaults(t *testing.T) {
	for source, want := range map[string][]string{
		`package p; import "slices"`:                                  nil,
		`package p; import "time"; var d = time.Second`:               nil,
		`package p; import "iota"`:                                    nil,
		`package p; import "net/http"`:                                {"imports net/http"},
		`package p; import x "math/rand/v2"`:                          {"imports math/rand/v2"},
		`package p; import _ "weir/pkg/s3"`:                           {"imports weir/pkg/s3"},
		`package p; import "weir/pkg/event"`:                          {"imports weir/pkg/event"}, // also
		`package p; import "time"; func f() { _ = time.Now() }`:       {"asks time.Now"},
		`package p; import "time"; var wait = time.Sleep`:             {"asks time.Sleep"},
		`package p; import "time"; func f(now time.Time) { now.Add }`: nil,
	} {
		file, _ := parser.ParseFile(token.NewFileSet(), "p.go", source, parser.SkipObjectResolution)
		require.Equal(t, want, faults(file, append([]string{"weir/pkg/event"}, impure...)), source)
	}
}
