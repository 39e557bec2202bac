package glue

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsglue "github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"
)

// Partition of a table. Values are as they are, not escaped; the location is.
type Partition struct {
	Values     []string
	Location   string
	Columns    []Column // none: the table's count, which is what weir writes
	Parameters map[string]string
	Format     Format

	raw *types.Partition // as read; never changed
}

// Filter chooses partitions on the catalog's side. Its zero value takes all.
type Filter struct {
	Expression     string // SQL's WHERE on the partition keys: "dt >= '2026-11-01'"
	Segment, Of    int    // only segment Segment (from 0) of Of ≤ 10; Of 0 = all
	ExcludeColumns bool   // leave the columns out of the answer: it is smaller, and not fit for an update
}

// Partitions yields the partitions of a table. An error ends it.
func (c *Catalog) Partitions(ctx context.Context, database, table string, f Filter) iter.Seq2[Partition, error] {
	in := &awsglue.GetPartitionsInput{
		DatabaseName:        aws.String(database),
		TableName:           aws.String(table),
		Expression:          text(f.Expression),
		ExcludeColumnSchema: aws.Bool(f.ExcludeColumns),
	}
	if f.Of > 0 {
		in.Segment = &types.Segment{SegmentNumber: int32(f.Segment), TotalSegments: aws.Int32(int32(f.Of))}
	}
	return func(yield func(Partition, error) bool) {
		pages := awsglue.NewGetPartitionsPaginator(c.client, in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Partition{}, wrap(err, "list the partitions of %s.%s", database, table))
				return
			}
			for i := range page.Partitions {
				if !yield(partitionOf(&page.Partitions[i]), nil) {
					return
				}
			}
		}
	}
}

// BatchCreatePartition registers at most 100 partitions. The error is the
// call's; what became of those that were not created is said of each: ErrExists
// is the usual one, and leaves what stands there alone.
func (c *Catalog) BatchCreatePartition(ctx context.Context, database, table string, ps []Partition) ([]ItemError, error) {
	if err := atMost(len(ps), MaxBatchCreate, "create", database, table); err != nil {
		return nil, err
	}
	in := &awsglue.BatchCreatePartitionInput{DatabaseName: aws.String(database), TableName: aws.String(table)}
	for _, p := range ps {
		in.PartitionInputList = append(in.PartitionInputList, p.input())
	}
	out, err := c.client.BatchCreatePartition(ctx, in)
	if err != nil {
		return nil, wrap(err, "create %d partitions of %s.%s", len(ps), database, table)
	}
	return itemErrors("create", database, table, out.Errors), nil
}

// BatchUpdatePartition replaces at most 100 partitions, found by their values.
// One that was read goes back with all that weir does not know of it.
func (c *Catalog) BatchUpdatePartition(ctx context.Context, database, table string, ps []Partition) ([]ItemError, error) {
	if err := atMost(len(ps), MaxBatchUpdate, "update", database, table); err != nil {
		return nil, err
	}
	in := &awsglue.BatchUpdatePartitionInput{DatabaseName: aws.String(database), TableName: aws.String(table)}
	for _, p := range ps {
		input := p.input()
		in.Entries = append(in.Entries, types.BatchUpdatePartitionRequestEntry{PartitionInput: &input, PartitionValueList: p.Values})
	}
	out, err := c.client.BatchUpdatePartition(ctx, in)
	if err != nil {
		return nil, wrap(err, "update %d partitions of %s.%s", len(ps), database, table)
	}
	var failed []ItemError
	for _, e := range out.Errors {
		failed = append(failed, itemErrorOf("update", database, table, e.PartitionValueList, e.ErrorDetail))
	}
	return failed, nil
}

// BatchDeletePartition forgets at most 25 partitions; their objects stay.
func (c *Catalog) BatchDeletePartition(ctx context.Context, database, table string, values [][]string) ([]ItemError, error) {
	if err := atMost(len(values), MaxBatchDelete, "delete", database, table); err != nil {
		return nil, err
	}
	out, err := c.client.BatchDeletePartition(ctx, &awsglue.BatchDeletePartitionInput{
		DatabaseName: aws.String(database), TableName: aws.String(table), PartitionsToDelete: valueLists(values),
	})
	if err != nil {
		return nil, wrap(err, "delete %d partitions of %s.%s", len(values), database, table)
	}
	return itemErrors("delete", database, table, out.Errors), nil
}

// BatchGetPartition reads those of at most 1000 partitions that exist, in
// whatever order; it asks again for what the catalog left for later.
func (c *Catalog) BatchGetPartition(ctx context.Context, database, table string, values [][]string) ([]Partition, error) {
	if err := atMost(len(values), MaxBatchGet, "get", database, table); err != nil {
		return nil, err
	}
	var found []Partition
	for left := valueLists(values); len(left) > 0; {
		out, err := c.client.BatchGetPartition(ctx, &awsglue.BatchGetPartitionInput{
			DatabaseName: aws.String(database), TableName: aws.String(table), PartitionsToGet: left,
		})
		if err != nil {
			return nil, wrap(err, "get %d partitions of %s.%s", len(values), database, table)
		}
		for i := range out.Partitions {
			found = append(found, partitionOf(&out.Partitions[i]))
		}
		if len(out.UnprocessedKeys) >= len(left) {
			return nil, fmt.Errorf("get %d partitions of %s.%s: %w: it processes none", len(values), database, table, ErrUnavailable)
		}
		left = out.UnprocessedKeys
	}
	return found, nil
}

func atMost(n, limit int, verb, database, table string) error {
	if n <= limit {
		return nil
	}
	return fmt.Errorf("%s %d partitions of %s.%s: %w: at most %d in a call", verb, n, database, table, ErrInvalid, limit)
}

func itemErrors(verb, database, table string, raw []types.PartitionError) []ItemError {
	var failed []ItemError
	for _, e := range raw {
		failed = append(failed, itemErrorOf(verb, database, table, e.PartitionValues, e.ErrorDetail))
	}
	return failed
}

func itemErrorOf(verb, database, table string, values []string, detail *types.ErrorDetail) ItemError {
	what := fmt.Sprintf("%s partition %s of %s.%s", verb, strings.Join(values, "/"), database, table)
	if detail == nil {
		detail = &types.ErrorDetail{}
	}
	return itemError(what, values, aws.ToString(detail.ErrorCode), aws.ToString(detail.ErrorMessage))
}

func valueLists(values [][]string) []types.PartitionValueList {
	var lists []types.PartitionValueList
	for _, v := range values {
		lists = append(lists, types.PartitionValueList{Values: v})
	}
	return lists
}

func partitionOf(raw *types.Partition) Partition {
	p := Partition{Values: raw.Values, Parameters: maps.Clone(raw.Parameters), raw: raw}
	if sd := raw.StorageDescriptor; sd != nil {
		p.Columns = columnsOf(sd.Columns)
		p.Location = aws.ToString(sd.Location)
		p.Format = formatOf(sd)
	}
	return p
}

func (p Partition) input() types.PartitionInput {
	in := types.PartitionInput{Values: p.Values, Parameters: p.Parameters}
	var sd *types.StorageDescriptor
	if p.raw != nil {
		in.LastAccessTime = p.raw.LastAccessTime
		in.LastAnalyzedTime = p.raw.LastAnalyzedTime
		sd = p.raw.StorageDescriptor
	}
	in.StorageDescriptor = descriptor(sd, p.Columns, p.Location, p.Format)
	return in
}
