package gluetest

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsglue "github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"
	"github.com/stretchr/testify/require"

	"weir/pkg/glue"
)

func databaseTests() []test {
	return []test{
		{"create, get", func(t *testing.T, s suite) {
			ctx := t.Context()
			want := glue.Database{
				Name: s.db + "_2", Description: "of weir", Location: "s3://weir/lake/", Parameters: map[string]string{"a": "b"},
			}
			require.NoError(t, s.CreateDatabase(ctx, want))
			got, err := s.GetDatabase(ctx, want.Name)
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.ErrorIs(t, s.CreateDatabase(ctx, want), glue.ErrExists)
		}},
		{"absent", func(t *testing.T, s suite) {
			_, err := s.GetDatabase(t.Context(), s.db+"_absent")
			require.ErrorIs(t, err, glue.ErrNotFound)
			require.ErrorContains(t, err, s.db+"_absent")
		}},
		{"names are folded", func(t *testing.T, s suite) {
			ctx := t.Context()
			got, err := s.GetDatabase(ctx, strings.ToUpper(s.db))
			require.NoError(t, err)
			require.Equal(t, s.db, got.Name)
			require.ErrorIs(t, s.CreateDatabase(ctx, glue.Database{Name: strings.ToUpper(s.db)}), glue.ErrExists)
		}},
		{"an invalid name", func(t *testing.T, s suite) {
			for _, name := range []string{"", strings.Repeat("x", 256), "a\nb"} {
				_, err := s.sdk.CreateDatabase(t.Context(), &awsglue.CreateDatabaseInput{DatabaseInput: &types.DatabaseInput{Name: aws.String(name)}})
				require.ErrorContains(t, err, "InvalidInputException", "%q", name)
			}
		}},
		{"list", func(t *testing.T, s suite) {
			var found []string
			for d, err := range s.Databases(t.Context()) {
				require.NoError(t, err)
				found = append(found, d.Name)
			}
			require.Contains(t, found, s.db)
		}},
		{"pages", func(t *testing.T, s suite) {
			require.NoError(t, s.CreateDatabase(t.Context(), glue.Database{Name: s.db + "_2"}))
			var found []string
			pages := awsglue.NewGetDatabasesPaginator(s.sdk, &awsglue.GetDatabasesInput{MaxResults: aws.Int32(1)})
			for pages.HasMorePages() {
				page, err := pages.NextPage(t.Context())
				require.NoError(t, err)
				require.LessOrEqual(t, len(page.DatabaseList), 1)
				for _, d := range page.DatabaseList {
					found = append(found, aws.ToString(d.Name))
				}
			}
			require.Contains(t, found, s.db)
			require.Contains(t, found, s.db+"_2")
		}},
		{"delete takes all with it", func(t *testing.T, s suite) {
			ctx := t.Context()
			s.create(t)
			_, err := s.sdk.DeleteDatabase(ctx, &awsglue.DeleteDatabaseInput{Name: aws.String(s.db)})
			require.NoError(t, err)
			_, err = s.GetDatabase(ctx, s.db)
			require.ErrorIs(t, err, glue.ErrNotFound)
			require.NoError(t, s.CreateDatabase(ctx, glue.Database{Name: s.db}))
			_, err = s.GetTable(ctx, s.db, "eventlogs")
			require.ErrorIs(t, err, glue.ErrNotFound)
		}},
	}
}

