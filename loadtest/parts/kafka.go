package parts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// KafkaVersion is the Apache Kafka release under test.
const KafkaVersion = "4.4.0"

const kafkaPom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>weir.parts</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>` + KafkaVersion + `</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.5</version></dependency>
  </dependencies>
</project>
`

// One combined broker and controller. Static quorum voters: no --standalone. Replication and ISR are 1, since
// there is one node; the short broker session lets a restart after kill -9 proceed in 2 s instead of 15 s.
const kafkaProperties = `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[2]d
listeners=PLAINTEXT://127.0.0.1:%[1]d,CONTROLLER://127.0.0.1:%[2]d
advertised.listeners=PLAINTEXT://127.0.0.1:%[1]d
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=%[3]s
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
offsets.topic.num.partitions=5
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=8000
group.consumer.min.heartbeat.interval.ms=500
group.consumer.heartbeat.interval.ms=1000
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=8388608
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
`

// Kafka is one single-node Apache Kafka.
type Kafka struct {
	*Process
	Addr string

	dir, lib string
}

// FetchKafka returns the folder of the broker's jars. Prerequisites: a JDK (17 or later) and Maven.
func FetchKafka(ctx context.Context) (string, error) {
	for _, tool := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "", fmt.Errorf("kafka needs %s on the path: %w", tool, err)
		}
	}
	return once(ctx, "kafka-"+KafkaVersion, func(ctx context.Context, dir string) error {
		if err := os.WriteFile(filepath.Join(dir, "pom.xml"), []byte(kafkaPom), 0o644); err != nil {
			return err
		}
		return run(ctx, dir, "mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=lib", "-DincludeScope=runtime")
	})
}

// StartKafka formats dir and starts a broker in it on two free ports; it returns once a request is answered.
func StartKafka(ctx context.Context, dir string) (*Kafka, error) {
	return startKafka(ctx, dir, "")
}

// startKafka takes settings that come after, and so win over, the common ones, and arguments of the formatting.
func startKafka(ctx context.Context, dir, settings string, format ...string) (*Kafka, error) {
	home, err := FetchKafka(ctx)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	port, err1 := FreePort()
	controller, err2 := FreePort()
	if err := errors.Join(err1, err2, os.MkdirAll(dir, 0o755)); err != nil {
		return nil, err
	}
	k := &Kafka{Addr: fmt.Sprintf("127.0.0.1:%d", port), dir: dir, lib: filepath.Join(home, "lib") + "/*"}
	properties := fmt.Sprintf(kafkaProperties, port, controller, filepath.Join(dir, "log"))
	own := strings.NewReplacer("<PLAINTEXT>", fmt.Sprint(port), "<CONTROLLER>", fmt.Sprint(controller))
	if err := os.WriteFile(k.properties(), []byte(properties+own.Replace(settings)), 0o644); err != nil {
		return nil, fmt.Errorf("write kafka's settings: %w", err)
	}
	args := append([]string{"-cp", k.lib, "kafka.tools.StorageTool", "format", "-t", kafkaClusterID, "-c", k.properties()}, format...)
	if err := run(ctx, dir, "java", args...); err != nil {
		return nil, err
	}
	return k, k.Start(ctx)
}

// Start starts the broker on its folder, also after Kill.
func (k *Kafka) Start(ctx context.Context) error {
	var err error
	k.Process, err = StartProcess("kafka", k.dir, nil, "java", "-Xms96m", "-Xmx256m", "-XX:+UseSerialGC",
		"-XX:TieredStopAtLevel=1", "-cp", k.lib, "kafka.Kafka", k.properties())
	if err != nil {
		return err
	}
	return k.up(ctx, time.Minute, k.ready)
}

func (k *Kafka) properties() string { return filepath.Join(k.dir, "server.properties") }

// ready asks for the metadata and the coordinator's list: an open port alone is not readiness.
func (k *Kafka) ready(ctx context.Context) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.Addr), kgo.RetryTimeout(time.Second))
	if err != nil {
		return err
	}
	defer cl.Close()
	brokers, err := kadm.NewClient(cl).ListBrokers(ctx)
	if err == nil && len(brokers) == 0 {
		err = errors.New("no broker is registered yet")
	}
	return err
}
