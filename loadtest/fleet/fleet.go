// Package fleet runs weir's services as processes, as a user does: one gateway, two sinks, one catalog, each
// started from the binary with flags and environment only. It starts, kills and drains them; it judges nothing
// (loadtest/audit does) and brings no servers: Kafka, S3 and Glue are the caller's, embedded ones in
// `make test`, real ones in `make e2e`.
package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/loadtest/parts"
)

// World is what a fleet stands in.
type World struct {
	Bin     string // the weir binary
	Dir     string // logs and settings of the processes
	Broker  string // host:port
	S3URL   string
	GlueURL string
	Access  string // S3's and Glue's credentials
	Secret  string
	Sources string // the text of sources.yaml

	Kafka []string            // flags with which the processes reach Kafka; empty = plainly, at Broker
	Env   []string            // of every process, beside the credentials
	EnvOf map[string][]string // of single processes, over all other: gateway, sink-0, sink-1, catalog

	// Dynamic makes the second sink a dynamic group member. The embedded Kafka starts no session timer for a member
	// whose connection is gone when its JoinGroup is answered: such a member, killed while it joins, would hold its
	// partitions for ever. A static member is replaced by its own restart.
	Dynamic bool
}

// Names that every fleet uses: outside.md's defaults.
const (
	Topic   = "weir.events"
	Group   = "weir-sink"
	LakeURL = "s3://weir/lake"
)

// Build makes the binary under test, or takes the one that WEIR_BIN names.
func Build(ctx context.Context, dir string) (string, error) {
	if bin := os.Getenv("WEIR_BIN"); bin != "" {
		return filepath.Abs(bin)
	}
	bin := filepath.Join(dir, "weir")
	out, err := exec.CommandContext(ctx, "go", "build", "-tags", "duckdb", "-o", bin, "weir/services/weir").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build weir: %w\n%s", err, out)
	}
	return bin, nil
}

// Fleet is one gateway, two sinks and one catalog, each a process that is started again after each kill.
type Fleet struct {
	Gateway string // host:port

	world   World
	members []*member
	stopped bool
}

type member struct {
	name string
	env  []string
	args []string
	proc *parts.Process
}

// New starts every member. The sinks are static group members, as in a StatefulSet, unless the world says Dynamic.
func New(w World) (*Fleet, error) {
	port, err := parts.FreePort()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(w.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the fleet's folder: %w", err)
	}
	sources := filepath.Join(w.Dir, "sources.yaml")
	if err := os.WriteFile(sources, []byte(w.Sources), 0o600); err != nil {
		return nil, fmt.Errorf("write the sources file: %w", err)
	}
	f := &Fleet{world: w, Gateway: fmt.Sprintf("127.0.0.1:%d", port)}
	common := append(w.KafkaFlags(), "--admin", "127.0.0.1:0", "--topic-replication", "1")
	writer := append(slices.Clone(common), "--topic-partitions", "4")
	sink := append([]string{"sink", "--lake", LakeURL, "--group", Group, "--file-age", "1s", "--session-timeout", "6s"}, writer...)
	f.members = []*member{
		{name: "gateway", args: append([]string{"gateway", "--listen", f.Gateway, "--sources", sources}, writer...)},
		{name: "sink-0", args: sink, env: []string{"POD_NAME=sink-0"}},
		{name: "sink-1", args: sink, env: []string{"POD_NAME=sink-1"}},
		{name: "catalog", args: append([]string{"catalog", "--lake", LakeURL}, common...)},
	}
	if w.Dynamic {
		f.members[2].env = nil
	}
	for _, m := range f.members {
		m.env = append(m.env, w.EnvOf[m.name]...)
		if err := f.start(m); err != nil {
			return nil, errors.Join(err, f.Stop())
		}
	}
	return f, nil
}

// KafkaFlags are those of every command that speaks to Kafka.
func (w World) KafkaFlags() []string {
	if len(w.Kafka) > 0 {
		return slices.Clone(w.Kafka)
	}
	return []string{"--kafka-brokers", w.Broker}
}

func (f *Fleet) start(m *member) error {
	var err error
	m.proc, err = parts.StartProcess(m.name, f.world.Dir, append(f.world.Environment(), m.env...), f.world.Bin, m.args...)
	return err
}

// Environment is what each process finds beside the environment of this one.
func (w World) Environment() []string {
	return append([]string{
		"AWS_ENDPOINT_URL_S3=" + w.S3URL, "AWS_ENDPOINT_URL_GLUE=" + w.GlueURL, "AWS_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=" + w.Access, "AWS_SECRET_ACCESS_KEY=" + w.Secret,
	}, w.Env...)
}

