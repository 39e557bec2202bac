// Package awsapi is what the adapters of AWS share: how a client is set up, and how an
// answer of the SDK becomes an error of ours, once. What an answer means is the
// adapter's to say; when to ask again is decided above. The object store has rules of
// its own for both (pkg/s3), and takes only Load from here. Floor 3.
package awsapi

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
	"github.com/aws/smithy-go/logging"

	"weir/pkg/settings"
)

// attemptTimeout bounds one request; the slowest answers, a page of wide rows, take a few seconds.
const attemptTimeout = 60 * time.Second

// Config is empty in production: everything is the AWS SDK's own (AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL_<service>,
// its credential chain). Where fields are set they win: for the embedded parts and tests.
type Config struct {
	Endpoint  string // "http://127.0.0.1:7071"
	Region    string
	AccessKey string
	SecretKey string

	MaxAttempts int           // of one call; 0 = the SDK's 3
	MaxBackoff  time.Duration // between them; 0 = the SDK's 20 s

	Transport http.RoundTripper // sends the requests; nil = over the network
}

// Load is the SDK's configuration for a client that tries a call a few times and logs nothing: what matters is in
// errors. Where an endpoint is set, the client's options have to name it (BaseEndpoint), or the environment's wins.
func (c Config) Load(ctx context.Context) (aws.Config, error) {
	loaded, err := Load(ctx, c.Region, c.AccessKey, c.SecretKey)
	if err != nil {
		return aws.Config{}, err
	}
	loaded.Retryer = c.retryer
	loaded.HTTPClient = awshttp.NewBuildableClient().WithTimeout(attemptTimeout)
	if c.Transport != nil {
		loaded.HTTPClient = &http.Client{Transport: c.Transport, Timeout: attemptTimeout}
	}
	return loaded, nil
}

// BaseEndpoint is the address for the client's options, or what they have already.
func (c Config) BaseEndpoint(already *string) *string {
	if c.Endpoint != "" {
		return aws.String(c.Endpoint)
	}
	return already
}

func (c Config) retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		if c.MaxAttempts > 0 {
			o.MaxAttempts = c.MaxAttempts
		}
		if c.MaxBackoff > 0 {
			o.MaxBackoff = c.MaxBackoff
		}
	})
}

// Load is the SDK's configuration, with these values where they are not empty. Its error is one of the AWS settings: no
// region, a profile that does not exist.
func Load(ctx context.Context, region, accessKey, secretKey string) (aws.Config, error) {
	var opts []func(*config.LoadOptions) error
	if region != "" {
		opts = append(opts, config.WithRegion(region))
	}
	if accessKey != "" {
		opts = append(opts, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(accessKey, secretKey, "")))
	}
	loaded, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("read the AWS configuration: %w", err)
	}
	if loaded.Region == "" { // no request could be signed, and none would ever end
		return aws.Config{}, settings.ErrNoRegion
	}
	loaded.Logger = logging.Nop{}
	return loaded, nil
}
