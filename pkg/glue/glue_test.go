package glue_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"weir/pkg/embedded"
	"weir/pkg/glue"
	"weir/pkg/glue/gluetest"
	"weir/pkg/settings"
)

func start(t *testing.T, dir string) *embedded.Glue {
	t.Helper()
	g, err := embedded.StartGlue(embedded.GlueOptions{Dir: dir, Addr: "127.0.0.1:0"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = g.Close() })
	return g
}

func config(endpoint string) glue.Config {
	return glue.Config{Endpoint: endpoint, Region: embedded.Region, AccessKey: "dev", SecretKey: "dev-secret"}
}

func TestEmbeddedConforms(t *testing.T) {
	for name, dir := range map[string]string{"on disk": t.TempDir(), "in memory": ""} {
		t.Run(name, func(t *testing.T) {
			gluetest.Run(t, config("http://"+start(t, dir).Addr()), nil)
		})
	}
}

func TestWithoutARegionNothingIsOpened(t *testing.T) {
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
	_, err := glue.Open(t.Context(), glue.Config{Endpoint: "http://here"}, nil)
	require.ErrorIs(t, err, settings.ErrNoRegion)
	_, err = glue.Open(t.Context(), glue.Config{Region: embedded.Region}, nil)
	require.NoError(t, err)
}
