package embedded_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/stretchr/testify/require"

	"weir/pkg/embedded"
)

func startS3(t *testing.T, dir, addr string) *embedded.S3 {
	t.Helper()
	s, err := embedded.StartS3(embedded.S3Options{
		Dir: dir, Addr: addr, AccessKey: "dev", SecretKey: "dev-secret", Buckets: []string{"weir", "other"},
	})
	require.NoError(t, err)
	return s
}

func s3Client(addr, secret string) *s3.Client {
	return s3.New(s3.Options{
		Region: embedded.Region, BaseEndpoint: aws.String("http://" + addr), UsePathStyle: true,
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenSupported,
		Credentials:                credentials.NewStaticCredentialsProvider("dev", secret, ""),
		HTTPClient:                 &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	})
}

func TestS3RestartsWithEverythingAndMovesNobody(t *testing.T) {
	ctx := within(t, time.Minute)
	before, err := os.Getwd()
	require.NoError(t, err)
	dir := t.TempDir()
	s := startS3(t, dir, "127.0.0.1:0")
	put(t, s.Addr(), "lake/a/dt=2026-11-23/x.parquet", "body")
	after, err := os.Getwd()
	require.NoError(t, err)
	require.Equal(t, before, after)

	// A process that moves on does not take the server with it.
	t.Chdir(t.TempDir())
	put(t, s.Addr(), "lake/y", "more")
	onDisk, err := os.ReadFile(filepath.Join(s.Root(), "weir", "lake", "y"))
	require.NoError(t, err)
	require.Equal(t, "more", string(onDisk))
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())

	again := startS3(t, dir, s.Addr())
	t.Cleanup(func() { _ = again.Close() })
	require.Equal(t, s.Addr(), again.Addr())
	got, err := s3Client(again.Addr(), "dev-secret").GetObject(ctx, &s3.GetObjectInput{
		Bucket: aws.String("weir"), Key: aws.String("lake/a/dt=2026-11-23/x.parquet"),
	})
	require.NoError(t, err)
	body, err := io.ReadAll(got.Body)
	require.NoError(t, err)
	require.Equal(t, "body", string(body))
	buckets, err := s3Client(again.Addr(), "dev-secret").ListBuckets(ctx, &s3.ListBucketsInput{})
	require.NoError(t, err)
	require.Len(t, buckets.Buckets, 2)
	_, err = s3Client(again.Addr(), "wrong").ListBuckets(ctx, &s3.ListBucketsInput{})
	require.ErrorContains(t, err, "SignatureDoesNotMatch")
}

func put(t *testing.T, addr, key, body string) {
	t.Helper()
	_, err := s3Client(addr, "dev-secret").PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("weir"), Key: aws.String(key), Body: bytes.NewReader([]byte(body)),
	})
	require.NoError(t, err)
}

// A file system without extended attributes gets files beside the objects, and
// a directory that began so goes on so.
func TestS3KeepsItsMetadataInFilesWhereItBeganSo(t *testing.T) {
	ctx := within(t, time.Minute)
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "attributes"), 0o755))
	s := startS3(t, dir, "127.0.0.1:0")
	put(t, s.Addr(), "k", "body")
	require.NoError(t, s.Close())
	again := startS3(t, dir, "127.0.0.1:0")
	t.Cleanup(func() { _ = again.Close() })
	head, err := s3Client(again.Addr(), "dev-secret").HeadObject(ctx, &s3.HeadObjectInput{
		Bucket: aws.String("weir"), Key: aws.String("k"), ChecksumMode: "ENABLED",
	})
	require.NoError(t, err)
	require.Equal(t, `"841a2d689ad86bd1611447453c22c6fc"`, aws.ToString(head.ETag))
	require.NotEmpty(t, aws.ToString(head.ChecksumCRC32))
	entries, err := filepath.Glob(filepath.Join(dir, "attributes", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, entries)
}

// A process that dies in the middle of a complete leaves the upload claimed;
// the next one must not take that for done.
func TestS3TakesUpACompleteThatWasCutShort(t *testing.T) {
	for _, kind := range []string{"extended attributes", "files"} {
		t.Run(kind, func(t *testing.T) {
			ctx := within(t, time.Minute)
			dir := t.TempDir()
			if kind == "files" {
				require.NoError(t, os.MkdirAll(filepath.Join(dir, "attributes"), 0o755))
			}
			s := startS3(t, dir, "127.0.0.1:0")
			cl := s3Client(s.Addr(), "dev-secret")
			bucket, key := aws.String("weir"), aws.String("lake/a/k")
			created, err := cl.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key})
			require.NoError(t, err)
			part, err := cl.UploadPart(ctx, &s3.UploadPartInput{
				Bucket: bucket, Key: key, UploadId: created.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader([]byte("body")),
			})
			require.NoError(t, err)
			require.NoError(t, s.Close())
			var uploads []string
			require.NoError(t, filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
				if filepath.Base(path) == aws.ToString(created.UploadId) {
					uploads = append(uploads, path)
				}
				return err
			}))
			require.NotEmpty(t, uploads)
			for _, path := range uploads {
				require.NoError(t, os.Rename(path, path+".0123-1.inprogress"))
			}

			again := startS3(t, dir, "127.0.0.1:0")
			t.Cleanup(func() { _ = again.Close() })
			cl = s3Client(again.Addr(), "dev-secret")
			_, err = cl.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
				Bucket: bucket, Key: key, UploadId: created.UploadId, IfNoneMatch: aws.String("*"),
				MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: part.ETag}}},
			})
			require.NoError(t, err)
			head, err := cl.HeadObject(ctx, &s3.HeadObjectInput{Bucket: bucket, Key: key})
			require.NoError(t, err)
			require.EqualValues(t, 4, aws.ToInt64(head.ContentLength))
		})
	}
}

func TestS3MakesAHalfMadeBucketAnew(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "buckets", "weir"), 0o755))
	s := startS3(t, dir, "127.0.0.1:0")
	t.Cleanup(func() { _ = s.Close() })
	put(t, s.Addr(), "k", "body")
}
