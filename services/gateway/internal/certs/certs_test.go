package certs

import (
	"crypto/tls"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/services/gateway/internal/certs/certstest"
)

type world struct {
	t     *testing.T
	ca    *certstest.Authority
	files Files
}

func newWorld(t *testing.T) *world {
	dir := t.TempDir()
	w := &world{t: t, ca: certstest.New(t), files: Files{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key")}}
	w.write(w.ca.Issue("first"))
	return w
}

func (w *world) write(cert, key []byte) {
	certstest.Write(w.t, w.files.Cert, cert)
	certstest.Write(w.t, w.files.Key, key)
}

// served is the name of the certificate that a handshake gets.
func served(t *testing.T, w *Watcher) string {
	t.Helper()
	c, err := w.Config().GetConfigForClient(&tls.ClientHelloInfo{})
	require.NoError(t, err)
	require.EqualValues(t, tls.VersionTLS12, c.MinVersion)
	require.Equal(t, []string{"h2", "http/1.1"}, c.NextProtos)
	return c.Certificates[0].Leaf.Subject.CommonName
}

func TestAPairIsReplaced(t *testing.T) {
	w := newWorld(t)
	watcher, err := Open(w.files)
	require.NoError(t, err)
	require.Equal(t, "first", served(t, watcher))
	_, changed := watcher.look(time.Now())
	require.False(t, changed)

	cert, key := w.ca.Issue("second")
	certstest.Write(t, w.files.Cert, cert) // its key is not there yet
	r, changed := watcher.look(time.Now())
	require.True(t, changed)
	require.ErrorContains(t, r.Err, w.files.Cert)
	require.Equal(t, "first", served(t, watcher))
	require.Equal(t, watcher.Until(), r.Until)
	_, changed = watcher.look(time.Now())
	require.False(t, changed, "it is told once")

	certstest.Write(t, w.files.Key, key)
	r, changed = watcher.look(time.Now())
	require.True(t, changed)
	require.NoError(t, r.Err)
	require.Equal(t, "second", served(t, watcher))

	certstest.Write(t, w.files.Key, []byte("nonsense"))
	r, _ = watcher.look(time.Now())
	require.Error(t, r.Err)
	require.NotContains(t, r.Err.Error(), "nonsense")
	require.Equal(t, "second", served(t, watcher))
}

func TestAuthoritiesOfClientsAreReplaced(t *testing.T) {
	w := newWorld(t)
	w.files.ClientCA = filepath.Join(t.TempDir(), "ca.crt")
	_, err := Open(w.files)
	require.ErrorContains(t, err, w.files.ClientCA)
	cert, clientCA := w.files.Check()
	require.NoError(t, cert)
	require.Error(t, clientCA)

	certstest.Write(t, w.files.ClientCA, w.ca.PEM())
	watcher, err := Open(w.files)
	require.NoError(t, err)
	other := certstest.New(t)
	certstest.Write(t, w.files.ClientCA, other.PEM())
	r, changed := watcher.look(time.Now())
	require.True(t, changed)
	require.NoError(t, r.Err)
	c, err := watcher.Config().GetConfigForClient(nil)
	require.NoError(t, err)
	require.Equal(t, tls.RequireAndVerifyClientCert, c.ClientAuth)
	require.True(t, other.Pool().Equal(c.ClientCAs))

	certstest.Write(t, w.files.ClientCA, []byte("# nobody"))
	r, _ = watcher.look(time.Now())
	require.ErrorIs(t, r.Err, errNoCertificate)
	require.Equal(t, c, watcher.current.Load().config)
}

func TestACertificateEnds(t *testing.T) {
	w := newWorld(t)
	watcher, err := Open(w.files)
	require.NoError(t, err)
	_, changed := watcher.look(watcher.Until().Add(-time.Second))
	require.False(t, changed)
	r, changed := watcher.look(watcher.Until().Add(time.Second))
	require.True(t, changed)
	require.ErrorContains(t, r.Err, w.files.Cert)
	_, changed = watcher.look(watcher.Until().Add(time.Minute))
	require.False(t, changed, "it is told once")
	w.write(w.ca.Issue("second"))
	r, changed = watcher.look(time.Now())
	require.True(t, changed)
	require.NoError(t, r.Err)
}

func TestCheckTellsBothFaults(t *testing.T) {
	cert, clientCA := Files{Cert: "no.crt", Key: "no.key", ClientCA: "no.ca"}.Check()
	require.ErrorContains(t, cert, "no.crt")
	require.ErrorContains(t, clientCA, "no.ca")
}
