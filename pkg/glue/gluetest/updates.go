package gluetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsglue "github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"
	"github.com/stretchr/testify/require"

	"weir/pkg/glue"
)

func updateTests() []test {
	return []test{
		{"a column is added", func(t *testing.T, s suite) {
			table := s.create(t)
			table.Columns = append(table.Columns, glue.Column{Name: "context_page_url", Type: "string"})
			require.NoError(t, s.UpdateTable(t.Context(), table))
			got := s.get(t)
			requireSame(t, table, got)
			require.NotEqual(t, table.VersionID, got.VersionID)
		}},
		{"what weir does not know of stays", foreignStays},
		{"a table that was not read", func(t *testing.T, s suite) {
			s.create(t)
			require.ErrorIs(t, s.UpdateTable(t.Context(), s.table()), glue.ErrInvalid)
		}},
		{"a table that is gone", func(t *testing.T, s suite) {
			table := s.create(t)
			_, err := s.sdk.DeleteTable(t.Context(), &awsglue.DeleteTableInput{DatabaseName: aws.String(s.db), Name: aws.String("eventlogs")})
			require.NoError(t, err)
			require.ErrorIs(t, s.UpdateTable(t.Context(), table), glue.ErrNotFound)
		}},
		{"a stale version is refused", func(t *testing.T, s suite) {
			table := s.create(t)
			require.NoError(t, s.UpdateTable(t.Context(), table))
			table.Parameters["mine"] = "lost"
			require.ErrorIs(t, s.UpdateTable(t.Context(), table), glue.ErrChanged)
			require.NotContains(t, s.get(t).Parameters, "mine")
		}},
		{"of several at once none is lost", concurrentUpdates},
		{"partitions do not change the version", func(t *testing.T, s suite) {
			table := s.create(t)
			s.fill(t, s.days("a", 2))
			require.Equal(t, table.VersionID, s.get(t).VersionID)
		}},
		{"no old version is kept", func(t *testing.T, s suite) {
			s.create(t)
			for range 3 {
				require.NoError(t, s.UpdateTable(t.Context(), s.get(t)))
			}
			require.Len(t, s.versions(t), 1)
		}},
		{"an update of others keeps the old version", func(t *testing.T, s suite) {
			table := s.create(t)
			_, err := s.sdk.UpdateTable(t.Context(), &awsglue.UpdateTableInput{
				DatabaseName: aws.String(s.db), TableInput: &types.TableInput{Name: aws.String("eventlogs"), Description: aws.String("wiped")},
			})
			require.NoError(t, err)
			got := s.get(t)
			require.Equal(t, "wiped", got.Description)
			require.Empty(t, got.Parameters, "the input replaces all")
			versions := s.versions(t)
			require.Len(t, versions, 2)
			require.Contains(t, versions, table.VersionID)
		}},
	}
}

func (s suite) versions(t *testing.T) (ids []string) {
	t.Helper()
	out, err := s.sdk.GetTableVersions(t.Context(), &awsglue.GetTableVersionsInput{DatabaseName: aws.String(s.db), TableName: aws.String("eventlogs")})
	require.NoError(t, err)
	for _, v := range out.TableVersions {
		ids = append(ids, aws.ToString(v.VersionId))
	}
	return ids
}

// foreignStays: somebody else's table, with everything set, goes through weir's
// hands.
func foreignStays(t *testing.T, s suite) {
	ctx := t.Context()
	foreign := &types.TableInput{
		Name: aws.String("eventlogs"), Description: aws.String("theirs"), Owner: aws.String("hadoop"),
		LastAccessTime: aws.Time(time.Unix(1_700_000_000, 0).UTC()), Retention: 17,
		TableType: aws.String("EXTERNAL_TABLE"), Parameters: map[string]string{"projection.enabled": "true"},
		ViewOriginalText: aws.String("/* original */"), ViewExpandedText: aws.String("/* expanded */"),
		PartitionKeys: []types.Column{{Name: aws.String("dt"), Type: aws.String("string"), Comment: aws.String("the day")}},
		StorageDescriptor: &types.StorageDescriptor{
			Columns: []types.Column{
				{Name: aws.String("messageid"), Type: aws.String("string"), Comment: aws.String("theirs"), Parameters: map[string]string{"c": "d"}},
				{Name: aws.String("unknown"), Type: aws.String("struct<a:int>")},
			},
			Location: aws.String("s3://theirs/"), Compressed: true, NumberOfBuckets: 8, BucketColumns: []string{"messageid"},
			SortColumns: []types.Order{{Column: aws.String("messageid"), SortOrder: 1}},
			Parameters:  map[string]string{"e": "f"}, StoredAsSubDirectories: true,
			SerdeInfo: &types.SerDeInfo{
				Name: aws.String("serde"), SerializationLibrary: aws.String("lib"), Parameters: map[string]string{"g": "h"},
			},
			SkewedInfo: &types.SkewedInfo{SkewedColumnNames: []string{"messageid"}},
		},
	}
	_, err := s.sdk.CreateTable(ctx, &awsglue.CreateTableInput{DatabaseName: aws.String(s.db), TableInput: foreign})
	require.NoError(t, err)
	before, err := s.sdk.GetTable(ctx, &awsglue.GetTableInput{DatabaseName: aws.String(s.db), Name: aws.String("eventlogs")})
	require.NoError(t, err)

	table := s.get(t)
	table.Columns = append(table.Columns, glue.Column{Name: "added", Type: "string"})
	table.Parameters["weir.schema"] = "1"
	require.NoError(t, s.UpdateTable(ctx, table))

	after, err := s.sdk.GetTable(ctx, &awsglue.GetTableInput{DatabaseName: aws.String(s.db), Name: aws.String("eventlogs")})
	require.NoError(t, err)
	want := before.Table
	want.StorageDescriptor.Columns = append(want.StorageDescriptor.Columns, types.Column{Name: aws.String("added"), Type: aws.String("string")})
	want.Parameters["weir.schema"] = "1"
	want.UpdateTime, want.VersionId = after.Table.UpdateTime, after.Table.VersionId
	require.Equal(t, want, after.Table)
	require.EqualValues(t, 17, after.Table.Retention)
	require.Equal(t, "hadoop", aws.ToString(after.Table.Owner))
}

// concurrentUpdates: six add a column each, and start again when they were too
// late.
func concurrentUpdates(t *testing.T, s suite) {
	s.create(t)
	errs := make([]error, 6)
	var wg sync.WaitGroup
	for n := range errs {
		wg.Go(func() {
			for {
				table, err := s.GetTable(t.Context(), s.db, "eventlogs")
				if err == nil {
					table.Columns = append(table.Columns, glue.Column{Name: fmt.Sprintf("added_%d", n), Type: "string"})
					err = s.UpdateTable(t.Context(), table)
				}
				if !errors.Is(err, glue.ErrChanged) {
					errs[n] = err
					return
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Len(t, s.get(t).Columns, len(s.table().Columns)+len(errs))
}
