// Package group is the sink's membership in its Kafka consumer group: it joins, starts
// a worker for each partition it is given and ends it when the partition is taken, and
// shares the memory budget out. The invariant: at any time a partition of this process
// has one worker at most, each with a pin of its own that dies with its ownership, and
// no partition is fetched from an offset that its committed state does not allow. What
// a worker does with records and flushes is its own business; what the process does
// when nothing can be joined is Run's caller's. Owned by whoever owns the sink.
package group

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/s3"
	"weir/services/sink/internal/cut"
	"weir/services/sink/internal/worker"
)

// Bounds of what may take long.
const (
	drainTimeout   = 30 * time.Second // to flush or drop everything when the process ends
	spentTimeout   = 10 * time.Second // to finish decided flushes before a spent member is replaced
	leaveTimeout   = 5 * time.Second  // to leave the group
	lookEvery      = 15 * time.Second // whether the topic is still the same
	maxRejoinPause = 30 * time.Second
)

// Store is the lake, as far as the group needs it.
type Store interface {
	worker.Store
	List(ctx context.Context, prefix, startAfter string) iter.Seq2[s3.Object, error]
}

// Config is what a group works with.
type Config struct {
	Group, Topic    string
	FlushTopic      string
	DeadLetterTopic string
	DeadLetterMax   int // bytes of one batch of that topic
	Lake            lake.Location
	InstanceID      string // "" = a dynamic member
	Protocol        string // one of Protocols
	Leave           string // one of Leaves: what a static member does when it ends
	SessionTimeout  time.Duration
	Memory          int64 // bytes; the budget of all partitions

	Options   []kgo.Opt // how to reach the brokers
	Store     Store
	Tables    []*worker.Table
	Readable  []*worker.Table
	Limits    cut.Limits
	Uploaders *worker.Uploaders
	Observe   worker.Observer
}

func (c *Config) tableNames() (names []string) {
	for _, t := range c.Tables {
		names = append(names, t.Name)
	}
	return names
}

// The facts that the Observer hears beside a worker's.

// Joined: this process is a member and knows the topic that it reads.
type Joined struct {
	Topic   kafka.Topic
	Cluster string
}

// Rebalanced: partitions came or went. Kind is assigned, revoked or lost.
type Rebalanced struct {
	Kind       string
	Partitions []int32
	Took       time.Duration
}

// Stopped: a partition stopped and stays so until someone recovers it. Again: it was
// reported before, by an earlier ownership.
type Stopped struct {
	Partition int32
	Err       error
	Again     bool
}

// Stuck: a partition has made no progress for long although it has something to do. Err
// nil: it has made some again.
type Stuck struct {
	Partition int32
	Err       error
}

// Rejoining: the client is closed and a new one joins.
type Rejoining struct{ Err error }

// Group is a member of a consumer group.
type Group struct {
	c       Config
	retry   worker.Retry
	produce *producer
	memory  *memory

	mu      sync.Mutex
	session *session         // nil between two memberships
	stopped map[int32]string // why each partition last stopped, to say it once
}

// New makes a group. Close frees it.
func New(c Config) (*Group, error) {
	p, err := newProducer(c)
	if err != nil {
		return nil, err
	}
	g := &Group{
		c: c, produce: p,
		retry:   worker.Retry{Observe: c.Observe},
		memory:  newMemory(c.Memory),
		stopped: make(map[int32]string),
	}
	return g, nil
}

// Close closes what outlives a membership. Run has returned.
func (g *Group) Close() { g.produce.close() }

// errRefused marks what no retry heals: a compacted topic, another group's topic.
var errRefused = errors.New("refused")

// Run is a member of the group until ctx ends, then drains and leaves. A member that
// is spent is replaced, after a pause that grows while that keeps happening. It fails
// only with what no retry heals.
func (g *Group) Run(ctx context.Context) error {
	pause := time.Duration(0)
	for {
		joined := time.Now()
		err := g.member(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errRefused):
			return err
		}
		g.c.Observe(Rejoining{Err: err})
		if time.Since(joined) > 2*g.c.SessionTimeout {
			pause = 0
		}
		pause = min(max(2*pause, 250*time.Millisecond), maxRejoinPause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// member joins once, and returns when this membership is over. What it commits and asks
// goes through a client of its own, which ends with it: a request that is not answered
// blocks its connection.
func (g *Group) member(ctx context.Context) error {
	control, err := kgo.NewClient(append(slices.Clip(g.c.Options),
		kgo.RequestTimeoutOverhead(g.c.SessionTimeout+time.Second))...) // a commit waits as long as its session may
	if err != nil {
		return fmt.Errorf("make a Kafka client: %w", err)
	}
	defer control.Close()
	topic, cluster, err := g.describe(ctx, control)
	if err != nil {
		return err
	}
	if err := g.requireProtocol(ctx, control); err != nil {
		return err
	}
	owned, err := g.claim(ctx, topic)
	if err != nil {
		return err
	}
	s, err := newSession(g, control, topic, cluster, owned)
	if err != nil {
		return err
	}
	g.set(s)
	defer g.set(nil)
	g.c.Observe(Joined{Topic: topic, Cluster: cluster})
	return s.run(ctx)
}

func (g *Group) set(s *session) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.session = s
}

func (g *Group) describe(ctx context.Context, control *kgo.Client) (topic kafka.Topic, cluster string, err error) {
	err = g.retry.Do(ctx, worker.DependencyKafka, "describe "+g.c.Topic, func() (err error) {
		topic, cluster, err = kafka.Describe(ctx, control, g.c.Topic)
		return err
	})
	if err == nil && topic.Compacted {
		err = fmt.Errorf("%w: topic %s is compacted: records may vanish from its middle, so a lost file could not be written again; set its cleanup.policy to delete", errRefused, g.c.Topic)
	}
	return topic, cluster, err
}

// Status is where a partition stands.
type Status struct {
	worker.Status
	Paused  bool
	Stopped error // nil while it goes on
	Stuck   error // nil while it makes progress, or has nothing to do
}

// Status lists the partitions that this process owns.
func (g *Group) Status() []Status {
	g.mu.Lock()
	s := g.session
	g.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.status()
}

// Memory is the budget and what is held of it.
func (g *Group) Memory() (held, limit int64) { return g.memory.held(), g.c.Memory }
