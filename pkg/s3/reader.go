package s3

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
)

// Reader streams an object. A body that breaks off is taken up again where it
// broke, as long as it is the same object (by ETag); otherwise ErrChanged.
func (s *Store) Reader(ctx context.Context, key string) (io.ReadCloser, error) {
	return s.open(ctx, key)
}

func (s *Store) open(ctx context.Context, key string) (*reader, error) {
	r := &reader{store: s, ctx: ctx, key: key}
	if err := r.request(); err != nil {
		return nil, err
	}
	return r, nil
}

type reader struct {
	store *Store
	ctx   context.Context
	key   string

	body io.ReadCloser
	etag string // of the first answer
	at   int64  // bytes delivered
	size int64
	fell int // how often it broke off without a byte in between
}

func (r *reader) request() error {
	in := &awss3.GetObjectInput{Bucket: r.store.bucket(), Key: r.store.key(r.key)}
	if r.at > 0 {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", r.at))
		in.IfMatch = aws.String(r.etag)
	}
	out, err := r.store.client.GetObject(r.ctx, in)
	if err != nil {
		return wrap(err, "get", r.key, ErrChanged)
	}
	r.body = out.Body
	if r.at == 0 {
		r.etag, r.size = aws.ToString(out.ETag), aws.ToInt64(out.ContentLength)
	}
	return nil
}

func (r *reader) Read(p []byte) (int, error) {
	for {
		if err := r.ctx.Err(); err != nil {
			return 0, fmt.Errorf("get %s: %w", r.key, err)
		}
		n, err := r.body.Read(p)
		r.at += int64(n)
		if n > 0 {
			r.fell = 0
		}
		if n > 0 && !errors.Is(err, io.EOF) {
			return n, nil // what broke, if it did, shows at the next read
		}
		if err == nil || errors.Is(err, io.EOF) && r.at >= r.size {
			return n, err
		}
		if err := r.resume(err); err != nil {
			return n, err
		}
		if n > 0 {
			return n, nil
		}
	}
}

// resume opens the rest of the object after cause broke the body off.
func (r *reader) resume(cause error) error {
	_ = r.body.Close()
	r.fell++
	if r.store.pause(r.ctx, r.fell) != nil {
		return fmt.Errorf("get %s: %w", r.key, cause)
	}
	return r.request()
}

func (r *reader) Close() error { return r.body.Close() }
