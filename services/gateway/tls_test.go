package gateway

import (
	"crypto/tls"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"weir/pkg/settings"
	"weir/services/gateway/internal/certs/certstest"

	ingestv1 "weir/proto/weir/ingest/v1"
	"weir/proto/weir/ingest/v1/ingestv1connect"
)

// secured is a gateway with a certificate of an authority; clients need one of theirs where there is one.
func secured(t *testing.T, authority, clients *certstest.Authority) *world {
	dir := t.TempDir()
	cert, key := authority.Issue("first")
	return start(t, func(c *Config) {
		c.TLSCert = certstest.Write(t, filepath.Join(dir, "tls.crt"), cert)
		c.TLSKey = certstest.Write(t, filepath.Join(dir, "tls.key"), key)
		if clients != nil {
			c.TLSClientCA = certstest.Write(t, filepath.Join(dir, "ca.crt"), clients.PEM())
		}
	})
}

// over is a client that speaks HTTP/2 over TLS, or HTTP/1.1 only.
func over(t *testing.T, config *tls.Config, http2 bool) *http.Client {
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: http2}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (w *world) postTLS(c *http.Client, id string) (*http.Response, error) {
	r, err := http.NewRequest("POST", "https://"+w.addr+"/v1/track", strings.NewReader(track(id)))
	require.NoError(w.t, err)
	r.Header.Set("Authorization", basicKey1)
	resp, err := c.Do(r)
	if err == nil {
		_ = resp.Body.Close()
	}
	return resp, err
}

func TestTLS(t *testing.T) {
	ca := certstest.New(t)
	w := secured(t, ca, nil)
	config := &tls.Config{RootCAs: ca.Pool()}
	for proto, c := range map[int]*http.Client{1: over(t, config.Clone(), false), 2: over(t, config.Clone(), true)} {
		resp, err := w.postTLS(c, "m")
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
		require.Equal(t, proto, resp.ProtoMajor)

		service := ingestv1connect.NewIngestServiceClient(c, "https://"+w.addr, withKey()...)
		_, err = service.Ingest(t.Context(), connect.NewRequest(messageOf(track("m"))))
		require.NoError(t, err)
	}
	conn := dial(t, w.addr, grpc.WithTransportCredentials(credentials.NewTLS(config.Clone())))
	require.NoError(t, conn.Invoke(bearer(t.Context()), unaryMethod, messageOf(track("m")), &ingestv1.IngestResponse{}))

	old := config.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	_, err := w.postTLS(over(t, old, false), "m")
	require.ErrorContains(t, err, "protocol version")
	require.Equal(t, 400, w.post("/v1/track", track("m")).status, "no HTTP without TLS")
	require.Greater(t, w.metric("weir_gateway_tls_expiry_seconds"), float64(time.Now().Unix()))
}

// A new certificate is taken without a restart; one that does not fit its key is not, and says so.
func TestTheCertificateIsReloaded(t *testing.T) {
	ca := certstest.New(t)
	w := secured(t, ca, nil)
	name := func() string {
		conn, err := tls.Dial("tcp", w.addr, &tls.Config{RootCAs: ca.Pool()})
		require.NoError(t, err)
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	require.Equal(t, "first", name())
	stays := over(t, &tls.Config{RootCAs: ca.Pool()}, true)
	_, err := w.postTLS(stays, "before")
	require.NoError(t, err)

	refused, reloaded := w.logs.next("the last good one stays in force"), w.logs.next("certificate reloaded")
	cert, key := ca.Issue("second")
	certstest.Write(t, w.cfg.TLSCert, cert)
	<-refused
	require.Equal(t, "first", name())
	require.Equal(t, "down", w.dependency("tls"))
	require.True(t, w.tel.Health.Report().Ready)
	certstest.Write(t, w.cfg.TLSKey, key)
	<-reloaded
	require.Equal(t, "second", name())
	require.Equal(t, "up", w.dependency("tls"))
	resp, err := w.postTLS(stays, "on the connection that was there")
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
	require.EqualValues(t, 1, w.metric(`weir_gateway_tls_reloads_total{outcome="refused"}`))
	require.EqualValues(t, 1, w.metric(`weir_gateway_tls_reloads_total{outcome="ok"}`))
}

func (w *world) dependency(name string) string {
	for _, d := range w.tel.Health.Report().Dependencies {
		if d.Name == name {
			return d.State
		}
	}
	return ""
}

func TestClientCertificates(t *testing.T) {
	ca, clients := certstest.New(t), certstest.New(t)
	w := secured(t, ca, clients)
	config := func(certs ...tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: ca.Pool(), Certificates: certs}
	}
	for _, http2 := range []bool{false, true} {
		resp, err := w.postTLS(over(t, config(clients.Pair("a shop")), http2), "m")
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
		_, err = w.postTLS(over(t, config(), http2), "m")
		require.Error(t, err)
		_, err = w.postTLS(over(t, config(certstest.New(t).Pair("a stranger")), http2), "m")
		require.Error(t, err)
	}
	require.Len(t, w.records(w.cfg.Topic), 2)
}

func TestFaultsOfTLSSettings(t *testing.T) {
	dir := t.TempDir()
	for want, change := range map[string]func(*Config){
		"tls-key: is empty":                       func(c *Config) { c.TLSCert = "a" },
		"tls-cert: is empty":                      func(c *Config) { c.TLSKey = "a" },
		"tls-client-ca: needs tls-cert":           func(c *Config) { c.TLSClientCA = "a" },
		"tls-cert: read the certificate a":        func(c *Config) { c.TLSCert, c.TLSKey = "a", "b" },
		"tls-client-ca: " + dir + "/ca.crt holds": func(c *Config) { c.TLSCert, c.TLSKey, c.TLSClientCA = "a", "b", dir+"/ca.crt" },
	} {
		c := DefaultConfig()
		certstest.Write(t, dir+"/ca.crt", []byte("nothing"))
		change(&c)
		require.ErrorContains(t, settings.Join(c.Validate()), want)
	}
}
