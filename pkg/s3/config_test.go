package s3

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/require"

	"weir/pkg/lake"
)

func TestAddressesArePathStyleWhereAnEndpointIsSet(t *testing.T) {
	open := func(cfg Config) *Store {
		cfg.Lake = lake.Location{Bucket: "weir", Prefix: "lake"}
		s, err := Open(t.Context(), cfg, nil)
		require.NoError(t, err)
		return s
	}
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_ENDPOINT_URL", "")
	t.Setenv("AWS_ENDPOINT_URL_S3", "")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	plain := open(Config{}).client.Options()
	require.False(t, plain.UsePathStyle)
	require.Equal(t, "eu-central-1", plain.Region)
	require.True(t, open(Config{Endpoint: "http://here"}).client.Options().UsePathStyle)

	t.Setenv("AWS_ENDPOINT_URL_S3", "http://from-the-environment")
	o := open(Config{}).client.Options()
	require.True(t, o.UsePathStyle)
	require.Equal(t, "http://from-the-environment", aws.ToString(o.BaseEndpoint))
	require.Equal(t, "http://here", aws.ToString(open(Config{Endpoint: "http://here"}).client.Options().BaseEndpoint))
}

func TestPausesAreCapped(t *testing.T) {
	j := jitter{limit: maxBackoff}
	for attempt := 1; attempt < 100; attempt++ {
		d, err := j.BackoffDelay(attempt, nil)
		require.NoError(t, err)
		require.LessOrEqual(t, d, maxBackoff)
		require.Positive(t, d)
		if attempt > 8 {
			require.GreaterOrEqual(t, d, maxBackoff/2)
		}
	}
}
