package glue

import (
	"context"
	"fmt"
	"iter"
	"maps"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsglue "github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"
)

// Column of a table, or a partition key.
type Column struct {
	Name       string
	Type       string // Hive's: "string", "map<string,string>"
	Comment    string
	Parameters map[string]string
}

// Format says how an engine reads the files: Hive's three class names.
type Format struct {
	Input, Output, Serde string
	SerdeParameters      map[string]string
}

// Table is what weir knows of a table. One that was read keeps all the rest of
// it too, and UpdateTable sends that back.
type Table struct {
	Database      string
	Name          string
	Type          string // "EXTERNAL_TABLE"
	Description   string
	Columns       []Column
	PartitionKeys []Column
	Parameters    map[string]string
	Location      string
	Format        Format
	Owner         string
	View          View

	VersionID string // "" for one that was not read

	raw *types.Table // as read; never changed
}

// View is the texts of a table that is a view, as engines write them; both are "" in other tables.
type View struct{ Original, Expanded string }

// PartitionIndex speeds up filters on its keys.
type PartitionIndex struct {
	Name string
	Keys []string
}

// GetTable reads a table.
func (c *Catalog) GetTable(ctx context.Context, database, name string) (Table, error) {
	out, err := c.client.GetTable(ctx, &awsglue.GetTableInput{
		DatabaseName: aws.String(database), Name: aws.String(name),
	})
	if err != nil {
		return Table{}, wrap(err, "get table %s.%s", database, name)
	}
	return tableOf(database, out.Table), nil
}

// Tables yields the tables of a database. An error ends it.
func (c *Catalog) Tables(ctx context.Context, database string) iter.Seq2[Table, error] {
	return func(yield func(Table, error) bool) {
		pages := awsglue.NewGetTablesPaginator(c.client, &awsglue.GetTablesInput{DatabaseName: aws.String(database)})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Table{}, wrap(err, "list the tables of %s", database))
				return
			}
			for i := range page.TableList {
				if !yield(tableOf(database, &page.TableList[i]), nil) {
					return
				}
			}
		}
	}
}

// CreateTable makes a table, or answers ErrExists.
func (c *Catalog) CreateTable(ctx context.Context, t Table, indexes ...PartitionIndex) error {
	in := &awsglue.CreateTableInput{DatabaseName: aws.String(t.Database), TableInput: t.input()}
	for _, i := range indexes {
		in.PartitionIndexes = append(in.PartitionIndexes, types.PartitionIndex{IndexName: aws.String(i.Name), Keys: i.Keys})
	}
	_, err := c.client.CreateTable(ctx, in)
	return wrap(err, "create table %s.%s", t.Database, t.Name)
}

// UpdateTable replaces a table that was read, if its version is still the one
// that was read; no old version is kept in the archive. ErrChanged may also mean
// that the first sending landed and its answer was lost.
func (c *Catalog) UpdateTable(ctx context.Context, t Table) error {
	if t.raw == nil || t.VersionID == "" {
		return fmt.Errorf("update table %s.%s: %w: it was not read before", t.Database, t.Name, ErrInvalid)
	}
	if t.raw.ViewDefinition != nil {
		return fmt.Errorf("update table %s.%s: %w: it is a multi-dialect view", t.Database, t.Name, ErrInvalid)
	}
	_, err := c.client.UpdateTable(ctx, &awsglue.UpdateTableInput{
		DatabaseName: aws.String(t.Database),
		TableInput:   t.input(),
		VersionId:    aws.String(t.VersionID),
		SkipArchive:  aws.Bool(true),
	})
	return wrap(err, "update table %s.%s", t.Database, t.Name)
}

// PartitionIndexes of a table.
func (c *Catalog) PartitionIndexes(ctx context.Context, database, table string) ([]PartitionIndex, error) {
	var found []PartitionIndex
	pages := awsglue.NewGetPartitionIndexesPaginator(c.client, &awsglue.GetPartitionIndexesInput{
		DatabaseName: aws.String(database), TableName: aws.String(table),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, wrap(err, "list the partition indexes of %s.%s", database, table)
		}
		for _, d := range page.PartitionIndexDescriptorList {
			i := PartitionIndex{Name: aws.ToString(d.IndexName)}
			for _, k := range d.Keys {
				i.Keys = append(i.Keys, aws.ToString(k.Name))
			}
			found = append(found, i)
		}
	}
	return found, nil
}