func tableTests() []test {
	return []test{
		{"create, get", func(t *testing.T, s suite) {
			want, got := s.table(), s.create(t)
			require.NotEmpty(t, got.VersionID)
			requireSame(t, want, got)
			require.ErrorIs(t, s.CreateTable(t.Context(), want), glue.ErrExists)
		}},
		{"absent", func(t *testing.T, s suite) {
			ctx := t.Context()
			_, err := s.GetTable(ctx, s.db, "eventlogs")
			require.ErrorIs(t, err, glue.ErrNotFound)
			_, err = s.GetTable(ctx, s.db+"_absent", "eventlogs")
			require.ErrorIs(t, err, glue.ErrNotFound)
			inNowhere := s.table()
			inNowhere.Database += "_absent"
			require.ErrorIs(t, s.CreateTable(ctx, inNowhere), glue.ErrNotFound)
		}},
		{"names are folded", func(t *testing.T, s suite) {
			upper := s.table()
			upper.Name = "EventLogs"
			require.NoError(t, s.CreateTable(t.Context(), upper))
			require.Equal(t, "eventlogs", s.get(t).Name)
			require.ErrorIs(t, s.CreateTable(t.Context(), s.table()), glue.ErrExists)
		}},
		{"an invalid one", func(t *testing.T, s suite) {
			for what, spoil := range map[string]func(*glue.Table){
				"name":            func(x *glue.Table) { x.Name = strings.Repeat("x", 256) },
				"column's name":   func(x *glue.Table) { x.Columns[0].Name = "" },
				"column's length": func(x *glue.Table) { x.Columns[0].Name = strings.Repeat("x", 256) },
				"comment":         func(x *glue.Table) { x.Columns[0].Comment = strings.Repeat("x", 256) },
				"type":            func(x *glue.Table) { x.Columns[0].Type = strings.Repeat("x", 131073) },
				"parameter":       func(x *glue.Table) { x.Parameters["x"] = strings.Repeat("x", 512001) },
				"location":        func(x *glue.Table) { x.Location = strings.Repeat("x", 2057) },
			} {
				table := s.table()
				spoil(&table)
				require.ErrorIs(t, s.CreateTable(t.Context(), table), glue.ErrInvalid, what)
			}
		}},
		{"list", func(t *testing.T, s suite) {
			want := []string{"a", "b", "c"}
			for _, name := range []string{"b", "c", "a"} {
				table := s.table()
				table.Name = name
				require.NoError(t, s.CreateTable(t.Context(), table))
			}
			var found []string
			for table, err := range s.Tables(t.Context(), s.db) {
				require.NoError(t, err)
				found = append(found, table.Name)
				want := s.table()
				want.Name = table.Name
				requireSame(t, want, table)
			}
			require.ElementsMatch(t, want, found)
			for _, err := range s.Tables(t.Context(), s.db+"_absent") {
				require.ErrorIs(t, err, glue.ErrNotFound)
			}
		}},
		{"a view keeps its texts and its owner", func(t *testing.T, s suite) {
			ctx := t.Context()
			view := glue.Table{
				Database: s.db, Name: "shown", Type: "VIRTUAL_VIEW", Owner: "weir", View: glue.View{Original: "/* Presto View: e30= */", Expanded: "/* Presto View */"},
				Columns: []glue.Column{{Name: "a", Type: "string", Comment: "A"}}, Parameters: map[string]string{"presto_view": "true"},
			}
			require.NoError(t, s.CreateTable(ctx, view))
			got, err := s.GetTable(ctx, s.db, "shown")
			require.NoError(t, err)
			require.Equal(t, []any{view.Owner, view.View}, []any{got.Owner, got.View})
			require.Empty(t, got.Location)
			got.View.Original = "/* Presto View: eyJhIjoxfQ== */"
			got.Columns = append(got.Columns, glue.Column{Name: "b", Type: "bigint"})
			require.NoError(t, s.UpdateTable(ctx, got))
			again, err := s.GetTable(ctx, s.db, "shown")
			require.NoError(t, err)
			require.Equal(t, []any{got.Owner, got.View, got.Columns, got.Parameters}, []any{again.Owner, again.View, again.Columns, again.Parameters})
		}},
		{"a deleted one comes back without partitions", func(t *testing.T, s suite) {
			s.create(t)
			s.fill(t, s.days("a", 3))
			_, err := s.sdk.DeleteTable(t.Context(), &awsglue.DeleteTableInput{DatabaseName: aws.String(s.db), Name: aws.String("eventlogs")})
			require.NoError(t, err)
			_, err = s.GetTable(t.Context(), s.db, "eventlogs")
			require.ErrorIs(t, err, glue.ErrNotFound)
			s.create(t)
			found, err := s.list(t.Context(), glue.Filter{})
			require.NoError(t, err)
			require.Empty(t, found)
		}},
		{"indexes", func(t *testing.T, s suite) {
			ctx := t.Context()
			s.create(t)
			index := glue.PartitionIndex{Name: "by_day", Keys: []string{"dt"}}
			require.NoError(t, s.CreatePartitionIndex(ctx, s.db, "eventlogs", index))
			require.ErrorIs(t, s.CreatePartitionIndex(ctx, s.db, "eventlogs", index), glue.ErrExists)
			require.ErrorIs(t, s.CreatePartitionIndex(ctx, s.db, "eventlogs", glue.PartitionIndex{Name: "x", Keys: []string{"messageid"}}), glue.ErrInvalid)
			got, err := s.PartitionIndexes(ctx, s.db, "eventlogs")
			require.NoError(t, err)
			require.Equal(t, []glue.PartitionIndex{index}, got)
			require.NoError(t, s.CreatePartitionIndex(ctx, s.db, "eventlogs", glue.PartitionIndex{Name: "2", Keys: []string{"dt"}}))
			require.NoError(t, s.CreatePartitionIndex(ctx, s.db, "eventlogs", glue.PartitionIndex{Name: "3", Keys: []string{"dt"}}))
			require.ErrorIs(t, s.CreatePartitionIndex(ctx, s.db, "eventlogs", glue.PartitionIndex{Name: "4", Keys: []string{"dt"}}), glue.ErrLimit)
		}},
		{"indexes at create", func(t *testing.T, s suite) {
			index := glue.PartitionIndex{Name: "all", Keys: []string{"sourceid", "dt"}}
			require.NoError(t, s.CreateTable(t.Context(), s.table(), index))
			got, err := s.PartitionIndexes(t.Context(), s.db, "eventlogs")
			require.NoError(t, err)
			require.Equal(t, []glue.PartitionIndex{index}, got)
		}},
		{"statistics are asked for", func(t *testing.T, s suite) {
			s.create(t)
			out, err := s.sdk.GetColumnStatisticsForTable(t.Context(), &awsglue.GetColumnStatisticsForTableInput{
				DatabaseName: aws.String(s.db), TableName: aws.String("eventlogs"), ColumnNames: []string{"messageid"},
			})
			require.NoError(t, err)
			require.Empty(t, out.ColumnStatisticsList)
		}},
	}
}

// requireSame compares what weir knows of two tables.
func requireSame(t *testing.T, want, got glue.Table) {
	t.Helper()
	require.Equal(t, []any{want.Name, want.Type, want.Description, want.Columns, want.PartitionKeys, want.Parameters, want.Location, want.Format},
		[]any{got.Name, got.Type, got.Description, got.Columns, got.PartitionKeys, got.Parameters, got.Location, got.Format})
}
