package flush_test

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The protocol is pure: it has no clock, no I/O, no goroutine, and knows no client.
func TestImports(t *testing.T) {
	forbidden := []string{
		"context", "io/fs", "io/ioutil", "log", "log/slog", "math/rand", "math/rand/v2", "net", "net/http", "os", "os/exec", "runtime",
		"sync", "sync/atomic", "syscall", "testing", "unsafe", "crypto/rand", "github.com/twmb/", "github.com/aws/", "google.golang.org/", "weir/proto/",
		"weir/services/", "weir/pkg/s3", "weir/pkg/kafka", "weir/pkg/glue", "weir/pkg/embedded", "weir/pkg/telemetry", "weir/pkg/columnar",
	}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		for _, spec := range parsed.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			for _, bad := range forbidden {
				require.False(t, path == bad || strings.HasSuffix(bad, "/") && strings.HasPrefix(path, bad), "%s imports %s", file, path)
			}
		}
		for _, name := range parsed.Unresolved {
			require.NotContains(t, []string{"print", "println"}, name.Name, file)
		}
	}
}
