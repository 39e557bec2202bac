package bucket_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/loadtest/sim/bucket"
	"weir/pkg/flush"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/pkg/s3/s3test"
)

type transport struct{ http.Handler }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	t.ServeHTTP(w, r)
	return w.Result(), nil
}

func open(t *testing.T, b *bucket.Bucket) *s3.Store {
	t.Helper()
	s, err := s3.Open(t.Context(), s3.Config{
		Lake: lake.Location{Bucket: "b", Prefix: "lake"}, Endpoint: "http://s3.sim", Region: "us-east-1",
		AccessKey: "a", SecretKey: "s", Transport: transport{b},
	}, nil)
	require.NoError(t, err)
	return s
}

// It is what weir asks of a store, in every dialect.
func TestConforms(t *testing.T) {
	for d := range bucket.Dialects {
		t.Run(fmt.Sprint(d), func(t *testing.T) {
			s3test.Run(t, open(t, bucket.New("b", bucket.Dialect(d), 5<<20, nil)))
		})
	}
}

// The dialects differ in what they say to the repetition of a complete, and an expired upload is gone.
func TestDialects(t *testing.T) {
	for d, want := range map[bucket.Dialect]error{bucket.Remembers: s3.ErrExists, bucket.Forgets: s3.ErrNoSuchUpload, bucket.Repeats: nil} {
		b := bucket.New("b", d, 5<<20, nil)
		s := open(t, b)
		id, err := s.CreateUpload(t.Context(), "k", "")
		require.NoError(t, err)
		p, err := s.UploadPart(t.Context(), "k", id, 1, []byte("body"))
		require.NoError(t, err)
		require.NoError(t, s.CompleteUpload(t.Context(), "k", id, []flush.Part{p}))
		require.ErrorIs(t, s.CompleteUpload(t.Context(), "k", id, []flush.Part{p}), want)
		require.Empty(t, b.Uploads())
		id, err = s.CreateUpload(t.Context(), "l", "")
		require.NoError(t, err)
		require.Equal(t, 1, b.Expire())
		_, err = s.UploadPart(t.Context(), "l", id, 1, []byte("body"))
		require.ErrorIs(t, err, s3.ErrNoSuchUpload)
	}
}
