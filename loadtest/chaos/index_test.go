package chaos

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The page over the results in the repository says what they say.
func TestIndex(t *testing.T) {
	dir := filepath.Join("..", "results")
	want, err := Index(dir)
	require.NoError(t, err)
	got, err := os.ReadFile(filepath.Join(dir, indexName))
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

// Who writes a result writes the page over all.
func TestWriteIndexes(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "another.md"), []byte("# Something else\n\ntext\n"), 0o600))
	r := Result{Scenario: "zombie", World: "kafka", Started: time.Unix(0, 0), Build: Build{Revision: "0123456789"}, Passed: true}
	r.Verdict.Acked = 42
	_, err := r.Write(dir)
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(dir, indexName))
	require.NoError(t, err)
	require.Contains(t, string(text), "| zombie | kafka | 1970-01-01 | 42 | 0 | 0 | 0 | – | passed | [page](1970-01-01-0123456-zombie-kafka.md) |")
	require.Contains(t, string(text), "- [Something else](another.md)")
}
