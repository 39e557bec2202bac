package group

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/flush"
	"weir/pkg/kafka"
	"weir/services/sink/internal/cut"
	"weir/services/sink/internal/worker"
)

// session is one membership: one client, one member id, one topic id.
type session struct {
	g       *Group
	topic   kafka.Topic
	cluster string
	owners  owners
	made    chan struct{}   // closed once client is set: its callbacks may come before
	client  *kgo.Client     // the member: joins and fetches
	control *kgo.Client     // commits, offsets, descriptions
	workers context.Context // ends every worker at once
	cancel  context.CancelFunc

	mu      sync.Mutex
	owned   map[int32]*ownership
	absent  absence
	ending  bool // draining or spent: nothing new starts
	leaving bool // a static member that will not come back; read and written by run
	over    chan struct{}
	why     error // set before over is closed
}

func newSession(g *Group, control *kgo.Client, topic kafka.Topic, cluster string, o owners) (*session, error) {
	s := &session{
		g: g, control: control, topic: topic, cluster: cluster, owners: o,
		owned: make(map[int32]*ownership),
		made:  make(chan struct{}),
		over:  make(chan struct{}),
	}
	s.workers, s.cancel = context.WithCancel(context.Background())
	var err error
	options := append([]kgo.Opt{kgo.Balancers(kgo.CooperativeStickyBalancer())}, g.c.Options...) // which may choose another
	if s.client, err = kgo.NewClient(append(options, s.options()...)...); err != nil {
		s.cancel()
		return nil, fmt.Errorf("make a Kafka client: %w", err)
	}
	close(s.made)
	return s, nil
}

// options: nothing is committed, reset or fetched but as the flush protocol says, and
// no callback runs while polled records are on their way to their workers.
func (s *session) options() []kgo.Opt {
	c := s.g.c
	opts := []kgo.Opt{
		kgo.ConsumerGroup(c.Group),
		kgo.ConsumeTopics(c.Topic),
		kgo.DisableAutoCommit(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), // the position has to pass the end of every transaction, an aborted one too
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(c.SessionTimeout),
		kgo.HeartbeatInterval(min(3*time.Second, c.SessionTimeout/5)),
		kgo.RebalanceTimeout(s.rebalanceTimeout()),
		kgo.AdjustFetchOffsetsFn(s.startAt),
		kgo.OnPartitionsAssigned(s.assigned),
		kgo.OnPartitionsRevoked(s.revoked),
		kgo.OnPartitionsLost(s.lost),
		kgo.FetchMaxBytes(16 << 20),
		kgo.FetchMaxPartitionBytes(2 << 20),
		kgo.MaxConcurrentFetches(3),
		kgo.FetchMaxWait(500 * time.Millisecond),
		kgo.MaxDecompressBatchBytes(int(c.batchLimit())),
	}
	if c.Protocol == Consumer {
		opts = append(opts, kgo.ServerSideBalancer(), kgo.Balancers(kgo.StickyBalancer())) // sticky asks for the uniform assignor
	}
	if c.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(c.InstanceID))
	}
	return opts
}

// batchLimit is the most bytes that one batch of records may unpack to: a bomb must not take the memory of all others.
func (c Config) batchLimit() int64 { return min(256<<20, c.Memory/2) }

// rebalanceTimeout is how long the others wait for a member that does not join again. One that was killed while it
// joined is waited for so long, so it is no longer than what a silent member gets.
func (s *session) rebalanceTimeout() time.Duration { return s.g.c.SessionTimeout }

// run polls until ctx ends or the membership is over, and closes the client.
func (s *session) run(ctx context.Context) error {
	poll, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-s.over:
			stop()
		case <-poll.Done():
		}
	}()
	var looking sync.WaitGroup
	looking.Go(func() { s.look(poll) })
	looking.Go(func() { s.watch(poll) })
	for poll.Err() == nil {
		fetches := s.client.PollFetches(poll)
		s.dispatch(fetches)
		s.client.AllowRebalance()
	}
	looking.Wait()
	if ctx.Err() != nil {
		s.drain()
		s.leaving = s.g.leaves(context.WithoutCancel(ctx))
	} else {
		s.spend()
	}
	s.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why
}

