package glue_test

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/glue/types"
	"github.com/stretchr/testify/require"

	"weir/pkg/embedded"
	"weir/pkg/glue"
)

// troubled is a catalog with one table, a server that makes trouble on demand,
// and what the observer heard.
type troubled struct {
	*glue.Catalog
	server   *embedded.Glue
	attempts []string
}

func trouble(t *testing.T) *troubled {
	t.Helper()
	tr := &troubled{server: start(t, "")}
	cfg := config("http://" + tr.server.Addr())
	cfg.MaxBackoff = time.Millisecond
	var err error
	tr.Catalog, err = glue.Open(t.Context(), cfg, func(a glue.Attempt) { tr.attempts = append(tr.attempts, a.Op+" "+a.Outcome) })
	require.NoError(t, err)
	require.NoError(t, tr.CreateDatabase(t.Context(), glue.Database{Name: "weir"}))
	require.NoError(t, tr.CreateTable(t.Context(), glue.Table{
		Database: "weir", Name: "t", PartitionKeys: []glue.Column{{Name: "dt", Type: "string"}},
	}))
	tr.attempts = nil
	return tr
}

func TestThrottlingIsTriedAgainAndThenSaid(t *testing.T) {
	tr := trouble(t)
	short := tr.server.Inject(embedded.GlueFault{Op: "GetTable", Code: "ThrottlingException", Count: 2})
	_, err := tr.GetTable(t.Context(), "weir", "t")
	require.NoError(t, err)
	require.Equal(t, 2, short.Hits())
	require.Equal(t, []string{"GetTable throttled", "GetTable throttled", "GetTable ok"}, tr.attempts)

	long := tr.server.Inject(embedded.GlueFault{Op: "GetTable", Code: "ThrottlingException"})
	_, err = tr.GetTable(t.Context(), "weir", "t")
	require.ErrorIs(t, err, glue.ErrThrottled)
	require.Equal(t, 3, long.Hits())
	long.Remove()
	_, err = tr.GetTable(t.Context(), "weir", "t")
	require.NoError(t, err)
}

