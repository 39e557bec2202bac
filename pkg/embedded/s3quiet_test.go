package embedded_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/require"

	"weir/pkg/embedded"
)

// lines hands on each line that is written.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(bytes.TrimSpace(p))
	return len(p), nil
}

func (l lines) next(ctx context.Context, t *testing.T) string {
	t.Helper()
	select {
	case line := <-l:
		return line
	case <-ctx.Done():
		b, _ := os.ReadFile(os.Stderr.Name())
		t.Fatalf("nothing was logged %s", b)
		return ""
	}
}

// What goes wrong is in the log, and nothing of it on standard error; an end does not wait for clients that stall.
func TestS3IsQuiet(t *testing.T) {
	ctx := within(t, time.Minute)
	printed, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = printed.Close() })
	was := os.Stderr
	os.Stderr = printed
	t.Cleanup(func() { os.Stderr = was })

	said := make(lines, 16)
	s, err := embedded.StartS3(embedded.S3Options{
		Dir: t.TempDir(), Addr: "127.0.0.1:0", AccessKey: "dev", SecretKey: "dev-secret", Buckets: []string{"weir"},
		Log: slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })

	require.NoError(t, begin(t, s.Addr(), http.MethodPut, "half", 1<<20, 4).Close())
	require.Contains(t, said.next(ctx, t), `level=DEBUG msg="the embedded S3's client hung up" err=`)
	loop := filepath.Join(s.Root(), "weir", "loop")
	require.NoError(t, os.Symlink(loop, loop))
	_, err = s3Client(s.Addr(), "dev-secret").GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("weir"), Key: aws.String("loop")},
		func(o *s3.Options) { o.RetryMaxAttempts = 1 })
	require.ErrorContains(t, err, "InternalError")
	require.Contains(t, said.next(ctx, t), `level=ERROR msg="the embedded S3 failed" op=`)

	put(t, s.Addr(), "big", strings.Repeat("x", 16<<20))
	reader := begin(t, s.Addr(), http.MethodGet, "big", 0, 0)
	_, err = reader.Read(make([]byte, 1))
	require.NoError(t, err)
	begin(t, s.Addr(), http.MethodPut, "other", 1<<20, 1<<19)
	start := time.Now()
	require.NoError(t, s.Close())
	require.Less(t, time.Since(start), 8*time.Second)

	text, err := os.ReadFile(printed.Name())
	require.NoError(t, err)
	require.Empty(t, string(text))
}

// A client that dies in the middle of a body leaves no object, also where nothing but the length tells.
func TestS3KeepsNoHalfABody(t *testing.T) {
	s := startS3(t, t.TempDir(), "127.0.0.1:0")
	t.Cleanup(func() { _ = s.Close() })
	conn := begin(t, s.Addr(), http.MethodPut, "half", 1<<20, 1<<19)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, answer.StatusCode)
	_, err = s3Client(s.Addr(), "dev-secret").HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("weir"), Key: aws.String("half")})
	require.ErrorContains(t, err, "404")
}

// begin sends a signed request with the first bytes of its body, and reads nothing.
func begin(t *testing.T, addr, method, key string, length int64, sent int) net.Conn {
	t.Helper()
	r, err := http.NewRequest(method, "http://"+addr+"/weir/"+key, nil)
	require.NoError(t, err)
	r.ContentLength = length
	const unsigned = "UNSIGNED-PAYLOAD"
	r.Header.Set("X-Amz-Content-Sha256", unsigned)
	keys := aws.Credentials{AccessKeyID: "dev", SecretAccessKey: "dev-secret"}
	require.NoError(t, v4.NewSigner().SignHTTP(t.Context(), keys, r, unsigned, "s3", embedded.Region, time.Now()))
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	var head bytes.Buffer
	require.NoError(t, r.Header.Write(&head))
	if length > 0 {
		fmt.Fprintf(&head, "Content-Length: %d\r\n", length)
	}
	_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n%s", method, r.URL.RequestURI(), addr, head.String(), strings.Repeat("x", sent))
	require.NoError(t, err)
	return conn
}