// end makes the membership end, for the first reason given.
func (s *session) end(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why != nil {
		return
	}
	s.why = why
	close(s.over)
}

// drain ends every ownership in good order: what is worth it is flushed.
func (s *session) drain() {
	for _, o := range s.endAll() {
		o.worker.Finish(cut.Drain)
	}
	s.await(drainTimeout)
}

// spend ends every ownership of a spent member: decided flushes may be finished,
// nothing else is committed.
func (s *session) spend() {
	for _, o := range s.endAll() {
		o.pin.Spend()
		o.worker.Finish(cut.Revoke)
	}
	s.await(spentTimeout)
}

func (s *session) endAll() []*ownership {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
	return slices.Collect(maps.Values(s.owned))
}

// await waits for every worker, then for none.
func (s *session) await(limit time.Duration) {
	timer := time.AfterFunc(limit, s.cancel)
	defer timer.Stop()
	for {
		all := s.all()
		if i := slices.IndexFunc(all, func(o *ownership) bool { return !o.ended() }); i < 0 {
			return
		} else {
			<-all[i].worker.Done()
		}
	}
}

// close leaves the group. Its callbacks find nothing left to flush.
func (s *session) close() {
	s.mu.Lock()
	for _, o := range s.owned {
		o.pin.End()
	}
	s.mu.Unlock()
	s.cancel()
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	s.client.AllowRebalance()
	_ = s.client.LeaveGroupContext(ctx) // a member that cannot leave times out
	s.client.Close()
	if s.leaving {
		s.leaveForGood(ctx)
	}
}

// dispatch hands what was polled to the workers. It never blocks.
func (s *session) dispatch(fetches kgo.Fetches) {
	fetches.EachPartition(func(f kgo.FetchTopicPartition) {
		if f.Err != nil {
			s.fetchError(f)
		}
		if len(f.Records) == 0 || f.Topic != s.topic.Name {
			return
		}
		s.mu.Lock()
		o := s.owned[f.Partition]
		s.mu.Unlock()
		if o != nil {
			o.feed(f.Records, f.HighWatermark)
		}
	})
}

// fetchError sorts out what keeps a partition, or the whole member, from reading. What
// the client retries by itself does not come here.
func (s *session) fetchError(f kgo.FetchTopicPartition) {
	var loss *kgo.ErrDataLoss
	var membership *kgo.ErrGroupSession
	switch {
	case errors.Is(f.Err, context.Canceled), errors.Is(f.Err, kgo.ErrClientClosed):
	case errors.Is(f.Err, kerr.UnknownTopicID), errors.Is(f.Err, kerr.InconsistentTopicID):
		s.end(fmt.Errorf("topic %s was deleted: %w", s.topic.Name, f.Err))
	case errors.Is(f.Err, kerr.OffsetOutOfRange), errors.As(f.Err, &loss), errors.Is(f.Err, kgo.ErrMaxDecompress):
		s.mu.Lock()
		o := s.owned[f.Partition]
		s.mu.Unlock()
		if o != nil {
			o.unreadable(f.Err)
		}
	case s.fatal(f.Err):
	case errors.As(f.Err, &membership):
		s.outside(f.Err)
	default:
		s.g.c.Observe(worker.Retried{
			Dependency: worker.DependencyGroup, What: fmt.Sprintf("fetch %s/%d", f.Topic, f.Partition), Attempt: 1, Err: f.Err,
		})
	}
}

