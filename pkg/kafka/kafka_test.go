package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// cluster starts a broker of the test's own.
func cluster(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.ClusterID("test")}, opts...)...)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func client(t *testing.T, cfg Config, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	own, err := cfg.Options(quiet())
	require.NoError(t, err)
	cl, err := kgo.NewClient(append(own, opts...)...)
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	return cl
}

func TestValidateListsEveryFault(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	t.Setenv(PasswordEnv, "")
	c := Config{
		Brokers: []string{"a:9092", "b", "c:"},
		TLSCA:   empty, TLSCert: "cert.pem",
		SASL: "kerberos", PasswordFile: empty,
	}
	var text []string
	for _, err := range c.Validate() {
		text = append(text, err.Error())
	}
	require.Equal(t, []string{
		`kafka-brokers: "b" is not host:port`,
		`kafka-brokers: "c:" is not host:port`,
		"kafka-tls-ca: " + empty + " holds no PEM certificate",
		"kafka-tls-key: kafka-tls-cert is set, so its key is needed too",
		"kafka-user: kafka-sasl kerberos needs a user",
		"kafka-password-file: " + empty + " is empty",
		`kafka-sasl: "kerberos" does not exist: want plain, scram-sha-256, scram-sha-512 or off`,
	}, text)
}

func TestValidate(t *testing.T) {
	t.Setenv(PasswordEnv, "")
	one := []string{"a:9092"}
	require.Empty(t, Config{Brokers: one}.Validate())
	require.Empty(t, Config{Brokers: one, TLS: true, SASL: "off"}.Validate())
	require.Len(t, Config{}.Validate(), 1)
	require.Len(t, Config{Brokers: one, User: "u"}.Validate(), 1, "a user without a mechanism")
	require.Len(t, Config{Brokers: one, SASL: "plain", User: "u"}.Validate(), 1, "no password")
	require.Len(t, Config{Brokers: one, SASL: "plain", User: "u", PasswordFile: "/nowhere"}.Validate(), 1)
	require.Len(t, Config{Brokers: one, TLSCA: "/nowhere"}.Validate(), 1)
	t.Setenv(PasswordEnv, "secret")
	require.Empty(t, Config{Brokers: one, SASL: "plain", User: "u"}.Validate())
	for _, err := range (Config{Brokers: one, SASL: "x", User: "u"}).Validate() {
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestSASL(t *testing.T) {
	for _, c := range []struct{ ours, kfake string }{
		{"plain", "PLAIN"}, {"scram-sha-256", "SCRAM-SHA-256"}, {"scram-sha-512", "SCRAM-SHA-512"},
	} {
		t.Run(c.ours, func(t *testing.T) {
			k := cluster(t, kfake.EnableSASL(), kfake.Superuser(c.kfake, "weir", "s3cret"))
			file := filepath.Join(t.TempDir(), "password")
			require.NoError(t, os.WriteFile(file, []byte("s3cret\n"), 0o600))
			cfg := Config{Brokers: k.ListenAddrs(), SASL: c.ours, User: "weir", PasswordFile: file}
			require.Empty(t, cfg.Validate())
			require.NoError(t, client(t, cfg).Ping(t.Context()))

			t.Setenv(PasswordEnv, "s3cret")
			cfg.PasswordFile = ""
			require.NoError(t, client(t, cfg).Ping(t.Context()))

			t.Setenv(PasswordEnv, "wrong")
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			err := client(t, cfg).Ping(ctx)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "wrong")
		})
	}
}

func TestTLS(t *testing.T) {
	ca, cert, key, pair := certificates(t)
	pool := x509.NewCertPool()
	text, err := os.ReadFile(ca)
	require.NoError(t, err)
	pool.AppendCertsFromPEM(text)
	k := cluster(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}))
	cfg := Config{Brokers: k.ListenAddrs(), TLSCA: ca, TLSCert: cert, TLSKey: key}
	require.Empty(t, cfg.Validate())
	require.NoError(t, client(t, cfg).Ping(t.Context()))

	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	require.Error(t, client(t, Config{Brokers: k.ListenAddrs(), TLS: true}, kgo.RetryTimeout(time.Second)).Ping(ctx), "the system does not know our authority")
}

// certificates makes an authority that signed itself, for server and client alike.
func certificates(t *testing.T) (ca, cert, key string, pair tls.Certificate) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	secret, err := x509.MarshalECPrivateKey(private)
	require.NoError(t, err)
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}), 0o600))
	pair, err = tls.LoadX509KeyPair(cert, key)
	require.NoError(t, err)
	return cert, cert, key, pair
}

func TestWatch(t *testing.T) {
	k := cluster(t)
	heard := make(chan error, 100)
	cl := client(t, Config{Brokers: k.ListenAddrs()}, Watch(func(err error) { heard <- err }))
	require.NoError(t, cl.Ping(t.Context()))
	require.NoError(t, <-heard)

	heard = make(chan error, 100)
	cl = client(t, Config{Brokers: []string{"127.0.0.1:1"}}, Watch(func(err error) { heard <- err }), kgo.RetryTimeout(100*time.Millisecond))
	require.Error(t, cl.Ping(t.Context()))
	require.Error(t, <-heard)
}

func TestRetention(t *testing.T) {
	for _, c := range []struct {
		text string
		want Retention
		back string
		ms   int64
	}{
		{"7d", 7 * day, "7d", 604_800_000},
		{"36h", 36 * Retention(time.Hour), "36h0m0s", 129_600_000},
		{"48h", 2 * day, "2d", 172_800_000},
		{"forever", Forever, "forever", -1},
	} {
		var r Retention
		require.NoError(t, r.UnmarshalText([]byte(c.text)))
		require.Equal(t, c.want, r)
		back, err := r.MarshalText()
		require.NoError(t, err)
		require.Equal(t, c.back, string(back))
		require.Equal(t, c.ms, r.Milliseconds())
		again, err := ParseRetention(c.back)
		require.NoError(t, err)
		require.Equal(t, r, again)
	}
	for _, text := range []string{"", "d", "-1d", "0d", "1.5d", "7", "-1h", "0s", "99999999d"} {
		_, err := ParseRetention(text)
		require.Error(t, err, text)
	}
}
