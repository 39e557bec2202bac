package account

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Arithmetic needs no clock and no I/O.
func TestIsPure(t *testing.T) {
	forbidden := []string{"net", "os", "log", "context", "sync", "math/rand", "crypto/rand", "github.com/twmb", "github.com/aws", "weir/pkg/kafka", "weir/pkg/s3", "weir/pkg/glue"}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, i := range file.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			require.NoError(t, err)
			for _, f := range forbidden {
				require.False(t, path == f || strings.HasPrefix(path, f+"/"), "%s imports %s", name, path)
			}
		}
	}
}
