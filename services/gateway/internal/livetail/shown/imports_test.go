package shown

import (
	"go/parser"
	"go/token"
	"io/fs"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A pure package decides from its arguments alone: no I/O, no chance, no lock; time is an argument.
var forbidden = []string{
	"context", "crypto/rand", "hash/maphash", "io", "log", "math/rand", "net", "os", "runtime", "sync", "syscall",
	"unsafe", "github.com/aws", "github.com/twmb", "go.opentelemetry.io",
}

func TestImports(t *testing.T) {
	files, err := parser.ParseDir(token.NewFileSet(), ".", func(f fs.FileInfo) bool {
		return !strings.HasSuffix(f.Name(), "_test.go")
	}, parser.ImportsOnly)
	require.NoError(t, err)
	require.Contains(t, files, "shown")
	for name, file := range files["shown"].Files {
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			for _, f := range forbidden {
				require.False(t, path == f || strings.HasPrefix(path, f+"/"), "%s imports %s", name, path)
			}
		}
	}
}
