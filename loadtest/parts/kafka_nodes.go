package parts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
)

// StartKafkaNodes formats dir and starts so many combined brokers and controllers in it, as one cluster: internal
// topics have a replica on each, and two of three in-sync replicas are enough. It returns once each node answers.
func StartKafkaNodes(ctx context.Context, dir string, nodes int) ([]*Kafka, error) {
	home, err := FetchKafka(ctx)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	ports := make([]int, 2*nodes)
	var voters []string
	for i := range ports {
		if ports[i], err = FreePort(); err != nil {
			return nil, err
		}
	}
	for n := range nodes {
		voters = append(voters, fmt.Sprintf("%d@127.0.0.1:%d", n+1, ports[nodes+n]))
	}
	all := make([]*Kafka, nodes)
	starting, ctx := errgroup.WithContext(ctx)
	for n := range nodes {
		k := &Kafka{Addr: fmt.Sprintf("127.0.0.1:%d", ports[n]), dir: filepath.Join(dir, fmt.Sprint(n+1)), lib: filepath.Join(home, "lib") + "/*"}
		all[n] = k
		text := nodeProperties(n+1, nodes, ports[n], ports[nodes+n], strings.Join(voters, ","), filepath.Join(k.dir, "log"))
		if err := errors.Join(os.MkdirAll(k.dir, 0o755), os.WriteFile(k.properties(), []byte(text), 0o644)); err != nil {
			return nil, fmt.Errorf("write kafka's settings: %w", err)
		}
		starting.Go(func() error {
			if err := run(ctx, k.dir, "java", "-cp", k.lib, "kafka.tools.StorageTool", "format", "-t", kafkaClusterID, "-c", k.properties()); err != nil {
				return err
			}
			return k.Start(ctx)
		})
	}
	if err := starting.Wait(); err != nil {
		for _, k := range all {
			if k.Process != nil {
				k.Kill()
			}
		}
		return nil, err
	}
	return all, nil
}

// kafkaClusterID is any 16 bytes in base64.
const kafkaClusterID = "d2Vpci1lMmUtY2x1c3RlcQ"

// nodeProperties are those of a single node, but for who is there and how many replicas the internal topics have.
func nodeProperties(id, nodes, port, controller int, voters, logDir string) string {
	replicas, inSync := nodes, max(1, nodes-1)
	own := strings.NewReplacer(
		"node.id=1", fmt.Sprintf("node.id=%d", id),
		fmt.Sprintf("controller.quorum.voters=1@127.0.0.1:%d", controller), "controller.quorum.voters="+voters,
		"replication.factor=1", fmt.Sprintf("replication.factor=%d", replicas),
		"min.isr=1", fmt.Sprintf("min.isr=%d", inSync),
	)
	return own.Replace(fmt.Sprintf(kafkaProperties, port, controller, logDir)) +
		fmt.Sprintf("default.replication.factor=%d\nmin.insync.replicas=%d\n", replicas, inSync)
}
