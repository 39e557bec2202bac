package follow

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"weir/pkg/flush"
	"weir/pkg/flush/codec"
	"weir/pkg/lake"
	"weir/pkg/s3"
)

// Store is the part of the object store that the follower needs.
type Store interface {
	Get(ctx context.Context, key string) (body []byte, etag string, err error)
	Head(ctx context.Context, key string) (s3.Object, error)
	List(ctx context.Context, prefix, startAfter string) iter.Seq2[s3.Object, error]
	PutIfMatch(ctx context.Context, key string, body []byte, etag string) (string, error)
}

// ErrMemory is a gate's memory that is there and cannot be read: nothing of its topic
// passes until it is repaired. Trying again is of no use.
var ErrMemory = errors.New("the gate's memory cannot be read")

// memory is what the gate of one topic id remembers, as it stands in the lake.
type memory struct {
	gate flush.Gate
	etag string // "" = there is no object yet
	body []byte
	err  error // ErrMemory: nothing of the gate is known
}

// judged is what became of a batch of notifications.
type judged struct {
	accepted []flush.Notification // pass now, in order; those that closed a gap included
	repeats  []flush.Notification // passed before
	changed  map[lake.TopicID]flush.Gate
}

// gates judges notifications by the memory of their topic ids. It belongs to
// one goroutine; what it reads stays in mind until somebody else is seen to write.
type gates struct {
	store    Store
	database string
	tell     Observer
	memories map[lake.TopicID]*memory
	gaps     map[partition]*gap
	stopped  map[partition]flush.Notification // the newest that was read of what does not pass; without files
	looked   time.Time                        // when the memories of what does not pass were read last
}

func newGates(store Store, database string, tell Observer) *gates {
	return &gates{
		store: store, database: database, tell: tell, memories: make(map[lake.TopicID]*memory),
		gaps: make(map[partition]*gap), stopped: make(map[partition]flush.Notification),
	}
}

// recall reads every memory that the database has, so that the partitions that
// stand still are known from the start. None at all: nothing is known.
func (g *gates) recall(ctx context.Context) error {
	dir := lake.GateDir(g.database)
	for o, err := range g.store.List(ctx, dir, "") {
		if err != nil {
			return err
		}
		id, err := lake.ParseTopicID(strings.TrimSuffix(strings.TrimPrefix(o.Key, dir), ".json"))
		if err != nil {
			continue // not ours
		}
		m, err := g.memory(ctx, id)
		if err != nil {
			return err
		}
		for p, mark := range m.gate.Marks {
			if mark.Alarm != "" {
				g.tell(Alarm{Topic: topicOf(mark), TopicID: id, Partition: p, Reason: mark.Alarm, Memory: o.Key})
			}
		}
	}
	return nil
}

// topicOf is the name of the topic that a mark belongs to, "" where nothing passed yet.
func topicOf(mark flush.Mark) string {
	owner, _, _, err := lake.ParseManifestKey(mark.Manifest)
	if err != nil {
		return ""
	}
	return owner.Topic
}

func (g *gates) memory(ctx context.Context, id lake.TopicID) (*memory, error) {
	if m, ok := g.memories[id]; ok {
		return m, nil
	}
	m, err := g.read(ctx, id)
	if err != nil {
		return nil, err
	}
	g.memories[id] = m
	if m.err != nil {
		g.tell(Unjudged{TopicID: id, Err: m.err})
	}
	return m, nil
}

// read takes only a 404 for an empty memory: an object that cannot be read must
// not let everything pass again.
func (g *gates) read(ctx context.Context, id lake.TopicID) (*memory, error) {
	key := lake.GateKey(g.database, id)
	body, etag, err := g.store.Get(ctx, key)
	if errors.Is(err, s3.ErrNotFound) {
		return &memory{}, nil
	}
	if err != nil {
		return nil, err
	}
	m := &memory{etag: etag, body: body}
	gate, err := codec.DecodeGate(body)
	if err != nil {
		m.err = fmt.Errorf("%w: %s: %w", ErrMemory, key, err)
		return m, nil
	}
	m.gate = *gate
	return m, nil
}

