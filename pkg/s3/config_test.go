package s3

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/require"

	"weir/pkg/lake"
	"weir/pkg/settings"
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

func TestWithoutARegionNothingIsOpened(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	_, err := Open(t.Context(), Config{}, nil)
	require.ErrorIs(t, err, settings.ErrNoRegion)
	_, err = Open(t.Context(), Config{Endpoint: "http://here"}, nil)
	require.ErrorIs(t, err, settings.ErrNoRegion, "an endpoint has none either")
	_, err = Open(t.Context(), Config{Region: "eu-central-1"}, nil)
	require.NoError(t, err)

	profile := filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(profile, []byte("[default]\nregion = eu-central-1\n"), 0o600))
	t.Setenv("AWS_CONFIG_FILE", profile)
	_, err = Open(t.Context(), Config{}, nil)
	require.NoError(t, err, "the profile names one")
}

func TestWithoutCredentialsTheErrorSaysWhatToDo(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	s, err := Open(t.Context(), Config{Region: "eu-central-1", Endpoint: "http://127.0.0.1:1", Lake: lake.Location{Bucket: "weir"}}, nil)
	require.NoError(t, err)
	_, err = s.Head(t.Context(), "k")
	require.ErrorIs(t, err, ErrDenied)
	require.ErrorContains(t, err, "look at the AWS credentials")
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
