package s3

import (
	"bytes"
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"weir/pkg/flush"
)

// CreateUpload begins an upload. Nothing of it is visible before
// CompleteUpload, and nothing but AbortUpload or the bucket's lifecycle rule
// ends it otherwise.
func (s *Store) CreateUpload(ctx context.Context, key, contentType string) (uploadID string, err error) {
	in := &awss3.CreateMultipartUploadInput{
		Bucket:            s.bucket(),
		Key:               s.key(key),
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32, // Complete lists the parts' checksums
	}
	if contentType != "" {
		in.ContentType = aws.String(contentType)
	}
	out, err := s.client.CreateMultipartUpload(ctx, in)
	if err != nil {
		return "", wrap(err, "create upload of", key, ErrChanged)
	}
	return aws.ToString(out.UploadId), nil
}

// UploadPart sends part n (from 1). Sending a number again replaces the part.
func (s *Store) UploadPart(ctx context.Context, key, uploadID string, n int32, body []byte) (flush.Part, error) {
	out, err := s.client.UploadPart(ctx, &awss3.UploadPartInput{
		Bucket:            s.bucket(),
		Key:               s.key(key),
		UploadId:          aws.String(uploadID),
		PartNumber:        aws.Int32(n),
		Body:              bytes.NewReader(body),
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32,
	})
	if err != nil {
		return flush.Part{}, wrap(err, "upload a part of", key, ErrChanged)
	}
	return flush.Part{
		Number: n,
		ETag:   aws.ToString(out.ETag),
		CRC32:  aws.ToString(out.ChecksumCRC32),
		Bytes:  int64(len(body)),
	}, nil
}

// CompleteUpload makes the object of its parts visible, unless there is one
// already: ErrExists. ErrNoSuchUpload says nothing about the object: where the
// answer to a first sending was lost, some stores say it of the second. A
// conflict that does not go away is ErrConflict; it says as little.
func (s *Store) CompleteUpload(ctx context.Context, key, uploadID string, parts []flush.Part) error {
	done := make([]types.CompletedPart, len(parts))
	for i, p := range parts {
		done[i] = types.CompletedPart{
			PartNumber: aws.Int32(p.Number),
			ETag:       aws.String(p.ETag),
		}
		if p.CRC32 != "" {
			done[i].ChecksumCRC32 = aws.String(p.CRC32)
		}
	}
	err := s.pastConflicts(ctx, func() error {
		out, err := s.client.CompleteMultipartUpload(ctx, &awss3.CompleteMultipartUploadInput{
			Bucket:          s.bucket(),
			Key:             s.key(key),
			UploadId:        aws.String(uploadID),
			IfNoneMatch:     aws.String("*"),
			MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
		})
		if err == nil && out.ChecksumCRC32 == nil {
			return s.confirm(ctx, key)
		}
		return err
	})
	return wrap(err, "complete upload of", key, ErrExists)
}

// confirm looks whether a complete that was answered without a checksum made its
// object. versitygw says "completed" to the second of two that overlap, while the
// first is still at it and may fail; the answer of the one that does the work has
// the checksum, as AWS's has.
func (s *Store) confirm(ctx context.Context, key string) error {
	_, err := s.Head(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return errUnfinished
	}
	return err
}

// errUnfinished is a conflict that the store did not call one.
var errUnfinished = errors.New("answered as complete, but the object is not there")

// AbortUpload drops an upload that no intent names. One that is gone already is
// no error.
func (s *Store) AbortUpload(ctx context.Context, key, uploadID string) error {
	_, err := s.client.AbortMultipartUpload(ctx, &awss3.AbortMultipartUploadInput{
		Bucket:   s.bucket(),
		Key:      s.key(key),
		UploadId: aws.String(uploadID),
	})
	if code(err) == "NoSuchUpload" {
		return nil
	}
	return wrap(err, "abort upload of", key, ErrChanged)
}