func TestErrorsAreNamed(t *testing.T) {
	for code, want := range map[string]error{
		"InternalServiceException":             glue.ErrUnavailable,
		"OperationTimeoutException":            glue.ErrUnavailable,
		"ConcurrentModificationException":      glue.ErrChanged,
		"ResourceNumberLimitExceededException": glue.ErrLimit,
		"AccessDeniedException":                glue.ErrDenied,
		"InvalidInputException":                glue.ErrInvalid,
	} {
		t.Run(code, func(t *testing.T) {
			tr := trouble(t)
			tr.server.Inject(embedded.GlueFault{Code: code})
			_, err := tr.GetDatabase(t.Context(), "weir")
			require.ErrorIs(t, err, want)
			require.ErrorContains(t, err, "get database weir")
			require.ErrorContains(t, err, code)
		})
	}
	t.Run("Rate exceeded, under another code", func(t *testing.T) {
		tr := trouble(t)
		tr.server.Inject(embedded.GlueFault{Code: "GlueException", Message: "Rate exceeded"})
		_, err := tr.GetDatabase(t.Context(), "weir")
		require.ErrorIs(t, err, glue.ErrThrottled)
	})
	t.Run("not answered", func(t *testing.T) {
		tr := trouble(t)
		drop := tr.server.Inject(embedded.GlueFault{Drop: true})
		_, err := tr.GetDatabase(t.Context(), "weir")
		require.ErrorIs(t, err, glue.ErrUnavailable)
		require.Equal(t, 3, drop.Hits())
	})
	t.Run("canceled", func(t *testing.T) {
		tr := trouble(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := tr.GetDatabase(ctx, "weir")
		require.ErrorIs(t, err, context.Canceled)
	})
}

// An update whose answer is lost looks like somebody else's: the reader finds
// its own.
func TestAnUpdateWhoseAnswerIsLost(t *testing.T) {
	for name, fault := range map[string]embedded.GlueFault{
		"cut":            {Op: "UpdateTable", Drop: true, Land: true, Count: 1},
		"answered a 500": {Op: "UpdateTable", Code: "InternalServiceException", Land: true, Count: 1},
	} {
		t.Run(name, func(t *testing.T) {
			tr := trouble(t)
			table, err := tr.GetTable(t.Context(), "weir", "t")
			require.NoError(t, err)
			tr.server.Inject(fault)
			table.Description = "mine"
			require.ErrorIs(t, tr.UpdateTable(t.Context(), table), glue.ErrChanged)
			got, err := tr.GetTable(t.Context(), "weir", "t")
			require.NoError(t, err)
			require.Equal(t, "mine", got.Description)
		})
	}
	t.Run("cut before it landed", func(t *testing.T) {
		tr := trouble(t)
		table, err := tr.GetTable(t.Context(), "weir", "t")
		require.NoError(t, err)
		tr.server.Inject(embedded.GlueFault{Op: "UpdateTable", Drop: true, Count: 1})
		require.NoError(t, tr.UpdateTable(t.Context(), table))
	})
}

func TestItemsOfABatchFailAlone(t *testing.T) {
	ctx := t.Context()
	tr := trouble(t)
	only := func(bad, code string) func([]string) string {
		return func(values []string) string {
			if values[0] == bad {
				return code
			}
			return ""
		}
	}
	tr.server.Inject(embedded.GlueFault{Op: "BatchCreatePartition", Items: only("2", "OperationTimeoutException"), Count: 1})
	ps := []glue.Partition{{Values: []string{"1"}}, {Values: []string{"2"}}, {Values: []string{"3"}}}
	failed, err := tr.BatchCreatePartition(ctx, "weir", "t", ps)
	require.NoError(t, err)
	require.Len(t, failed, 1)
	require.Equal(t, []string{"2"}, failed[0].Values)
	require.ErrorIs(t, failed[0].Err, glue.ErrUnavailable)
	failed, err = tr.BatchCreatePartition(ctx, "weir", "t", ps[1:2])
	require.NoError(t, err)
	require.Empty(t, failed)

	// What the catalog leaves for later is asked for again.
	tr.server.Inject(embedded.GlueFault{Op: "BatchGetPartition", Items: only("3", embedded.Unprocessed), Count: 1})
	got, err := tr.BatchGetPartition(ctx, "weir", "t", [][]string{{"1"}, {"2"}, {"3"}})
	require.NoError(t, err)
	require.Len(t, got, 3)
	tr.server.Inject(embedded.GlueFault{Op: "BatchGetPartition", Items: only("3", embedded.Unprocessed)})
	_, err = tr.BatchGetPartition(ctx, "weir", "t", [][]string{{"1"}, {"2"}, {"3"}})
	require.ErrorIs(t, err, glue.ErrUnavailable)
}

// A field that a new SDK gives tables must be copied by an update, or be known
// here as one that cannot be.
func TestEveryFieldOfATableIsKnown(t *testing.T) {
	known := map[string]bool{ // of TableInput, which Table.input fills
		"Name": true, "Description": true, "FederatedTable": true, "LastAccessTime": true, "LastAnalyzedTime": true,
		"Owner": true, "Parameters": true, "PartitionKeys": true, "Retention": true, "StorageDescriptor": true,
		"TableType": true, "TargetTable": true, "ViewExpandedText": true, "ViewOriginalText": true,
		"ViewDefinition": true, // another type than Table's: an update refuses such a table
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[types.TableInput]()) {
		if f.IsExported() {
			require.True(t, known[f.Name], "TableInput.%s is new", f.Name)
		}
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[types.Column]()) {
		if f.IsExported() {
			require.Contains(t, []string{"Name", "Type", "Comment", "Parameters"}, f.Name, "Column.%s is new", f.Name)
		}
	}
}

func TestACatalogThatIsDown(t *testing.T) {
	cfg := config("http://127.0.0.1:1")
	cfg.MaxBackoff = time.Millisecond
	c, err := glue.Open(t.Context(), cfg, nil)
	require.NoError(t, err)
	_, err = c.GetDatabase(t.Context(), "weir")
	require.ErrorIs(t, err, glue.ErrUnavailable)
	require.ErrorContains(t, err, "connection refused")
}
