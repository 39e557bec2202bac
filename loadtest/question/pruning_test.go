//go:build duckdb && e2e

package question

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/loadtest/fleet"
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

// requirePruning puts a large file beside the small ones and has an engine find one message, and one hour, in it. ask
// says how many rows the engine took in, which shows what the Bloom filter and the page index spare it.
func requirePruning(t *testing.T, w fleet.World, ask func(where string) int) (oneMessage, oneHour string) {
	t.Helper()
	began := putLarge(t, w)
	all := ask("event is not null")
	require.GreaterOrEqual(t, all, largeRows)
	small := all - largeRows

	oneMessage = "messageid = 'large-77777'"
	one := ask(oneMessage)
	require.LessOrEqual(t, one, groupRows+small, "the Bloom filter leaves one row group of five")
	require.Positive(t, one)
	none := ask("messageid = 'large-77777x'")
	require.LessOrEqual(t, none, small, "and none for an id that is not there")

	from := began.Add(10 * time.Hour)
	oneHour = fmt.Sprintf("timestamp >= timestamp '%s' and timestamp < timestamp '%s'", from.Format(time.DateTime), from.Add(time.Hour).Format(time.DateTime))
	hour := ask(oneHour)
	require.LessOrEqual(t, hour, 3600+2*rowsOfPage+small, "the page index leaves the pages of the hour")
	require.GreaterOrEqual(t, hour, 3600)
	t.Logf("rows that were taken in: all %d, one message %d, a message that is not there %d, one hour %d", all, one, none, hour)
	return oneMessage, oneHour
}

// putLarge writes a file whose ids are in no order: the bounds of each row group and page hold almost all of them.
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
		r.Value = fmt.Appendf(r.Value[:0], `{"type":"track","event":"Large","messageId":"large-%d","timestamp":%q}`, i*7919%largeRows, began.Add(time.Duration(i)*time.Second).Format(time.RFC3339))
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
