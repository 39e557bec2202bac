// Package gluetest is what weir asks of a table catalog, as a test suite: the
// embedded Glue passes all of it in every run, moto all but the differences that
// are listed for it. Each test makes a database of its own and leaves it. It goes
// through pkg/glue where weir does, and through the SDK where it plays somebody
// else. AWS's own Glue is the judge in doubt.
package gluetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsglue "github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"weir/pkg/glue"
)

// Differences are tests that a catalog is known to fail, by name, with the
// reason. They are skipped there and nowhere else.
type Differences map[string]string

// Moto are the known differences of moto 5.2.5.
var Moto = Differences{
	"databases/names are folded":                "names are case-sensitive",
	"databases/an invalid name":                 "names are not checked",
	"databases/pages":                           "there is no paging",
	"tables/names are folded":                   "names are case-sensitive",
	"tables/an invalid one":                     "inputs are not checked",
	"tables/indexes":                            "there are no partition indexes",
	"tables/indexes at create":                  "there are no partition indexes",
	"tables/statistics are asked for":           "there are no column statistics",
	"updates/a stale version is refused":        "UpdateTable ignores VersionId",
	"updates/of several at once none is lost":   "UpdateTable ignores VersionId",
	"updates/no old version is kept":            "UpdateTable ignores SkipArchive",
	"partitions/limits on one call":             "there are no limits on batches",
	"partitions/pages":                          "there is no paging",
	"partitions/segments share them out":        "Segment is ignored",
	"partitions/columns are left out on demand": "ExcludeColumnSchema is ignored",
	"partitions/an invalid one":                 "inputs are not checked",
	"expressions/dt != '2026-11-01'":            "!= is not known",
	"expressions/NOT (dt = '2026-11-01')":       "NOT ( is not known",
}

// suite is what every test gets.
type suite struct {
	*glue.Catalog
	sdk *awsglue.Client // somebody else
	db  string          // its own, made
}

type test struct {
	name string
	run  func(t *testing.T, s suite)
}

// Run runs the suite on the catalog of cfg.
func Run(t *testing.T, cfg glue.Config, differ Differences) {
	catalog, err := glue.Open(t.Context(), cfg, nil)
	require.NoError(t, err)
	sdk := awsglue.New(awsglue.Options{
		BaseEndpoint: aws.String(cfg.Endpoint), Region: cfg.Region,
		Credentials: credentials.NewStaticCredentialsProvider(cfg.AccessKey, cfg.SecretKey, ""),
	})
	known := map[string]bool{}
	for _, group := range []struct {
		name  string
		tests []test
	}{
		{"databases", databaseTests()},
		{"tables", tableTests()},
		{"updates", updateTests()},
		{"partitions", partitionTests()},
		{"expressions", expressionTests()},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, test := range group.tests {
				known[group.name+"/"+test.name] = true
				t.Run(test.name, func(t *testing.T) {
					if why, differs := differ[group.name+"/"+test.name]; differs {
						t.Skip(why)
					}
					s := suite{catalog, sdk, "gluetest_" + strings.ReplaceAll(uuid.NewString(), "-", "")}
					// That it exists is the answer to a second sending: nobody else has this name.
					if err := s.CreateDatabase(t.Context(), glue.Database{Name: s.db}); !errors.Is(err, glue.ErrExists) {
						require.NoError(t, err)
					}
					test.run(t, s)
				})
			}
		})
	}
	for name := range differ {
		require.True(t, known[name], "there is no test %q", name)
	}
}

// table is one as weir makes them.
func (s suite) table() glue.Table {
	return glue.Table{
		Database: s.db, Name: "eventlogs", Type: "EXTERNAL_TABLE", Description: "events",
		Columns: []glue.Column{
			{Name: "messageid", Type: "string"},
			{Name: "timestamp", Type: "timestamp", Comment: "corrected"},
			{Name: "properties", Type: "map<string,string>", Parameters: map[string]string{"weir.path": "properties"}},
		},
		PartitionKeys: []glue.Column{{Name: "sourceid", Type: "string"}, {Name: "dt", Type: "string"}},
		Parameters:    map[string]string{"EXTERNAL": "TRUE", "classification": "parquet"},
		Location:      "s3://weir/lake/eventlogs/",
		Format: glue.Format{
			Input:           "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
			Output:          "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
			Serde:           "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
			SerdeParameters: map[string]string{"serialization.format": "1"},
		},
	}
}

func (s suite) create(t *testing.T) glue.Table {
	t.Helper()
	require.NoError(t, s.CreateTable(t.Context(), s.table()))
	return s.get(t)
}

func (s suite) get(t *testing.T) glue.Table {
	t.Helper()
	got, err := s.GetTable(t.Context(), s.db, "eventlogs")
	require.NoError(t, err)
	return got
}

// partition is one as weir makes them: without columns.
func (s suite) partition(source, dt string) glue.Partition {
	table := s.table()
	return glue.Partition{
		Values:   []string{source, dt},
		Location: fmt.Sprintf("%ssourceid=%s/dt=%s/", table.Location, source, dt),
		Format:   table.Format,
	}
}

// fill registers partitions in as many calls as they need.
func (s suite) fill(t *testing.T, ps []glue.Partition) {
	t.Helper()
	for len(ps) > 0 {
		n := min(len(ps), glue.MaxBatchCreate)
		failed, err := s.BatchCreatePartition(t.Context(), s.db, "eventlogs", ps[:n])
		require.NoError(t, err)
		require.Empty(t, failed)
		ps = ps[n:]
	}
}

// days are n partitions of source: 2026-01-01 and on.
func (s suite) days(source string, n int) []glue.Partition {
	var ps []glue.Partition
	for i := range n {
		ps = append(ps, s.partition(source, fmt.Sprintf("2026-%02d-%02d", i/28+1, i%28+1)))
	}
	return ps
}

// list is what a filter finds, as source/dt, sorted by the catalog.
func (s suite) list(ctx context.Context, f glue.Filter) (found []string, err error) {
	for p, err := range s.Partitions(ctx, s.db, "eventlogs", f) {
		if err != nil {
			return nil, err
		}
		found = append(found, strings.Join(p.Values, "/"))
	}
	return found, nil
}
