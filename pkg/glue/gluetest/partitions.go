package gluetest

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsglue "github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"
	"github.com/stretchr/testify/require"

	"weir/pkg/glue"
)

func partitionTests() []test {
	return []test{
		{"create, list, get", func(t *testing.T, s suite) {
			s.create(t)
			want := s.days("a", 3)
			want[1].Parameters = map[string]string{"k": "v"}
			s.fill(t, want)
			values := [][]string{want[2].Values, {"never", "2026-01-01"}, want[0].Values, want[1].Values}
			got, err := s.BatchGetPartition(t.Context(), s.db, "eventlogs", values)
			require.NoError(t, err)
			requirePartitions(t, want, got)
			got = nil
			for p, err := range s.Partitions(t.Context(), s.db, "eventlogs", glue.Filter{}) {
				require.NoError(t, err)
				got = append(got, p)
			}
			requirePartitions(t, want, got)
		}},
		{"an existing one is reported and left alone", func(t *testing.T, s suite) {
			s.create(t)
			days := s.days("a", 3)
			s.fill(t, days[1:2])
			again := slices.Clone(days)
			again[1].Location = "s3://elsewhere/"
			failed, err := s.BatchCreatePartition(t.Context(), s.db, "eventlogs", again)
			require.NoError(t, err)
			require.Len(t, failed, 1)
			require.Equal(t, days[1].Values, failed[0].Values)
			require.ErrorIs(t, failed[0].Err, glue.ErrExists)
			require.ErrorContains(t, failed[0].Err, "a/2026-01-02")
			got, err := s.BatchGetPartition(t.Context(), s.db, "eventlogs", [][]string{days[0].Values, days[1].Values, days[2].Values})
			require.NoError(t, err)
			requirePartitions(t, days, got)
		}},
		{"of a table that is absent", func(t *testing.T, s suite) {
			_, err := s.BatchCreatePartition(t.Context(), s.db, "eventlogs", s.days("a", 1))
			require.ErrorIs(t, err, glue.ErrNotFound)
			_, err = s.list(t.Context(), glue.Filter{})
			require.ErrorIs(t, err, glue.ErrNotFound)
		}},
		{"limits on one call", limits},
		{"an invalid one", func(t *testing.T, s suite) {
			s.create(t)
			p := s.partition("a\x01b", "2026-01-01")
			failed, err := s.BatchCreatePartition(t.Context(), s.db, "eventlogs", []glue.Partition{p, s.partition("b", "2026-01-01")})
			require.NoError(t, err)
			require.Len(t, failed, 1)
			require.Equal(t, p.Values, failed[0].Values)
			require.ErrorIs(t, failed[0].Err, glue.ErrInvalid)
			found, err := s.list(t.Context(), glue.Filter{})
			require.NoError(t, err)
			require.Equal(t, []string{"b/2026-01-01"}, found)
		}},
		{"what is taken as a value comes back", func(t *testing.T, s suite) {
			s.create(t)
			var want []string
			var ps []glue.Partition
			for _, source := range []string{"A.b_c-1", "a:b", "a b%2F", "ünïcødé 東", "'quoted'", "__HIVE_DEFAULT_PARTITION__"} {
				ps = append(ps, s.partition(source, "2026-01-01"))
				want = append(want, source+"/2026-01-01")
			}
			s.fill(t, ps)
			found, err := s.list(t.Context(), glue.Filter{})
			require.NoError(t, err)
			require.ElementsMatch(t, want, found)
		}},
		{"many", func(t *testing.T, s suite) {
			s.create(t)
			want := s.days("a", 250)
			s.fill(t, want)
			var got []glue.Partition
			for p, err := range s.Partitions(t.Context(), s.db, "eventlogs", glue.Filter{}) {
				require.NoError(t, err)
				got = append(got, p)
			}
			requirePartitions(t, want, got)
		}},
		{"pages", pages},
		{"segments share them out", segments},
		{"columns are left out on demand", func(t *testing.T, s suite) {
			s.create(t)
			p := s.partition("a", "2026-01-01")
			p.Columns = s.table().Columns
			s.fill(t, []glue.Partition{p})
			for _, exclude := range []bool{false, true} {
				for got, err := range s.Partitions(t.Context(), s.db, "eventlogs", glue.Filter{ExcludeColumns: exclude}) {
					require.NoError(t, err)
					require.Equal(t, exclude, len(got.Columns) == 0)
					require.Equal(t, p.Location, got.Location)
				}
			}
		}},
		{"update", func(t *testing.T, s suite) {
			ctx := t.Context()
			s.create(t)
			days := s.days("a", 2)
			s.fill(t, days)
			days[0].Location, days[0].Parameters = "s3://swapped/", map[string]string{"n": "1"}
			failed, err := s.BatchUpdatePartition(ctx, s.db, "eventlogs", []glue.Partition{days[0], s.partition("never", "2026-01-01")})
			require.NoError(t, err)
			require.Len(t, failed, 1)
			require.Equal(t, []string{"never", "2026-01-01"}, failed[0].Values)
			require.ErrorIs(t, failed[0].Err, glue.ErrNotFound)
			got, err := s.BatchGetPartition(ctx, s.db, "eventlogs", [][]string{days[0].Values, days[1].Values})
			require.NoError(t, err)
			requirePartitions(t, days, got)
		}},
		{"delete", func(t *testing.T, s suite) {
			ctx := t.Context()
			s.create(t)
			days := s.days("a", 3)
			s.fill(t, days)
			failed, err := s.BatchDeletePartition(ctx, s.db, "eventlogs", [][]string{days[1].Values, {"never", "2026-01-01"}})
			require.NoError(t, err)
			require.Len(t, failed, 1)
			require.ErrorIs(t, failed[0].Err, glue.ErrNotFound)
			found, err := s.list(ctx, glue.Filter{})
			require.NoError(t, err)
			require.ElementsMatch(t, []string{"a/2026-01-01", "a/2026-01-03"}, found)
		}},
	}
}