// fatal ends the process where the brokers refuse this member whatever it does: somebody
// has to change a permission or a setting, and should not find out from silence.
func (s *session) fatal(err error) bool {
	c, do := s.g.c, ""
	switch {
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		do = fmt.Sprintf("allow its user Read on group %s", c.Group)
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		do = fmt.Sprintf("allow its user Read and Describe on topic %s", s.topic.Name)
	case errors.Is(err, kerr.ClusterAuthorizationFailed), errors.Is(err, kerr.SaslAuthenticationFailed):
		do = "look at kafka-user and its password"
	case errors.Is(err, kerr.InvalidSessionTimeout):
		do = fmt.Sprintf("session-timeout %s is not within the brokers' group.min.session.timeout.ms and group.max.session.timeout.ms", c.SessionTimeout)
	case errors.Is(err, kerr.InconsistentGroupProtocol):
		do = fmt.Sprintf("group %s has members that are no weir sinks: give this sink a group of its own", c.Group)
	case errors.Is(err, kerr.GroupMaxSizeReached):
		do = fmt.Sprintf("group %s is full: raise the brokers' group.max.size, or run fewer sinks", c.Group)
	case errors.Is(err, kerr.InvalidGroupID):
		do = fmt.Sprintf("the brokers take no group named %q", c.Group)
	default:
		return false
	}
	s.end(fmt.Errorf("%w by the brokers: %s: %w", errRefused, do, err))
	return true
}

// outside is a member that the group does not have: the client goes on trying. After
// three session timeouts whatever held the place must have let go, another process
// under the same name included, and it is no longer for us to heal.
func (s *session) outside(err error) {
	s.g.c.Observe(worker.Retried{Dependency: worker.DependencyGroup, What: "stay in the group", Attempt: 1, Err: err})
	s.mu.Lock()
	lasts := s.absent.refused(time.Now(), s.g.c.SessionTimeout)
	s.mu.Unlock()
	if lasts > 3*s.g.c.SessionTimeout {
		s.end(fmt.Errorf("%w by group %s for %s: %w", errRefused, s.g.c.Group, lasts.Round(time.Second), err))
	}
}

// look ends the membership when the topic is another one under the same name: its
// offsets mean nothing for the new one.
func (s *session) look(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		t, _, err := kafka.Describe(ctx, s.control, s.topic.Name)
		switch {
		case errors.Is(err, kafka.ErrNoTopic):
			s.end(fmt.Errorf("topic %s was deleted: %w", s.topic.Name, err))
		case err == nil && t.ID != s.topic.ID:
			s.end(fmt.Errorf("topic %s was deleted and created again: its id was %s and is %s", s.topic.Name, s.topic.ID, t.ID))
		case err == nil && t.Compacted:
			s.end(fmt.Errorf("topic %s is compacted now", s.topic.Name))
		}
	}
}

// outcome says what the end of a worker means for the membership.
func (s *session) outcome(o *ownership) {
	out := o.worker.Outcome()
	switch out.Op {
	case flush.Stop:
		o.stop(out.Err)
		s.g.reportStop(o.partition, out.Err)
	case flush.Rejoin:
		s.end(fmt.Errorf("a commit of %s/%d was not answered: %w", s.topic.Name, o.partition, out.Err))
	default:
		if errors.Is(out.Err, kerr.UnknownTopicID) {
			s.end(fmt.Errorf("topic %s was deleted: %w", s.topic.Name, out.Err))
			return
		}
		s.unexpected(o, out.Err)
	}
}

// unexpected is an ownership that found itself over before the group said so. Mostly
// the group is about to; where it does not, everything starts from the committed state
// again.
func (s *session) unexpected(o *ownership, err error) {
	timer := time.NewTimer(s.g.c.SessionTimeout)
	defer timer.Stop()
	select {
	case <-o.given:
	case <-s.workers.Done():
	case <-timer.C:
		s.end(fmt.Errorf("the ownership of %s/%d is over: %w", s.topic.Name, o.partition, errors.Join(err, errOver)))
	}
}

var errOver = errors.New("the group still counts it as ours")

func (g *Group) reportStop(p int32, err error) {
	g.mu.Lock()
	again := g.stopped[p] == err.Error()
	g.stopped[p] = err.Error()
	g.mu.Unlock()
	g.c.Observe(Stopped{Partition: p, Err: err, Again: again})
}

func (s *session) all() []*ownership {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.owned))
}

func (s *session) status() []Status {
	all := s.all()
	list := make([]Status, 0, len(all))
	for _, o := range all {
		list = append(list, o.status())
	}
	slices.SortFunc(list, func(a, b Status) int { return int(a.Partition - b.Partition) })
	return list
}
