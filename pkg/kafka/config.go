// Package kafka is weir's adapter to Kafka: client options from settings, topics
// created and described, records converted, offsets committed and fetched by raw
// requests. It keeps one invariant: an offset commit is sent once per call, and
// every way it can end becomes exactly one flush.Input, so that no retry happens
// where the flush protocol cannot see it. It does not decide when to commit, and it
// does not consume or produce: pkg/flush and the services do. Floor 3; owned by
// whoever owns weir's use of Kafka.
package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"github.com/twmb/franz-go/plugin/kslog"

	"weir/pkg/settings"
)

// PasswordEnv is the environment variable that holds the SASL password. It is no
// setting of its own, so that no flag, file or printout of settings can carry it.
const PasswordEnv = "WEIR_KAFKA_PASSWORD"

// Config says how to reach the brokers and as whom.
type Config struct {
	Brokers []string `name:"kafka-brokers" default:"127.0.0.1:9092" help:"Kafka brokers to start from, as host:port."`

	TLS     bool   `name:"kafka-tls" help:"Speak TLS with the brokers; implied by the other kafka-tls settings."`
	TLSCA   string `name:"kafka-tls-ca" help:"PEM file of the authorities that may sign the brokers' certificates. Empty: the system's."`
	TLSCert string `name:"kafka-tls-cert" help:"PEM file of this client's certificate. Empty: none is presented."`
	TLSKey  string `name:"kafka-tls-key" help:"PEM file of the key of kafka-tls-cert."`

	SASL         string `name:"kafka-sasl" help:"How to authenticate: plain, scram-sha-256 or scram-sha-512. Empty: not at all."`
	User         string `name:"kafka-user" help:"User of kafka-sasl."`
	PasswordFile string `name:"kafka-password-file" help:"File that holds the password of kafka-user. Empty: the environment variable WEIR_KAFKA_PASSWORD."`

	// Extra options beside those of the settings: tests dial a virtual network with them.
	Extra []kgo.Opt `kong:"-"`
}

// Validate lists everything that is wrong, files included.
func (c Config) Validate() []error {
	var f settings.Faults
	f.Check(len(c.Brokers) > 0, "kafka-brokers", "at least one broker is needed, as host:port")
	for _, b := range c.Brokers {
		if _, port, err := net.SplitHostPort(b); err != nil || port == "" {
			f.Addf("kafka-brokers", "%q is not host:port", b)
		}
	}
	if _, err := c.tlsConfig(); err != nil {
		f = append(f, unjoin(err)...)
	}
	if _, err := c.mechanism(); err != nil {
		f = append(f, unjoin(err)...)
	}
	return f
}

// Options are the client options that the settings ask for: where the brokers are
// and how to speak to them. What a client does is the caller's to add. The client writes
// a line at every attempt to reach a broker that is away: log is to be one that bears it.
func (c Config) Options(log *slog.Logger) ([]kgo.Opt, error) {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID("weir"),
		kgo.WithLogger(kslog.New(log)),
		kgo.DisableClientMetrics(), // nothing about this process goes where nobody asked for it
	}
	t, err := c.tlsConfig()
	if err != nil {
		return nil, err
	}
	if t != nil {
		opts = append(opts, kgo.DialTLSConfig(t))
	}
	m, err := c.mechanism()
	if err != nil {
		return nil, err
	}
	if m != nil {
		opts = append(opts, kgo.SASL(m))
	}
	return append(opts, c.Extra...), nil
}

// tlsConfig is nil where TLS is off. Its error joins every fault.
func (c Config) tlsConfig() (*tls.Config, error) {
	if !c.TLS && c.TLSCA == "" && c.TLSCert == "" && c.TLSKey == "" {
		return nil, nil
	}
	var f settings.Faults
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLSCA != "" {
		pem, err := os.ReadFile(c.TLSCA)
		f.AddErr("kafka-tls-ca", err)
		t.RootCAs = x509.NewCertPool()
		f.Check(err != nil || t.RootCAs.AppendCertsFromPEM(pem), "kafka-tls-ca", "%s holds no PEM certificate", c.TLSCA)
	}
	switch {
	case c.TLSCert == "" && c.TLSKey == "":
	case c.TLSCert == "":
		f.Addf("kafka-tls-cert", "kafka-tls-key is set, so its certificate is needed too")
	case c.TLSKey == "":
		f.Addf("kafka-tls-key", "kafka-tls-cert is set, so its key is needed too")
	default:
		pair, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		f.AddErr("kafka-tls-cert", err)
		t.Certificates = []tls.Certificate{pair}
	}
	return t, errors.Join(f...)
}

// mechanism is nil where SASL is off. Its error joins every fault.
func (c Config) mechanism() (sasl.Mechanism, error) {
	var f settings.Faults
	if c.SASL == "" || c.SASL == "off" {
		f.Check(c.User == "", "kafka-user", "is set, but kafka-sasl is off: set it to plain, scram-sha-256 or scram-sha-512")
		return nil, errors.Join(f...)
	}
	user, password := c.User, ""
	f.Check(user != "", "kafka-user", "kafka-sasl %s needs a user", c.SASL)
	password, err := c.password()
	f = append(f, unjoin(err)...)
	var m sasl.Mechanism
	switch c.SASL {
	case "plain":
		m = plain.Auth{User: user, Pass: password}.AsMechanism()
	case "scram-sha-256":
		m = scram.Auth{User: user, Pass: password}.AsSha256Mechanism()
	case "scram-sha-512":
		m = scram.Auth{User: user, Pass: password}.AsSha512Mechanism()
	default:
		f.Addf("kafka-sasl", "%q does not exist: want plain, scram-sha-256, scram-sha-512 or off", c.SASL)
	}
	return m, errors.Join(f...)
}

func (c Config) password() (string, error) {
	if c.PasswordFile == "" {
		if p := os.Getenv(PasswordEnv); p != "" {
			return p, nil
		}
		return "", settings.Fault{Setting: "kafka-password-file", Reason: "kafka-sasl " + c.SASL + " needs a password: name a file, or set " + PasswordEnv}
	}
	text, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return "", settings.Fault{Setting: "kafka-password-file", Reason: err.Error()}
	}
	p := strings.TrimRight(string(text), "\r\n")
	if p == "" {
		return "", settings.Fault{Setting: "kafka-password-file", Reason: fmt.Sprintf("%s is empty", c.PasswordFile)}
	}
	return p, nil
}

// unjoin gives the errors that errors.Join put together.
func unjoin(err error) []error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}
