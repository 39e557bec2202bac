package promote

import (
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A pure package decides from its arguments alone: no I/O, no clock, no chance, no lock. "time" is here for its values.
var forbidden = []string{
	"context", "crypto/rand", "io", "log", "math/rand", "net", "os", "runtime", "sync", "syscall", "unsafe", "hash/maphash",
	"github.com/aws", "github.com/twmb", "github.com/parquet-go", "go.opentelemetry.io", "weir/services", "weir/proto",
}

var forbiddenCalls = []string{"time.Now(", "time.Since(", "time.Until(", "time.After", "time.NewT", "time.Sleep(", "time.Tick("}

func TestImports(t *testing.T) {
	entries, err := os.ReadDir(".")
	require.NoError(t, err)
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		source, err := os.ReadFile(e.Name())
		require.NoError(t, err)
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), source, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			for _, f := range forbidden {
				require.False(t, path == f || strings.HasPrefix(path, f+"/"), "%s imports %s", e.Name(), path)
			}
		}
		for _, call := range forbiddenCalls {
			require.NotContains(t, string(source), call, e.Name())
		}
	}
}
