//go:build e2e

// Package secure runs weir against an Apache Kafka that speaks TLS, asks for client certificates and authenticates
// by PLAIN and SCRAM: the client that all services share, one fleet of processes, and what they say where the
// settings do not fit the broker.
package secure

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/loadtest/authority"
	"weir/loadtest/parts"
	"weir/pkg/flush"
	"weir/pkg/kafka"
)

const (
	user     = "weir"
	password = "a right password"
)

// world is one broker, and what its clients need.
type world struct {
	*parts.SecureKafka
	ca       string // file of the authority that the brokers and the clients share
	foreign  string // file of another
	cert     string // files of a client's certificate and key
	key      string
	stranger [2]string // the same, signed by the other authority
	dir      string
}

func start(t *testing.T) *world {
	t.Helper()
	_, err := parts.FetchKafka(t.Context())
	parts.Need(t, "kafka", err)
	ours, theirs := authority.New(t, "ours"), authority.New(t, "theirs")
	w := &world{ca: ours.File, foreign: theirs.File, dir: t.TempDir()}
	_, _, store := ours.Issue(t, "broker")
	w.cert, w.key, _ = ours.Issue(t, "client")
	w.stranger[0], w.stranger[1], _ = theirs.Issue(t, "stranger")
	w.SecureKafka, err = parts.StartSecureKafka(t.Context(), filepath.Join(w.dir, "kafka"), parts.KafkaSecurity{
		KeyStore: store, TrustStore: ours.File, User: user, Password: password,
	})
	require.NoError(t, err)
	t.Cleanup(func() { w.Stop() })
	return w
}

// with gives the settings of a client that authenticates.
func (w *world) with(t *testing.T, mechanism, name, secret string) kafka.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	require.NoError(t, os.WriteFile(file, []byte(secret+"\n"), 0o600))
	return kafka.Config{Brokers: []string{w.SASL}, TLSCA: w.ca, SASL: mechanism, User: name, PasswordFile: file}
}

func TestSecureKafka(t *testing.T) {
	w := start(t)
	t.Run("client", func(t *testing.T) { clients(t, w) })
	t.Run("refusal", func(t *testing.T) { refusals(t, w) })
	t.Run("fleet", func(t *testing.T) { fleetOverSCRAM(t, w) })
	t.Run("wait", func(t *testing.T) { servicesWait(t, w) })
}

// Each way in: topics are created and described, records produced and consumed in a group, an offset committed under
// the member's pin and read back.
func clients(t *testing.T, w *world) {
	for name, cfg := range map[string]kafka.Config{
		"tls":           {Brokers: []string{w.TLS}, TLSCA: w.ca},
		"mutual-tls":    {Brokers: []string{w.MutualTLS}, TLSCA: w.ca, TLSCert: w.cert, TLSKey: w.key},
		"plain":         w.with(t, "plain", user, password),
		"scram-sha-256": w.with(t, "scram-sha-256", user, password),
		"scram-sha-512": w.with(t, "scram-sha-512", user, password),
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			require.Empty(t, cfg.Validate())
			group, topic := "group-"+name, "topic-"+name
			cl := open(t, cfg, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
				kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
			require.NoError(t, kafka.EnsureTopics(ctx, cl, []kafka.TopicSpec{oneReplica.Events(topic)}))
			described, _, err := kafka.Describe(ctx, cl, topic)
			require.NoError(t, err)
			require.NoError(t, cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte("event")}).FirstErr())
			fetches := cl.PollFetches(ctx)
			require.NoError(t, fetches.Err())
			require.Equal(t, "event", string(fetches.Records()[0].Value))

			member, generation := cl.GroupMetadata()
			in := kafka.CommitOffset(ctx, cl, kafka.CommitRequest{
				Group: group, Topic: topic, TopicID: described.ID, Offset: 1, LeaderEpoch: fetches.Records()[0].LeaderEpoch,
				Metadata: "weir1 x", MemberID: member, Generation: generation, Timeout: 10 * time.Second,
			})
			require.Equal(t, flush.CommitApplied, in.Kind, "%v", in.Err)
			committed, err := kafka.FetchCommitted(ctx, cl, group, described, 0)
			require.NoError(t, err)
			require.EqualValues(t, 1, committed[0].Offset)
			require.Equal(t, "weir1 x", committed[0].Metadata)
		})
	}
}

var oneReplica = kafka.Layout{Partitions: 1, Replication: 1, Retention: kafka.Forever}

func open(t *testing.T, cfg kafka.Config, more ...kgo.Opt) *kgo.Client {
	t.Helper()
	opts, err := cfg.Options(slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	cl, err := kgo.NewClient(append(opts, more...)...)
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	return cl
}

// Where the settings do not fit the broker, the error says so and names the setting, long before a timeout.
func refusals(t *testing.T, w *world) {
	tls := func(addr, ca string) kafka.Config { return kafka.Config{Brokers: []string{addr}, TLSCA: ca} }
	byName := tls(strings.Replace(w.TLS, "127.0.0.1", "localhost", 1), w.ca)
	foreign := tls(w.MutualTLS, w.ca)
	foreign.TLSCert, foreign.TLSKey = w.stranger[0], w.stranger[1]
	plainly := w.with(t, "plain", user, password)
	plainly.Brokers, plainly.TLSCA = []string{w.Addr}, ""
	for name, c := range map[string]struct {
		cfg  kafka.Config
		says string
	}{
		"wrong password, plain":         {w.with(t, "plain", user, "wrong"), "check kafka-user and its password"},
		"wrong password, scram-sha-256": {w.with(t, "scram-sha-256", user, "wrong"), "check kafka-user and its password"},
		"wrong password, scram-sha-512": {w.with(t, "scram-sha-512", user, "wrong"), "check kafka-user and its password"},
		"unknown user":                  {w.with(t, "scram-sha-512", "nobody", password), "check kafka-user and its password"},
		"the system's authorities":      {kafka.Config{Brokers: []string{w.TLS}, TLS: true}, "set kafka-tls-ca"},
		"another authority":             {tls(w.TLS, w.foreign), "set kafka-tls-ca"},
		"another name":                  {byName, "name the brokers in kafka-brokers"},
		"no client certificate":         {tls(w.MutualTLS, w.ca), "set kafka-tls-cert and kafka-tls-key"},
		"a stranger's certificate":      {foreign, "set kafka-tls-cert and kafka-tls-key"},
		"no TLS":                        {kafka.Config{Brokers: []string{w.TLS}}, "set kafka-tls"},
		"no SASL":                       {tls(w.SASL, w.ca), "check kafka-tls and kafka-sasl"},
		"TLS on a plain port":           {tls(w.Addr, w.ca), "check kafka-tls and kafka-sasl"},
		"SASL on a plain port":          {plainly, "unset kafka-sasl"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			require.Empty(t, c.cfg.Validate())
			_, _, err := kafka.Describe(ctx, open(t, c.cfg), "weir.events")
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), password)
			require.NoError(t, ctx.Err(), "it is told at once")
		})
	}
}

func flags(cfg kafka.Config) []string {
	list := []string{"--kafka-brokers", strings.Join(cfg.Brokers, ",")}
	for name, value := range map[string]string{
		"tls-ca": cfg.TLSCA, "tls-cert": cfg.TLSCert, "tls-key": cfg.TLSKey, "sasl": cfg.SASL, "user": cfg.User, "password-file": cfg.PasswordFile,
	} {
		if value != "" {
			list = append(list, fmt.Sprintf("--kafka-%s=%s", name, value))
		}
	}
	return list
}
