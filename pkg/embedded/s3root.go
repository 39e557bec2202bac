package embedded

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/backend/posix"
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

	// completing serialises the completes of a key. Two that overlap: posix
	// answers the second with success while the first has yet to make the
	// object, and may still fail.
	completing [64]sync.Mutex
}

// chdirMu serialises the short moments in which posix.New moves the process.
var chdirMu sync.Mutex

func openRooted(root, attributes string) (*rooted, error) {
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
	r := &rooted{posix: p, root: root}
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

func (r *rooted) ListBuckets(_ context.Context, in s3response.ListBucketsInput) (s3response.ListAllMyBucketsResult, error) {
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

func (r *rooted) HeadBucket(ctx context.Context, in *s3.HeadBucketInput) (*s3.HeadBucketOutput, error) {
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	return r.posix.HeadBucket(ctx, &moved)
}

func (r *rooted) GetBucketAcl(ctx context.Context, in *s3.GetBucketAclInput) ([]byte, error) {
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	return r.posix.GetBucketAcl(ctx, &moved)
}

func (r *rooted) CreateBucket(ctx context.Context, in *s3.CreateBucketInput, acl []byte) error {
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	return r.posix.CreateBucket(ctx, &moved, acl)
}

func (r *rooted) DeleteBucket(ctx context.Context, bucket string) error {
	return r.posix.DeleteBucket(ctx, r.path(bucket))
}

func (r *rooted) GetBucketPolicy(ctx context.Context, bucket string) ([]byte, error) {
	return r.posix.GetBucketPolicy(ctx, r.path(bucket))
}

func (r *rooted) GetBucketVersioning(ctx context.Context, bucket string) (s3response.GetBucketVersioningOutput, error) {
	return r.posix.GetBucketVersioning(ctx, r.path(bucket))
}

func (r *rooted) GetBucketOwnershipControls(ctx context.Context, bucket string) (types.ObjectOwnership, error) {
	return r.posix.GetBucketOwnershipControls(ctx, r.path(bucket))
}

func (r *rooted) GetBucketCors(ctx context.Context, bucket string) ([]byte, error) {
	return r.posix.GetBucketCors(ctx, r.path(bucket))
}

func (r *rooted) GetBucketTagging(ctx context.Context, bucket string) (map[string]string, error) {
	return r.posix.GetBucketTagging(ctx, r.path(bucket))
}

func (r *rooted) GetObjectLockConfiguration(ctx context.Context, bucket string) ([]byte, error) {
	return r.posix.GetObjectLockConfiguration(ctx, r.path(bucket))
}

// Uploads. Answers that repeat the bucket get its name back.

func (r *rooted) CreateMultipartUpload(ctx context.Context, in s3response.CreateMultipartUploadInput) (s3response.InitiateMultipartUploadResult, error) {
	name := in.Bucket
	in.Bucket = r.at(name)
	out, err := r.posix.CreateMultipartUpload(ctx, in)
	out.Bucket = *name
	return out, err
}

func (r *rooted) UploadPart(ctx context.Context, in *s3.UploadPartInput) (*s3.UploadPartOutput, error) {
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	return r.posix.UploadPart(ctx, &moved)
}

func (r *rooted) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput) (s3response.CompleteMultipartUploadResult, string, error) {
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	lock := &r.completing[crc32.ChecksumIEEE([]byte(*in.Bucket+"/"+*in.Key))%uint32(len(r.completing))]
	lock.Lock()
	defer lock.Unlock()
	out, version, err := r.posix.CompleteMultipartUpload(ctx, &moved)
	out.Bucket = in.Bucket
	return out, version, err
}

func (r *rooted) AbortMultipartUpload(ctx context.Context, in *s3.AbortMultipartUploadInput) error {
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	return r.posix.AbortMultipartUpload(ctx, &moved)
}

func (r *rooted) ListMultipartUploads(ctx context.Context, in *s3.ListMultipartUploadsInput) (s3response.ListMultipartUploadsResult, error) {
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	out, err := r.posix.ListMultipartUploads(ctx, &moved)
	out.Bucket = *in.Bucket
	return out, err
}

func (r *rooted) ListParts(ctx context.Context, in *s3.ListPartsInput) (s3response.ListPartsResult, error) {
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	out, err := r.posix.ListParts(ctx, &moved)
	out.Bucket = *in.Bucket
	return out, err
}

// Objects.

func (r *rooted) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	in.Bucket = r.at(in.Bucket)
	return r.posix.PutObject(ctx, in)
}

func (r *rooted) HeadObject(ctx context.Context, in *s3.HeadObjectInput) (*s3.HeadObjectOutput, error) {
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	return r.posix.HeadObject(ctx, &moved)
}

func (r *rooted) GetObject(ctx context.Context, in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	return r.posix.GetObject(ctx, &moved)
}

func (r *rooted) GetObjectAttributes(ctx context.Context, in *s3.GetObjectAttributesInput) (s3response.GetObjectAttributesResponse, error) {
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	return r.posix.GetObjectAttributes(ctx, &moved)
}

func (r *rooted) ListObjects(ctx context.Context, in *s3.ListObjectsInput) (s3response.ListObjectsResult, error) {
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	out, err := r.posix.ListObjects(ctx, &moved)
	out.Name = in.Bucket
	return out, err
}

func (r *rooted) ListObjectsV2(ctx context.Context, in *s3.ListObjectsV2Input) (s3response.ListObjectsV2Result, error) {
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	out, err := r.posix.ListObjectsV2(ctx, &moved)
	out.Name = in.Bucket
	return out, err
}

func (r *rooted) DeleteObject(ctx context.Context, in *s3.DeleteObjectInput) (*s3.DeleteObjectOutput, error) {
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	return r.posix.DeleteObject(ctx, &moved)
}

func (r *rooted) DeleteObjects(ctx context.Context, in *s3.DeleteObjectsInput) (s3response.DeleteResult, error) {
	moved := *in
	moved.Bucket = r.at(in.Bucket)
	return r.posix.DeleteObjects(ctx, &moved)
}
