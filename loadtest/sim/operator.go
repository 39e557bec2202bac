package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"weir/pkg/flush"
	"weir/pkg/kafka"
	"weir/services/sink"
)

// operatorFaults is what people and their tools do to the group and to the clocks.
func operatorFaults() []Fault {
	return []Fault{
		misplaced("committed offsets are deleted, and recovered", func(w *World, admin *kadm.Client) error {
			topics := kadm.TopicsSet{}
			for p := range w.shape.Partitions {
				topics.Add(topicEvents, p)
			}
			answers, err := admin.DeleteOffsets(context.Background(), group, topics)
			return errors.Join(err, answers.Error())
		}),
		misplaced("committed offsets are reset to the beginning, and recovered", func(w *World, admin *kadm.Client) error {
			return commitAll(w, admin, func(int32) flush.State { return flush.State{} })
		}),
		misplaced("committed offsets are those of a backup, and recovered", func(w *World, admin *kadm.Client) error {
			return commitAll(w, admin, w.watch.early)
		}),
		{"a static sink has a twin", during, func(w *World, r *rand.Rand, _ time.Duration) {
			if list := w.living("sink"); w.shape.Static && len(list) > 0 {
				w.hit("a static sink has a twin", 1)
				w.twin(list[r.IntN(len(list))])
			}
		}},
		{wrongClock, during, func(w *World, r *rand.Rand, length time.Duration) {
			const day = 24 * time.Hour
			w.skew.Store(int64([]time.Duration{-time.Hour, 50 * time.Minute, -day}[r.IntN(3)]))
			time.Sleep(length)
			w.skew.Store(0)
		}},
	}
}

const wrongClock = "the clocks of producers are wrong"

// twin starts a sink under the name of another, as two deployments do: one wins, mostly the newer, the other is fenced.
func (w *World) twin(p *process) {
	w.mark(p)
	w.mu.Lock()
	w.twins[p.slot] = true
	w.mu.Unlock()
	w.start("sink", p.slot)
	select {
	case <-p.done:
	case <-time.After(time.Minute): // the newer one has not got far
		w.terminate(p)
	}
}

// misplaced changes what the group has committed while no sink runs, and then does what the sink's error says: sinks
// are stopped, weir sink recover runs, sinks start.
func misplaced(name string, change func(*World, *kadm.Client) error) Fault {
	return Fault{name, last, func(w *World, r *rand.Rand, _ time.Duration) {
		time.Sleep(2 * restartDelay) // what crashed is back
		w.stopSinks(r.IntN(2) == 0)
		before := w.allCommitted()
		w.watch.pause(true)
		client, err := w.client()
		if err != nil {
			w.violation("%s: %v", name, err)
			return
		}
		defer client.Close()
		if err := patiently(func() error { return change(w, kadm.NewClient(client)) }); err != nil {
			w.violation("%s: %v", name, err)
			return
		}
		w.hit(name, 1)
		w.start("sink", 0)
		time.Sleep(2 * w.shape.Session)
		w.stopSinks(false)
		if err := patiently(func() error { _, err := w.recover(nil); return err }); err != nil {
			w.violation("%s: %v", name, err)
		}
		for p, s := range before { // a decision of which nothing was visible yet stands nowhere else, and may be gone
			if now, err := w.committed(p); s.Phase == flush.Done && (err != nil || now.Seq < s.Seq || now.Seq == s.Seq && now.Manifest != s.Manifest) {
				w.violation("%s: partition %d was recovered as %q (%v), it was %q", name, p, now.Metadata(), err, s.Metadata())
			}
		}
		w.watch.pause(false)
		w.startSinks()
	}}
}

// patiently tries until it works, as a person does who reads the error.
func patiently(do func() error) (err error) {
	for range 60 {
		if err = do(); err == nil {
			return nil
		}
		time.Sleep(10 * time.Second)
	}
	return err
}

// recover runs weir sink recover. With an accepted loss it is confirmed.
func (w *World) recover(accept func(*sink.RecoverConfig)) ([]sink.Recovered, error) {
	k := kafka.Config{Brokers: w.brokers(), Extra: append(w.unhindered(), kgo.ProducerBatchCompression(kgo.SnappyCompression()))}
	d := sink.DefaultConfig()
	c := sink.RecoverConfig{
		Kafka: k, Group: d.Group, Topic: d.Topic, FlushTopic: d.FlushTopic, DeadLetterTopic: d.DeadLetterTopic, Lake: w.location().String(),
		After: time.Minute, From: -1, S3: w.s3Config(w.newLink("operator", "operator", 3)),
	}
	if accept != nil {
		c.AcceptLoss, c.Yes = true, true
		accept(&c)
	}
	all, err := sink.Recover(context.Background(), c)
	for _, r := range all {
		if err != nil && r.Result == "refused" {
			err = fmt.Errorf("%w; partition %d: %s", err, r.Partition, r.Why)
		}
	}
	return all, err
}

// stopSinks ends every sink, at once or in good order, and waits.
func (w *World) stopSinks(killed bool) {
	for _, p := range w.living("sink") {
		w.terminate(p)
		if killed {
			p.link.kill()
			w.watch.excuse()
		}
		<-p.done
	}
}

// allCommitted are the flushes that stand decided.
func (w *World) allCommitted() map[int32]flush.State {
	all := map[int32]flush.State{}
	for p := range w.shape.Partitions {
		if s, err := w.committed(p); err == nil && s.Manifest != "" {
			all[p] = s
		}
	}
	return all
}

func commitAll(w *World, admin *kadm.Client, state func(int32) flush.State) error {
	offsets := kadm.Offsets{}
	for p := range w.allCommitted() { // nobody commits what no console shows
		o := kadm.Offset{Topic: topicEvents, Partition: p, LeaderEpoch: -1}
		if s := state(p); s.Manifest != "" {
			o.At, o.LeaderEpoch, o.Metadata = s.Low, s.LeaderEpoch, s.Metadata()
		}
		offsets.Add(o)
	}
	answers, err := admin.CommitOffsets(context.Background(), group, offsets)
	return errors.Join(err, answers.Error())
}
