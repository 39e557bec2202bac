package kafka

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestErrorsOfSecurityNameTheSetting(t *testing.T) {
	for want, err := range map[string]error{
		"kafka-user":        kerr.SaslAuthenticationFailed,
		"mechanism":         kerr.UnsupportedSaslMechanism,
		"unset kafka-sasl":  kerr.IllegalSaslState,
		"kafka-tls-ca":      x509.UnknownAuthorityError{},
		"kafka-brokers":     x509.HostnameError{Certificate: &x509.Certificate{}, Host: "a"},
		"clock":             x509.CertificateInvalidError{Reason: x509.Expired},
		"kafka-tls-cert":    &net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")},
		"kafka-sasl":        &kgo.ErrFirstReadEOF{},
		"kafka-tls, or":     errors.New("is this a plaintext connection speaking to a tls endpoint?"),
		"kafka-password-fi": kerr.SaslAuthenticationFailed,
	} {
		wrapped := fmt.Errorf("unable to dial: %w", err)
		got := advised(wrapped)
		require.ErrorIs(t, got, err)
		require.ErrorContains(t, got, wrapped.Error()+": ")
		require.Contains(t, got.Error()[len(wrapped.Error()):], want)
	}
	require.Equal(t, io.EOF, advised(io.EOF))
	require.NoError(t, advised(nil))
}
