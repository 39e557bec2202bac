// Package s3 is the lake's object store: S3, or what speaks its protocol. An
// object that PutIfAbsent or CompleteUpload made is never overwritten by them,
// and every error leaves here as one of this package's or as the SDK's, wrapped
// with the operation and the key. What can be tried again is tried again for
// ever, with capped backoff, until the context ends; what an answer means for
// the flush protocol is decided by pkg/flush. Stores are safe for concurrent use
// and owned by the service that opened them.
package s3

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"

	"weir/pkg/awsapi"
	"weir/pkg/lake"
)

// Bounds of one attempt and of the pause before the next. An attempt has no
// bound on its length, a part may be large and the way slow, but on standing
// still.
const (
	idleTimeout = 30 * time.Second
	maxBackoff  = 20 * time.Second
)

// Config says where the lake is. Everything else is the AWS SDK's own:
// AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL_S3, its credential chain.
type Config struct {
	Lake lake.Location

	// Where they are set they win over the environment: for the embedded parts
	// and tests, which run beside other endpoints in one process.
	Endpoint  string // "http://127.0.0.1:7070"
	Region    string
	AccessKey string
	SecretKey string

	IdleTimeout time.Duration // an attempt without a byte moved for so long is given up; 0 = 30 s
	MaxBackoff  time.Duration // longest pause between attempts; 0 = 20 s

	Transport http.RoundTripper // sends the requests; nil = over the network
}

// Store is one lake in one bucket. Keys are relative to the lake.
type Store struct {
	client  *awss3.Client
	loc     lake.Location
	backoff retry.BackoffDelayer
}

// Open makes a store; it sends nothing. tel hears of every attempt; nil is
// allowed. Addresses are path-style whenever an endpoint is set. Its error is one
// of the AWS settings: no region, a profile that does not exist.
func Open(ctx context.Context, cfg Config, tel Observer) (*Store, error) {
	loaded, err := awsapi.Load(ctx, cfg.Region, cfg.AccessKey, cfg.SecretKey)
	if err != nil {
		return nil, err
	}
	backoff := jitter{limit: orElse(cfg.MaxBackoff, maxBackoff)}
	client := awss3.NewFromConfig(loaded, func(o *awss3.Options) {
		if cfg.Endpoint != "" {
			o.BaseEndpoint = aws.String(cfg.Endpoint)
		}
		o.UsePathStyle = o.BaseEndpoint != nil
		o.Retryer, o.RetryMaxAttempts = retryer(backoff), 0
		o.HTTPClient = newIdleClient(orElse(cfg.IdleTimeout, idleTimeout), cfg.Transport)
		o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
			return s.Finalize.Insert(attempts{tel}, "Retry", middleware.After)
		})
	})
	return &Store{client: client, loc: cfg.Lake, backoff: backoff}, nil
}

// Location is where the lake is.
func (s *Store) Location() lake.Location { return s.loc }

func (s *Store) bucket() *string        { return aws.String(s.loc.Bucket) }
func (s *Store) key(rel string) *string { return aws.String(s.loc.Key(rel)) }
func orElse[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}

// retryer tries again without end. The SDK's token bucket is off: it gives up
// when a store is down for longer than the bucket lasts, and the sink has
// nothing better to do than to wait.
func retryer(backoff retry.BackoffDelayer) aws.Retryer {
	return endless{retry.NewStandard(func(o *retry.StandardOptions) {
		o.RateLimiter = ratelimit.None
		o.Backoff = backoff
		o.Retryables = append([]retry.IsErrorRetryable{
			retry.NoRetryCanceledError{},
			retry.IsErrorRetryableFunc(alsoRetryable),
		}, o.Retryables...)
	})}
}

// endless is a retryer that never counts: to Standard, 0 attempts mean 3.
type endless struct{ *retry.Standard }

func (endless) MaxAttempts() int { return 0 }

// alsoRetryable adds what the SDK takes for final: a name that does not resolve
// just now, a body that broke off, credentials that expired on the way.
func alsoRetryable(err error) aws.Ternary {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns), errors.Is(err, io.ErrUnexpectedEOF):
		return aws.TrueTernary
	case code(err) == "ExpiredToken", code(err) == "RequestTimeTooSkewed", code(err) == "OperationAborted":
		return aws.TrueTernary
	case status(err) == http.StatusTooManyRequests:
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}

// jitter waits between half and all of 0.1 s · 2^attempt, at most limit.
type jitter struct{ limit time.Duration }

func (j jitter) BackoffDelay(attempt int, _ error) (time.Duration, error) {
	d := j.limit
	if attempt < 16 {
		d = min(d, 100*time.Millisecond<<attempt)
	}
	return d/2 + rand.N(d/2+1), nil
}
