package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"weir/services/gateway/internal/spill"
)

// topicsFile stands beside the segments: what the topics took when Kafka last said so.
const topicsFile = "topics.json"

// takes is max.message.bytes of the topics.
type takes struct {
	Topic         string `json:"topic"`
	Events        int    `json:"events"`
	RejectedTopic string `json:"rejectedTopic"`
	Rejected      int    `json:"rejected"`
}

// openSpill takes the spill's folder, where there is one.
func (g *gateway) openSpill() (err error) {
	if g.cfg.Spill == spillOff {
		return nil
	}
	g.spill, err = spill.Open(spill.Options{Dir: g.cfg.Spill, Size: int64(g.cfg.SpillSize), Queue: g.hangar.Budget.Limit() / 4, Observe: g.metrics.committed})
	if err != nil {
		return err
	}
	g.metrics.watch(g.spill)
	if s := g.spill.Stats(); s.Requests > 0 {
		g.tel.Log.Info("the spill holds events of an earlier start", "records", s.Records, "bytes", s.Bytes, "oldest", s.Oldest)
	}
	return nil
}

// learn notes what the topics take, before the first record is produced.
func (g *gateway) learn(t takes) {
	g.limits.Set(map[string]int{t.Topic: t.Events, t.RejectedTopic: t.Rejected})
	g.ingester.SetMaxima(t.Events, t.Rejected)
	g.takes.Store(&t)
}

// remember keeps what the topics take for a start without Kafka. A disk that does not take it keeps nobody from Kafka.
func (g *gateway) remember() {
	if g.spill == nil {
		return
	}
	path := filepath.Join(g.cfg.Spill, topicsFile)
	text, err := json.Marshal(g.takes.Load())
	if err == nil {
		err = errors.Join(os.WriteFile(path+".new", text, 0o600), os.Rename(path+".new", path))
	}
	if err != nil {
		g.tel.Log.Warn("what the topics take could not be noted: a start without Kafka would wait for it", "file", path, "err", err)
	}
}

// firstLook is how long Kafka has to answer before requests are let in. Where they can be spilled, a broker that does not
// even refuse must not keep them waiting.
func (g *gateway) firstLook(admitted bool) time.Duration {
	if _, known := g.noted(); known && !admitted {
		return g.cfg.AckDeadline / 2
	}
	return prepareLimit
}

// recall learns what remember kept, and sends requests to the spill. False means that nothing is known of these topics:
// how long an event may be is then Kafka's to say first.
func (g *gateway) recall() bool {
	t, known := g.noted()
	if !known {
		return false
	}
	g.learn(t)
	g.producer.PresumeAway()
	g.tel.Log.Warn("Kafka is away: events go to the spill until it is back", "spill", g.cfg.Spill)
	return true
}

// noted reads what remember kept.
func (g *gateway) noted() (t takes, known bool) {
	if g.spill == nil {
		return t, false
	}
	text, err := os.ReadFile(filepath.Join(g.cfg.Spill, topicsFile))
	if err != nil || json.Unmarshal(text, &t) != nil {
		return t, false
	}
	return t, t.Topic == g.cfg.Topic && t.RejectedTopic == g.cfg.RejectedTopic
}

// giveBack brings to Kafka what the spill holds, until ctx ends. Where it cannot, sources of which the spill holds
// something are refused, so that nothing overtakes it; the others go on, and /readyz shows the spill's state. A disk that
// does not let itself be read holds up the end of the gateway for ack-deadline, no longer.
func (g *gateway) giveBack(ctx context.Context) {
	if g.spill == nil {
		return
	}
	ended, err := leave(ctx, g.cfg.AckDeadline, func() error { return g.producer.Replay(ctx, g.hangar.Budget) })
	if !ended {
		err = fmt.Errorf("the disk of %s hangs", g.cfg.Spill)
	}
	if err != nil {
		g.tel.Log.Error("the spill cannot be given back; what it holds stays on disk", "err", err)
	}
}

// leave does something until it ends, or, where it has not ended patience after ctx has, leaves it: then it is still at it.
func leave(ctx context.Context, patience time.Duration, do func() error) (ended bool, err error) {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err = <-done:
		return true, err
	case <-ctx.Done():
	}
	select {
	case err = <-done:
		return true, err
	case <-time.After(patience):
		return false, nil
	}
}

// watchSpill shows the spill's state, and says whether it takes events.
func (g *gateway) watchSpill() bool {
	if g.spill == nil {
		return false
	}
	err := g.spill.Able()
	g.tel.Health.Set("spill", errors.Join(err, g.spill.Unread()))
	return err == nil && g.takes.Load() != nil
}
