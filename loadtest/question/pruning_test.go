//go:build duckdb && e2e

package question

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/loadtest/fleet"
	"weir/loadtest/parts"
	"weir/pkg/columnar"
	"weir/pkg/event"
	"weir/pkg/lake"
	"weir/pkg/s3"
)

// Rows of the large file: row groups of 20,000 and pages of 1,000, a row a second.
const (
	largeRows  = 100_000
	groupRows  = 20_000
	rowsOfPage = 1_000
)

// requirePruning puts a large file beside the small ones and has Trino find one message, and one hour, in it: how many
// rows it takes in shows what the Bloom filter and the page index spare it.
func requirePruning(t *testing.T, w fleet.World, trino *parts.Trino) {
	t.Helper()
	began := putLarge(t, w)
	ask := func(what, where string) (rows int) {
		t.Helper()
		answer, err := trino.Query(t.Context(), "weir", "explain analyze select "+what+" from eventlogs where sourceid = 'source1' and "+where)
		require.NoError(t, err)
		return inputRows(t, fmt.Sprint(answer))
	}
	all := ask("event", "event is not null")
	require.GreaterOrEqual(t, all, largeRows)
	small := all - largeRows

	one := ask("event", "messageid = 'large-77777'")
	require.LessOrEqual(t, one, groupRows+small, "the Bloom filter leaves one row group of five")
	require.Positive(t, one)
	none := ask("event", "messageid = 'nobody'")
	require.LessOrEqual(t, none, small, "and none for an id that is not there")

	from := began.Add(10 * time.Hour)
	hour := ask("event", fmt.Sprintf("timestamp >= timestamp '%s' and timestamp < timestamp '%s'", from.Format(time.DateTime), from.Add(time.Hour).Format(time.DateTime)))
	require.LessOrEqual(t, hour, 3600+2*rowsOfPage+small, "the page index leaves the pages of the hour")
	require.GreaterOrEqual(t, hour, 3600)
	t.Logf("rows that Trino took in: all %d, one message %d, a message that is not there %d, one hour %d", all, one, none, hour)
}

func putLarge(t *testing.T, w fleet.World) (began time.Time) {
	t.Helper()
	began = time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -3)
	table := lake.EventLogs()
	layout, err := columnar.NewLayout(table.Schema, columnar.Options{RowGroupRows: groupRows, PageRows: rowsOfPage})
	require.NoError(t, err)
	var body bytes.Buffer
	file := layout.NewFile(&body)
	var view event.View
	r := event.Record{Topic: fleet.Topic, Key: []byte("source1"), Timestamp: time.Now()}
	for i := range largeRows {
		r.Offset = int64(i)
		r.Value = fmt.Appendf(r.Value[:0], `{"type":"track","event":"Large","messageId":"large-%d","timestamp":%q}`, i, began.Add(time.Duration(i)*time.Second).Format(time.RFC3339))
		require.Empty(t, view.Decode(&r))
		require.NoError(t, file.Append(&r, &view))
	}
	require.NoError(t, file.Close())
	location, err := lake.ParseLocation("s3://weir/lake")
	require.NoError(t, err)
	store, err := s3.Open(t.Context(), s3.Config{Lake: location, Endpoint: w.S3URL, Region: "us-east-1", AccessKey: w.Access, SecretKey: w.Secret}, nil)
	require.NoError(t, err)
	dir := lake.Partition{Table: table.Name, SourceID: "source1", Day: view.Day}.Dir(table)
	require.NoError(t, store.PutFileIfAbsent(context.Background(), dir+"/large.parquet", "application/vnd.apache.parquet", body.Bytes()))
	return began
}

var input = regexp.MustCompile(`Input: ([0-9,]+) rows`)

// inputRows is what the scan of the table read: the largest of the plan's inputs.
func inputRows(t *testing.T, plan string) (rows int) {
	t.Helper()
	found := input.FindAllStringSubmatch(plan, -1)
	require.NotEmpty(t, found, plan)
	for _, m := range found {
		n, err := strconv.Atoi(strings.ReplaceAll(m[1], ",", ""))
		require.NoError(t, err)
		rows = max(rows, n)
	}
	return rows
}
