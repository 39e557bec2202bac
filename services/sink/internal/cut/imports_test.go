package cut

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPure keeps the decision free of I/O, clocks and locks: it imports only what is
// listed, and of package time only the values.
func TestPure(t *testing.T) {
	allowed := map[string]bool{`"cmp"`: true, `"slices"`: true, `"time"`: true}
	clock := regexp.MustCompile(`time\.(Now|Since|Until|After|AfterFunc|NewTimer|NewTicker|Tick|Sleep)\(`)
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, imp := range f.Imports {
			require.True(t, allowed[imp.Path.Value], "%s imports %s", name, imp.Path.Value)
		}
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NotRegexp(t, clock, string(text), name)
	}
}
