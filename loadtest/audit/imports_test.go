package audit

import (
	"go/build/constraint"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A judge that shares code with the accused shares its mistakes: nothing of weir is imported, not even its words.
// Files under every build tag are looked at.
func TestSharesNoCodeWithWhatItJudges(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	looked, tagged := 0, 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		if constraint.IsGoBuild(strings.SplitN(string(text), "\n", 2)[0]) {
			tagged++
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
		require.NoError(t, err)
		for _, i := range file.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			require.NoError(t, err)
			require.False(t, path == "weir" || strings.HasPrefix(path, "weir/"), "%s imports %s", name, path)
		}
		looked++
	}
	require.Greater(t, looked, tagged)
	require.Positive(t, tagged)
}