func requirePartitions(t *testing.T, want, got []glue.Partition) {
	t.Helper()
	type seen struct {
		Values, Columns, Parameters any
		Location                    string
		Format                      glue.Format
	}
	known := func(ps []glue.Partition) (all []seen) {
		for _, p := range ps {
			all = append(all, seen{p.Values, len(p.Columns), len(p.Parameters), p.Location, p.Format})
		}
		return all
	}
	require.ElementsMatch(t, known(want), known(got))
}

func limits(t *testing.T, s suite) {
	ctx := t.Context()
	s.create(t)
	_, err := s.BatchCreatePartition(ctx, s.db, "eventlogs", s.days("a", 101))
	require.ErrorIs(t, err, glue.ErrInvalid)
	// The catalog refuses by itself, too.
	many := make([]types.PartitionInput, 101)
	for i, p := range s.days("a", 101) {
		many[i] = types.PartitionInput{Values: p.Values}
	}
	_, err = s.sdk.BatchCreatePartition(ctx, &awsglue.BatchCreatePartitionInput{
		DatabaseName: aws.String(s.db), TableName: aws.String("eventlogs"), PartitionInputList: many,
	})
	require.True(t, isRefusal(err), "%v", err)
	_, err = s.sdk.BatchDeletePartition(ctx, &awsglue.BatchDeletePartitionInput{
		DatabaseName: aws.String(s.db), TableName: aws.String("eventlogs"), PartitionsToDelete: make([]types.PartitionValueList, 26),
	})
	require.Error(t, err)
	found, err := s.list(ctx, glue.Filter{})
	require.NoError(t, err)
	require.Empty(t, found)
}

// isRefusal: AWS answers one or the other.
func isRefusal(err error) bool {
	var input *types.InvalidInputException
	var validation *types.ValidationException
	return errors.As(err, &input) || errors.As(err, &validation)
}

func pages(t *testing.T, s suite) {
	s.create(t)
	days := s.days("a", 20)
	s.fill(t, days)
	var found []string
	calls := 0
	pages := awsglue.NewGetPartitionsPaginator(s.sdk, &awsglue.GetPartitionsInput{
		DatabaseName: aws.String(s.db), TableName: aws.String("eventlogs"), MaxResults: aws.Int32(6),
		Expression: aws.String("dt <> '2026-01-07'"),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		require.NoError(t, err)
		require.LessOrEqual(t, len(page.Partitions), 6)
		for _, p := range page.Partitions {
			found = append(found, strings.Join(p.Values, "/"))
		}
		if calls++; calls == 1 { // what goes and comes meanwhile moves nothing else
			failed, err := s.BatchDeletePartition(t.Context(), s.db, "eventlogs", [][]string{days[0].Values, days[5].Values})
			require.NoError(t, err)
			require.Empty(t, failed)
		}
	}
	require.Greater(t, calls, 3)
	require.Len(t, found, 19)
	slices.Sort(found)
	require.Len(t, slices.Compact(found), 19)
}

func segments(t *testing.T, s suite) {
	s.create(t)
	s.fill(t, s.days("a", 100))
	var found []string
	for n := range glue.MaxSegments {
		part, err := s.list(t.Context(), glue.Filter{Segment: n, Of: glue.MaxSegments})
		require.NoError(t, err)
		require.Less(t, len(part), 50)
		found = append(found, part...)
	}
	all, err := s.list(t.Context(), glue.Filter{})
	require.NoError(t, err)
	require.ElementsMatch(t, all, found)
	_, err = s.list(t.Context(), glue.Filter{Segment: 3, Of: 3})
	require.ErrorIs(t, err, glue.ErrInvalid)
}
