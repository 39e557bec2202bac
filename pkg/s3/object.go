package s3

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// conflictAttempts bounds how often a 409 is tried again before it is the
// caller's: it means another conditional request for the key is under way.
const conflictAttempts = 5

// Object is what a listing and a Head know.
type Object struct {
	Key      string // relative to the lake
	Bytes    int64
	ETag     string // quoted, as S3 has it
	Modified time.Time
}

// Put writes an object, over whatever is there.
func (s *Store) Put(ctx context.Context, key string, body []byte) error {
	_, err := s.put(ctx, key, body, &awss3.PutObjectInput{})
	return wrap(err, "put", key, ErrChanged)
}

// PutIfAbsent makes an object, or answers ErrExists and changes nothing. When
// the answer to the first sending was lost, an object with these very bytes is
// taken for what that sending made.
func (s *Store) PutIfAbsent(ctx context.Context, key string, body []byte) error {
	_, err := s.putConditional(ctx, key, body, awss3.PutObjectInput{IfNoneMatch: aws.String("*")})
	return wrap(err, "put", key, ErrExists)
}

// PutFileIfAbsent is PutIfAbsent of an object that says what it holds.
func (s *Store) PutFileIfAbsent(ctx context.Context, key, contentType string, body []byte) error {
	_, err := s.putConditional(ctx, key, body, awss3.PutObjectInput{IfNoneMatch: aws.String("*"), ContentType: aws.String(contentType)})
	return wrap(err, "put", key, ErrExists)
}

// PutIfMatch replaces the object that etag names; etag "" makes one that must
// not exist. ErrChanged: somebody else was faster, read again. A lost answer is
// cleared up as in PutIfAbsent.
func (s *Store) PutIfMatch(ctx context.Context, key string, body []byte, etag string) (string, error) {
	in := awss3.PutObjectInput{IfMatch: aws.String(etag)}
	if etag == "" {
		in = awss3.PutObjectInput{IfNoneMatch: aws.String("*")}
	}
	newETag, err := s.putConditional(ctx, key, body, in)
	if domainError(err, ErrChanged) == ErrNotFound { // the object that etag names is gone
		return "", &opError{op: "put", key: key, domain: ErrChanged, sdk: err}
	}
	return newETag, wrap(err, "put", key, ErrChanged)
}

func (s *Store) put(ctx context.Context, key string, body []byte, in *awss3.PutObjectInput) (string, error) {
	in.Bucket, in.Key, in.Body = s.bucket(), s.key(key), bytes.NewReader(body)
	out, err := s.client.PutObject(ctx, in)
	if err != nil {
		return "", err
	}
	return aws.ToString(out.ETag), nil
}

func (s *Store) putConditional(ctx context.Context, key string, body []byte, in awss3.PutObjectInput) (etag string, err error) {
	ctx, sent := counted(ctx)
	err = s.pastConflicts(ctx, func() error {
		once := in
		etag, err = s.put(ctx, key, body, &once)
		return err
	})
	if *sent < 2 || !errors.Is(domainError(err, ErrExists), ErrExists) {
		return etag, err
	}
	there, thereETag, getErr := s.Get(ctx, key)
	if getErr == nil && bytes.Equal(there, body) {
		return thereETag, nil
	}
	return "", err
}

// pastConflicts repeats do while the store answers 409.
func (s *Store) pastConflicts(ctx context.Context, do func() error) error {
	for n := 1; ; n++ {
		err := do()
		if n == conflictAttempts || !errors.Is(domainError(err, nil), ErrConflict) || s.pause(ctx, n) != nil {
			return err
		}
	}
}

// pause waits before attempt n+1.
func (s *Store) pause(ctx context.Context, n int) error {
	d, err := s.backoff.BackoffDelay(n, nil)
	if err != nil {
		return err
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Get reads a whole object.
func (s *Store) Get(ctx context.Context, key string) (body []byte, etag string, err error) {
	r, err := s.open(ctx, key)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = r.Close() }()
	body, err = io.ReadAll(r)
	return body, r.etag, err
}

// GetRange reads n bytes of an object from the given place on, and answers ErrNotFound where the object is absent or
// ends before them.
func (s *Store) GetRange(ctx context.Context, key string, from, n int64) ([]byte, error) {
	out, err := s.client.GetObject(ctx, &awss3.GetObjectInput{
		Bucket: s.bucket(), Key: s.key(key), Range: aws.String(fmt.Sprintf("bytes=%d-%d", from, from+n-1)),
	})
	if err != nil {
		return nil, wrap(err, "get", key, ErrChanged)
	}
	defer func() { _ = out.Body.Close() }()
	if there := aws.ToInt64(out.ContentLength); there != n {
		return nil, fmt.Errorf("get %s, %d bytes from %d: it has %d: %w", key, n, from, there, ErrNotFound)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(out.Body, body); err != nil {
		return nil, fmt.Errorf("get %s, %d bytes from %d: %w", key, n, from, err)
	}
	return body, nil
}

// Head answers for one object, and ErrNotFound only for a 404.
func (s *Store) Head(ctx context.Context, key string) (Object, error) {
	out, err := s.client.HeadObject(ctx, &awss3.HeadObjectInput{Bucket: s.bucket(), Key: s.key(key)})
	if err != nil {
		return Object{}, wrap(err, "head", key, ErrChanged)
	}
	return Object{
		Key:      key,
		Bytes:    aws.ToInt64(out.ContentLength),
		ETag:     aws.ToString(out.ETag),
		Modified: aws.ToTime(out.LastModified),
	}, nil
}

// List yields the objects whose keys begin with prefix and come after
// startAfter ("" = from the first), in the order of their bytes. An error ends
// it.
func (s *Store) List(ctx context.Context, prefix, startAfter string) iter.Seq2[Object, error] {
	in := &awss3.ListObjectsV2Input{Bucket: s.bucket(), Prefix: s.key(prefix)}
	if startAfter != "" {
		in.StartAfter = s.key(startAfter)
	}
	return func(yield func(Object, error) bool) {
		pages := awss3.NewListObjectsV2Paginator(s.client, in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Object{}, wrap(err, "list", prefix, ErrChanged))
				return
			}
			for _, o := range page.Contents {
				if !yield(s.object(o), nil) {
					return
				}
			}
		}
	}
}

func (s *Store) object(o types.Object) Object {
	return Object{
		Key:      strings.TrimPrefix(aws.ToString(o.Key), s.loc.Key("")),
		Bytes:    aws.ToInt64(o.Size),
		ETag:     aws.ToString(o.ETag),
		Modified: aws.ToTime(o.LastModified),
	}
}

// CreateBucket makes the lake's bucket where it is absent.
func (s *Store) CreateBucket(ctx context.Context) error {
	_, err := s.client.CreateBucket(ctx, &awss3.CreateBucketInput{Bucket: s.bucket()})
	var owned *types.BucketAlreadyOwnedByYou
	if errors.As(err, &owned) {
		return nil
	}
	return wrap(err, "create bucket", s.loc.Bucket, ErrExists)
}
