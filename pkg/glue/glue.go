// Package glue is the table catalog: AWS Glue, or what speaks its protocol,
// behind the few words that weir has for it. An update never loses what weir
// did not write: comments, parameters, owner, retention, view texts, columns of
// others go back as they came. A call is tried a few times as the SDK does it;
// pace, larger retries and what to change are decided by services/catalog. A
// Catalog is safe for concurrent use and owned by the service that opened it.
package glue

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
	awsglue "github.com/aws/aws-sdk-go-v2/service/glue"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"

	"weir/pkg/settings"
)

// The API's limits on one call.
const (
	MaxBatchCreate = 100
	MaxBatchUpdate = 100
	MaxBatchDelete = 25
	MaxBatchGet    = 1000
	MaxSegments    = 10
)

// attemptTimeout bounds one request; Glue's slowest answers take a few seconds.
const attemptTimeout = 60 * time.Second

// Config is empty in production: everything is the AWS SDK's own (AWS_REGION,
// AWS_PROFILE, AWS_ENDPOINT_URL_GLUE, its credential chain). Where fields are
// set they win: for the embedded parts and tests.
type Config struct {
	Endpoint  string // "http://127.0.0.1:7071"
	Region    string
	AccessKey string
	SecretKey string

	MaxAttempts int           // of one call; 0 = the SDK's 3
	MaxBackoff  time.Duration // between them; 0 = the SDK's 20 s

	Transport http.RoundTripper // sends the requests; nil = over the network
}

// Catalog is one account's catalog in one region.
type Catalog struct{ client *awsglue.Client }

// Open makes a catalog; it sends nothing. tel hears of every attempt; nil is
// allowed. Its error is one of the AWS settings: no region, a profile that does
// not exist.
func Open(ctx context.Context, cfg Config, tel Observer) (*Catalog, error) {
	loaded, err := config.LoadDefaultConfig(ctx, cfg.sdkOptions()...)
	if err != nil {
		return nil, fmt.Errorf("read the AWS configuration: %w", err)
	}
	if loaded.Region == "" { // no request could be signed
		return nil, settings.ErrNoRegion
	}
	client := awsglue.NewFromConfig(loaded, func(o *awsglue.Options) {
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
		o.Logger = logging.Nop{} // what matters is in errors and attempts
		o.HTTPClient = awshttp.NewBuildableClient().WithTimeout(attemptTimeout)
		if cfg.Transport != nil {
			o.HTTPClient = &http.Client{Transport: cfg.Transport, Timeout: attemptTimeout}
		}
		o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
			return s.Finalize.Insert(attempts{tel}, "Retry", middleware.After)
		})
	})
	return &Catalog{client: client}, nil
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
