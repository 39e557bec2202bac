package glue

import (
	"context"
	"iter"
	"maps"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsglue "github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/aws-sdk-go-v2/service/glue/types"
)

// Database holds tables.
type Database struct {
	Name        string
	Description string
	Location    string
	Parameters  map[string]string
}

// GetDatabase reads a database.
func (c *Catalog) GetDatabase(ctx context.Context, name string) (Database, error) {
	out, err := c.client.GetDatabase(ctx, &awsglue.GetDatabaseInput{Name: aws.String(name)})
	if err != nil {
		return Database{}, wrap(err, "get database %s", name)
	}
	return databaseOf(out.Database), nil
}

// Databases yields all databases. An error ends it.
func (c *Catalog) Databases(ctx context.Context) iter.Seq2[Database, error] {
	return func(yield func(Database, error) bool) {
		pages := awsglue.NewGetDatabasesPaginator(c.client, &awsglue.GetDatabasesInput{})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Database{}, wrap(err, "list databases"))
				return
			}
			for i := range page.DatabaseList {
				if !yield(databaseOf(&page.DatabaseList[i]), nil) {
					return
				}
			}
		}
	}
}

// CreateDatabase makes a database, or answers ErrExists.
func (c *Catalog) CreateDatabase(ctx context.Context, d Database) error {
	_, err := c.client.CreateDatabase(ctx, &awsglue.CreateDatabaseInput{DatabaseInput: &types.DatabaseInput{
		Name:        aws.String(d.Name),
		Description: text(d.Description),
		LocationUri: text(d.Location),
		Parameters:  d.Parameters,
	}})
	return wrap(err, "create database %s", d.Name)
}

func databaseOf(raw *types.Database) Database {
	return Database{
		Name:        aws.ToString(raw.Name),
		Description: aws.ToString(raw.Description),
		Location:    aws.ToString(raw.LocationUri),
		Parameters:  maps.Clone(raw.Parameters),
	}
}
