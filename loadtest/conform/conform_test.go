//go:build e2e

// Package conform runs the suites that hold weir's embedded parts to the real thing against the real thing: moto's
// Glue, whose known differences are listed by name in gluetest, and a versitygw process.
package conform

import (
	"testing"

	"github.com/stretchr/testify/require"

	"weir/loadtest/parts"
	"weir/pkg/glue"
	"weir/pkg/glue/gluetest"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/pkg/s3/s3test"
)

const (
	region = "us-east-1"
	access = "dev"
	secret = "dev-secret"
)

func TestMoto(t *testing.T) {
	_, err := parts.FetchMoto(t.Context())
	parts.Need(t, "moto", err)
	moto, err := parts.StartMoto(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(moto.Stop)
	for name, why := range gluetest.Moto {
		t.Logf("moto differs: %s: %s", name, why)
	}
	gluetest.Run(t, glue.Config{Endpoint: moto.URL, Region: region, AccessKey: access, SecretKey: secret}, gluetest.Moto)
}

func TestVersitygw(t *testing.T) {
	_, err := parts.FetchVersitygw(t.Context())
	parts.Need(t, "versitygw", err)
	server, err := parts.StartVersitygw(t.Context(), t.TempDir(), access, secret, "weir")
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	store, err := s3.Open(t.Context(), s3.Config{
		Lake: lake.Location{Bucket: "weir", Prefix: "conform"}, Endpoint: server.URL, Region: region, AccessKey: access, SecretKey: secret,
	}, nil)
	require.NoError(t, err)
	s3test.Run(t, store)
}
