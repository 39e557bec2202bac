package kafka

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// advised adds to an error of TLS or SASL what to do about it: which setting, or which
// file, does not fit the brokers. Other errors stay as they are.
func advised(err error) error {
	if a := advice(err); a != "" {
		return fmt.Errorf("%w: %s", err, a)
	}
	return err
}

func advice(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return "check kafka-user and its password (kafka-password-file, or " + PasswordEnv + ")"
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return "set kafka-sasl to a mechanism that the brokers take"
	case errors.Is(err, kerr.IllegalSaslState):
		return "the brokers take no SASL on this port: unset kafka-sasl, or name another port in kafka-brokers"
	case is[x509.UnknownAuthorityError](err):
		return "set kafka-tls-ca to the certificate of the authority that signed the brokers'"
	case is[x509.HostnameError](err):
		return "name the brokers in kafka-brokers, and in their own advertised.listeners, as their certificates do"
	case is[x509.CertificateInvalidError](err):
		return "renew the broker's certificate, or set this machine's clock"
	}
	if refused, ok := errors.AsType[*net.OpError](err); ok && refused.Op == "remote error" { // a TLS alert
		return "the brokers refuse this client's certificate: set kafka-tls-cert and kafka-tls-key to one that they trust"
	}
	if is[*kgo.ErrFirstReadEOF](err) { // also what a broker does that stops
		return "if it stays so, check kafka-tls and kafka-sasl against what the brokers' port asks for"
	}
	if strings.Contains(err.Error(), "plaintext connection speaking to a tls endpoint") { // the client's, without a type
		return "set kafka-tls, or kafka-tls-ca"
	}
	return ""
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
