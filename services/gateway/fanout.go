package gateway

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"weir/services/gateway/internal/compacted"
	"weir/services/gateway/internal/hot"
)

// fanoutOff is the value of fanout-topic for gateways that spread no source.
const fanoutOff = "off"

// fanoutLimit is how long a start waits for the topic of the fan-outs. Without it sources go to one partition each, as
// they do where nobody ever was hot.
const fanoutLimit = 10 * time.Second

// openFanout makes what follows the topic of the fan-outs, where there is one.
func (g *gateway) openFanout(more []kgo.Opt) error {
	if g.cfg.FanoutTopic == fanoutOff {
		return nil
	}
	opts, err := g.cfg.Options(g.tel.ClientLog())
	if err != nil {
		return err
	}
	opts = append(opts, more...)
	budget := g.hangar.Budget
	g.hot = hot.New(hot.Options{
		Open: func(ctx context.Context) (*compacted.Topic, error) {
			return compacted.Create(ctx, opts, g.cfg.layout().Compacted(g.cfg.FanoutTopic))
		},
		Lane:       float64(g.cfg.FanoutRate),
		Partitions: func() int { return int(g.partitions.Load()) },
		Measure:    budget.Measure,
		Switch:     func(source string, size int, epoch int64) { budget.Of(source).Switch(size, epoch) },
		Switched:   g.metrics.spread,
		Ignored:    g.metrics.ignored,
		Report:     g.followed,
	})
	return nil
}

// followed notes how the topic of the fan-outs goes. A gateway that cannot follow it is ready all the same.
func (g *gateway) followed(err error) {
	g.tel.Health.Set("fanout-topic", err)
	if err != nil {
		g.metrics.limited.Warn(context.Background(), "fanout-topic", "sources stay spread as they are", "err", err)
	}
}

// awaitFanout waits until the fan-outs are known, for a while; false means that ctx ended before.
func (g *gateway) awaitFanout(ctx context.Context) bool {
	if g.hot == nil {
		return true
	}
	timer := time.NewTimer(fanoutLimit)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-g.hot.Known():
	case <-timer.C:
		g.tel.Log.Warn("the fan-out of sources is not known: each goes to one partition until it is", "topic", g.cfg.FanoutTopic, "waited", fanoutLimit)
	}
	return true
}

// spread notes a switch of a source.
func (m *metrics) spread(c hot.Change) {
	direction := "raised"
	switch {
	case c.To.Fanout < c.From.Fanout:
		direction = "lowered"
	case c.To.Fanout == c.From.Fanout:
		direction = "kept"
	}
	m.tel.Log.Info("the fan-out of a source changed", "source", c.Source, "from", c.From.Fanout, "to", c.To.Fanout, "epoch", c.To.Epoch, "rate", c.To.Rate)
	m.switches.Add(context.Background(), 1, m.set(directionLabel(direction)))
	if c.To.Fanout > 1 {
		m.fanouts.Store(c.Source, int64(c.To.Fanout))
	} else {
		m.fanouts.Delete(c.Source)
	}
}

type directionLabel string

// ignored notes a record of the topic that is junk.
func (m *metrics) ignored(err error) {
	ctx := context.Background()
	m.junk.Add(ctx, 1)
	m.limited.Warn(ctx, "fanout-junk", "a record of the topic of the fan-outs is ignored: only gateways should write there", "err", err)
}