// judge lets what fills gaps, and then the notifications in their order, pass through
// copies of the gates: nothing is accepted until put. first is where the notifications
// begin on the flush topic.
func (g *gates) judge(ctx context.Context, fillings []filling, notes []flush.Notification, first int64) (judged, error) {
	j := judged{changed: make(map[lake.TopicID]flush.Gate)}
	for _, n := range notes { // all that can fail comes first
		if _, err := g.memory(ctx, n.TopicID); err != nil {
			return j, err
		}
	}
	for i := range fillings {
		f := &fillings[i]
		g.through(&j, f.gap.partition.topic, func(gate *flush.Gate) bool { return g.filled(&j, gate, f) })
	}
	for _, n := range notes {
		g.through(&j, n.TopicID, func(gate *flush.Gate) bool { return g.one(&j, gate, n, first) })
	}
	return j, nil
}

// through gives do the copy of a topic's gate, and keeps it if do says that it has
// changed.
func (g *gates) through(j *judged, id lake.TopicID, do func(gate *flush.Gate) bool) {
	gate, ok := j.changed[id]
	if !ok {
		gate = g.memories[id].gate.Clone()
	}
	if do(&gate) {
		j.changed[id] = gate
	}
}

// one judges n and says whether the gate has changed.
func (g *gates) one(j *judged, gate *flush.Gate, n flush.Notification, first int64) bool {
	if g.memories[n.TopicID].err != nil {
		g.stop(gate, n)
		return false
	}
	if p := g.gaps[partitionOf(n)]; p != nil {
		p.putOff(n)
		return false
	}
	verdict, reason := gate.Judge(n)
	switch verdict {
	case flush.Repeat:
		j.repeats = append(j.repeats, n)
		return false
	case flush.Accept:
		gate.Accept(n)
		j.accepted = append(j.accepted, n)
		return true
	case flush.Gap:
		alarm := g.open(gate, n, first)
		return alarm != "" && g.raise(gate, n, alarm)
	}
	return g.raise(gate, n, reason)
}

// filled judges what has filled a gap, and says whether the gate has changed.
func (g *gates) filled(j *judged, gate *flush.Gate, f *filling) (changed bool) {
	p := f.gap
	for _, n := range f.notes {
		switch verdict, reason := gate.Judge(n); verdict {
		case flush.Accept:
			gate.Accept(n)
			j.accepted = append(j.accepted, n)
			changed = true
		case flush.Gap: // the memory was taken back
			f.alarm = cmp.Or(f.alarm, g.reopen(gate, p))
		case flush.Alarm:
			f.alarm = cmp.Or(f.alarm, reason)
		}
	}
	f.alarm = cmp.Or(f.alarm, g.settle(gate, p))
	if f.alarm == "" {
		return changed
	}
	delete(g.gaps, p.partition)
	return g.raise(gate, p.end, f.alarm) || changed
}

// raise stops the partition, once.
func (g *gates) raise(gate *flush.Gate, n flush.Notification, reason string) bool {
	g.stop(gate, n)
	if gate.Marks[n.Partition].Alarm != "" {
		return false
	}
	gate.Raise(n, reason)
	g.tell(Alarm{
		Topic: n.Topic, TopicID: n.TopicID, Partition: n.Partition, Manifest: n.Manifest, Reason: reason,
		Memory: lake.GateKey(g.database, n.TopicID),
	})
	return true
}

// put writes the gates that a batch has changed. settled is false where another
// catalog has written in between: its memory is read now, and the batch must be
// judged again. A put whose answer was lost finds its own bytes.
func (g *gates) put(ctx context.Context, j judged) (settled bool, err error) {
	settled = true
	for _, id := range sortedIDs(j.changed) {
		gate := j.changed[id]
		body, err := codec.EncodeGate(&gate)
		if err != nil {
			return false, fmt.Errorf("write the gate's memory of topic %s: %w", id, err)
		}
		m := g.memories[id]
		key := lake.GateKey(g.database, id)
		etag, err := g.store.PutIfMatch(ctx, key, body, m.etag)
		if err == nil {
			g.memories[id] = &memory{gate: gate, etag: etag, body: body}
			continue
		}
		if !errors.Is(err, s3.ErrChanged) && !errors.Is(err, s3.ErrExists) {
			return false, err
		}
		there, err := g.read(ctx, id)
		if err != nil {
			return false, err
		}
		repaired := g.replace(id, there)
		if !bytes.Equal(there.body, body) {
			settled = false
			if !repaired {
				g.tell(Rival{Key: key})
			}
		}
	}
	return settled, nil
}

func sortedIDs(m map[lake.TopicID]flush.Gate) []lake.TopicID {
	ids := make([]lake.TopicID, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b lake.TopicID) int { return bytes.Compare(a[:], b[:]) })
	return ids
}
