// Package athena is the query engine that AWS runs over the lake: Athena, or what
// speaks its protocol, behind the few words that weir has for it. A call is tried a
// few times as the SDK does it, a start once; whoever tries that again sends the same
// token, so that however often it arrives it is one query. When to ask again, when to
// give up and what to cancel are decided by services/query. A Client is safe for concurrent use
// and owned by the command that opened it.
package athena

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsathena "github.com/aws/aws-sdk-go-v2/service/athena"
	"github.com/aws/smithy-go/logging"

	"weir/pkg/settings"
)

// MaxPage is how many rows one page of an answer holds at most.
const MaxPage = 1000

// MaxQuery is how many bytes of SQL a start takes.
const MaxQuery = 262_144

// attemptTimeout bounds one request; a page of wide rows takes a few seconds.
const attemptTimeout = 60 * time.Second

// Config is empty in production: everything is the AWS SDK's own (AWS_REGION,
// AWS_PROFILE, AWS_ENDPOINT_URL_ATHENA, its credential chain). Where fields are set
// they win: for tests.
type Config struct {
	Endpoint  string // "http://127.0.0.1:4566"
	Region    string
	AccessKey string
	SecretKey string

	MaxAttempts int           // of one call; 0 = the SDK's 3
	MaxBackoff  time.Duration // between them; 0 = the SDK's 20 s

	Transport http.RoundTripper // sends the requests; nil = over the network
}

// Client is one account's Athena in one region.
type Client struct{ client *awsathena.Client }

// Open makes a client; it sends nothing. Its error is one of the AWS settings: no
// region, a profile that does not exist.
func Open(ctx context.Context, cfg Config) (*Client, error) {
	loaded, err := config.LoadDefaultConfig(ctx, cfg.sdkOptions()...)
	if err != nil {
		return nil, fmt.Errorf("read the AWS configuration: %w", err)
	}
	if loaded.Region == "" { // no request could be signed
		return nil, settings.ErrNoRegion
	}
	client := awsathena.NewFromConfig(loaded, func(o *awsathena.Options) {
		if cfg.Endpoint != "" {
			o.BaseEndpoint = aws.String(cfg.Endpoint)
		}
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			if cfg.MaxAttempts > 0 {
				o.MaxAttempts = cfg.MaxAttempts
			}
			if cfg.MaxBackoff > 0 {
				o.MaxBackoff = cfg.MaxBackoff
			}
		})
		o.Logger = logging.Nop{} // what matters is in errors
		o.HTTPClient = awshttp.NewBuildableClient().WithTimeout(attemptTimeout)
		if cfg.Transport != nil {
			o.HTTPClient = &http.Client{Transport: cfg.Transport, Timeout: attemptTimeout}
		}
	})
	return &Client{client: client}, nil
}

func (c Config) sdkOptions() []func(*config.LoadOptions) error {
	var opts []func(*config.LoadOptions) error
	if c.Region != "" {
		opts = append(opts, config.WithRegion(c.Region))
	}
	if c.AccessKey != "" {
		opts = append(opts, config.WithCredentialsProvider(
			credentials.NewStaticCredentialsProvider(c.AccessKey, c.SecretKey, "")))
	}
	return opts
}
