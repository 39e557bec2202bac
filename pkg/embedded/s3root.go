package embedded

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// rooted is versitygw's directory backend without its claim on the working
// directory. posix opens "bucket/key" relative to the process's directory and
// changes it to its root; here every bucket is handed down as an absolute path,
// so that the process stays where it was started and may move. What it does not
// forward (versions, locks, retention, tags, select) is answered NotImplemented.
type rooted struct {
	backend.BackendUnsupported
	posix *posix.Posix
	root  string
	log   *slog.Logger

	// completing serialises the completes of a key. Two that overlap: posix
	// answers the second with success while the first has yet to make the
	// object, and may still fail.
	completing [64]sync.Mutex
}

// chdirMu serialises the short moments in which posix.New moves the process.
var chdirMu sync.Mutex

func openRooted(root, attributes string, log *slog.Logger) (*rooted, error) {
	chdirMu.Lock()
	defer chdirMu.Unlock()
	wd, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	p, err := openPosix(root, attributes)
	if err != nil {
		return nil, err
	}
	if err := os.Chdir(wd); err != nil {
		return nil, fmt.Errorf("go back to the working directory: %w", err)
	}
	r := &rooted{posix: p, root: root, log: log}
	return r, errors.Join(releaseClaims(root), releaseClaims(filepath.Join(attributes, root)))
}

// releaseClaims gives uploads their names back whose complete was cut short by
// the end of the process. posix renames an upload when it begins to complete it,
// and would answer "completed" for such a one for ever, without an object.
func releaseClaims(buckets string) error {
	claims, err := filepath.Glob(filepath.Join(buckets, "*", posix.MetaTmpMultipartDir, "*", "*.inprogress"))
	if err != nil {
		return err
	}
	for _, claimed := range claims {
		uploadID, _, _ := strings.Cut(filepath.Base(claimed), ".")
		if err := os.Rename(claimed, filepath.Join(filepath.Dir(claimed), uploadID)); err != nil {
			return fmt.Errorf("take up an unfinished complete: %w", err)
		}
	}
	return nil
}

// at is the path of a bucket, in the form the SDK's inputs have it.
func (r *rooted) at(bucket *string) *string {
	if bucket == nil {
		return nil
	}
	path := r.path(*bucket)
	return &path
}

func (r *rooted) path(bucket string) string { return filepath.Join(r.root, bucket) }

func (r *rooted) String() string { return "rooted posix" }
func (r *rooted) Shutdown()      { r.posix.Shutdown() }

func (r *rooted) NormalizeObjectKey(bucket, object string) string {
	return r.posix.NormalizeObjectKey(r.path(bucket), object)
}

// Buckets.

func (r *rooted) ListBuckets(_ context.Context, in s3response.ListBucketsInput) (_ s3response.ListAllMyBucketsResult, err error) {
	defer r.tell("ListBuckets", &err)
	entries, err := os.ReadDir(r.root)
	if err != nil {
		return s3response.ListAllMyBucketsResult{}, err
	}
	out := s3response.ListAllMyBucketsResult{
		Owner:  s3response.CanonicalUser{ID: in.Owner},
		Prefix: in.Prefix,
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !e.IsDir() || e.Name()[0] == '.' {
			continue
		}
		out.Buckets.Bucket = append(out.Buckets.Bucket, s3response.ListAllMyBucketsEntry{
			Name: e.Name(), CreationDate: info.ModTime(),
		})
	}
	return out, nil
}

func (r *rooted) HeadBucket(ctx context.Context, in *s3.HeadBucketInput) (_ *s3.HeadBucketOutput, err error) {
	defer r.tell("HeadBucket", &err)
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	return r.posix.HeadBucket(ctx, &moved)
}

func (r *rooted) GetBucketAcl(ctx context.Context, in *s3.GetBucketAclInput) (_ []byte, err error) {
	defer r.tell("GetBucketAcl", &err)
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	return r.posix.GetBucketAcl(ctx, &moved)
}

func (r *rooted) CreateBucket(ctx context.Context, in *s3.CreateBucketInput, acl []byte) (err error) {
	defer r.tell("CreateBucket", &err)
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	return r.posix.CreateBucket(ctx, &moved, acl)
}

func (r *rooted) DeleteBucket(ctx context.Context, bucket string) (err error) {
	defer r.tell("DeleteBucket", &err)
	return r.posix.DeleteBucket(ctx, r.path(bucket))
}

func (r *rooted) GetBucketPolicy(ctx context.Context, bucket string) (_ []byte, err error) {
	defer r.tell("GetBucketPolicy", &err)
	return r.posix.GetBucketPolicy(ctx, r.path(bucket))
}

func (r *rooted) GetBucketVersioning(ctx context.Context, bucket string) (_ s3response.GetBucketVersioningOutput, err error) {
	defer r.tell("GetBucketVersioning", &err)
	return r.posix.GetBucketVersioning(ctx, r.path(bucket))
}

func (r *rooted) GetBucketOwnershipControls(ctx context.Context, bucket string) (_ types.ObjectOwnership, err error) {
	defer r.tell("GetBucketOwnershipControls", &err)
	return r.posix.GetBucketOwnershipControls(ctx, r.path(bucket))
}

func (r *rooted) GetBucketCors(ctx context.Context, bucket string) (_ []byte, err error) {
	defer r.tell("GetBucketCors", &err)
	return r.posix.GetBucketCors(ctx, r.path(bucket))
}

func (r *rooted) GetBucketTagging(ctx context.Context, bucket string) (_ map[string]string, err error) {
	defer r.tell("GetBucketTagging", &err)
	return r.posix.GetBucketTagging(ctx, r.path(bucket))
}

