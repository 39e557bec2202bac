package parts

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// scripted is a Trino that gives one answer after another, and counts the statements.
func scripted(t *testing.T, answers ...string) (tr *Trino, asked *int) {
	t.Helper()
	asked = new(int)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			*asked++
		}
		answer := answers[0]
		answers = answers[1:]
		_, _ = io.WriteString(w, strings.ReplaceAll(answer, "URL", "http://"+r.Host+"/next"))
	}))
	t.Cleanup(server.Close)
	return &Trino{URL: server.URL}, asked
}

const (
	noNodes = `{"error": {"message": "No nodes available to run query", "errorName": "NO_NODES_AVAILABLE"}}`
	page1   = `{"data": [["a"]], "nextUri": "URL", "stats": {"physicalInputBytes": 0}}`
	page2   = `{"data": [["b"]], "stats": {"physicalInputBytes": 7}}`
	refused = `{"error": {"message": "line 1:8: Column 'x' cannot be resolved", "errorName": "COLUMN_NOT_FOUND"}}`
)

func TestAStatementWithoutANodeIsAskedAgain(t *testing.T) {
	tr, asked := scripted(t, `{"nextUri": "URL"}`, noNodes, page1, page2)
	rows, bytes, err := tr.Measure(t.Context(), "weir", "select type from eventlogs")
	require.NoError(t, err)
	require.Equal(t, [][]any{{"a"}, {"b"}}, rows)
	require.EqualValues(t, 7, bytes)
	require.Equal(t, 2, *asked)
}

func TestARefusedStatementIsAskedOnce(t *testing.T) {
	tr, asked := scripted(t, refused)
	_, err := tr.Query(t.Context(), "weir", "select x from eventlogs")
	require.ErrorContains(t, err, "Column 'x' cannot be resolved")
	require.Equal(t, 1, *asked)
}
