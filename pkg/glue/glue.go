// Package glue is the table catalog: AWS Glue, or what speaks its protocol,
// behind the few words that weir has for it. An update never loses what weir
// did not write: comments, parameters, owner, retention, view texts, columns of
// others go back as they came. A call is tried a few times as the SDK does it;
// pace, larger retries and what to change are decided by services/catalog. A
// Catalog is safe for concurrent use and owned by the service that opened it.
package glue

import (
	"context"

	awsglue "github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/smithy-go/middleware"

	"weir/pkg/awsapi"
)

// The API's limits on one call.
const (
	MaxBatchCreate = 100
	MaxBatchUpdate = 100
	MaxBatchDelete = 25
	MaxBatchGet    = 1000
	MaxSegments    = 10
)

// Config says where the catalog is and how often a call is tried.
type Config = awsapi.Config

// Catalog is one account's catalog in one region.
type Catalog struct{ client *awsglue.Client }

// Open makes a catalog; it sends nothing. tel hears of every attempt; nil is
// allowed. Its error is one of the AWS settings: no region, a profile that does
// not exist.
func Open(ctx context.Context, cfg Config, tel Observer) (*Catalog, error) {
	loaded, err := cfg.Load(ctx)
	if err != nil {
		return nil, err
	}
	client := awsglue.NewFromConfig(loaded, func(o *awsglue.Options) {
		o.BaseEndpoint = cfg.BaseEndpoint(o.BaseEndpoint)
		o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
			return s.Finalize.Insert(attempts{tel}, "Retry", middleware.After)
		})
	})
	return &Catalog{client: client}, nil
}