// CreatePartitionIndex adds an index to a table.
func (c *Catalog) CreatePartitionIndex(ctx context.Context, database, table string, i PartitionIndex) error {
	_, err := c.client.CreatePartitionIndex(ctx, &awsglue.CreatePartitionIndexInput{
		DatabaseName: aws.String(database), TableName: aws.String(table),
		PartitionIndex: &types.PartitionIndex{IndexName: aws.String(i.Name), Keys: i.Keys},
	})
	return wrap(err, "create partition index %s of %s.%s", i.Name, database, table)
}

func tableOf(database string, raw *types.Table) Table {
	t := Table{
		Database:      database,
		Name:          aws.ToString(raw.Name),
		Type:          aws.ToString(raw.TableType),
		Description:   aws.ToString(raw.Description),
		PartitionKeys: columnsOf(raw.PartitionKeys),
		Parameters:    maps.Clone(raw.Parameters),
		Owner:         aws.ToString(raw.Owner),
		View:          View{aws.ToString(raw.ViewOriginalText), aws.ToString(raw.ViewExpandedText)},
		VersionID:     aws.ToString(raw.VersionId),
		raw:           raw,
	}
	if sd := raw.StorageDescriptor; sd != nil {
		t.Columns = columnsOf(sd.Columns)
		t.Location = aws.ToString(sd.Location)
		t.Format = formatOf(sd)
	}
	return t
}

// input is the whole of the table as an update wants it: what was read, and
// over it the fields of Table.
func (t Table) input() *types.TableInput {
	in := &types.TableInput{}
	var sd *types.StorageDescriptor
	if r := t.raw; r != nil {
		in.FederatedTable = r.FederatedTable
		in.LastAccessTime = r.LastAccessTime
		in.LastAnalyzedTime = r.LastAnalyzedTime
		in.Retention = r.Retention
		in.TargetTable = r.TargetTable
		sd = r.StorageDescriptor
	}
	in.Name = aws.String(t.Name)
	in.TableType = text(t.Type)
	in.Description = text(t.Description)
	in.Owner = text(t.Owner)
	in.ViewOriginalText = text(t.View.Original)
	in.ViewExpandedText = text(t.View.Expanded)
	in.Parameters = t.Parameters
	in.PartitionKeys = columnInputs(t.PartitionKeys)
	if in.PartitionKeys == nil {
		in.PartitionKeys = []types.Column{} // absent keys break Athena
	}
	in.StorageDescriptor = descriptor(sd, t.Columns, t.Location, t.Format)
	return in
}

// descriptor lays columns, place and format over what was read (or nil).
func descriptor(read *types.StorageDescriptor, columns []Column, location string, f Format) *types.StorageDescriptor {
	var sd types.StorageDescriptor
	var serde types.SerDeInfo
	if read != nil {
		sd = *read
		if read.SerdeInfo != nil {
			serde = *read.SerdeInfo
		}
	}
	sd.Columns = columnInputs(columns)
	sd.Location = text(location)
	sd.InputFormat = text(f.Input)
	sd.OutputFormat = text(f.Output)
	serde.SerializationLibrary = text(f.Serde)
	serde.Parameters = f.SerdeParameters
	sd.SerdeInfo = &serde
	return &sd
}

func formatOf(sd *types.StorageDescriptor) Format {
	f := Format{Input: aws.ToString(sd.InputFormat), Output: aws.ToString(sd.OutputFormat)}
	if sd.SerdeInfo != nil {
		f.Serde = aws.ToString(sd.SerdeInfo.SerializationLibrary)
		f.SerdeParameters = maps.Clone(sd.SerdeInfo.Parameters)
	}
	return f
}

func columnsOf(raw []types.Column) []Column {
	var cs []Column
	for _, c := range raw {
		cs = append(cs, Column{
			Name: aws.ToString(c.Name), Type: aws.ToString(c.Type),
			Comment: aws.ToString(c.Comment), Parameters: maps.Clone(c.Parameters),
		})
	}
	return cs
}

func columnInputs(cs []Column) []types.Column {
	var raw []types.Column
	for _, c := range cs {
		raw = append(raw, types.Column{
			Name: aws.String(c.Name), Type: text(c.Type), Comment: text(c.Comment), Parameters: c.Parameters,
		})
	}
	return raw
}

// text is nil for "": Glue refuses some fields that are empty.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
