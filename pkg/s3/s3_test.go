package s3_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/embedded"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/pkg/s3/s3test"
)

// There is one embedded S3 per process.
var server *embedded.S3

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "weir-s3-")
	if err == nil {
		server, err = embedded.StartS3(embedded.S3Options{
			Dir: dir, Addr: "127.0.0.1:0", AccessKey: "dev", SecretKey: "dev-secret", Buckets: []string{"weir"},
		})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = server.Close()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func open(t *testing.T, location string, tel s3.Observer) *s3.Store {
	t.Helper()
	loc, err := lake.ParseLocation(location)
	require.NoError(t, err)
	s, err := s3.Open(t.Context(), s3.Config{
		Lake: loc, Endpoint: "http://" + server.Addr(), Region: embedded.Region, AccessKey: "dev", SecretKey: "dev-secret",
	}, tel)
	require.NoError(t, err)
	return s
}

func TestEmbeddedConforms(t *testing.T) {
	s3test.Run(t, open(t, "s3://weir/lake", nil))
}

// A lake may be the whole bucket.
func TestALakeWithoutPrefix(t *testing.T) {
	s := open(t, "s3://whole", nil)
	require.NoError(t, s.CreateBucket(t.Context()))
	require.NoError(t, s.CreateBucket(t.Context()))
	require.NoError(t, s.Put(t.Context(), "a/b", []byte("body")))
	for o, err := range s.List(t.Context(), "", "") {
		require.NoError(t, err)
		require.Equal(t, "a/b", o.Key)
	}
}