func (r *rooted) GetObjectLockConfiguration(ctx context.Context, bucket string) (_ []byte, err error) {
	defer r.tell("GetObjectLockConfiguration", &err)
	return r.posix.GetObjectLockConfiguration(ctx, r.path(bucket))
}

// Uploads. Answers that repeat the bucket get its name back.

func (r *rooted) CreateMultipartUpload(ctx context.Context, in s3response.CreateMultipartUploadInput) (_ s3response.InitiateMultipartUploadResult, err error) {
	defer r.tell("CreateMultipartUpload", &err)
	name := in.Bucket
	in.Bucket = r.at(name)
	out, err := r.posix.CreateMultipartUpload(ctx, in)
	out.Bucket = *name
	return out, err
}

func (r *rooted) UploadPart(ctx context.Context, in *s3.UploadPartInput) (_ *s3.UploadPartOutput, err error) {
	defer r.tell("UploadPart", &err)
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	moved.Body = all(in.Body, in.ContentLength)
	return r.posix.UploadPart(ctx, &moved)
}

func (r *rooted) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput) (_ s3response.CompleteMultipartUploadResult, _ string, err error) {
	defer r.tell("CompleteMultipartUpload", &err)
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	lock := &r.completing[crc32.ChecksumIEEE([]byte(*in.Bucket+"/"+*in.Key))%uint32(len(r.completing))]
	lock.Lock()
	defer lock.Unlock()
	out, version, err := r.posix.CompleteMultipartUpload(ctx, &moved)
	out.Bucket = in.Bucket
	return out, version, err
}

func (r *rooted) AbortMultipartUpload(ctx context.Context, in *s3.AbortMultipartUploadInput) (err error) {
	defer r.tell("AbortMultipartUpload", &err)
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	return r.posix.AbortMultipartUpload(ctx, &moved)
}

func (r *rooted) ListMultipartUploads(ctx context.Context, in *s3.ListMultipartUploadsInput) (_ s3response.ListMultipartUploadsResult, err error) {
	defer r.tell("ListMultipartUploads", &err)
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	out, err := r.posix.ListMultipartUploads(ctx, &moved)
	out.Bucket = *in.Bucket
	return out, err
}

func (r *rooted) ListParts(ctx context.Context, in *s3.ListPartsInput) (_ s3response.ListPartsResult, err error) {
	defer r.tell("ListParts", &err)
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	out, err := r.posix.ListParts(ctx, &moved)
	out.Bucket = *in.Bucket
	return out, err
}

// Objects.

func (r *rooted) PutObject(ctx context.Context, in s3response.PutObjectInput) (_ s3response.PutObjectOutput, err error) {
	defer r.tell("PutObject", &err)
	in.Bucket = r.at(in.Bucket)
	in.Body = all(in.Body, in.ContentLength)
	return r.posix.PutObject(ctx, in)
}

func (r *rooted) HeadObject(ctx context.Context, in *s3.HeadObjectInput) (_ *s3.HeadObjectOutput, err error) {
	defer r.tell("HeadObject", &err)
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	return r.posix.HeadObject(ctx, &moved)
}

func (r *rooted) GetObject(ctx context.Context, in *s3.GetObjectInput) (_ *s3.GetObjectOutput, err error) {
	defer r.tell("GetObject", &err)
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	return r.posix.GetObject(ctx, &moved)
}

func (r *rooted) GetObjectAttributes(ctx context.Context, in *s3.GetObjectAttributesInput) (_ s3response.GetObjectAttributesResponse, err error) {
	defer r.tell("GetObjectAttributes", &err)
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	return r.posix.GetObjectAttributes(ctx, &moved)
}

func (r *rooted) ListObjects(ctx context.Context, in *s3.ListObjectsInput) (_ s3response.ListObjectsResult, err error) {
	defer r.tell("ListObjects", &err)
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	out, err := r.posix.ListObjects(ctx, &moved)
	out.Name = in.Bucket
	return out, err
}

func (r *rooted) ListObjectsV2(ctx context.Context, in *s3.ListObjectsV2Input) (_ s3response.ListObjectsV2Result, err error) {
	defer r.tell("ListObjectsV2", &err)
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	out, err := r.posix.ListObjectsV2(ctx, &moved)
	out.Name = in.Bucket
	return out, err
}

func (r *rooted) DeleteObject(ctx context.Context, in *s3.DeleteObjectInput) (_ *s3.DeleteObjectOutput, err error) {
	defer r.tell("DeleteObject", &err)
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	return r.posix.DeleteObject(ctx, &moved)
}

func (r *rooted) DeleteObjects(ctx context.Context, in *s3.DeleteObjectsInput) (_ s3response.DeleteResult, err error) {
	defer r.tell("DeleteObjects", &err)
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	return r.posix.DeleteObjects(ctx, &moved)
}

// all makes a body that ends early one of S3's errors: the HTTP server gives the end of the connection as the end of
// the body, versitygw takes an unexpected end for one too, and posix would keep what came as the whole.
func all(body io.Reader, length *int64) io.Reader {
	if body == nil || length == nil {
		return body
	}
	return &wholeBody{body, *length}
}

type wholeBody struct {
	body io.Reader
	left int64
}

func (b *wholeBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.left -= int64(n)
	if err == io.ErrUnexpectedEOF || err == io.EOF && b.left > 0 {
		err = s3err.GetAPIError(s3err.ErrIncompleteBody)
	}
	return n, err
}