// Ready waits until the gateway takes events: then it refuses an unknown write key, instead of asking to wait.
func (f *Fleet) Ready(ctx context.Context) error {
	return f.members[0].proc.Await(ctx, 30*time.Second, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+f.Gateway+"/v1/track", strings.NewReader("{}"))
		if err != nil {
			return err
		}
		req.SetBasicAuth("nobody's key", "")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			return fmt.Errorf("the gateway answers %s", resp.Status)
		}
		return nil
	})
}

// KillEach kills every member n times with SIGKILL, in an order and at moments drawn from seed, and starts it
// again at once. It returns how often each was killed; a member that had ended by itself is an error.
func (f *Fleet) KillEach(ctx context.Context, n int, seed uint64) (map[string]int, error) {
	rng := rand.New(rand.NewPCG(seed, seed))
	var order []*member
	for range n {
		order = append(order, f.members...)
	}
	rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	killed := map[string]int{}
	for _, m := range order {
		select {
		case <-ctx.Done():
			return killed, ctx.Err()
		case <-time.After(time.Duration(300+rng.IntN(1200)) * time.Millisecond):
		}
		if m.proc.Ended() {
			return killed, fmt.Errorf("%s ended by itself:\n%s", m.name, m.proc.Tail())
		}
		m.proc.Kill()
		killed[m.name]++
		if err := f.start(m); err != nil {
			return killed, err
		}
	}
	return killed, nil
}

// Await polls ready until it is nil, the first sink ends or the time is up.
func (f *Fleet) Await(ctx context.Context, limit time.Duration, ready func(context.Context) error) error {
	return f.members[1].proc.Await(ctx, limit, ready)
}

// Drained waits until the group's committed offsets have reached the end of every partition, which says that
// every record is visible or a dead letter.
func (f *Fleet) Drained(ctx context.Context, limit time.Duration) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(f.world.Broker))
	if err != nil {
		return fmt.Errorf("open a client: %w", err)
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	return f.Await(ctx, limit, func(ctx context.Context) error { return drained(ctx, admin) })
}

func drained(ctx context.Context, admin *kadm.Client) error {
	ends, err := admin.ListEndOffsets(ctx, Topic)
	if err != nil {
		return err
	}
	committed, err := admin.FetchOffsets(ctx, Group)
	if err != nil {
		return err
	}
	var behind []string
	ends.Each(func(end kadm.ListedOffset) {
		at, known := committed.Lookup(Topic, end.Partition)
		if end.Offset > 0 && (!known || at.At < end.Offset) {
			behind = append(behind, fmt.Sprintf("partition %d at %d of %d", end.Partition, at.At, end.Offset))
		}
	})
	if len(behind) > 0 {
		return fmt.Errorf("not drained: %v; %s", behind, members(ctx, admin))
	}
	return nil
}

// members says who holds which partitions, for the message of a drain that does not end.
func members(ctx context.Context, admin *kadm.Client) string {
	groups, err := admin.DescribeGroups(ctx, Group)
	if err != nil {
		return err.Error()
	}
	g := groups[Group]
	text := "group " + g.State
	for _, m := range g.Members {
		assigned, _ := m.Assigned.AsConsumer()
		var held []int32
		if assigned != nil {
			for _, t := range assigned.Topics {
				held = append(held, t.Partitions...)
			}
		}
		text += fmt.Sprintf(", %s holds %v", m.MemberID, held)
	}
	return text
}

// Weir runs one command of the binary to its end and returns what it printed as its answer; what it said beside
// that is part of the error.
func (f *Fleet) Weir(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, f.world.Bin, args...)
	cmd.Env = append(os.Environ(), f.world.Environment()...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("weir %s: %w\n%s", args[0], err, said.String())
	}
	return string(out), nil
}

// Stop ends every member as Kubernetes does: SIGTERM, and a bounded wait. A second Stop does nothing.
func (f *Fleet) Stop() error {
	if f.stopped {
		return nil
	}
	f.stopped = true
	var faults []error
	for _, m := range f.members {
		if m.proc == nil {
			continue
		}
		if m.proc.Ended() {
			faults = append(faults, fmt.Errorf("%s had ended by itself:\n%s", m.name, m.proc.Tail()))
		}
		m.proc.Stop()
	}
	return errors.Join(faults...)
}

// Logs returns the end of each member's output, for a failing test.
func (f *Fleet) Logs() string {
	var all string
	for _, m := range f.members {
		all += "== " + m.name + "\n" + m.proc.Tail() + "\n"
	}
	return all
}
