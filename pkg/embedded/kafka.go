package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// clusterID is fixed: the sink's `home` hash holds it, and a directory that was
// moved or restarted is the same cluster.
const clusterID = "weir-embedded"

// KafkaOptions of StartKafka.
type KafkaOptions struct {
	Dir  string // where the log segments and group state live; "" keeps all in memory
	Addr string // listen and advertised address, "127.0.0.1:9092"; port 0 picks a free one
	Log  *slog.Logger

	// MinSessionTimeout bounds what group members may ask for; 0 is kfake's 6 s.
	MinSessionTimeout time.Duration
	// Extra options of kfake: TLS, SASL users, more. Tests only.
	Extra []kfake.Opt
}

// Kafka is a running embedded broker.
type Kafka struct {
	cluster *kfake.Cluster
	addr    string
	lock    *os.File
}

// StartKafka starts one broker on Addr. Topics are never created by asking for
// them: a topic that kfake made up by itself is gone after a SIGKILL, and its
// data with it.
func StartKafka(o KafkaOptions) (*Kafka, error) {
	k := &Kafka{}
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID(clusterID),
		kfake.WithLogger(kafkaLog{o.Log}),
	}
	if o.Dir != "" {
		dir, err := filepath.Abs(o.Dir)
		if err != nil {
			return nil, fmt.Errorf("start embedded Kafka: %w", err)
		}
		if k.lock, err = lockDir("Kafka", dir); err != nil {
			return nil, err
		}
		opts = append(opts, kfake.DataDir(dir))
	}
	if o.MinSessionTimeout > 0 {
		opts = append(opts, kfake.GroupMinSessionTimeout(o.MinSessionTimeout))
	}
	ln, err := listen("Kafka", o.Addr)
	if err != nil {
		k.unlock()
		return nil, err
	}
	// kfake advertises the address of the listener that it is given.
	opts = append(opts, kfake.ListenFn(func(string, string) (net.Listener, error) { return ln, nil }))
	k.cluster, err = kfake.NewCluster(append(opts, o.Extra...)...)
	if err != nil {
		_ = ln.Close()
		k.unlock()
		return nil, fmt.Errorf("start embedded Kafka in %s: %w", o.Dir, err)
	}
	k.addr = ln.Addr().String()
	return k, nil
}

// Addr is the broker's address.
func (k *Kafka) Addr() string { return k.addr }

// Cluster is kfake itself: faults, retention and group state for tests.
func (k *Kafka) Cluster() *kfake.Cluster { return k.cluster }

// Close saves what a restart need not find out by itself and stops.
func (k *Kafka) Close() error {
	k.cluster.Close()
	k.unlock()
	return nil
}

func (k *Kafka) unlock() {
	if k.lock != nil {
		_ = k.lock.Close()
		k.lock = nil
	}
}

// kafkaLog passes on what kfake calls an error or a warning.
type kafkaLog struct{ log *slog.Logger }

func (l kafkaLog) Logf(level kfake.LogLevel, format string, args ...any) {
	if l.log == nil || level > kfake.LogLevelWarn {
		return
	}
	at := slog.LevelWarn
	if level == kfake.LogLevelError {
		at = slog.LevelError
	}
	l.log.Log(context.Background(), at, fmt.Sprintf(format, args...), "part", "kafka")
}
