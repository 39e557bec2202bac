// Package gateway is the service that takes events in: Segment's HTTP API, Connect, gRPC and gRPC-Web on one listener,
// in front of Kafka.
//
//	one listener ─┬─ httpapi ─┬─ ingest ─┬─ source    whose key is it
//	              └─ rpcapi ──┘          ├─ intake    what does it say        (pure)
//	                                     └─ produce ─┬─ Kafka: events, rejected
//	                                                 └─ spill: a disk, while Kafka is away
//
// Its invariant: a client that was answered success will find every event of its
// request in Kafka, on every replica in sync, or will once Kafka takes what the spill
// holds. It reads of Kafka only what a killed gateway had on its way, and knows
// nothing of the lake; the sink does. Owned by whoever owns the intake of events.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/kafka"
	"weir/pkg/lake"
	"weir/pkg/settings"
	"weir/pkg/telemetry"
	"weir/services/gateway/internal/certs"
	"weir/services/gateway/internal/gate"
	"weir/services/gateway/internal/hot"
	"weir/services/gateway/internal/ingest"
	"weir/services/gateway/internal/livetail"
	"weir/services/gateway/internal/produce"
	"weir/services/gateway/internal/source"
	"weir/services/gateway/internal/spill"
)

const (
	filesInterval  = time.Second // between looks at the files of sources and certificates
	healthInterval = time.Second // between looks at Kafka
	patience       = 5 * time.Second
	prepareLimit   = 30 * time.Second // for the topics to be created and described at the start
)

// gateway is everything that one Run wires together.
type gateway struct {
	cfg        Config
	tel        *telemetry.Telemetry
	metrics    *metrics
	sources    *source.Watcher
	hot        *hot.Follower  // of the fan-outs; nil = off
	mirror     *source.Mirror // nil = the sources are a file that somebody else writes
	certs      *certs.Watcher // nil = no TLS
	client     *kgo.Client
	replayer   *kgo.Client                  // of what the spill gives back; nil = off
	topic      atomic.Pointer[lake.TopicID] // that events go to; nil = not known yet
	aside      atomic.Pointer[lake.TopicID] // that of the rejected events
	limits     produce.Limits
	partitions atomic.Int32 // of the topic that events go to; 0 = not known yet
	hangar     *produce.Hangar
	spill      *spill.Log            // nil = off
	takes      atomic.Pointer[takes] // of the topics; nil = not known yet
	producer   *produce.Producer
	ingester   *ingest.Ingester
	tap        *livetail.Tap
	untap      func() // takes the live tail off the admin port; nil = it is not there
	gate       *gate.Gate
	handler    http.Handler
	listener   net.Listener
	server     *http.Server
}

// Run serves until ctx ends, then drains and returns nil. ready, unless nil, is
// called once events are accepted. Kafka need not be there when Run starts: until it
// is, requests are answered with 503, or spilled where an earlier start noted what the
// topics take.
func Run(ctx context.Context, cfg Config, tel *telemetry.Telemetry, ready func(addr string)) error {
	if err := settings.Join(cfg.Validate()); err != nil {
		return err
	}
	e := edges{listen: net.Listen}
	if cfg.Listener != nil {
		e.listen = cfg.Listener
	}
	g, err := wire(cfg, tel, e)
	if err != nil {
		return err
	}
	return g.run(ctx, ready)
}

// run starts what runs, waits, and ends it in the order of the data.
func (g *gateway) run(ctx context.Context, ready func(addr string)) error {
	inner, stop := context.WithCancel(context.Background())
	var others sync.WaitGroup
	failed := make(chan error, 2)
	go func() {
		if err := g.listenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serve %s: %w", g.listener.Addr(), err)
		}
	}()
	others.Go(func() { g.sources.Follow(inner, filesInterval, g.reloaded) })
	if g.mirror != nil {
		others.Go(func() { g.mirror.Run(inner) })
	}
	if g.hot != nil {
		others.Go(func() { g.hot.Run(inner) })
	}
	if g.certs != nil {
		g.tel.Health.Set("tls", nil)
		others.Go(func() { g.certs.Follow(inner, filesInterval, g.recertified) })
	}
	others.Go(func() { g.watchKafka(inner) })
	others.Go(func() {
		if err := g.open(inner, ready); err != nil {
			failed <- err
		}
	})
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	g.drain()
	stop()        // after the drain: Kafka's state stays true, and the spill is given back, while requests are answered
	others.Wait() // before the clients end: who gives the spill back has one
	g.close()
	return err
}

