package parts

import (
	"context"
	"fmt"
	"strings"
)

// KafkaSecurity is what a broker shows of itself and whom it lets in. The files are PEM.
type KafkaSecurity struct {
	KeyStore   string // file of its key, in PKCS#8, and its certificate
	TrustStore string // file of the authority that signs clients' certificates
	User       string // known to PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512
	Password   string
}

// SecureKafka is a broker with a listener of each kind, beside the plain one of Kafka.Addr.
type SecureKafka struct {
	*Kafka
	TLS       string // clients show no certificate
	MutualTLS string // clients must show one
	SASL      string // over TLS
}

const kafkaSecureProperties = `listeners=PLAINTEXT://127.0.0.1:<PLAINTEXT>,CONTROLLER://127.0.0.1:<CONTROLLER>,%[1]s
advertised.listeners=PLAINTEXT://127.0.0.1:<PLAINTEXT>,%[1]s
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,MUTUAL:SSL,SASL:SASL_SSL
ssl.keystore.type=PEM
ssl.keystore.location=%[2]s
ssl.truststore.type=PEM
ssl.truststore.location=%[3]s
listener.name.mutual.ssl.client.auth=required
listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_%[4]s="%[5]s";
listener.name.sasl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
`

// StartSecureKafka is StartKafka with security.
func StartSecureKafka(ctx context.Context, dir string, s KafkaSecurity) (*SecureKafka, error) {
	var k SecureKafka
	var listeners []string
	for _, l := range []struct {
		name string
		addr *string
	}{{"TLS", &k.TLS}, {"MUTUAL", &k.MutualTLS}, {"SASL", &k.SASL}} {
		port, err := FreePort()
		if err != nil {
			return nil, err
		}
		*l.addr = fmt.Sprintf("127.0.0.1:%d", port)
		listeners = append(listeners, l.name+"://"+*l.addr)
	}
	settings := fmt.Sprintf(kafkaSecureProperties, strings.Join(listeners, ","), s.KeyStore, s.TrustStore, s.User, s.Password)
	var format []string
	for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
		format = append(format, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, s.User, s.Password))
	}
	var err error
	k.Kafka, err = startKafka(ctx, dir, settings, format...)
	if err != nil {
		return nil, fmt.Errorf("start a kafka with TLS and SASL: %w", err)
	}
	return &k, nil
}
