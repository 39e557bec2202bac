// Package athena is the query engine that AWS runs over the lake: Athena, or what
// speaks its protocol, behind the few words that weir has for it. A call is tried a
// few times as the SDK does it, a start once; whoever tries that again sends the same
// token, so that however often it arrives it is one query. When to ask again, when to
// give up and what to cancel are decided by services/query. A Client is safe for concurrent use
// and owned by the command that opened it.
package athena

import (
	"context"

	awsathena "github.com/aws/aws-sdk-go-v2/service/athena"

	"weir/pkg/awsapi"
)

// MaxPage is how many rows one page of an answer holds at most.
const MaxPage = 1000

// MaxQuery is how many bytes of SQL a start takes.
const MaxQuery = 262_144

// Config says where Athena is and how often a call is tried.
type Config = awsapi.Config

// Client is one account's Athena in one region.
type Client struct{ client *awsathena.Client }

// Open makes a client; it sends nothing. Its error is one of the AWS settings: no
// region, a profile that does not exist.
func Open(ctx context.Context, cfg Config) (*Client, error) {
	loaded, err := cfg.Load(ctx)
	if err != nil {
		return nil, err
	}
	return &Client{client: awsathena.NewFromConfig(loaded, func(o *awsathena.Options) {
		o.BaseEndpoint = cfg.BaseEndpoint(o.BaseEndpoint)
	})}, nil
}