// open waits for Kafka, sees to the topics and lets requests in; where the spill can take them, at once.
func (g *gateway) open(ctx context.Context, ready func(addr string)) error {
	limited := telemetry.NewLimiter(g.tel.Log)
	admitted := false
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := g.prepareWithin(ctx, g.firstLook(admitted))
		if err == nil {
			break
		}
		if errors.Is(err, errCompacted) {
			return err
		}
		if ctx.Err() == nil && !admitted && g.recall() {
			admitted = g.admit(ctx, ready)
		}
		limited.Warn(ctx, "topics", "waiting for Kafka", "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
	if !admitted && !(g.awaitFanout(ctx) && g.admit(ctx, ready)) {
		return nil
	}
	g.giveBack(ctx)
	return nil
}

// admit lets requests in, once a source is known; false means that ctx ended before.
func (g *gateway) admit(ctx context.Context, ready func(addr string)) bool {
	if !g.awaitSources(ctx) {
		return false
	}
	g.gate.Open()
	g.tel.Health.SetState(telemetry.Ready)
	addr := g.listener.Addr().String()
	g.tel.Log.Info("gateway accepts events", "addr", addr, "topic", g.cfg.Topic, "sources", len(g.sources.Index().Sources()))
	if ready != nil {
		ready(addr)
	}
	return true
}

// awaitSources waits until any is known, where they are a copy that is not there yet: a
// client whose key is unknown drops its events for good.
func (g *gateway) awaitSources(ctx context.Context) bool {
	tick := time.NewTicker(filesInterval / 5)
	defer tick.Stop()
	for g.mirror != nil && !g.sources.Known() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

var errCompacted = errors.New("is compacted: Kafka would delete all events of a source but the last")

// prepareWithin is prepare with a limit of its own.
func (g *gateway) prepareWithin(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return g.prepare(ctx)
}

// prepare creates the topics that are missing and learns what their records may hold. Its callers limit it.
func (g *gateway) prepare(ctx context.Context) error {
	layout := g.cfg.layout()
	if err := kafka.EnsureTopics(ctx, g.client, []kafka.TopicSpec{layout.Events(g.cfg.Topic)}); err != nil {
		return err
	}
	events, err := g.describe(ctx, g.cfg.Topic)
	if err != nil {
		return err
	}
	if err := kafka.EnsureTopics(ctx, g.client, []kafka.TopicSpec{layout.Aside(g.cfg.RejectedTopic, events.MaxMessageBytes)}); err != nil {
		return err
	}
	rejected, err := g.describe(ctx, g.cfg.RejectedTopic)
	if err != nil {
		return err
	}
	g.learn(takes{Topic: g.cfg.Topic, Events: events.MaxMessageBytes, RejectedTopic: g.cfg.RejectedTopic, Rejected: rejected.MaxMessageBytes})
	g.aside.Store(&rejected.ID) // before the other, which says that both are known
	g.topic.Store(&events.ID)
	g.remember()
	return nil
}

func (g *gateway) describe(ctx context.Context, topic string) (kafka.Topic, error) {
	t, _, err := kafka.Describe(ctx, g.client, topic)
	if err == nil && topic == g.cfg.Topic {
		g.partitions.Store(t.Partitions)
	}
	if err == nil && t.Compacted {
		err = fmt.Errorf("topic %s %w", topic, errCompacted)
	}
	return t, err
}

// watchKafka keeps /readyz true. A gateway is unable once Kafka has not taken
// anything for a while; a blink must not take every gateway out of its balancer.
func (g *gateway) watchKafka(ctx context.Context) {
	tick := time.NewTicker(healthInterval)
	defer tick.Stop()
	good := time.Now()
	for {
		err := g.check(ctx)
		if ctx.Err() != nil {
			return
		}
		g.tel.Health.Set("kafka", err)
		spills := g.watchSpill()
		switch {
		case err == nil:
			good = time.Now()
			g.tel.Health.SetUnable("")
		case spills:
			g.tel.Health.SetUnable("")
		case time.Since(good) >= patience:
			g.tel.Health.SetUnable("Kafka does not take events: " + err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// check asks the newest request how Kafka takes events, and Kafka itself where that one failed or is long ago.
func (g *gateway) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	told, err := g.producer.Recent()
	if told && err == nil {
		return nil
	}
	if seen := g.look(ctx); err == nil || errors.Is(seen, kafka.ErrNoTopic) {
		return seen
	}
	return err
}

// look sees whether the topic is there. Where it was created anew, what is known of the topics is learned anew.
func (g *gateway) look(ctx context.Context) error {
	known := g.topic.Load()
	t, err := g.describe(ctx, g.cfg.Topic)
	switch {
	case known == nil && errors.Is(err, kafka.ErrNoTopic):
		return nil // it is about to be created
	case known == nil:
		return err
	case errors.Is(err, kafka.ErrNoTopic):
		return fmt.Errorf("%w: create it again, or restart a gateway, which does", err)
	}
	if err != nil {
		return err
	}
	aside := g.aside.Load()
	r, err := g.describe(ctx, g.cfg.RejectedTopic)
	changed, asideChanged := t.ID != *known, err == nil && r.ID != *aside
	if !changed && !asideChanged {
		return nil
	}
	if err := g.prepare(ctx); err != nil {
		return err
	}
	if changed {
		g.producer.Forget(g.cfg.Topic)
	}
	if asideChanged {
		g.producer.Forget(g.cfg.RejectedTopic)
	}
	return nil
}

func (g *gateway) listenAndServe() error {
	if g.certs == nil {
		return g.server.Serve(g.listener)
	}
	return g.server.ServeTLS(g.listener, "", "") // the files are the watcher's
}

func (g *gateway) recertified(r certs.Reload) {
	g.tel.Health.Set("tls", r.Err)
	g.metrics.recertified(r)
}

func (g *gateway) reloaded(r source.Reload) {
	g.tel.Health.Set("sources", r.Err)
	g.metrics.reloaded(r)
}

// mirrored notes how the copy of the topic's sources goes.
func (g *gateway) mirrored(err error) {
	g.tel.Health.Set("sources-topic", err)
	if err != nil {
		g.metrics.limited.Warn(context.Background(), "sources-topic", "the copy of the sources stays as it is", "err", err)
	}
}

// drain answers who is inside and sends who comes elsewhere.
func (g *gateway) drain() {
	g.tel.Health.SetState(telemetry.Draining) // balancers look here first
	g.tel.Log.Info("gateway drains")
	g.tap.Close()
	g.gate.Leave()
	time.Sleep(g.cfg.DrainDelay) // until they have looked
	g.gate.Drain()
	ctx, cancel := context.WithTimeout(context.Background(), g.cfg.AckDeadline+5*time.Second)
	defer cancel()
	if err := g.server.Shutdown(ctx); err != nil { // waits for every answer
		g.tel.Log.Warn("requests were cut off by the drain", "err", err)
		_ = g.server.Close()
	}
}

// close ends what stores, the clients first. What they still hold belongs to requests that were answered
// with 503 or is in the spill too: sending it is a courtesy.
func (g *gateway) close() {
	ctx, cancel := context.WithTimeout(context.Background(), g.cfg.AckDeadline)
	defer cancel()
	if err := g.producer.Close(ctx); err != nil {
		g.tel.Log.Warn("events of requests answered with 503 were dropped, those of the spill stay there", "err", err)
	}
	g.untap()           // nobody reads on: the drain has ended every stream
	if g.spill != nil { // after the clients: what they said last is noted
		ctx, cancel := context.WithTimeout(context.Background(), g.cfg.AckDeadline)
		defer cancel()
		if err := g.spill.Close(ctx); err != nil {
			g.tel.Log.Warn("the spill could not be closed well", "err", err)
		}
	}
	// After the spill: what it writes last is counted.
	if err := g.metrics.close(); err != nil {
		g.tel.Log.Warn("metrics could not be unregistered", "err", err)
	}
	g.tel.Log.Info("gateway stopped")
}
